//! Masks of clients (RFC 6455 section 5.3).

/// Takes the mask off; `mask` begins at the first of `bytes`.
pub(super) fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

/// The mask as it begins `count` bytes later.
pub(super) fn turned(mask: [u8; 4], count: usize) -> [u8; 4] {
    u32::from_be_bytes(mask).rotate_left(8 * (count % 4) as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Mutants: the rest unmasked from the second byte of the mask; `wide` of a, b, c, d, d, c, b, a -> each fails.
    #[test]
    fn every_byte_meets_the_byte_of_the_mask_that_is_its_own() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..40 {
            let mut bytes: Vec<u8> = (0..length).collect();
            unmask(&mut bytes, mask);
            let wanted: Vec<u8> = (0..length).map(|at| at ^ mask[usize::from(at) % 4]).collect();
            assert_eq!(bytes, wanted, "{length} bytes");
        }
    }
}
