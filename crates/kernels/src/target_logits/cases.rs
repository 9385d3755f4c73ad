//! Sizes for tests and benchmarks.

use super::Dims;

/// From single elements through odd sizes to a batch of evaluation with WikiText-2's vocabulary.
pub const CASES: &[Dims] = &[
    Dims { rows: 1, hidden: 1, vocab: 1 },
    Dims { rows: 3, hidden: 7, vocab: 5 },
    Dims { rows: 40, hidden: 33, vocab: 11 },
    Dims { rows: 768, hidden: 200, vocab: 33_278 },
];
