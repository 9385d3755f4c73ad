//! One training step: backward, clip, update.
//!
//! ```text
//! backward   forward, losses, and the gradients of one batch           nll_sum   reads the losses
//!    │       (whoever shares the work with others sums the gradients here)
//! clip       clips the gradients, reads their norm
//!    │
//! update     changes the parameters by the optimizer's rule
//! ```
//!
//! Promises: nothing is allocated after the first step; a loss or a norm is brought to the host only by the call that
//! returns it. Not here: which batch comes next, and what follows from a number that is not finite (the trainer).

use std::fmt;

use rondo_data::{Batch, Batches};
use rondo_kernels::Buffer;
use rondo_nn::{ActivationPenalty, Gradients, Mode, Model, NnError, State, Workspace};

use crate::Result;
use crate::optimizer::{Clip, Optimizer};

/// What training steps need and keep from one to the next: gradients, the optimizer, and memory to compute in.
#[derive(Debug)]
pub struct TrainingStep {
    workspace: Workspace,
    gradients: Gradients,
    optimizer: Optimizer,
    /// The negative log-likelihoods of the last batch, one a row, and how many there are.
    nll: Buffer,
    rows: usize,
}

/// The numbers that a step's backward pass goes by.
#[derive(Clone, Copy, Debug)]
pub struct StepTerms {
    /// Whether to drop units, and by which masks.
    pub mode: Mode,
    /// What the gradient of the summed losses is multiplied by: one over their number for a mean.
    pub gradient_scale: f64,
    /// What is added to the mean loss.
    pub penalty: ActivationPenalty,
}

/// What a step has found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepOutcome {
    /// The sum of the batch's losses, in nats.
    pub nll_sum: f64,
    /// The global norm of the gradient before it was clipped.
    pub gradient_norm: f64,
}

/// What is checked for being finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The loss of a batch.
    Loss,
    /// The global norm of the gradient.
    GradientNorm,
    /// The norm of all parameters together.
    WeightNorm,
    /// The mean of the gradients' root mean squares over a text.
    MeanGradient,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantity::Loss => "loss",
            Quantity::GradientNorm => "gradient norm",
            Quantity::WeightNorm => "norm of the weights",
            Quantity::MeanGradient => "mean gradient",
        })
    }
}

/// A number of a step is NaN or infinite; the step was not taken, and the parameters are as they were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NonFinite {
    /// Which number.
    pub what: Quantity,
    /// What it is.
    pub found: f64,
}

impl TrainingStep {
    /// Steps of this optimizer on a model like this one.
    pub fn new(model: &dyn Model, optimizer: Optimizer) -> TrainingStep {
        let device = model.parameters().device();
        TrainingStep {
            workspace: Workspace::new(device),
            gradients: Gradients::new(model.parameters()),
            optimizer,
            nll: Buffer::zeros(device, 0),
            rows: 0,
        }
    }

    /// The memory that steps compute in, for whatever else runs the model between two of them.
    pub fn workspace_mut(&mut self) -> &mut Workspace {
        &mut self.workspace
    }

    /// The optimizer.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// The optimizer, to be restored from a checkpoint.
    pub fn optimizer_mut(&mut self) -> &mut Optimizer {
        &mut self.optimizer
    }

    /// The gradients that [`backward`](Self::backward) has left, for workers to sum theirs.
    pub fn gradients_mut(&mut self) -> &mut Gradients {
        &mut self.gradients
    }

    /// Takes one step on a batch: backward, clip, update. The outer result is the device's, the inner one says
    /// whether the step was taken.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device has failed.
    pub fn take(
        &mut self,
        model: &mut dyn Model,
        state: &mut State,
        tokens: &Tokens,
        terms: StepTerms,
        learning_rate: f64,
    ) -> Result<std::result::Result<StepOutcome, NonFinite>> {
        self.backward(model, state, tokens, terms)?;
        let nll_sum = self.nll_sum()?;
        if !nll_sum.is_finite() {
            return Ok(Err(NonFinite { what: Quantity::Loss, found: nll_sum }));
        }
        let clip = self.clip(model)?;
        if !clip.norm.is_finite() {
            return Ok(Err(NonFinite { what: Quantity::GradientNorm, found: clip.norm }));
        }
        self.update(model, clip, learning_rate);
        Ok(Ok(StepOutcome { nll_sum, gradient_norm: clip.norm }))
    }

    /// Computes the gradients of a batch, which replace those of the last. The state is read, and left as the
    /// batch's last.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device has failed.
    pub fn backward(
        &mut self,
        model: &dyn Model,
        state: &mut State,
        tokens: &Tokens,
        terms: StepTerms,
    ) -> Result<()> {
        self.gradients.clear();
        let mut tape = self.workspace.tape(model.parameters(), terms.mode);
        let hidden = model.forward(&mut tape, &tokens.inputs, state);
        let loss = model.loss(&mut tape, hidden, &tokens.targets);
        let nll = tape.nll(loss);
        self.rows = nll.len();
        if self.nll.len() < self.rows {
            self.nll = Buffer::zeros(model.parameters().device(), self.rows);
        }
        self.nll.range_mut(0..self.rows).copy_from(nll);
        terms.penalty.add_to(&mut tape, hidden);
        Ok(tape.backward(loss, terms.gradient_scale as f32, &mut self.gradients)?)
    }

    /// The sum of the last batch's losses, in nats, accumulated in `f64` on the host.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device has failed.
    pub fn nll_sum(&self) -> Result<f64> {
        let nll = self.nll.range(0..self.rows).read().map_err(NnError::from)?;
        Ok(nll.iter().map(|&nll| f64::from(nll)).sum())
    }

    /// Clips the gradients and reads their norm: see [`Optimizer::clip`].
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device has failed.
    pub fn clip(&mut self, model: &dyn Model) -> Result<Clip> {
        self.optimizer.clip(&mut self.gradients, model.parameters())
    }

    /// Changes the parameters by the clipped gradients.
    pub fn update(&mut self, model: &mut dyn Model, clip: Clip, learning_rate: f64) {
        self.optimizer.update(learning_rate, clip, &mut self.gradients, model.parameters_mut());
    }

    /// Runs a batch through the model and back for nothing, in new memory, so that shorter ones fit into it.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device has failed.
    pub(crate) fn make_room(
        &mut self,
        model: &dyn Model,
        batch_size: usize,
        tokens: &Tokens,
        terms: StepTerms,
    ) -> Result<()> {
        self.workspace.release();
        self.backward(model, &mut model.zero_state(batch_size), tokens, terms)
    }
}

/// The inputs and targets of a batch, in memory that serves all batches.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// `[T, B]`.
    pub inputs: Vec<u32>,
    /// `[T, B]`.
    pub targets: Vec<u32>,
}

impl Tokens {
    /// None yet, with memory for `capacity` of each.
    pub fn with_capacity(capacity: usize) -> Tokens {
        Tokens { inputs: Vec::with_capacity(capacity), targets: Vec::with_capacity(capacity) }
    }

    /// Takes those of another batch.
    ///
    /// # Errors
    /// [`TrainError::Data`](crate::TrainError::Data) if they cannot be read.
    pub fn fill(&mut self, batches: &Batches, batch: Batch) -> Result<()> {
        let count = batch.steps * batches.batch_size();
        self.inputs.resize(count, 0);
        self.targets.resize(count, 0);
        Ok(batches.fill(batch, &mut self.inputs, &mut self.targets)?)
    }
}
