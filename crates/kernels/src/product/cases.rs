//! Sizes for tests and benchmarks.

use super::Dims;

/// From single elements through odd sizes to the recurrent multiplication of a small RNN.
pub const CASES: &[Dims] = &[
    Dims { m: 1, k: 1, n: 1 },
    Dims { m: 3, k: 5, n: 2 },
    Dims { m: 17, k: 33, n: 31 },
    Dims { m: 70, k: 16, n: 130 },
    Dims { m: 32, k: 256, n: 77 },
    Dims { m: 32, k: 77, n: 256 },
];
