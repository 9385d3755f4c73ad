//! Sizes for tests and benchmarks.

use super::{Dims, Place};

/// A single element, an inner block, a gate sliced out of an LSTM's pre-activations, and matrices
/// concatenated by rows.
pub const CASES: &[Dims] = &[
    Dims {
        rows: 1,
        columns: 1,
        source: Place { width: 1, row: 0, column: 0 },
        target: Place { width: 1, row: 0, column: 0 },
    },
    Dims {
        rows: 3,
        columns: 5,
        source: Place { width: 9, row: 2, column: 3 },
        target: Place { width: 7, row: 1, column: 2 },
    },
    Dims {
        rows: 700,
        columns: 200,
        source: Place { width: 800, row: 0, column: 400 },
        target: Place { width: 200, row: 0, column: 0 },
    },
    Dims {
        rows: 32,
        columns: 257,
        source: Place { width: 257, row: 0, column: 0 },
        target: Place { width: 257, row: 64, column: 0 },
    },
];
