//! What many measured times come to.

/// The time that a share (0 to 1) of `sorted` does not exceed; 0 of none.
pub(crate) fn quantile<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((last * share) as usize).copied().unwrap_or_default()
}
