//! Sizes for tests and benchmarks.

use super::Dims;

/// From a single element through odd sizes to characters and the words of Penn Treebank.
pub const CASES: &[Dims] = &[
    Dims { rows: 1, vocab: 1 },
    Dims { rows: 5, vocab: 3 },
    Dims { rows: 3, vocab: 31 },
    Dims { rows: 2_048, vocab: 77 },
    Dims { rows: 3, vocab: 10_000 },
];
