//! The reference implementation: plain loops.

use num_traits::Float;

use super::{Dims, Penalty};

/// The mean square.
pub fn forward<F: Float>(dims: Dims, penalty: Penalty, h: &[F]) -> F {
    let mut sum = F::zero();
    for (value, _) in squared(dims, penalty, h) {
        sum = sum + value * value;
    }
    divided(sum, dims.squares(penalty))
}

/// The gradient of `scale` times the mean square.
pub fn backward<F: Float>(dims: Dims, penalty: Penalty, scale: F, h: &[F]) -> Vec<F> {
    let mut d_h = vec![F::zero(); h.len()];
    let factor = divided(scale + scale, dims.squares(penalty));
    for (value, (to, from)) in squared(dims, penalty, h) {
        d_h[to] = d_h[to] + factor * value;
        if let Some(from) = from {
            d_h[from] = d_h[from] - factor * value;
        }
    }
    d_h
}

/// Each value that is squared, with the indices of its elements: the one added, and the one subtracted.
fn squared<F: Float>(
    dims: Dims,
    penalty: Penalty,
    h: &[F],
) -> impl Iterator<Item = (F, (usize, Option<usize>))> {
    let row = dims.batch * dims.width;
    let first = if penalty == Penalty::Size { 0 } else { row };
    (first..h.len()).map(move |to| match penalty {
        Penalty::Size => (h[to], (to, None)),
        Penalty::Change => (h[to] - h[to - row], (to, Some(to - row))),
    })
}

/// `sum / count`; 0 if `count` is 0.
fn divided<F: Float>(sum: F, count: usize) -> F {
    match F::from(count) {
        Some(count) if count > F::zero() => sum / count,
        _ => F::zero(),
    }
}
