//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// The logit of each row's token.
pub fn forward<F: Float>(
    dims: Dims,
    hidden: &[F],
    weight: &[F],
    bias: Option<&[F]>,
    targets: &[u32],
) -> Vec<F> {
    let logit = |(h, &target): (&[F], &u32)| {
        let target = target as usize;
        let row = &weight[target * dims.hidden..(target + 1) * dims.hidden];
        let dot = h.iter().zip(row).fold(F::zero(), |sum, (&h, &w)| sum + h * w);
        dot + bias.map_or(F::zero(), |bias| bias[target])
    };
    hidden.chunks_exact(dims.hidden).zip(targets).map(logit).collect()
}
