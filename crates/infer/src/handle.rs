//! A model shared by many users, with a pool of workspaces to run it in.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use rondo_kernels::Device;
use rondo_nn::{Mode, Model, State, Tape, Workspace};

use crate::normalizer::Approximation;
use crate::{InferError, Resets, Result};

/// Steps of a prefix that are read at a time.
const PREFIX_STEPS: usize = 256;

/// A shared model. Cheap to clone; any number of threads may use the clones at the same time.
///
/// Each use takes a [`Workspace`] from a common pool and returns it, so weights packed for one use serve the
/// next. There are at most as many workspaces as concurrent uses.
///
/// ```
/// use rondo_infer::{ModelHandle, Scorer, Scoring};
/// use rondo_kernels::Device;
/// use rondo_nn::{PRESETS, RnnLm};
///
/// let model = ModelHandle::new(RnnLm::new(PRESETS[0].config(4), &Device::cpu(1)?)?);
/// let scores = Scorer::new(&model, Scoring::default())?.score(&[vec![2, 3, 0]])?;
/// assert_eq!(scores[0].log_probs.len(), 2); // the first token has nothing before it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ModelHandle {
    model: Arc<dyn Model>,
    workspaces: Arc<Mutex<Vec<Workspace>>>,
    resets: Option<Resets>,
    /// Approximates the normalizer, if asked for.
    approximation: Option<Arc<Approximation>>,
}

/// A workspace from a handle's pool, returned there on drop.
#[derive(Debug)]
pub(crate) struct PooledWorkspace {
    /// `None` only during drop.
    workspace: Option<Workspace>,
    pool: Arc<Mutex<Vec<Workspace>>>,
}

impl ModelHandle {
    /// A handle to a model.
    pub fn new(model: impl Model + 'static) -> ModelHandle {
        ModelHandle::from(Arc::new(model) as Arc<dyn Model>)
    }

    /// The same model, whose state is reset where `resets` says: it was trained on independent lines or paragraphs.
    #[must_use]
    pub fn with_resets(self, resets: Option<Resets>) -> ModelHandle {
        ModelHandle { resets, ..self }
    }

    /// The same model, with approximate probabilities.
    pub(crate) fn with_approximation(self, approximation: Arc<Approximation>) -> ModelHandle {
        ModelHandle { approximation: Some(approximation), ..self }
    }

    /// What approximates the normalizer, if anything does.
    pub(crate) fn approximation(&self) -> Option<&Approximation> {
        self.approximation.as_deref()
    }

    /// Where the model's state is reset, if anywhere.
    pub fn resets(&self) -> Option<Resets> {
        self.resets
    }

    /// Sets the resets of a tape for `ids: [T, B]`, which are read after the tokens `before: [B]`.
    pub(crate) fn set_resets(&self, tape: &mut Tape<'_>, ids: &[u32], before: &[u32]) {
        if let Some(resets) = self.resets {
            resets.set(tape, ids, before);
        }
    }

    /// The token before a text: the line end, if it matters.
    pub(crate) fn start(&self) -> u32 {
        self.resets.map_or(0, |resets| resets.line_end)
    }

    /// The model.
    pub fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// The model, mutably; `None` while other handles share it.
    pub fn model_mut(&mut self) -> Option<&mut (dyn Model + 'static)> {
        Arc::get_mut(&mut self.model)
    }

    /// The device it runs on.
    pub fn device(&self) -> &Device {
        self.model.parameters().device()
    }

    /// Adds a workspace of the model's device to the pool, with the weights already packed in it.
    pub fn lend(&self, workspace: Workspace) {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
    }

    /// Takes an unused workspace out of the pool.
    pub fn reclaim(&self) -> Option<Workspace> {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// A workspace to run the model in.
    pub(crate) fn workspace(&self) -> PooledWorkspace {
        let workspace = self.reclaim().unwrap_or_else(|| Workspace::new(self.device()));
        PooledWorkspace { workspace: Some(workspace), pool: Arc::clone(&self.workspaces) }
    }

    /// Advances a zero state of one row over a text, without predicting. Returns the last token.
    pub(crate) fn read_text(&self, workspace: &mut Workspace, ids: &[u32], state: &mut State) -> u32 {
        self.read_more(workspace, ids, (state, self.start()))
    }

    /// The same for a state of one row after the token `before`.
    pub(crate) fn read_more(
        &self,
        workspace: &mut Workspace,
        ids: &[u32],
        (state, mut before): (&mut State, u32),
    ) -> u32 {
        for ids in ids.chunks(PREFIX_STEPS) {
            let mut tape = workspace.tape(self.model.parameters(), Mode::Evaluate);
            self.set_resets(&mut tape, ids, &[before]);
            self.model.forward(&mut tape, ids, state);
            before = ids.last().copied().unwrap_or(before);
        }
        before
    }

    /// Checks that all `ids` are in the model's vocabulary.
    pub(crate) fn check_ids(&self, ids: &[u32]) -> Result<()> {
        check_ids(self.model(), ids)
    }
}

impl From<Arc<dyn Model>> for ModelHandle {
    fn from(model: Arc<dyn Model>) -> ModelHandle {
        ModelHandle { model, workspaces: Arc::default(), resets: None, approximation: None }
    }
}

impl Deref for PooledWorkspace {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        match &self.workspace {
            Some(workspace) => workspace,
            None => unreachable!("the workspace is present until drop"),
        }
    }
}

impl DerefMut for PooledWorkspace {
    fn deref_mut(&mut self) -> &mut Workspace {
        match &mut self.workspace {
            Some(workspace) => workspace,
            None => unreachable!("the workspace is present until drop"),
        }
    }
}

impl Drop for PooledWorkspace {
    fn drop(&mut self) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.extend(self.workspace.take());
    }
}

/// Checks that all `ids` are in the model's vocabulary.
pub(crate) fn check_ids(model: &dyn Model, ids: &[u32]) -> Result<()> {
    let vocab_size = model.vocab_size();
    match ids.iter().find(|&&id| id as usize >= vocab_size) {
        Some(&id) => Err(InferError::IdOutOfRange { id, vocab_size }),
        None => Ok(()),
    }
}
