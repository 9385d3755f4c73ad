//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// The negative log-likelihood of each row's target and the log-sum of each row.
pub fn forward<F: Float>(dims: Dims, logits: &[F], targets: &[u32]) -> (Vec<F>, Vec<F>) {
    let log_sum = |row: &[F]| {
        let max = row.iter().fold(F::neg_infinity(), |max, &x| max.max(x));
        let sum = row.iter().fold(F::zero(), |sum, &x| sum + (x - max).exp());
        max + sum.ln()
    };
    let rows = logits.chunks_exact(dims.vocab);
    let log_sums: Vec<F> = rows.clone().map(log_sum).collect();
    let targets = rows.zip(targets).map(|(row, &target)| row[target as usize]);
    (targets.zip(&log_sums).map(|(logit, &log_sum)| log_sum - logit).collect(), log_sums)
}

/// The gradient of `scale · Σ_r nll[r]` with respect to the logits.
pub fn backward<F: Float>(dims: Dims, scale: F, logits: &[F], targets: &[u32], log_sums: &[F]) -> Vec<F> {
    let mut d_logits = Vec::with_capacity(logits.len());
    for (row, logits) in logits.chunks_exact(dims.vocab).enumerate() {
        d_logits.extend(logits.iter().map(|&logit| scale * (logit - log_sums[row]).exp()));
        let target = row * dims.vocab + targets[row] as usize;
        d_logits[target] = d_logits[target] - scale;
    }
    d_logits
}
