//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// `y[r] = x[r] + bias`.
pub fn forward<F: Float>(dims: Dims, x: &[F], bias: &[F]) -> Vec<F> {
    x.iter().enumerate().map(|(i, &x)| x + bias[i % dims.columns]).collect()
}

/// The gradient of the bias.
pub fn backward<F: Float>(dims: Dims, d_y: &[F]) -> Vec<F> {
    let mut d_bias = vec![F::zero(); dims.columns];
    for (i, &d_y) in d_y.iter().enumerate() {
        d_bias[i % dims.columns] = d_bias[i % dims.columns] + d_y;
    }
    d_bias
}
