//! Step-by-step decoding for speech recognizers' beam search and for keyboards: many states advance in one
//! call.
//!
//! ```text
//! begin() ─▶ state ─┐
//! state, token ─────┼─ advance ─▶ one new state each, and a row of log-probabilities over the vocabulary:
//! state, token ─────┘             log p(w | all that the state has read)
//! ```
//!
//! Promises: a state depends only on the tokens it has read; advancing does not modify it, so hypotheses can
//! share one.

use std::sync::Arc;

use rondo_nn::{Mode, State};

use crate::handle::PooledWorkspace;
use crate::logit_blocks::LogitBlocks;
use crate::{InferError, ModelHandle, Result};

/// The state of a model after reading a text. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DecoderState {
    /// The states produced by the call that made this one.
    batch: Arc<State>,
    row: usize,
    /// The last token read.
    last: u32,
}

/// Log-probabilities (natural logarithm): one row over the vocabulary per advanced state.
#[derive(Clone, Debug, PartialEq)]
pub struct LogProbs {
    values: Vec<f32>,
    vocab_size: usize,
}

/// Advances states of a model.
///
/// ```
/// use rondo_infer::{Decoder, ModelHandle};
/// use rondo_kernels::Device;
/// use rondo_nn::{PRESETS, RnnLm};
///
/// // All parameters are zero: all tokens are equally likely.
/// let model = ModelHandle::new(RnnLm::new(PRESETS[0].config(4), &Device::cpu(1)?)?);
/// let mut decoder = Decoder::new(&model);
/// let (states, first) = decoder.advance(&[decoder.begin()], &[0])?; // 0 ends the line before the sentence
/// assert!((first.row(0)[3].exp() - 0.25).abs() < 1e-6);
/// let hypotheses = [states[0].clone(), states[0].clone()];
/// let (states, next) = decoder.advance(&hypotheses, &[3, 2])?;
/// assert_eq!((states.len(), next.len()), (2, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    handle: ModelHandle,
    workspace: PooledWorkspace,
    blocks: LogitBlocks,
}

impl Decoder {
    /// A decoder for this model.
    pub fn new(model: &ModelHandle) -> Decoder {
        let (workspace, blocks) = (model.workspace(), LogitBlocks::new(model.device()));
        Decoder { handle: model.clone(), workspace, blocks }
    }

    /// The state before any token. A sentence follows the token that ends the line before it, so advance by
    /// that token first.
    pub fn begin(&self) -> DecoderState {
        let batch = Arc::new(self.handle.model().zero_state(1));
        DecoderState { batch, row: 0, last: self.handle.start() }
    }

    /// Feeds each state its token. Returns the new states and the log-probabilities of the next token for
    /// each.
    ///
    /// # Errors
    /// [`InferError::Unpaired`] if the numbers of tokens and states differ; [`InferError::IdOutOfRange`] if a
    /// token is outside the model's vocabulary; [`InferError::NonFiniteLogits`] if the logits are not finite.
    ///
    /// # Panics
    /// If a state comes from a model of a different shape.
    pub fn advance(
        &mut self,
        states: &[DecoderState],
        tokens: &[u32],
    ) -> Result<(Vec<DecoderState>, LogProbs)> {
        if states.len() != tokens.len() {
            return Err(InferError::Unpaired { states: states.len(), tokens: tokens.len() });
        }
        self.handle.check_ids(tokens)?;
        let model = self.handle.model();
        let vocab_size = model.vocab_size();
        if states.is_empty() {
            return Ok((Vec::new(), LogProbs { values: Vec::new(), vocab_size }));
        }
        let mut batch = model.zero_state(states.len());
        for (row, state) in states.iter().enumerate() {
            batch.copy_row(row, &state.batch, state.row);
        }
        let mut tape = self.workspace.tape(model.parameters(), Mode::Evaluate);
        let before: Vec<u32> = states.iter().map(|state| state.last).collect();
        self.handle.set_resets(&mut tape, tokens, &before);
        let hidden = model.forward(&mut tape, tokens, &mut batch);
        let logits = model.logits(&mut tape, hidden);
        self.blocks.look(vocab_size, tape.values(logits), None, Some(1.0));
        let (logits, blocks) = (tape.read(logits)?, self.blocks.read()?);
        let mut values = Vec::with_capacity(logits.len());
        for (logits, blocks) in logits.chunks_exact(vocab_size).zip(blocks.rows()) {
            if !blocks.largest().is_finite() {
                return Err(InferError::NonFiniteLogits);
            }
            // The largest logit is subtracted first: added to a large one, the log-sum would be rounded away.
            let largest = blocks.largest();
            let log_sum = (blocks.log_sum() - f64::from(largest)) as f32;
            values.extend(logits.iter().map(|logit| (logit - largest) - log_sum));
        }
        let batch = Arc::new(batch);
        let states = tokens.iter().enumerate();
        let states = states.map(|(row, &last)| DecoderState { batch: Arc::clone(&batch), row, last });
        Ok((states.collect(), LogProbs { values, vocab_size }))
    }
}

impl LogProbs {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.vocab_size
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// `[V]`: the log-probabilities of the next token for this state.
    ///
    /// # Panics
    /// If the index is out of range.
    pub fn row(&self, state: usize) -> &[f32] {
        &self.values[state * self.vocab_size..(state + 1) * self.vocab_size]
    }

    /// `[N, V]`: all rows, one after another.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// The rows, in the order of the states.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.vocab_size)
    }
}
