//! Sizes for tests and benchmarks.

use super::Dims;

/// From a single token through part of a block, a whole one and more, to Penn Treebank's and WikiText-2's vocabularies.
pub const CASES: &[Dims] = &[
    Dims { rows: 1, vocab: 1 },
    Dims { rows: 3, vocab: 5 },
    Dims { rows: 2, vocab: 256 },
    Dims { rows: 5, vocab: 257 },
    Dims { rows: 33, vocab: 1_000 },
    Dims { rows: 4, vocab: 10_000 },
    Dims { rows: 2, vocab: 33_278 },
];
