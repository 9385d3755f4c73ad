//! Sizes for tests and benchmarks.

/// Lengths: nothing, one element, odd sizes, the rows of a batch, and the weights of a small model.
pub const CASES: &[usize] = &[0, 1, 7, 33, 257, 1_000, 16_385, 700_001];
