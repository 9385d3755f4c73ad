//! Sizes for tests and benchmarks.

use super::Dims;

/// From a single element through odd sizes to characters and the words of Penn Treebank.
pub const CASES: &[Dims] = &[
    Dims { rows: 1, columns: 1 },
    Dims { rows: 5, columns: 3 },
    Dims { rows: 3, columns: 31 },
    Dims { rows: 2_048, columns: 77 },
    Dims { rows: 3, columns: 10_000 },
];
