//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// The logits `[R, V]`, and the logarithms of the tails' sums `[R, K]`.
pub fn forward<F: Float>(dims: Dims<'_>, head: &[F], tails: &[Vec<F>], order: &[u32]) -> (Vec<F>, Vec<F>) {
    let (words, width) = (dims.head_words(), dims.head_width());
    let mut logits = vec![F::zero(); dims.rows * dims.vocab];
    let mut log_sums = Vec::new();
    for (r, logits) in logits.chunks_exact_mut(dims.vocab).enumerate() {
        let head = &head[r * width..(r + 1) * width];
        for (w, &logit) in head[..words].iter().enumerate() {
            logits[order[w] as usize] = logit;
        }
        for (k, tail) in tails.iter().enumerate() {
            let ranks = dims.tail(k);
            let tail = &tail[r * ranks.len()..(r + 1) * ranks.len()];
            let max = tail.iter().fold(F::neg_infinity(), |max, &x| max.max(x));
            let sum = tail.iter().fold(F::zero(), |sum, &x| sum + (x - max).exp());
            let log_sum = max + sum.ln();
            for (w, &x) in ranks.zip(tail) {
                logits[order[w] as usize] = head[words + k] + x - log_sum;
            }
            log_sums.push(log_sum);
        }
    }
    (logits, log_sums)
}

/// The gradients of the head and of the tails.
pub fn backward<F: Float>(
    dims: Dims<'_>,
    tails: &[Vec<F>],
    order: &[u32],
    log_sums: &[F],
    d_logits: &[F],
) -> (Vec<F>, Vec<Vec<F>>) {
    let (words, count) = (dims.head_words(), dims.cutoffs.len());
    let (mut d_head, mut d_tails) = (Vec::new(), vec![Vec::new(); count]);
    for (r, d) in d_logits.chunks_exact(dims.vocab).enumerate() {
        d_head.extend(order[..words].iter().map(|&id| d[id as usize]));
        for (k, tail) in tails.iter().enumerate() {
            let ranks = dims.tail(k);
            let tail = &tail[r * ranks.len()..(r + 1) * ranks.len()];
            let d = |w: usize| d[order[w] as usize];
            let sum = ranks.clone().fold(F::zero(), |sum, w| sum + d(w));
            let log_sum = log_sums[r * count + k];
            d_tails[k].extend(ranks.zip(tail).map(|(w, &x)| d(w) - (x - log_sum).exp() * sum));
            d_head.push(sum);
        }
    }
    (d_head, d_tails)
}
