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

use rondo_nn::{Hidden, Mode, State, Tape};

use crate::handle::PooledWorkspace;
use crate::logit_blocks::LogitBlocks;
use crate::normalizer::{Buffers, TokenLogits};
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
    buffers: Buffers,
}

/// Tokens whose log-probabilities are asked for, where those of the others are not needed.
#[derive(Debug)]
pub(crate) struct Wanted {
    tokens: Vec<u32>,
    /// Their logits, if the normalizer is approximate.
    logits: Option<TokenLogits>,
}

impl Decoder {
    /// A decoder for this model.
    pub fn new(model: &ModelHandle) -> Decoder {
        let (workspace, blocks) = (model.workspace(), LogitBlocks::new(model.device()));
        let buffers = Buffers::new(model.device());
        Decoder { handle: model.clone(), workspace, blocks, buffers }
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
        let vocab_size = self.handle.model().vocab_size();
        let (states, values) = self.forward(states, tokens, |mut output, tape, hidden| {
            let mut values = Vec::with_capacity(tokens.len() * vocab_size);
            output.logits(tape, hidden, &mut |logits, largest, log_sum| {
                values.extend(logits.iter().map(|logit| (logit - largest) - log_sum));
            })?;
            Ok(values)
        })?;
        Ok((states, LogProbs { values, vocab_size }))
    }

    /// Feeds each state its token, as [`advance`](Self::advance). Returns the new states and, row by row, the
    /// log-probabilities of the wanted tokens: approximate ones, if the model is.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub(crate) fn advance_to(
        &mut self,
        states: &[DecoderState],
        tokens: &[u32],
        wanted: &Wanted,
    ) -> Result<(Vec<DecoderState>, Vec<f32>)> {
        self.forward(states, tokens, |mut output, tape, hidden| {
            let handle = output.handle;
            if let (Some(approximation), Some(layer)) = (handle.approximation(), &wanted.logits) {
                let (model, rows) = (handle.model(), tokens.len());
                return approximation.log_probs(model, tape, hidden, rows, layer, output.buffers);
            }
            let mut values = Vec::with_capacity(tokens.len() * wanted.tokens.len());
            output.logits(tape, hidden, &mut |logits, largest, log_sum| {
                values
                    .extend(wanted.tokens.iter().map(|&token| (logits[token as usize] - largest) - log_sum));
            })?;
            Ok(values)
        })
    }

    /// Prepares to ask for the log-probabilities of these tokens.
    ///
    /// # Errors
    /// [`InferError::IdOutOfRange`] if a token is outside the model's vocabulary.
    pub(crate) fn wanted(&self, tokens: Vec<u32>) -> Result<Wanted> {
        self.handle.check_ids(&tokens)?;
        let logits =
            self.handle.approximation().map(|found| found.token_logits(self.handle.model(), &tokens));
        Ok(Wanted { logits: logits.transpose()?, tokens })
    }

    /// Runs the model for one step; `read` makes something of its output.
    fn forward<T: Default>(
        &mut self,
        states: &[DecoderState],
        tokens: &[u32],
        read: impl FnOnce(Output<'_>, &mut Tape<'_>, Hidden) -> Result<T>,
    ) -> Result<(Vec<DecoderState>, T)> {
        if states.len() != tokens.len() {
            return Err(InferError::Unpaired { states: states.len(), tokens: tokens.len() });
        }
        self.handle.check_ids(tokens)?;
        if states.is_empty() {
            return Ok((Vec::new(), T::default()));
        }
        let model = self.handle.model();
        let mut batch = model.zero_state(states.len());
        for (row, state) in states.iter().enumerate() {
            batch.copy_row(row, &state.batch, state.row);
        }
        let mut tape = self.workspace.tape(model.parameters(), Mode::Evaluate);
        let before: Vec<u32> = states.iter().map(|state| state.last).collect();
        self.handle.set_resets(&mut tape, tokens, &before);
        let hidden = model.forward(&mut tape, tokens, &mut batch);
        let output = Output { handle: &self.handle, blocks: &mut self.blocks, buffers: &mut self.buffers };
        let values = read(output, &mut tape, hidden)?;
        let batch = Arc::new(batch);
        let states = tokens.iter().enumerate();
        let states = states.map(|(row, &last)| DecoderState { batch: Arc::clone(&batch), row, last });
        Ok((states.collect(), values))
    }
}

/// What makes log-probabilities of a model's output.
struct Output<'a> {
    handle: &'a ModelHandle,
    blocks: &'a mut LogitBlocks,
    buffers: &'a mut Buffers,
}

impl Output<'_> {
    /// Calls `each` with the logits of each row, the largest of them, and the logarithm of the sum of exponentials
    /// relative to it: the log-probability of a token is its logit minus both.
    fn logits(
        &mut self,
        tape: &mut Tape<'_>,
        hidden: Hidden,
        each: &mut dyn FnMut(&[f32], f32, f32),
    ) -> Result<()> {
        let model = self.handle.model();
        let vocab_size = model.vocab_size();
        let logits = model.logits(tape, hidden);
        self.blocks.look(vocab_size, tape.values(logits), None, Some(1.0));
        let (logits, blocks) = (tape.read(logits)?, self.blocks.read()?);
        for (logits, blocks) in logits.chunks_exact(vocab_size).zip(blocks.rows()) {
            if !blocks.largest().is_finite() {
                return Err(InferError::NonFiniteLogits);
            }
            // The largest logit is subtracted first: added to a large one, the log-sum would be rounded away.
            let largest = blocks.largest();
            each(logits, largest, (blocks.log_sum() - f64::from(largest)) as f32);
        }
        Ok(())
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
