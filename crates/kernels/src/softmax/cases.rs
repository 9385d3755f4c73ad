//! Sizes to try.

use super::Dims;

/// From a single number over odd sizes to characters and the words of Penn Treebank.
pub const CASES: &[Dims] = &[
    Dims { rows: 1, columns: 1 },
    Dims { rows: 5, columns: 3 },
    Dims { rows: 3, columns: 31 },
    Dims { rows: 2_048, columns: 77 },
    Dims { rows: 3, columns: 10_000 },
];
