//! Sizes for tests and benchmarks.

use super::Dims;

/// From single elements through odd sizes to an LSTM layer's input projection.
pub const CASES: &[Dims] = &[
    Dims { rows: 1, inputs: 1, outputs: 1 },
    Dims { rows: 1, inputs: 7, outputs: 3 },
    Dims { rows: 5, inputs: 16, outputs: 33 },
    Dims { rows: 13, inputs: 31, outputs: 17 },
    Dims { rows: 128, inputs: 1, outputs: 70 },
    Dims { rows: 130, inputs: 400, outputs: 48 },
    Dims { rows: 700, inputs: 200, outputs: 800 },
    // Rows whose length is a multiple of 2 KiB.
    Dims { rows: 13, inputs: 96, outputs: 512 },
    // The same, where the last of three threads has thirteen outputs beyond whole blocks.
    Dims { rows: 17, inputs: 40, outputs: 2560 },
];
