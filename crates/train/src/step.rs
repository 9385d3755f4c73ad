//! A training step: backward, clip, update.
//!
//! ```text
//! backward   forward pass, losses, and gradients of a batch            nll_sum   reads the losses
//!    │       (the gradients of all parts and ranks are added up)
//! clip       clips the gradients, reads their norm
//!    │
//! update     updates the parameters with the optimizer
//! ```
//!
//! A device that works ahead is not waited for: [`TrainingStep::defer`] and `update_deferred` leave losses and norms on it,
//! and `outcomes` reads those of many steps.
//!
//! Promises: no memory is allocated after the first step; a loss or a norm is copied to the host only by the
//! call that returns it. Not here: choosing the next batch, and handling values that are NaN or infinite (the
//! trainer).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rondo_collective::{Collective, alone};
use rondo_kernels::optimizer::{self, Scale};
use rondo_kernels::{Buffer, sum};
use rondo_nn::{ActivationPenalty, GradientObserver, Gradients, Hidden, Mode, Model, NnError, Workspace};

use crate::Result;
use crate::exchange::{Exchange, Watching};
use crate::optimizer::{Clip, Optimizer};
use crate::part::Part;
use crate::sampler::Sampler;

/// The state shared by all training steps: the gradients, the optimizer, and the workspace.
#[derive(Debug)]
pub struct TrainingStep {
    workspace: Workspace,
    gradients: Gradients,
    optimizer: Optimizer,
    /// What draws the candidates of a sampled softmax; `None` computes the full softmax.
    sampler: Option<Sampler>,
    /// The negative log-likelihoods of the last batch, one per row, and the number of rows.
    nll: Buffer,
    rows: usize,
    exchange: Exchange,
    /// What is known of deferred steps, on the device.
    ledger: Option<Ledger>,
}

/// What steps leave on the device, to be read for many of them at once.
#[derive(Debug)]
struct Ledger {
    /// For each step: the sum of the losses, the scale of its gradients, and their norm before clipping.
    entries: Buffer,
    /// Memory for the squared norm of each gradient.
    squares: Buffer,
}

/// The numbers of a step in the ledger.
const ENTRY: usize = 3;

/// The parameters of a step's backward pass.
#[derive(Clone, Copy, Debug)]
pub struct StepTerms {
    /// Whether to apply dropout, and which seed its masks use.
    pub mode: Mode,
    /// The factor that multiplies the gradient of the summed losses: 1 / their number for a mean.
    pub gradient_scale: f64,
    /// The regularization added to the mean loss.
    pub penalty: ActivationPenalty,
}

/// The results of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepOutcome {
    /// The sum of the batch's losses, in nats.
    pub nll_sum: f64,
    /// The global gradient norm before clipping.
    pub gradient_norm: f64,
}

impl StepOutcome {
    /// The outcome, if loss and norm are finite.
    pub(crate) fn finite(self) -> std::result::Result<StepOutcome, NonFinite> {
        let StepOutcome { nll_sum, gradient_norm } = self;
        if !nll_sum.is_finite() {
            return Err(NonFinite { what: Quantity::Loss, found: nll_sum });
        }
        if !gradient_norm.is_finite() {
            return Err(NonFinite { what: Quantity::GradientNorm, found: gradient_norm });
        }
        Ok(self)
    }
}

/// A quantity that must be finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The loss of a batch.
    Loss,
    /// The global norm of the gradient.
    GradientNorm,
    /// The norm of all parameters together.
    WeightNorm,
    /// The loss on the validation text.
    ValidationLoss,
    /// The loss on the test text.
    TestLoss,
    /// The mean of the gradients' root mean squares over a text.
    MeanGradient,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantity::Loss => "loss",
            Quantity::GradientNorm => "gradient norm",
            Quantity::WeightNorm => "norm of the weights",
            Quantity::ValidationLoss => "validation loss",
            Quantity::TestLoss => "test loss",
            Quantity::MeanGradient => "mean gradient",
        })
    }
}

/// A value in a step is NaN or infinite. The step was not taken, and the parameters are unchanged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NonFinite {
    /// Which quantity.
    pub what: Quantity,
    /// Its value.
    pub found: f64,
}

impl TrainingStep {
    /// Training steps with this optimizer on a model with these shapes.
    pub fn new(model: &dyn Model, optimizer: Optimizer) -> TrainingStep {
        let device = model.parameters().device();
        TrainingStep {
            workspace: Workspace::new(device),
            gradients: Gradients::new(model.parameters()),
            optimizer,
            sampler: None,
            nll: Buffer::zeros(device, 0),
            rows: 0,
            exchange: Exchange::new(alone()),
            ledger: None,
        }
    }

    /// Trains with a sampled softmax, if there is a sampler and the model has a [decoder](Model::decoder). Then losses are
    /// those among the candidates, and lower than those of the full softmax.
    pub fn with_sampler(self, sampler: Option<Sampler>) -> TrainingStep {
        TrainingStep { sampler, ..self }
    }

    /// Adds up losses and gradients over these ranks, each of which computes some columns of a batch.
    pub fn with_ranks(self, ranks: Arc<dyn Collective>) -> TrainingStep {
        TrainingStep { exchange: Exchange::new(ranks), ..self }
    }

    /// The ranks that take the steps together.
    pub fn ranks(&self) -> &Arc<dyn Collective> {
        self.exchange.ranks()
    }

    /// How long the steps have waited for the gradients of other ranks.
    pub fn waiting(&self) -> Duration {
        self.exchange.waiting()
    }

    /// The workspace of the steps, for running the model between steps.
    pub fn workspace_mut(&mut self) -> &mut Workspace {
        &mut self.workspace
    }

    /// The optimizer.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// The optimizer, for restoring it from a checkpoint.
    pub fn optimizer_mut(&mut self) -> &mut Optimizer {
        &mut self.optimizer
    }

    /// The gradients computed by [`backward`](Self::backward).
    pub fn gradients_mut(&mut self) -> &mut Gradients {
        &mut self.gradients
    }

    /// Takes one step on a batch, or on this rank's part of it: backward, clip, update. The outer result is an error of the device; the
    /// inner one says whether the step was taken.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed.
    pub fn take(
        &mut self,
        model: &mut dyn Model,
        parts: &mut [Part],
        terms: StepTerms,
        learning_rate: f64,
    ) -> Result<std::result::Result<StepOutcome, NonFinite>> {
        let gradients = self.gradients(model, parts, terms)?;
        Ok(gradients.map(|(outcome, clip)| {
            self.update(model, clip, learning_rate);
            outcome
        }))
    }

    /// The first part of a step: backward and clip. The step is completed by [`update`](Self::update).
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed.
    pub fn gradients(
        &mut self,
        model: &dyn Model,
        parts: &mut [Part],
        terms: StepTerms,
    ) -> Result<std::result::Result<(StepOutcome, Clip), NonFinite>> {
        self.backward(model, parts, terms)?;
        let nll_sum = self.nll_sum()?;
        if !nll_sum.is_finite() {
            return Ok(Err(NonFinite { what: Quantity::Loss, found: nll_sum }));
        }
        let clip = self.clip(model)?;
        let outcome = StepOutcome { nll_sum, gradient_norm: clip.norm };
        Ok(outcome.finite().map(|outcome| (outcome, clip)))
    }

    /// The most steps that can be deferred.
    pub(crate) const MOST_DEFERRED: usize = 256;

    /// The first part of a step whose outcome is not waited for: backward and clip. The step is completed by
    /// [`update_deferred`](Self::update_deferred), and its outcome is the one at `place` of [`outcomes`](Self::outcomes).
    ///
    /// If the gradient turns out not to be finite, the step changes nothing, and the state becomes zero.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed.
    ///
    /// # Panics
    /// If the place is not below [`MOST_DEFERRED`](Self::MOST_DEFERRED).
    pub(crate) fn defer(
        &mut self,
        model: &dyn Model,
        parts: &mut [Part],
        terms: StepTerms,
        place: usize,
    ) -> Result<()> {
        self.backward(model, parts, terms)?;
        let parameters = model.parameters();
        let device = parameters.device();
        let ledger = self.ledger.get_or_insert_with(|| Ledger {
            entries: Buffer::zeros(device, ENTRY * Self::MOST_DEFERRED),
            squares: Buffer::zeros(device, parameters.ids().len()),
        });
        let Ledger { entries, squares } = ledger;
        let at = ENTRY * place;
        sum::forward(device, self.nll.range(0..self.rows), entries.range_mut(at..at + 1));
        let scale = entries.range_mut(at + 1..at + ENTRY);
        self.optimizer.clip_on_device(&mut self.gradients, parameters, squares, scale);
        for part in parts.iter_mut().flat_map(|part| part.state.parts_mut()) {
            let scale = entries.range(at + 1..at + ENTRY);
            optimizer::zero_unless_finite(device, scale, part.values_mut().slice_mut());
        }
        Ok(())
    }

    /// Updates the parameters in the step at this place, and starts it on the device.
    pub(crate) fn update_deferred(&mut self, model: &mut dyn Model, learning_rate: f64, place: usize) {
        let Some(Ledger { entries, .. }) = &self.ledger else { return };
        let at = ENTRY * place;
        let scale = Scale::Device(entries.range(at + 1..at + ENTRY));
        self.optimizer.update_scaled(learning_rate, scale, &mut self.gradients, model.parameters_mut());
        model.parameters().device().submit();
    }

    /// Waits for the first `count` deferred steps, and returns their outcomes.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed.
    pub(crate) fn outcomes(&self, count: usize) -> Result<Vec<StepOutcome>> {
        let Some(Ledger { entries, .. }) = &self.ledger else { return Ok(vec![]) };
        let entries = entries.range(0..ENTRY * count).read().map_err(NnError::from)?;
        let outcome = |entry: &[f32; ENTRY]| {
            let [nll_sum, _, norm] = *entry;
            StepOutcome { nll_sum: f64::from(nll_sum), gradient_norm: f64::from(norm) }
        };
        Ok(entries.as_chunks().0.iter().map(outcome).collect())
    }

    /// Computes the gradients of a batch, which replace the previous ones: the sums over the parts, and over those of all
    /// ranks. The hidden states are read, and updated to those at the end of the batch.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed.
    pub fn backward(&mut self, model: &dyn Model, parts: &mut [Part], terms: StepTerms) -> Result<()> {
        self.gradients.clear();
        let rows = parts.iter().map(|part| part.tokens.count()).sum();
        if self.nll.len() < rows {
            self.nll = Buffer::zeros(model.parameters().device(), rows);
        }
        self.rows = 0;
        // The columns of a part without targets have ended.
        let has_targets = |part: &&mut Part| part.tokens.count() > 0;
        let mut parts = parts.iter_mut().filter(has_targets).peekable();
        if parts.peek().is_none() {
            self.exchange.begin(&[], model.parameters(), &mut self.gradients)?;
        }
        while let Some(part) = parts.next() {
            self.backward_part(model, part, terms, parts.peek().is_none())?;
        }
        self.exchange.complete(model.parameters(), &mut self.gradients)
    }

    /// Adds the gradients of a part. Those of the last part are exchanged with other ranks as soon as they are finished.
    fn backward_part(
        &mut self,
        model: &dyn Model,
        part: &mut Part,
        terms: StepTerms,
        is_last: bool,
    ) -> Result<()> {
        let penalty = part.penalty(terms.penalty);
        let mut tape = self.workspace.tape(model.parameters(), terms.mode);
        if !part.is_whole() {
            let (columns, batch_size) = part.columns();
            tape.set_columns(columns, batch_size);
        }
        let (tokens, state) = (&part.tokens, &mut part.state);
        tape.set_resets(&tokens.resets);
        let hidden = model.forward(&mut tape, &tokens.inputs, state);
        let predicting = match tokens.rows.as_slice() {
            [] => hidden,
            rows => Hidden::new(tape.select_rows(hidden.dropped, rows)),
        };
        let loss = match (&mut self.sampler, model.decoder(), terms.mode) {
            (Some(sampler), Some(decoder), Mode::Train { seed, step }) => {
                let candidates = sampler.candidates(seed, step, &tokens.targets);
                tape.sampled_decoder(predicting.dropped, decoder, candidates)
            }
            _ => model.loss(&mut tape, predicting, &tokens.targets),
        };
        let nll = tape.nll(loss);
        let rows = self.rows..self.rows + nll.len();
        self.rows = rows.end;
        self.nll.range_mut(rows).copy_from(nll);
        penalty.add_to(&mut tape, hidden);
        let mut watching = Watching { exchange: &mut self.exchange, parameters: model.parameters() };
        let observer = is_last.then_some(&mut watching as &mut dyn GradientObserver);
        let scale = terms.gradient_scale as f32;
        Ok(tape.backward_observed(loss, scale, &mut self.gradients, observer)?)
    }

    /// The sum of the last batch's losses over all ranks, in nats, accumulated in `f64` on the host.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed;
    /// [`TrainError::Collective`](crate::TrainError::Collective) if a rank has ended.
    pub fn nll_sum(&self) -> Result<f64> {
        let nll = self.nll.range(0..self.rows).read().map_err(NnError::from)?;
        let mut sum = [nll.iter().map(|&nll| f64::from(nll)).sum()];
        self.ranks().sum(&mut sum)?;
        Ok(sum[0])
    }

    /// Clips the gradients and reads their norm: see [`Optimizer::clip`]. All ranks use the numbers of the first, so that
    /// their weights stay equal even if they have different numbers of threads.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed;
    /// [`TrainError::Collective`](crate::TrainError::Collective) if a rank has ended.
    pub fn clip(&mut self, model: &dyn Model) -> Result<Clip> {
        let Clip { norm, scale } = self.optimizer.clip(&mut self.gradients, model.parameters())?;
        let ranks = self.ranks();
        let mut numbers = if ranks.leads() { [norm, scale] } else { [0.0; 2] };
        ranks.sum(&mut numbers)?;
        let [norm, scale] = numbers;
        Ok(Clip { norm, scale })
    }

    /// Updates the parameters with the clipped gradients.
    pub fn update(&mut self, model: &mut dyn Model, clip: Clip, learning_rate: f64) {
        self.optimizer.update(learning_rate, clip, &mut self.gradients, model.parameters_mut());
    }

    /// Runs a forward and backward pass with its result ignored, to allocate new memory that also fits
    /// shorter batches. The states of the parts change.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed.
    pub(crate) fn make_room(
        &mut self,
        model: &dyn Model,
        parts: &mut [Part],
        terms: StepTerms,
    ) -> Result<()> {
        self.workspace.release();
        self.backward(model, parts, terms)
    }
}
