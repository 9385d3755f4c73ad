//! Philox4x32-10: a counter-based random number generator.
//!
//! Ten rounds of multiplication and exclusive or turn a counter of four words into four random ones, under a
//! key of two words. There is no state, so random numbers can be generated in any order and by any thread.
//!
//! Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3 (2011).

const MULTIPLIERS: [u64; 2] = [0xd251_1f53, 0xcd9e_8d57];
const KEY_STEPS: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;
const LOW: u64 = 0xffff_ffff;

/// The round keys of a key, the same for all counters.
pub(super) type RoundKeys = [[u64; 2]; ROUNDS];

/// The round keys of a 64-bit key, whose low half is the first word.
pub(super) fn round_keys(key: u64) -> RoundKeys {
    let (mut low, mut high) = (key as u32, (key >> 32) as u32);
    let mut keys = [[0; 2]; ROUNDS];
    for round in &mut keys {
        *round = [u64::from(low), u64::from(high)];
        low = low.wrapping_add(KEY_STEPS[0]);
        high = high.wrapping_add(KEY_STEPS[1]);
    }
    keys
}

/// The four random words of a counter.
///
/// Words are the low halves of 64-bit integers, so that a loop over counters becomes vectors of 32 × 32 →
/// 64-bit products; the high halves of the result are undefined.
#[inline(always)]
pub(super) fn block(keys: &RoundKeys, counter: [u64; 4]) -> [u64; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    for key in keys {
        let p0 = (c0 & LOW) * MULTIPLIERS[0];
        let p1 = (c2 & LOW) * MULTIPLIERS[1];
        (c0, c1, c2, c3) = ((p1 >> 32) ^ c1 ^ key[0], p1, (p0 >> 32) ^ c3 ^ key[1], p0);
    }
    [c0, c1, c2, c3]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kat_vectors` of the authors' Random123 library, `philox4x32 10`: counter, key, expected.
    const KNOWN_ANSWERS: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
        ([0; 4], [0; 2], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
        ([u32::MAX; 4], [u32::MAX; 2], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
        (
            [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
            [0xa4093822, 0x299f31d0],
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
        ),
    ];

    #[test]
    fn the_published_answers_come_out() {
        for (counter, key, expected) in KNOWN_ANSWERS {
            let keys = round_keys(u64::from(key[0]) | u64::from(key[1]) << 32);
            assert_eq!(block(&keys, counter.map(u64::from)).map(|word| word as u32), expected);
        }
    }
}
