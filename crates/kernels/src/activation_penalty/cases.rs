//! Sizes for tests and benchmarks.

use super::Dims;

/// From a single element over a single step through odd sizes to the last layer of a small LSTM and of an
/// AWD-LSTM.
pub const CASES: &[Dims] = &[
    Dims { steps: 1, batch: 1, width: 1 },
    Dims { steps: 2, batch: 1, width: 1 },
    Dims { steps: 1, batch: 3, width: 7 },
    Dims { steps: 3, batch: 2, width: 5 },
    Dims { steps: 2, batch: 3, width: 341 },
    Dims { steps: 35, batch: 20, width: 200 },
    Dims { steps: 70, batch: 80, width: 40 },
];
