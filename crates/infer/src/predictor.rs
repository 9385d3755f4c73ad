//! The model's distribution over the next token at each position of a text.

use rondo_nn::{Mode, State};

use crate::handle::PooledWorkspace;
use crate::logit_blocks::LogitBlocks;
use crate::{Candidate, Distribution, InferError, ModelHandle, Result};

/// Tokens predicted at a time: their logits, one row each, are the largest buffer.
const STEPS: usize = 64;

/// Reads a text and predicts the next token.
///
/// ```
/// use rondo_infer::{ModelHandle, Predictor};
/// use rondo_kernels::Device;
/// use rondo_nn::{PRESETS, RnnLm};
///
/// // All parameters are zero: all tokens are equally likely.
/// let model = ModelHandle::new(RnnLm::new(PRESETS[0].config(4), &Device::cpu(1)?)?);
/// let mut predictor = Predictor::new(&model);
/// let next = predictor.candidates(&[3, 1], 2, |id| id != 0)?;
/// assert_eq!([next[0].id, next[1].id], [1, 2]);
/// assert!((next[0].log_prob.exp() - 0.25).abs() < 1e-6); // of all four: tokens that are not allowed keep theirs
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Predictor {
    handle: ModelHandle,
    workspace: PooledWorkspace,
    state: State,
    /// The last token read.
    before: u32,
    blocks: LogitBlocks,
}

impl Predictor {
    /// A predictor that has read nothing yet.
    pub fn new(model: &ModelHandle) -> Self {
        Predictor::after(model, model.model().zero_state(1), model.start())
    }

    /// A predictor that continues from a state of one row after the token `before`.
    pub(crate) fn after(model: &ModelHandle, state: State, before: u32) -> Self {
        let (workspace, blocks) = (model.workspace(), LogitBlocks::new(model.device()));
        Predictor { handle: model.clone(), workspace, state, before, blocks }
    }

    /// Resets the hidden state to zero.
    pub fn restart(&mut self) {
        self.state.clear();
        self.before = self.handle.start();
    }

    /// Reads `ids` after those read before, and calls `visit` after each of them with its index in `ids` and
    /// the distribution of the next token.
    ///
    /// # Errors
    /// [`InferError::IdOutOfRange`] if an id is outside the model's vocabulary, in which case nothing is
    /// read; [`InferError::NonFiniteLogits`] if the logits are not finite.
    pub fn read(&mut self, ids: &[u32], mut visit: impl FnMut(usize, Distribution<'_>)) -> Result<()> {
        self.handle.check_ids(ids)?;
        let model = self.handle.model();
        let places = &mut (0..);
        for ids in ids.chunks(STEPS) {
            let mut tape = self.workspace.tape(model.parameters(), Mode::Evaluate);
            self.handle.set_resets(&mut tape, ids, &[self.before]);
            self.before = ids.last().copied().unwrap_or(self.before);
            let hidden = model.forward(&mut tape, ids, &mut self.state);
            let logits = model.logits(&mut tape, hidden);
            let vocab_size = model.vocab_size();
            self.blocks.look(vocab_size, tape.values(logits), None, Some(1.0));
            let (logits, blocks) = (tape.read(logits)?, self.blocks.read()?);
            let rows = logits.chunks_exact(vocab_size).zip(blocks.rows());
            for ((logits, blocks), place) in rows.zip(&mut *places) {
                visit(place, Distribution::of_blocks(logits, blocks)?);
            }
        }
        Ok(())
    }

    /// The `count` most likely allowed tokens after `prefix`, which is read from a zero state; see
    /// [`Distribution::most_likely`].
    ///
    /// # Errors
    /// [`InferError::EmptyPrefix`] if there is nothing to predict from; and as [`Predictor::read`].
    pub fn candidates(
        &mut self,
        prefix: &[u32],
        count: usize,
        allowed: impl Fn(u32) -> bool,
    ) -> Result<Vec<Candidate>> {
        let mut candidates = Vec::new();
        self.read_prefix(prefix, |distribution| {
            candidates = distribution.most_likely(count, &allowed);
        })?;
        Ok(candidates)
    }

    /// Reads `prefix` from a zero state, and calls `visit` with the distribution of the token after it.
    pub(crate) fn read_prefix(
        &mut self,
        prefix: &[u32],
        mut visit: impl FnMut(Distribution<'_>),
    ) -> Result<()> {
        self.handle.check_ids(prefix)?;
        let Some((last, before)) = prefix.split_last() else {
            return Err(InferError::EmptyPrefix);
        };
        self.restart();
        self.before = self.handle.read_text(&mut self.workspace, before, &mut self.state);
        self.read(std::slice::from_ref(last), |_, distribution| visit(distribution))
    }
}
