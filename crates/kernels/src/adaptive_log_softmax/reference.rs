//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// The log-probabilities `[R, V]`, and the logarithms of the sums of the head and the tails `[R, 1 + K]`.
pub fn forward<F: Float>(dims: Dims<'_>, head: &[F], tails: &[Vec<F>], order: &[u32]) -> (Vec<F>, Vec<F>) {
    let (words, width) = (dims.head_words(), dims.head_width());
    let mut log_probs = vec![F::zero(); dims.rows * dims.vocab];
    let mut log_sums = Vec::new();
    for (r, log_probs) in log_probs.chunks_exact_mut(dims.vocab).enumerate() {
        let head = &head[r * width..(r + 1) * width];
        let of_head = log_sum(head);
        log_sums.push(of_head);
        for (w, &x) in head[..words].iter().enumerate() {
            log_probs[order[w] as usize] = x - of_head;
        }
        for (k, tail) in tails.iter().enumerate() {
            let ranks = dims.tail(k);
            let tail = &tail[r * ranks.len()..(r + 1) * ranks.len()];
            let of_tail = log_sum(tail);
            log_sums.push(of_tail);
            for (w, &x) in ranks.zip(tail) {
                log_probs[order[w] as usize] = (head[words + k] - of_head) + (x - of_tail);
            }
        }
    }
    (log_probs, log_sums)
}

/// The gradients of the head and of the tails.
pub fn backward<F: Float>(
    dims: Dims<'_>,
    (head, tails): (&[F], &[Vec<F>]),
    order: &[u32],
    log_sums: &[F],
    d_log_probs: &[F],
) -> (Vec<F>, Vec<Vec<F>>) {
    let (words, width, sums) = (dims.head_words(), dims.head_width(), 1 + dims.cutoffs.len());
    let (mut d_head, mut d_tails) = (Vec::new(), vec![Vec::new(); tails.len()]);
    for (r, d) in d_log_probs.chunks_exact(dims.vocab).enumerate() {
        let log_sums = &log_sums[r * sums..(r + 1) * sums];
        let d = |w: usize| d[order[w] as usize];
        let mut d_row: Vec<F> = (0..words).map(d).collect();
        for (k, tail) in tails.iter().enumerate() {
            let ranks = dims.tail(k);
            let tail = &tail[r * ranks.len()..(r + 1) * ranks.len()];
            let sum = ranks.clone().fold(F::zero(), |sum, w| sum + d(w));
            d_tails[k].extend(ranks.zip(tail).map(|(w, &x)| d(w) - (x - log_sums[1 + k]).exp() * sum));
            d_row.push(sum);
        }
        let sum = d_row.iter().fold(F::zero(), |sum, &d| sum + d);
        let head = &head[r * width..(r + 1) * width];
        d_head.extend(d_row.iter().zip(head).map(|(&d, &x)| d - (x - log_sums[0]).exp() * sum));
    }
    (d_head, d_tails)
}

fn log_sum<F: Float>(x: &[F]) -> F {
    let max = x.iter().fold(F::neg_infinity(), |max, &x| max.max(x));
    max + x.iter().fold(F::zero(), |sum, &x| sum + (x - max).exp()).ln()
}
