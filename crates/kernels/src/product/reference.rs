//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// `c = a·b`.
pub fn forward<F: Float>(dims: Dims, a: &[F], b: &[F]) -> Vec<F> {
    let Dims { m, k, n } = dims;
    let mut c = vec![F::zero(); m * n];
    for row in 0..m {
        for column in 0..n {
            for inner in 0..k {
                c[row * n + column] = c[row * n + column] + a[row * k + inner] * b[inner * n + column];
            }
        }
    }
    c
}

/// The gradients of `a` and `b`.
pub fn backward<F: Float>(dims: Dims, a: &[F], b: &[F], d_c: &[F]) -> (Vec<F>, Vec<F>) {
    let Dims { m, k, n } = dims;
    let (mut d_a, mut d_b) = (vec![F::zero(); m * k], vec![F::zero(); k * n]);
    for row in 0..m {
        for column in 0..n {
            let d = d_c[row * n + column];
            for inner in 0..k {
                let (left, right) = (row * k + inner, inner * n + column);
                d_a[left] = d_a[left] + d * b[right];
                d_b[right] = d_b[right] + d * a[left];
            }
        }
    }
    (d_a, d_b)
}
