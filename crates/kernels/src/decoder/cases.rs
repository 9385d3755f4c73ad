//! Sizes for tests and benchmarks.

use super::Dims;

/// Single elements, few rows, odd sizes, more rows than fit in one block, and a vocabulary of several chunks.
pub const CASES: &[Dims] = &[
    Dims { rows: 1, width: 1, vocab: 1 },
    Dims { rows: 1, width: 5, vocab: 2 },
    Dims { rows: 2, width: 30, vocab: 401 },
    Dims { rows: 5, width: 100, vocab: 403 },
    Dims { rows: 7, width: 16, vocab: 77 },
    Dims { rows: 8, width: 49, vocab: 64 },
    Dims { rows: 35, width: 33, vocab: 501 },
    Dims { rows: 50, width: 20, vocab: 1000 },
    Dims { rows: 800, width: 12, vocab: 130 },
];
