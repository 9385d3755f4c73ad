//! The reference implementation: a plain loop.

use num_traits::Float;

/// The sum of all elements.
pub fn forward<F: Float>(x: &[F]) -> F {
    x.iter().fold(F::zero(), |sum, &x| sum + x)
}
