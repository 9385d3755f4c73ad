//! The reference implementation: plain loops.

use num_traits::Float;

use super::{BLOCK, Dims};

/// The maxima and sums of each block.
pub fn forward<F: Float>(dims: Dims, temperature: F, logits: &[F], caps: Option<&[F]>) -> (Vec<F>, Vec<F>) {
    let (mut maxima, mut sums) = (Vec::new(), Vec::new());
    for row in logits.chunks_exact(dims.vocab) {
        for block in capped(row, caps).chunks(BLOCK) {
            let max = block.iter().copied().fold(F::neg_infinity(), F::max);
            let weights = block.iter().map(|&x| ((x - max) / temperature).exp());
            maxima.push(max);
            sums.push(if max.is_finite() { weights.fold(F::zero(), |sum, w| sum + w) } else { F::zero() });
        }
    }
    (maxima, sums)
}

/// The token at which each row's point falls.
pub fn pick<F: Float>(
    dims: Dims,
    temperature: F,
    logits: &[F],
    caps: Option<&[F]>,
    points: &[F],
) -> Vec<u32> {
    let pick = |(row, &point): (&[F], &F)| {
        let x = capped(row, caps);
        let max = x.iter().copied().fold(F::neg_infinity(), F::max);
        let weights: Vec<F> = x.iter().map(|&x| ((x - max) / temperature).exp()).collect();
        let all = weights.iter().fold(F::zero(), |sum, &w| sum + w);
        let mut sum = F::zero();
        let reached = weights.iter().position(|&w| {
            sum = sum + w;
            sum > point * all
        });
        reached.unwrap_or(0) as u32
    };
    logits.chunks_exact(dims.vocab).zip(points).map(pick).collect()
}

fn capped<F: Float>(row: &[F], caps: Option<&[F]>) -> Vec<F> {
    let cap = |v: usize| caps.map_or(F::infinity(), |caps| caps[v]);
    row.iter().enumerate().map(|(v, &x)| if x < cap(v) { x } else { cap(v) }).collect()
}
