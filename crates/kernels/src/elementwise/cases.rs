//! Sizes for tests and benchmarks.

/// Lengths of an activation: from one element through odd sizes to the state of a small model's batch.
pub const CASES: &[usize] = &[1, 7, 16, 33, 1_000, 140_001];
