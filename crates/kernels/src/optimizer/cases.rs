//! Sizes for tests and benchmarks.

/// Lengths of a tensor: from one element through odd sizes to an embedding of 10,000 words.
pub const CASES: &[usize] = &[1, 5, 33, 2_047, 100_001, 1_000_000];
