//! Runs the phases of a workload and measures their time.

use std::ops::ControlFlow;
use std::slice;
use std::sync::Arc;
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo_data::{Batches, LastBatch, TokenIds};
use rondo_infer::{InferError, ModelHandle, Sampling, Streams, evaluate_with};
use rondo_kernels::{Device, Precision, roofline};
use rondo_nn::{Initialization, Mode, Model, RnnLm, Workspace};

use super::profile::{Profile, Stopwatch};
use super::report::{Round, median};
use super::{Benchmark, Budget, Phase, Workload};
use crate::optimizer::Optimizer;
use crate::part::Part;
use crate::step::{NonFinite, StepTerms, TrainingStep};
use crate::{OptimizationPlan, Result, TrainError, Tried};

/// Steps that are taken on a device that works on its own before their outcomes are read.
const DEFERRED: usize = 8;
/// The number of batches in the training text, which is repeated with the hidden state carried.
const TRAINING_BATCHES: usize = 8;
/// The number of rows in each column of the evaluation text: enough for several batches of `infer`, and more
/// than the warm-up rows that a column reads before it begins to predict.
const EVALUATION_ROWS: usize = 3072;
/// Tokens generated before timing starts, because the first one includes the layout of the weights.
const UNTIMED_TOKENS: usize = 2;
/// The random seed.
const SEED: u64 = 1;

/// A workload's model and everything its phases need.
pub(super) struct Subject<'a> {
    workload: &'a Workload,
    budget: Budget,
    streams: usize,
    model: Arc<dyn Model>,
    optimization: OptimizationPlan,
    step: TrainingStep,
    part: Part,
    steps: u64,
    training_text: TokenIds,
    evaluation_text: TokenIds,
    stopwatch: Option<Stopwatch>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(benchmark: &'a Benchmark, device: &Device) -> Result<Subject<'a>> {
        let workload = &benchmark.workload;
        let Workload { batch_size, bptt, .. } = *workload;
        let mut model = RnnLm::new(workload.config.clone(), device)?;
        model.initialize(&Initialization::default(), &mut ChaCha8Rng::seed_from_u64(SEED))?;
        let optimization = workload.optimization();
        let optimizer = Optimizer::new(optimization.optimizer_options(bptt, batch_size), model.parameters());
        let mut step = TrainingStep::new(&model, optimizer).with_sampler(workload.sampler());
        let stopwatch = benchmark.profile.then(Stopwatch::new);
        step.workspace_mut().observe(stopwatch.as_ref().map(Stopwatch::observer));
        Ok(Subject {
            workload,
            budget: benchmark.budget,
            streams: benchmark.streams,
            step,
            optimization,
            part: Part::whole(model.zero_state(batch_size)),
            steps: 0,
            training_text: workload.text(batch_size, TRAINING_BATCHES * bptt).into(),
            evaluation_text: workload.text(batch_size, EVALUATION_ROWS.max(4 * bptt)).into(),
            stopwatch,
            model: Arc::new(model),
        })
    }

    /// Runs a phase briefly, so that its memory is allocated and its weights are laid out.
    pub(super) fn warm_up(&mut self, phase: Phase) -> Result<()> {
        self.run(phase, Budget::Repeats(1))?;
        if let Some(stopwatch) = &self.stopwatch {
            stopwatch.clear();
        }
        Ok(())
    }

    /// Measures the machine's limits and each phase once.
    pub(super) fn round(&mut self, phases: &[Phase]) -> Result<Round> {
        let device = self.model.parameters().device();
        let fma_peak = roofline::fma_peak(device);
        let mut round = Round {
            fma_peak,
            multiplication_peak: match device.precision() {
                Precision::F32 => fma_peak,
                _ => roofline::multiplication_peak(device),
            },
            copy_bandwidth: roofline::copy_bandwidth(device),
            ..Round::default()
        };
        for &phase in phases {
            if let Some(tokens_per_s) = self.run(phase, self.budget)? {
                round.set_tokens_per_s(phase, tokens_per_s);
            }
        }
        Ok(round)
    }

    pub(super) fn profiles(&self) -> Vec<Profile> {
        self.stopwatch.as_ref().map(Stopwatch::profiles).unwrap_or_default()
    }

    /// Runs a phase for its budget; returns the median tokens per second of its units.
    fn run(&mut self, phase: Phase, budget: Budget) -> Result<Option<f64>> {
        let mut clock = Clock::new(phase, budget, self.stopwatch.clone());
        match phase {
            Phase::Train => self.train(&mut clock)?,
            Phase::Evaluate => self.evaluate(&mut clock)?,
            Phase::Generate => self.generate(&mut clock)?,
        }
        Ok(median(clock.tokens_per_s.into_iter()))
    }

    fn train(&mut self, clock: &mut Clock) -> Result<()> {
        let Workload { batch_size, bptt, .. } = *self.workload;
        let batches = Batches::new(&self.training_text, batch_size, bptt, LastBatch::Keep)?;
        while clock.has_time() {
            clock.begin();
            let mut count = 0;
            if self.model.parameters().device().works_ahead() {
                // As the trainer does, several steps are taken before their outcomes are read.
                for place in 0..DEFERRED {
                    count += self.next_step(&batches)?;
                    self.defer_step(place)?;
                }
                for outcome in self.step.outcomes(DEFERRED)? {
                    outcome.finite().map_err(|found| self.non_finite(found))?;
                }
            } else {
                count = self.next_step(&batches)?;
                let (terms, learning_rate) = (self.terms(), self.optimization.learning_rate);
                let model = exclusive(&mut self.model);
                let step = self.step.take(model, slice::from_mut(&mut self.part), terms, learning_rate)?;
                step.map_err(|found| self.non_finite(found))?;
            }
            clock.end(count * batch_size, "optimizer");
        }
        Ok(())
    }

    /// Prepares the next step; returns its number of time steps.
    fn next_step(&mut self, batches: &Batches) -> Result<usize> {
        let batch = batches.batch(self.steps as usize % batches.batch_count());
        self.steps += 1;
        self.part.fill(batches, batch)?;
        Ok(batch.steps)
    }

    /// Takes a step without waiting for it.
    fn defer_step(&mut self, place: usize) -> Result<()> {
        let (terms, learning_rate) = (self.terms(), self.optimization.learning_rate);
        let model = exclusive(&mut self.model);
        self.step.defer(model, slice::from_mut(&mut self.part), terms, place)?;
        self.step.update_deferred(model, learning_rate, place);
        Ok(())
    }

    /// The terms of a step.
    fn terms(&self) -> StepTerms {
        StepTerms {
            mode: Mode::Train { seed: SEED, step: self.steps - 1 },
            gradient_scale: self.optimization.gradient_scale(self.part.tokens.count()),
            penalty: self.optimization.penalty,
        }
    }

    fn non_finite(&self, NonFinite { what, found }: NonFinite) -> TrainError {
        TrainError::NonFinite { what, found, epoch: 1, step: self.steps, tried: Tried::Nothing, best: None }
    }

    /// How many kernels a GPU runs in a training step, and how often the step submits work and waits.
    #[cfg(all(test, feature = "gpu"))]
    pub(super) fn count_step(&mut self) -> Result<rondo_kernels::gpu::Counts> {
        let Workload { batch_size, bptt, .. } = *self.workload;
        let batches = Batches::new(&self.training_text, batch_size, bptt, LastBatch::Keep)?;
        let Device::Gpu(gpu) = self.model.parameters().device().clone() else { panic!("not a GPU") };
        // The first step lays out the weights and allocates memory.
        let mut before = gpu.counts();
        for _ in 0..2 {
            before = gpu.counts();
            self.next_step(&batches)?;
            self.defer_step(0)?;
        }
        let after = gpu.counts();
        Ok(rondo_kernels::gpu::Counts {
            dispatches: after.dispatches - before.dispatches,
            submissions: after.submissions - before.submissions,
            read_backs: after.read_backs - before.read_backs,
        })
    }

    /// Evaluates the text repeatedly. The time from the end of one batch to the end of the next is measured:
    /// before the first batch, the columns only read tokens to find their initial state, once per text.
    fn evaluate(&mut self, clock: &mut Clock) -> Result<()> {
        let Workload { batch_size, bptt, .. } = *self.workload;
        while clock.has_time() {
            let mut predicted = None;
            let mut progress = |done: u64| {
                if let Some(before) = predicted {
                    clock.end((done - before) as usize, "rest");
                }
                predicted = Some(done);
                clock.begin();
                if clock.has_time() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            let (model, workspace) = (&*self.model, self.step.workspace_mut());
            match evaluate_with(
                model,
                workspace,
                &self.evaluation_text,
                None,
                (batch_size, bptt),
                &mut progress,
            ) {
                Ok(_) | Err(InferError::Stopped { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            // The budget can end before the second batch of a text, except for the first text.
            assert!(!clock.tokens_per_s.is_empty(), "a text with a single batch cannot be timed");
        }
        Ok(())
    }

    fn generate(&mut self, clock: &mut Clock) -> Result<()> {
        // Use the same workspace, which has the weights laid out and the observer of its operations.
        let handle = ModelHandle::from(Arc::clone(&self.model));
        let fresh = Workspace::new(handle.device());
        handle.lend(std::mem::replace(self.step.workspace_mut(), fresh));
        let generated = self.generate_with(&handle, clock);
        if let Some(workspace) = handle.reclaim() {
            *self.step.workspace_mut() = workspace;
        }
        generated
    }

    fn generate_with(&self, handle: &ModelHandle, clock: &mut Clock) -> Result<()> {
        let mut streams = Streams::new(handle);
        streams.admit_many(&[0], self.streams, &Sampling::default(), SEED)?;
        for _ in 0..UNTIMED_TOKENS {
            streams.step()?;
        }
        while clock.has_time() {
            clock.begin();
            streams.step()?;
            clock.end(self.streams, "sample");
        }
        Ok(())
    }
}

/// The model, for changing it.
fn exclusive(model: &mut Arc<dyn Model>) -> &mut dyn Model {
    match Arc::get_mut(model) {
        Some(model) => model,
        None => unreachable!("nothing else holds the model while it is trained"),
    }
}

/// Times the units of a phase: its steps, batches or tokens.
struct Clock {
    phase: Phase,
    budget: Budget,
    stopwatch: Option<Stopwatch>,
    /// When the phase started.
    started: Instant,
    /// When the current unit started.
    begun: Instant,
    /// Tokens per second of each unit.
    tokens_per_s: Vec<f64>,
}

impl Clock {
    fn new(phase: Phase, budget: Budget, stopwatch: Option<Stopwatch>) -> Clock {
        let now = Instant::now();
        Clock { phase, budget, stopwatch, started: now, begun: now, tokens_per_s: Vec::new() }
    }

    /// Whether to run another unit; there is always at least one.
    fn has_time(&self) -> bool {
        let units = self.tokens_per_s.len();
        let spent = match self.budget {
            Budget::Seconds(seconds) => self.started.elapsed().as_secs_f64() >= seconds,
            Budget::Repeats(repeats) => units >= repeats,
        };
        units == 0 || !spent
    }

    fn begin(&mut self) {
        if let Some(stopwatch) = &self.stopwatch {
            stopwatch.begin();
        }
        self.begun = Instant::now();
    }

    /// Ends a unit of this many tokens; its remaining unnamed time is recorded as `name`.
    fn end(&mut self, tokens: usize, name: &'static str) {
        self.tokens_per_s.push(tokens as f64 / self.begun.elapsed().as_secs_f64());
        if let Some(stopwatch) = &self.stopwatch {
            stopwatch.keep(self.phase, name);
        }
    }
}
