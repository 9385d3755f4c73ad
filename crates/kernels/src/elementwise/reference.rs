//! The reference implementation: plain loops.

use num_traits::Float;

/// `a + b`.
pub fn add<F: Float>(a: &[F], b: &[F]) -> Vec<F> {
    a.iter().zip(b).map(|(&a, &b)| a + b).collect()
}

/// `a ∘ b`.
pub fn multiply<F: Float>(a: &[F], b: &[F]) -> Vec<F> {
    a.iter().zip(b).map(|(&a, &b)| a * b).collect()
}

/// `factor · x`.
pub fn scale<F: Float>(factor: F, x: &[F]) -> Vec<F> {
    x.iter().map(|&x| factor * x).collect()
}
