//! The learner: the model, the optimizer, and all other tensors that training changes.

use std::mem;
use std::sync::Arc;

use rondo_collective::Collective;
use rondo_data::{Batch, Batches};
use rondo_infer::{ModelHandle, Resets};
use rondo_kernels::optimizer;
use rondo_nn::tensor_file::{Tensor, TensorFile};
use rondo_nn::{Model, NnError, Parameters, Workspace, parameter_tensors, read_parameters};

use crate::averaging::Averaging;
use crate::checkpoint::{self, BEST, CarriedState, MODEL};
use crate::optimizer::{Optimizer, OptimizerOptions};
use crate::part::{Part, divide};
use crate::progress::Progress;
use crate::sampler::Sampler;
use crate::step::{NonFinite, StepOutcome, StepTerms, TrainingStep};
use crate::{Plan, Result, TrainError};

/// The tensors of a run. The counts that belong to them are in its [`Progress`].
#[derive(Debug)]
pub(super) struct Learner {
    /// Shared only while it is sampled from or evaluated.
    model: Arc<dyn Model>,
    step: TrainingStep,
    averaging: Averaging,
    /// The columns that this process computes, with their hidden states after the last batch.
    parts: Vec<Part>,
    best: Option<Best>,
    /// The length of the longest batch so far.
    longest_steps: usize,
    /// Where the state is reset, if before each line or paragraph.
    resets: Option<Resets>,
}

/// The parameters of the best epoch.
#[derive(Debug)]
struct Best {
    epoch: usize,
    parameters: Parameters,
}

impl Learner {
    /// A learner before the first step.
    pub(super) fn new(
        plan: &Plan,
        model: Arc<dyn Model>,
        (resets, sampler): (Option<Resets>, Option<Sampler>),
        ranks: &Arc<dyn Collective>,
        progress: &mut Progress,
    ) -> Result<Learner> {
        let (training, optimization) = (&plan.training, &plan.optimization);
        let options = OptimizerOptions {
            lazy_rows: sampler.is_some(),
            ..optimization.optimizer_options(training.bptt, training.batch_size)
        };
        let parameters = model.parameters();
        let step = TrainingStep::new(&*model, Optimizer::new(options, parameters)).with_sampler(sampler);
        Ok(Learner {
            step: step.with_ranks(Arc::clone(ranks)),
            averaging: Averaging::new(optimization.averaging, &mut progress.averaging, parameters),
            parts: parts(&*model, training.batch_size, &**ranks, training.accumulate)?,
            best: None,
            longest_steps: training.bptt,
            resets,
            model,
        })
    }

    /// The ranks that train together.
    pub(super) fn ranks(&self) -> &Arc<dyn Collective> {
        self.step.ranks()
    }

    /// Seconds that the steps have waited for the gradients of other ranks.
    pub(super) fn waiting_s(&self) -> f64 {
        self.step.waiting().as_secs_f64()
    }

    /// Resets the hidden states to zero.
    pub(super) fn clear_state(&mut self) {
        self.parts.iter_mut().for_each(|part| part.state.clear());
    }

    /// Reads the tokens of a batch.
    pub(super) fn fill(&mut self, batches: &Batches, batch: Batch) -> Result<()> {
        self.parts.iter_mut().try_for_each(|part| part.fill(batches, batch))
    }

    /// Where the state is reset, if before each line or paragraph.
    pub(super) fn resets(&self) -> Option<Resets> {
        self.resets
    }

    /// The model in its current state.
    pub(super) fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// The model, and the workspace to run it in.
    pub(super) fn model_and_workspace(&mut self) -> (&dyn Model, &mut Workspace) {
        (&*self.model, self.step.workspace_mut())
    }

    /// Runs a function that shares the model and uses the workspace of the training steps.
    pub(super) fn shared<T>(&mut self, run: impl FnOnce(&ModelHandle) -> T) -> T {
        let handle = ModelHandle::from(Arc::clone(&self.model)).with_resets(self.resets);
        let workspace = self.step.workspace_mut();
        handle.lend(mem::replace(workspace, Workspace::new(handle.device())));
        let result = run(&handle);
        if let Some(lent) = handle.reclaim() {
            *workspace = lent;
        }
        result
    }

    /// The saved parameters of this epoch, if it is the best.
    pub(super) fn best(&self, epoch: usize) -> Option<&Parameters> {
        self.best.as_ref().filter(|best| best.epoch == epoch).map(|best| &best.parameters)
    }

    /// Takes one training step on the batch that was read, at a position in the run: the part of it that precedes the step.
    pub(super) fn take_step(
        &mut self,
        progress: &mut Progress,
        terms: StepTerms,
        (position, learning_rate): (f64, f64),
    ) -> Result<std::result::Result<StepOutcome, NonFinite>> {
        let model = exclusive(&mut self.model);
        self.averaging.before_step(&mut progress.averaging, position, model.parameters());
        let outcome = self.step.gradients(model, &mut self.parts, terms)?;
        if let Ok((_, clip)) = outcome {
            self.averaging.before_update(
                &progress.averaging,
                self.step.gradients_mut(),
                model.parameters(),
            )?;
            self.step.update(model, clip, learning_rate);
            self.averaging.after_step(&mut progress.averaging, model.parameters());
            progress.steps += 1;
            progress.optimizer_steps = self.step.optimizer().steps();
            progress.skipped_in_a_row = 0;
        }
        Ok(outcome.map(|(outcome, _)| outcome))
    }

    /// Whether steps are deferred: the device works on its own, and waiting for each step would slow it down. Ranks that
    /// train together wait for each other in any case.
    pub(super) fn defers_steps(&self) -> bool {
        self.model.parameters().device().works_ahead() && self.ranks().is_alone()
    }

    /// Takes one training step without waiting for its outcome, which is the one at `place` of
    /// [`outcomes`](Self::outcomes). A step that turns out not to be finite changes no weights, but counts.
    pub(super) fn defer_step(
        &mut self,
        progress: &mut Progress,
        terms: StepTerms,
        (position, learning_rate): (f64, f64),
        place: usize,
    ) -> Result<()> {
        let model = exclusive(&mut self.model);
        self.averaging.before_step(&mut progress.averaging, position, model.parameters());
        self.step.defer(model, &mut self.parts, terms, place)?;
        let gradients = self.step.gradients_mut();
        self.averaging.before_update(&progress.averaging, gradients, model.parameters())?;
        self.step.update_deferred(model, learning_rate, place);
        self.averaging.after_step(&mut progress.averaging, model.parameters());
        progress.steps += 1;
        progress.optimizer_steps = self.step.optimizer().steps();
        Ok(())
    }

    /// Waits for the first `count` deferred steps, and returns their outcomes.
    pub(super) fn outcomes(&self, count: usize) -> Result<Vec<StepOutcome>> {
        self.step.outcomes(count)
    }

    /// Allocates memory for a batch that is longer than all previous ones.
    ///
    /// If batches of increasing length allocated memory one after the other, the buffers of the shorter ones
    /// would stay unused and add up to several times the necessary memory. So the longest batch runs once
    /// first, with its result ignored, in newly allocated memory.
    pub(super) fn make_room(&mut self, longest: Batch, batches: &Batches, terms: StepTerms) -> Result<()> {
        if longest.steps <= self.longest_steps {
            return Ok(());
        }
        self.longest_steps = longest.steps;
        let of_part = |part: &Part| {
            let (columns, batch_size) = part.columns();
            let mut part = Part::of_columns(&*self.model, columns, batch_size);
            part.fill(batches, longest)?;
            Ok(part)
        };
        let mut parts = self.parts.iter().map(of_part).collect::<Result<Vec<Part>>>()?;
        self.step.make_room(&*self.model, &mut parts, terms)
    }

    /// Swaps the weights with their average, if there is one; a second call swaps them back.
    pub(super) fn swap_average(&mut self, progress: &Progress) -> Result<()> {
        self.averaging.swap(&progress.averaging, exclusive(&mut self.model).parameters_mut())
    }

    /// Continues with a changed rule of averaging; see [`Averaging::rule_changed`].
    pub(super) fn averaging_changed(&mut self, progress: &mut Progress) {
        self.averaging.rule_changed(&mut progress.averaging, self.model.parameters());
    }

    /// Updates the averaging at the end of an epoch; see [`Averaging::after_epoch`].
    pub(super) fn after_epoch(&mut self, progress: &mut Progress, is_best: Option<bool>) -> bool {
        self.averaging.after_epoch(&mut progress.averaging, is_best, self.model.parameters())
    }

    /// Saves a copy of the weights as those of the best epoch.
    pub(super) fn keep_best(&mut self, epoch: usize) {
        let parameters = self.model.parameters();
        let like = || Best { epoch, parameters: parameters.like() };
        let best = self.best.get_or_insert_with(like);
        best.epoch = epoch;
        best.parameters.copy_from(parameters);
    }

    /// Reads the weights of the best epoch with a function that says whether it found them.
    pub(super) fn read_best(
        &mut self,
        epoch: usize,
        read: impl FnOnce(&mut Parameters) -> Result<bool>,
    ) -> Result<bool> {
        let mut best = Best { epoch, parameters: self.model.parameters().like() };
        let is_found = read(&mut best.parameters)?;
        self.best = Some(best).filter(|_| is_found);
        Ok(is_found)
    }

    /// Restores the best weights, if there are any.
    pub(super) fn reload_best(&mut self) {
        if let Some(best) = &self.best {
            exclusive(&mut self.model).parameters_mut().copy_from(&best.parameters);
        }
    }

    /// The norm of all parameters together; not finite if and only if one of them is not.
    pub(super) fn weight_norm(&self) -> Result<f64> {
        let parameters = self.model.parameters();
        let mut squares = 0.0;
        for id in parameters.ids() {
            let square = optimizer::squared_norm(parameters.device(), parameters.values(id));
            squares += square.map_err(NnError::from)?;
        }
        Ok(squares.sqrt())
    }

    /// The hidden states of all columns, of all ranks, for [`Learner::tensors`].
    pub(super) fn states(&self) -> Result<CarriedState> {
        let states = self.parts.iter().map(|part| &part.state).collect::<Vec<_>>();
        CarriedState::of(&states, &**self.ranks())
    }

    /// All tensors for a checkpoint, with the hidden states; `with_best` includes the best weights, needed only if the schedule may
    /// restore them.
    pub(super) fn tensors<'a>(
        &'a self,
        states: &'a CarriedState,
        with_best: bool,
    ) -> Result<Vec<Tensor<'a>>> {
        let parameters = self.model.parameters();
        let mut tensors = parameter_tensors(MODEL, parameters)?;
        tensors.extend(self.averaging.tensors()?);
        if let Some(best) = self.best.as_ref().filter(|_| with_best) {
            tensors.extend(parameter_tensors(BEST, &best.parameters)?);
        }
        tensors.extend(self.step.optimizer().tensors(parameters)?);
        tensors.extend(states.tensors());
        Ok(tensors)
    }

    /// Restores the tensors that [`Learner::tensors`] wrote when the run was at `progress`; `with_best` says whether
    /// the best weights are among them.
    pub(super) fn restore(
        &mut self,
        progress: &Progress,
        tensors: &TensorFile<'_>,
        with_best: bool,
    ) -> Result<()> {
        let model = exclusive(&mut self.model);
        read_parameters(MODEL, tensors, model.parameters_mut())?;
        let parameters = model.parameters();
        self.averaging.restore(&progress.averaging, tensors, parameters)?;
        self.step.optimizer_mut().restore(progress.optimizer_steps, tensors, parameters)?;
        for part in &mut self.parts {
            let (columns, batch_size) = part.columns();
            checkpoint::read_state(tensors, &mut part.state, columns, batch_size)?;
        }
        // Keep the best weights in memory if they are also those of the checkpoint.
        self.best = self.best.take().filter(|best| Some(best.epoch) == progress.best_epoch);
        if let Some(epoch) = progress.best_epoch.filter(|_| with_best) {
            let mut best = Best { epoch, parameters: parameters.like() };
            read_parameters(BEST, tensors, &mut best.parameters)?;
            self.best = Some(best);
        }
        Ok(())
    }
}

/// The columns that this rank computes.
fn parts(
    model: &dyn Model,
    batch_size: usize,
    ranks: &dyn Collective,
    accumulate: usize,
) -> Result<Vec<Part>> {
    let Some(columns) = divide(batch_size, (ranks.rank(), ranks.size()), accumulate) else {
        return Err(TrainError::TooManyParts { batch_size, processes: ranks.size(), accumulate });
    };
    let part = |columns| match ranks.is_alone() && accumulate == 1 {
        true => Part::whole(model.zero_state(batch_size)),
        false => Part::of_columns(model, columns, batch_size),
    };
    Ok(columns.into_iter().map(part).collect())
}

/// The model, for changing it.
fn exclusive(model: &mut Arc<dyn Model>) -> &mut dyn Model {
    match Arc::get_mut(model) {
        Some(model) => model,
        None => unreachable!("the model is shared only while it is sampled or evaluated"),
    }
}
