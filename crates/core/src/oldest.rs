//! The oldest events of a log, for whoever takes them away.

use crate::{
    cursor::Position,
    life::Life,
    retention::STEP,
    store::{Page, PageLimit, Scope, StoreError},
};

/// The oldest events above `place`, and from where on they were read: above `place` where the store cannot read what comes
/// next. That is passed over, or nothing above it would ever go. It goes with the next event of its channel that does,
/// readers are refused there as before, and [`crate::LogFigures::unreadable`] counts it.
///
/// Errors: as [`crate::store::Store::range`], also where nothing above can be read.
pub(crate) async fn oldest(life: &Life, place: Position) -> Result<(Position, Page), StoreError> {
    let head = life.head();
    let read = |after, limit| life.store.range(Scope::All, Position::new(after), head, limit);
    let error = match read(place.number(), STEP).await {
        Err(StoreError::Unavailable) => return Err(StoreError::Unavailable),
        Err(error) => error,
        Ok(page) => return Ok((place, page)),
    };
    let (mut lost, mut found, mut step) = (place.number(), head.number(), 1);
    // Twice as far each time until something can be read, and then back to where that begins.
    while lost + 1 < found {
        let next = lost.saturating_add(step).min(lost.midpoint(found));
        match read(next, ONE).await {
            Ok(_) => (found, step) = (next, u64::MAX / 2),
            Err(StoreError::Unavailable) => return Err(StoreError::Unavailable),
            Err(_) => (lost, step) = (next, step.saturating_mul(2).min(u64::MAX / 2)),
        }
    }
    if found == head.number() {
        return Err(error);
    }
    let page = read(found, STEP).await?;
    life.passed_over();
    Ok((Position::new(found), page))
}

/// Enough to know whether anything can be read.
const ONE: PageLimit = PageLimit { events: 1, bytes: 1 };
