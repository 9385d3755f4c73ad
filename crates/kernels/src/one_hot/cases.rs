//! Sizes for tests and benchmarks.

use super::Dims;

/// From a single element through odd sizes to a batch of characters.
pub const CASES: &[Dims] = &[
    Dims { rows: 1, vocab: 1 },
    Dims { rows: 5, vocab: 3 },
    Dims { rows: 31, vocab: 17 },
    Dims { rows: 2_048, vocab: 77 },
];
