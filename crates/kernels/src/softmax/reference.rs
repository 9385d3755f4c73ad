//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// Softmax of each row.
pub fn forward<F: Float>(dims: Dims, temperature: F, x: &[F]) -> Vec<F> {
    let mut y = Vec::with_capacity(x.len());
    for x in x.chunks_exact(dims.columns) {
        let max = x.iter().fold(F::neg_infinity(), |max, &x| max.max(x));
        let weight = |&x: &F| ((x - max) / temperature).exp();
        let sum = x.iter().map(weight).fold(F::zero(), |sum, weight| sum + weight);
        y.extend(x.iter().map(|x| weight(x) / sum));
    }
    y
}

/// The gradient of `x`, given the output and its gradient.
pub fn backward<F: Float>(dims: Dims, temperature: F, y: &[F], d_y: &[F]) -> Vec<F> {
    let mut d_x = Vec::with_capacity(y.len());
    for (y, d_y) in y.chunks_exact(dims.columns).zip(d_y.chunks_exact(dims.columns)) {
        let dot = y.iter().zip(d_y).fold(F::zero(), |sum, (&y, &d_y)| sum + y * d_y);
        d_x.extend(y.iter().zip(d_y).map(|(&y, &d_y)| y * (d_y - dot) / temperature));
    }
    d_x
}
