//! Sizes for tests and benchmarks.

use super::Dims;

/// From a single element through odd sizes to an LSTM's pre-activations.
pub const CASES: &[Dims] = &[
    Dims { rows: 1, columns: 1 },
    Dims { rows: 7, columns: 1 },
    Dims { rows: 1, columns: 31 },
    Dims { rows: 13, columns: 77 },
    Dims { rows: 32, columns: 256 },
    Dims { rows: 700, columns: 800 },
];
