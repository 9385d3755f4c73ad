//! A model that many users share, and the memory that each of them runs it in.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use rondo_kernels::Device;
use rondo_nn::{Mode, Model, State, Workspace};

use crate::{InferError, Result};

/// Steps of a prefix that are read at a time.
const PREFIX_STEPS: usize = 256;

/// A model, shared. Cheap to clone; any number of threads may use the clones at the same time.
///
/// Each use takes a [`Workspace`] out of a common pool and gives it back, so that weights that were laid out for one
/// use serve the next. At most as many are made as are in use at a time.
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
}

/// A workspace of a handle's pool, which goes back there when it is dropped.
#[derive(Debug)]
pub(crate) struct PooledWorkspace {
    /// Missing only while it is dropped.
    workspace: Option<Workspace>,
    pool: Arc<Mutex<Vec<Workspace>>>,
}

impl ModelHandle {
    /// A handle of a model.
    pub fn new(model: impl Model + 'static) -> ModelHandle {
        ModelHandle::from(Arc::new(model) as Arc<dyn Model>)
    }

    /// The model.
    pub fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// The model, to be changed; none while anyone else shares it.
    pub fn model_mut(&mut self) -> Option<&mut (dyn Model + 'static)> {
        Arc::get_mut(&mut self.model)
    }

    /// The device that it computes on.
    pub fn device(&self) -> &Device {
        self.model.parameters().device()
    }

    /// Adds a workspace of the model's device to the pool, with the weights that have been laid out in it.
    pub fn lend(&self, workspace: Workspace) {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
    }

    /// Takes a workspace that nobody uses out of the pool.
    pub fn reclaim(&self) -> Option<Workspace> {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Memory to run the model in.
    pub(crate) fn workspace(&self) -> PooledWorkspace {
        let workspace = self.reclaim().unwrap_or_else(|| Workspace::new(self.device()));
        PooledWorkspace { workspace: Some(workspace), pool: Arc::clone(&self.workspaces) }
    }

    /// Moves a state of one row past `ids`, predicting nothing.
    pub(crate) fn read_on(&self, workspace: &mut Workspace, ids: &[u32], state: &mut State) {
        for ids in ids.chunks(PREFIX_STEPS) {
            let mut tape = workspace.tape(self.model.parameters(), Mode::Evaluate);
            self.model.forward(&mut tape, ids, state);
        }
    }

    /// Fails unless each of `ids` is a token of the model.
    pub(crate) fn check_ids(&self, ids: &[u32]) -> Result<()> {
        check_ids(self.model(), ids)
    }
}

impl From<Arc<dyn Model>> for ModelHandle {
    fn from(model: Arc<dyn Model>) -> ModelHandle {
        ModelHandle { model, workspaces: Arc::default() }
    }
}

impl Deref for PooledWorkspace {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        match &self.workspace {
            Some(workspace) => workspace,
            None => unreachable!("a workspace is there until it is dropped"),
        }
    }
}

impl DerefMut for PooledWorkspace {
    fn deref_mut(&mut self) -> &mut Workspace {
        match &mut self.workspace {
            Some(workspace) => workspace,
            None => unreachable!("a workspace is there until it is dropped"),
        }
    }
}

impl Drop for PooledWorkspace {
    fn drop(&mut self) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.extend(self.workspace.take());
    }
}

/// Fails unless each of `ids` is a token of the model.
pub(crate) fn check_ids(model: &dyn Model, ids: &[u32]) -> Result<()> {
    let vocab_size = model.vocab_size();
    match ids.iter().find(|&&id| id as usize >= vocab_size) {
        Some(&id) => Err(InferError::IdOutOfRange { id, vocab_size }),
        None => Ok(()),
    }
}
