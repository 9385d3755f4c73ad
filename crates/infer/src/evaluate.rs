//! The one perplexity: what the trainer reports after an epoch and what `rondo eval` prints.
//!
//! The text is read in columns from top to bottom, side by side, with the state carried down:
//!
//! ```text
//! ids  a b c d e f g h i   2 columns   a e     predicted: b c d and f g h
//!                                      b f     only read: a and e, the columns' first tokens
//!                                      c g     left out: i, the tail that fills no row
//!                                      d h
//! ```
//!
//! A column but the first begins in the middle of the text. From a zero state it would predict its first tokens
//! badly, and the perplexity would rise with the number of columns; so each column first reads the 256 tokens that
//! stand before it, predicting nothing, and a text too short for that is read in fewer columns.
//!
//! Promises: the number is a mean over tokens, not over batches; it does not depend on how many steps are taken at a
//! time, and on the number of columns only through the few tokens that the picture says are not predicted.

use std::ops::ControlFlow;

use rondo_data::{Batches, LastBatch, TokenIds};
use rondo_nn::{Mode, Model, State, Workspace};

use crate::handle::check_ids;
use crate::{InferError, Result};

/// How many tokens before a column are read to find the state it begins with, and the shortest column that there may
/// be but for a single one. What lies further back hardly moves a recurrent model's next prediction; and reading
/// costs a tenth of predicting.
const WARM_UP: usize = 256;

/// Rows `T·B` that go through the model at a time: as many as its decoder takes in one block, so that a large one is
/// read from memory as seldom as can be.
pub(crate) const BATCH_ROWS: usize = 768;

/// How well a model predicted a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The sum of the predicted tokens' negative log-likelihoods, in nats.
    pub nll_sum: f64,
    /// How many tokens were predicted.
    pub tokens: u64,
}

impl Evaluation {
    /// Mean negative log-likelihood of a token, in nats: the loss.
    #[must_use]
    pub fn nll_mean(&self) -> f64 {
        self.nll_sum / self.tokens as f64
    }

    /// `exp(nll_mean)`; infinite where that is beyond `f64`.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        self.nll_mean().exp()
    }

    /// Mean negative log-likelihood of a token, in bits.
    #[must_use]
    pub fn bits_per_token(&self) -> f64 {
        self.nll_mean() / std::f64::consts::LN_2
    }
}

/// Predicts each token of a text from those before it.
///
/// ```text
/// nll_sum = Σ_t −log p(ids[t] | ids[0], …, ids[t−1])
/// ```
///
/// The text is read in [`column_count`] columns, side by side, `bptt` steps at a time or more where that is faster, with
/// a short last batch; [`target_count`] tokens are predicted. Both sizes are matters of memory and speed: see the
/// picture above.
///
/// # Errors
/// [`InferError::TextTooShort`] if there are fewer than 2 tokens, [`InferError::IdOutOfRange`] if one is not the
/// model's, [`InferError::ZeroSize`] if a size is 0.
pub fn evaluate(
    model: &dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    batch_size: usize,
    bptt: usize,
) -> Result<Evaluation> {
    evaluate_with(model, workspace, ids, batch_size, bptt, &mut |_| ControlFlow::Continue(()))
}

/// [`evaluate`], calling `progress` after each batch with the number of tokens predicted so far.
///
/// # Errors
/// As [`evaluate`]; [`InferError::Stopped`] when `progress` breaks before the end, for a part of a text has
/// another perplexity than the whole.
pub fn evaluate_with(
    model: &dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    batch_size: usize,
    bptt: usize,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Evaluation> {
    for (name, size) in [("batch_size", batch_size), ("bptt", bptt)] {
        if size == 0 {
            return Err(InferError::ZeroSize { name });
        }
    }
    check_text(model, ids)?;
    let columns = column_count(ids.len(), batch_size);
    let steps = bptt.max(BATCH_ROWS / columns);
    let batches = Batches::new(ids, columns, steps, LastBatch::Keep)?;
    let total_tokens = batches.target_count() as u64;
    let mut state = warm_state(model, workspace, ids, &batches)?;
    let longest = steps.min(batches.column_len() - 1) * columns;
    let (mut inputs, mut targets) = (vec![0; longest], vec![0; longest]);
    let mut evaluation = Evaluation { nll_sum: 0.0, tokens: 0 };
    for index in 0..batches.batch_count() {
        let batch = batches.batch(index);
        let rows = batch.steps * columns;
        let (inputs, targets) = (&mut inputs[..rows], &mut targets[..rows]);
        batches.fill(batch, inputs, targets)?;
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        let hidden = model.forward(&mut tape, inputs, &mut state);
        let loss = model.loss(&mut tape, hidden, targets);
        evaluation.nll_sum += tape.nll_sum(loss)?;
        evaluation.tokens += rows as u64;
        if progress(evaluation.tokens).is_break() && evaluation.tokens < total_tokens {
            return Err(InferError::Stopped { done_tokens: evaluation.tokens, total_tokens });
        }
    }
    Ok(evaluation)
}

/// In how many columns a text of `tokens` tokens is read: in `batch_size` of them, or as many as leave each 256 tokens
/// if that is fewer, but always in one.
#[must_use]
pub fn column_count(tokens: usize, batch_size: usize) -> usize {
    batch_size.min((tokens / WARM_UP).max(1))
}

/// How many tokens of a text of `tokens` tokens are predicted: all but the first of each column and the tail that
/// fills no row.
#[must_use]
pub fn target_count(tokens: usize, batch_size: usize) -> u64 {
    let columns = column_count(tokens, batch_size);
    let predicted = tokens.checked_div(columns).map_or(0, |rows| rows.saturating_sub(1));
    (predicted * columns) as u64
}

/// Fails unless a text can be evaluated: unless there is a token to predict, and each is one of the model's.
///
/// # Errors
/// [`InferError::TextTooShort`] if there are fewer than 2 tokens, [`InferError::IdOutOfRange`] if one is not the
/// model's, [`InferError::Data`] if the text cannot be read.
pub fn check_text(model: &dyn Model, ids: &TokenIds) -> Result<()> {
    if ids.len() < 2 {
        return Err(InferError::TextTooShort { tokens: ids.len() });
    }
    ids.blocks().try_for_each(|block| check_ids(model, &block?))
}

/// The state that each column of a text begins with: zero for the first, that after the 256 tokens before it for the
/// others.
///
/// # Panics
/// If columns are shorter than that and there are several, as [`column_count`] allows none.
/// # Errors
/// [`InferError::Data`] if the text cannot be read.
pub fn warm_state(
    model: &dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    batches: &Batches,
) -> Result<State> {
    let (columns, column_len) = (batches.batch_size(), batches.column_len());
    let mut state = model.zero_state(columns);
    if columns == 1 {
        return Ok(state);
    }
    let mut inputs = vec![0; batches.bptt().min(WARM_UP) * columns];
    for start in (0..WARM_UP).step_by(batches.bptt()) {
        let steps = batches.bptt().min(WARM_UP - start);
        let inputs = &mut inputs[..steps * columns];
        for b in 0..columns {
            // The first column has nothing before it: it reads the start of the text, to be forgotten.
            let before = if b == 0 { 0 } else { b * column_len - WARM_UP } + start;
            let read = ids.read(before..before + steps)?;
            for (id, &read) in inputs[b..].iter_mut().step_by(columns).zip(&*read) {
                *id = read;
            }
        }
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        model.forward(&mut tape, inputs, &mut state);
    }
    state.clear_rows(0..1);
    Ok(state)
}
