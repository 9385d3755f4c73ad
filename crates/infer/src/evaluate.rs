//! Perplexity: computed the same way for the trainer's reports after each epoch and for `rondo eval`.
//!
//! The text is split into columns, read from top to bottom side by side, with the hidden state carried:
//!
//! ```text
//! ids  a b c d e f g h i   2 columns   a e     predicted: b c d and f g h
//!                                      b f     read only: a and e, the columns' first tokens
//!                                      c g     left out: i, the tail that does not fill a row
//!                                      d h
//! ```
//!
//! Every column except the first begins in the middle of the text. From a zero state it would predict its
//! first tokens badly, and the perplexity would rise with the number of columns. So each column first reads
//! the 256 tokens that precede it, without predicting them, and a text too short for that is read in fewer
//! columns.
//!
//! A text of independent lines or paragraphs is read unit by unit instead, each from a zero state; nothing is left out.
//!
//! Promises: perplexity is a mean over tokens, not over batches; it does not depend on the number of steps
//! per batch, and depends on the number of columns only through the few tokens that the diagram shows as not
//! predicted.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use rondo_data::{Batches, LastBatch, NO_TARGET, TokenIds, Units};
use rondo_nn::{BatchSize, Mode, Model, State, Workspace};

use crate::handle::check_ids;
use crate::normalizer::{Approximation, Buffers, nll_of};
use crate::predictions::Predictions;
use crate::{InferError, ModelHandle, Resets, Result};

/// The number of tokens before a column that are read to find its initial state, and the minimum column
/// length when there are several. Tokens further back hardly affect a recurrent model's next prediction, and
/// reading costs a tenth of predicting.
const WARM_UP: usize = 256;

/// Rows `T·B` per forward pass: as many as the decoder processes in one block, so that a large decoder matrix
/// is read from memory as rarely as possible.
pub(crate) const BATCH_ROWS: usize = 768;

/// The logits of a batch whose targets are ranked, in numbers: they stay in the processor's cache.
const RANKED_LOGITS: usize = 1 << 20;

/// How well a model predicted a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The total negative log-likelihood of the predicted tokens, in nats.
    pub nll_sum: f64,
    /// The number of predicted tokens.
    pub tokens: u64,
}

impl Evaluation {
    /// Mean negative log-likelihood per token, in nats: the loss.
    #[must_use]
    pub fn nll_mean(&self) -> f64 {
        self.nll_sum / self.tokens as f64
    }

    /// `exp(nll_mean)`; infinite if it exceeds `f64`.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        self.nll_mean().exp()
    }

    /// Mean negative log-likelihood per token, in bits.
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
/// The text is read in [`column_count`] columns, `bptt` steps at a time or more where that is faster, with a
/// shorter last batch; [`target_count`] tokens are predicted. Both sizes affect only memory and speed, apart
/// from the tokens left out in the diagram above.
///
/// # Errors
/// [`InferError::TextTooShort`] if there are fewer than 2 tokens; [`InferError::IdOutOfRange`] if a token is
/// outside the model's vocabulary; [`InferError::ZeroSize`] if a size is 0.
pub fn evaluate(
    model: &dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    batch_size: usize,
    bptt: usize,
) -> Result<Evaluation> {
    evaluate_with(model, workspace, ids, None, (batch_size, bptt), &mut |_| ControlFlow::Continue(()))
}

/// [`evaluate`], calling `progress` after each batch with the number of tokens predicted so far.
///
/// With `resets`, the text consists of independent lines or paragraphs, each read from a zero state and a line end: all
/// its tokens are predicted, and the columns do not matter.
///
/// # Errors
/// As [`evaluate`], except that one token is enough with `resets`; [`InferError::Stopped`] when `progress` breaks before the end, because the perplexity of
/// a part would be misleading.
pub fn evaluate_with(
    model: &dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    resets: Option<Resets>,
    (batch_size, bptt): (usize, usize),
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Evaluation> {
    let reader = Reader::exact(model, resets);
    evaluate_by(reader, workspace, ids, (batch_size, bptt), progress)
}

/// Part `index` of `count` of a text's columns, for processes that evaluate a text together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluationPart {
    /// The number of the part, from 0.
    pub index: usize,
    /// The number of parts.
    pub count: usize,
}

impl EvaluationPart {
    /// The only part.
    pub const WHOLE: EvaluationPart = EvaluationPart { index: 0, count: 1 };

    /// The columns of this part; none if there are more parts than columns.
    fn columns(self, all: usize) -> Range<usize> {
        let start = |index: usize| (all as u128 * index as u128 / self.count as u128) as usize;
        start(self.index)..start(self.index + 1)
    }
}

/// [`evaluate_with`] for some of the columns: the sums over all parts are the evaluation of the text. `progress` receives
/// the number of tokens of this part that are predicted so far, and the number of all.
///
/// # Errors
/// As [`evaluate_with`].
///
/// # Panics
/// If the index of the part is not below their number.
pub fn evaluate_part(
    model: &dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    resets: Option<Resets>,
    sizes: (usize, usize),
    part: EvaluationPart,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Evaluation> {
    assert!(part.index < part.count, "{part:?}");
    let reader = Reader::exact(model, resets);
    evaluate_columns(reader, workspace, ids, sizes, part, progress)
}

/// [`evaluate_with`], by a model that may be approximate.
pub(crate) fn evaluate_by(
    reader: Reader<'_>,
    workspace: &mut Workspace,
    ids: &TokenIds,
    sizes: (usize, usize),
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Evaluation> {
    let part = EvaluationPart::WHOLE;
    evaluate_columns(reader, workspace, ids, sizes, part, &mut |done, _| progress(done))
}

fn evaluate_columns(
    reader: Reader<'_>,
    workspace: &mut Workspace,
    ids: &TokenIds,
    sizes: (usize, usize),
    part: EvaluationPart,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Evaluation> {
    let mut evaluation = Evaluation { nll_sum: 0.0, tokens: 0 };
    for_each_token_of(reader, workspace, ids, sizes, part, progress, &mut |Predicted { nll, .. }| {
        evaluation.nll_sum += f64::from(nll);
        evaluation.tokens += 1;
    })?;
    Ok(evaluation)
}

/// A model that reads a text.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) model: &'a dyn Model,
    pub(crate) resets: Option<Resets>,
    pub(crate) approximation: Option<&'a Approximation>,
    /// Whether ranks are found, too, and which tokens do not count among those above a target.
    pub(crate) excluded: Option<&'a [u32]>,
}

impl<'a> Reader<'a> {
    pub(crate) fn exact(model: &'a dyn Model, resets: Option<Resets>) -> Reader<'a> {
        Reader { model, resets, approximation: None, excluded: None }
    }

    pub(crate) fn of(handle: &'a ModelHandle) -> Reader<'a> {
        Reader { approximation: handle.approximation(), ..Reader::exact(handle.model(), handle.resets()) }
    }
}

/// A token of a text that was predicted.
pub(crate) struct Predicted {
    /// The column that it is in.
    pub(crate) column: usize,
    pub(crate) target: u32,
    /// Its negative log-likelihood.
    pub(crate) nll: f32,
    /// Its rank; 0 if ranks are not found.
    pub(crate) rank: u32,
}

/// Reads a text as [`evaluate_with`] does, and calls `each` with every predicted token, those of a column in order.
pub(crate) fn for_each_token(
    reader: Reader<'_>,
    workspace: &mut Workspace,
    ids: &TokenIds,
    sizes: (usize, usize),
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    each: &mut dyn FnMut(Predicted),
) -> Result<()> {
    let part = EvaluationPart::WHOLE;
    for_each_token_of(reader, workspace, ids, sizes, part, &mut |done, _| progress(done), each)
}

/// The same for the columns of a part.
pub(crate) fn for_each_token_of(
    Reader { model, resets, approximation, excluded }: Reader<'_>,
    workspace: &mut Workspace,
    ids: &TokenIds,
    (batch_size, bptt): (usize, usize),
    part: EvaluationPart,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    each: &mut dyn FnMut(Predicted),
) -> Result<()> {
    for (name, size) in [("batch_size", batch_size), ("bptt", bptt)] {
        if size == 0 {
            return Err(InferError::ZeroSize { name });
        }
    }
    // Ranks need all logits of a batch in memory.
    let most_rows = excluded.map_or(usize::MAX, |_| RANKED_LOGITS / model.vocab_size());
    let (batches, own, mut state) = match resets {
        None => {
            check_text(model, ids)?;
            let BatchSize { steps, columns } = evaluation_batch(ids.len(), batch_size, bptt);
            let steps = steps.min((most_rows / columns).max(1));
            let batches = Batches::new(ids, columns, steps, LastBatch::Keep)?;
            let own = part.columns(columns);
            let state = warm_columns(model, workspace, ids, &batches, own.clone())?;
            (batches, own, state)
        }
        Some(Resets { unit, line_end }) => {
            ids.blocks().try_for_each(|block| check_ids(model, &block?))?;
            let units = Units::find(ids, unit, line_end)?;
            let columns = batch_size.min(units.len()).max(1);
            let steps = bptt.max(BATCH_ROWS / columns).min((most_rows / columns).max(1));
            let batches = Batches::of_units(ids, &units, None, columns, steps)?;
            let own = part.columns(columns);
            let state = model.zero_state(own.len());
            (batches, own, state)
        }
    };
    let (columns, mut total_tokens) = (own.len(), batches.target_count() as u64);
    if columns < batches.batch_size() {
        total_tokens = total_tokens * columns as u64 / batches.batch_size() as u64;
    }
    if columns == 0 {
        return Ok(());
    }
    let longest = batches.bptt() * columns;
    let (mut inputs, mut targets) = (vec![0; longest], vec![0; longest]);
    let mut resets = vec![0; if batches.has_resets() { longest } else { 0 }];
    let device = model.parameters().device();
    let (mut buffers, mut predictions) = (Buffers::new(device), Predictions::new(device));
    let mut done_tokens = 0;
    for index in 0..batches.batch_count() {
        let batch = batches.batch(index);
        let rows = batch.steps * columns;
        let (inputs, targets) = (&mut inputs[..rows], &mut targets[..rows]);
        batches.fill_columns(batch, own.clone(), inputs, targets)?;
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        if batches.has_resets() {
            batches.fill_resets_of_columns(batch, own.clone(), &mut resets[..rows])?;
            tape.set_resets(&resets[..rows]);
        }
        let hidden = model.forward(&mut tape, inputs, &mut state);
        // Where a column has ended, any token will do: its prediction is not used.
        let scored: Vec<bool> = targets.iter().map(|&target| target != NO_TARGET).collect();
        targets.iter_mut().filter(|target| **target == NO_TARGET).for_each(|target| *target = 0);
        let (nll, ranks) = match excluded {
            Some(excluded) => {
                let found = predictions.ranked(model, &mut tape, hidden, targets, excluded)?;
                (Cow::Owned(found.log_probs.iter().map(|log_prob| 0.0 - log_prob).collect()), found.ranks)
            }
            None => {
                let approximation = approximation.map(|found| (found, &mut buffers));
                let is_scored = |row: usize| scored[row];
                (nll_of(approximation, model, &mut tape, hidden, targets, &is_scored)?, vec![])
            }
        };
        for row in (0..rows).filter(|row| scored[*row]) {
            let rank = ranks.get(row).copied().unwrap_or(0);
            each(Predicted { column: own.start + row % columns, target: targets[row], nll: nll[row], rank });
            done_tokens += 1;
        }
        if progress(done_tokens, total_tokens).is_break() && done_tokens < total_tokens {
            return Err(InferError::Stopped { done_tokens, total_tokens });
        }
    }
    Ok(())
}

/// The number of columns in which a text of `tokens` tokens is read: `batch_size`, or fewer if a column would
/// be shorter than 256 tokens, but at least one.
#[must_use]
pub fn column_count(tokens: usize, batch_size: usize) -> usize {
    batch_size.min((tokens / WARM_UP).max(1))
}

/// The size of the batches in which a text of `tokens` tokens is read: in [`column_count`] columns, `bptt` steps
/// at a time or more where that is faster, but no more than there are.
#[must_use]
pub fn evaluation_batch(tokens: usize, batch_size: usize, bptt: usize) -> BatchSize {
    let columns = column_count(tokens, batch_size).max(1);
    let longest = (tokens / columns).saturating_sub(1).max(1);
    BatchSize { steps: bptt.max(BATCH_ROWS / columns).min(longest), columns }
}

/// How many tokens of a text of `tokens` tokens are predicted: all except the first of each column and the
/// tail that does not fill a row.
#[must_use]
pub fn target_count(tokens: usize, batch_size: usize) -> u64 {
    let columns = column_count(tokens, batch_size);
    let predicted = tokens.checked_div(columns).map_or(0, |rows| rows.saturating_sub(1));
    (predicted * columns) as u64
}

/// Checks that a text can be evaluated: it has a token to predict, and all tokens are in the model's
/// vocabulary.
///
/// # Errors
/// [`InferError::TextTooShort`] if there are fewer than 2 tokens; [`InferError::IdOutOfRange`] if a token is
/// outside the model's vocabulary; [`InferError::Data`] if the text cannot be read.
pub fn check_text(model: &dyn Model, ids: &TokenIds) -> Result<()> {
    if ids.len() < 2 {
        return Err(InferError::TextTooShort { tokens: ids.len() });
    }
    ids.blocks().try_for_each(|block| check_ids(model, &block?))
}

/// The initial state of each column: zero for the first, and the state after the 256 preceding tokens for the
/// others.
///
/// # Panics
/// If there are several columns and they are shorter than that, which [`column_count`] prevents.
/// # Errors
/// [`InferError::Data`] if the text cannot be read.
pub fn warm_state(
    model: &dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    batches: &Batches,
) -> Result<State> {
    warm_columns(model, workspace, ids, batches, 0..batches.batch_size())
}

/// The same for some of the columns.
fn warm_columns(
    model: &dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    batches: &Batches,
    own: Range<usize>,
) -> Result<State> {
    let (columns, column_len) = (own.len(), batches.column_len());
    let mut state = model.zero_state(columns);
    if batches.batch_size() == 1 || columns == 0 {
        return Ok(state);
    }
    let mut inputs = vec![0; batches.bptt().min(WARM_UP) * columns];
    for start in (0..WARM_UP).step_by(batches.bptt()) {
        let steps = batches.bptt().min(WARM_UP - start);
        let inputs = &mut inputs[..steps * columns];
        for (to, b) in own.clone().enumerate() {
            // The first column has nothing before it: it reads the start of the text, and its state is then
            // reset to zero.
            let before = if b == 0 { 0 } else { b * column_len - WARM_UP } + start;
            let read = ids.read(before..before + steps)?;
            for (id, &read) in inputs[to..].iter_mut().step_by(columns).zip(&*read) {
                *id = read;
            }
        }
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        model.forward(&mut tape, inputs, &mut state);
    }
    if own.start == 0 {
        state.clear_rows(0..1);
    }
    Ok(state)
}
