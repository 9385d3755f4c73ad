//! Sizes for tests and benchmarks.

use super::Dims;

/// From a single token through one block, full or not, to several rows of Penn Treebank's vocabulary and one
/// of WikiText-2's.
pub const CASES: &[Dims] = &[
    Dims { rows: 1, vocab: 1 },
    Dims { rows: 3, vocab: 5 },
    Dims { rows: 2, vocab: 256 },
    Dims { rows: 5, vocab: 257 },
    Dims { rows: 33, vocab: 1_000 },
    Dims { rows: 4, vocab: 10_000 },
    Dims { rows: 1, vocab: 33_278 },
];
