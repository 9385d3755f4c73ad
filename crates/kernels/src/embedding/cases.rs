//! Sizes for tests and benchmarks.

use super::Dims;

/// From single elements through odd sizes to batches of Penn Treebank and WikiText-2.
pub const CASES: &[Dims] = &[
    Dims { rows: 1, vocab: 1, width: 1 },
    Dims { rows: 9, vocab: 2, width: 1 },
    Dims { rows: 1, vocab: 5, width: 17 },
    Dims { rows: 13, vocab: 7, width: 33 },
    Dims { rows: 160, vocab: 10_000, width: 100 },
    Dims { rows: 700, vocab: 33_278, width: 200 },
];
