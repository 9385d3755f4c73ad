//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// What the rows predict.
#[derive(Debug)]
pub struct Prediction<F> {
    /// The log-probability of each row's token.
    pub log_probs: Vec<F>,
    /// The entropy of each row.
    pub entropies: Vec<F>,
    /// The rank of each row's token.
    pub ranks: Vec<u32>,
}

/// The log-probability, the entropy and the rank of each row's token.
pub fn forward<F: Float>(dims: Dims, logits: &[F], targets: &[u32]) -> Prediction<F> {
    let mut prediction = Prediction { log_probs: Vec::new(), entropies: Vec::new(), ranks: Vec::new() };
    for (row, &target) in logits.chunks_exact(dims.vocab).zip(targets) {
        let max = row.iter().copied().fold(F::neg_infinity(), F::max);
        let sum = row.iter().fold(F::zero(), |sum, &x| sum + (x - max).exp());
        let log_sum = max + sum.ln();
        let possible = row.iter().map(|&x| x - log_sum).filter(|log_prob| *log_prob > F::neg_infinity());
        prediction.log_probs.push(row[target as usize] - log_sum);
        prediction.entropies.push(possible.fold(F::zero(), |sum, log_prob| sum - log_prob.exp() * log_prob));
        prediction.ranks.push(1 + row.iter().filter(|x| **x > row[target as usize]).count() as u32);
    }
    prediction
}
