//! Baselines: the loss of a text under a model that knows at most the previous token, on the very tokens that a language
//! model predicts, so that both numbers compare.
//!
//! Not here: the probabilities (`rondo_data::ngram`).

use rondo_data::TokenIds;

use crate::{Evaluation, Resets, Result, column_count};

/// Sums the negative log-likelihoods of the tokens that [`evaluate_with`](crate::evaluate_with) predicts with the same
/// `resets` and `batch_size`. `probability` gives the probability of a token (its second argument) after the previous
/// one.
///
/// ```text
/// nll_sum = Σ_t −log probability(ids[t−1], ids[t])
/// ```
///
/// With `resets`, the text follows a line end. Without tokens to predict, the number of tokens is 0.
///
/// # Errors
/// [`InferError::Data`](crate::InferError::Data) if the text cannot be read.
pub fn evaluate_baseline(
    ids: &TokenIds,
    resets: Option<Resets>,
    batch_size: usize,
    probability: impl Fn(u32, u32) -> f64,
) -> Result<Evaluation> {
    let columns = column_count(ids.len(), batch_size).max(1);
    let column_len = ids.len() / columns;
    // The first token of a column and the tail that fills no row are not predicted.
    let is_predicted =
        |at: usize| resets.is_some() || (at < columns * column_len && !at.is_multiple_of(column_len));
    let mut evaluation = Evaluation { nll_sum: 0.0, tokens: 0 };
    let (mut at, mut before) = (0, resets.map(|resets| resets.line_end));
    for block in ids.blocks() {
        for &token in &*block? {
            if let Some(before) = before.filter(|_| is_predicted(at)) {
                evaluation.nll_sum -= probability(before, token).ln();
                evaluation.tokens += 1;
            }
            (at, before) = (at + 1, Some(token));
        }
    }
    Ok(evaluation)
}
