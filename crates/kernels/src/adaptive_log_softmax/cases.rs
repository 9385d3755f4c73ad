//! Sizes for tests and benchmarks.

use super::Dims;

/// One tail of one word, odd sizes with three tails, and the words of WikiText-2 for a few texts.
pub const CASES: &[Dims<'static>] = &[
    Dims { rows: 1, cutoffs: &[1], vocab: 2 },
    Dims { rows: 5, cutoffs: &[3, 4, 21], vocab: 60 },
    Dims { rows: 3, cutoffs: &[2_000, 10_000], vocab: 33_278 },
];
