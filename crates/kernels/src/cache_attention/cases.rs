//! Sizes for tests and benchmarks.

use super::Dims;

/// From a row with nothing before it, through windows that begin within the block, to the published window.
pub const CASES: &[Dims] = &[
    Dims { rows: 1, positions: 1, window: 1 },
    Dims { rows: 5, positions: 5, window: 2 },
    Dims { rows: 7, positions: 40, window: 1 },
    Dims { rows: 33, positions: 50, window: 17 },
    Dims { rows: 3, positions: 70, window: usize::MAX },
    Dims { rows: 128, positions: 2_128, window: 2_000 },
];
