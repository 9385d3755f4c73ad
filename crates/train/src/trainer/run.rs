//! A run in progress: its plan and texts, its learner, its output files and its observer.

use std::time::Instant;

use rondo_data::{Batches, Corpus, Units};
use rondo_runs::metrics::{MetricsLog, Record};
use rondo_runs::{Change, CheckpointWriter, CorpusFingerprint, Provenance, RunFolder, Status};

use super::checkpoint_timer::CheckpointTimer;
use super::epoch::Deferred;
use super::learner::Learner;
use super::long_epoch::Pace;
use super::save::require_best;
use super::{Origin, Resumption, Trainer};
use crate::observer::{Outcome, PartialEpoch, Watch};
use crate::progress::{Pause, Progress};
use crate::provenance::{of_new_run, resumption as resumption_now};
use crate::resume::has_effect;
use crate::{Plan, Result};

/// A run in progress.
pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan,
    pub(super) texts: Texts<'a>,
    pub(super) learner: &'a mut Learner,
    pub(super) progress: &'a mut Progress,
    pub(super) output: Output<'a>,
    pub(super) watch: Watch<'a>,
    /// Whether the run is ending because it was asked to stop.
    pub(super) interrupted: bool,
    /// The number of steps when the run was started or resumed in this process.
    pub(super) steps_before: u64,
    /// Steps whose outcome is not known yet.
    pub(super) deferred: Deferred,
    /// Where to pause.
    pub(super) until: Option<Pause>,
    pub(super) agreed: Agreed,
    /// The number of batches in the current epoch.
    pub(super) batches: usize,
    /// The number that it would have without a maximum number of steps.
    pub(super) full_epoch: usize,
    /// Set if the best model is the one of an interruption before the end of the first epoch.
    pub(super) partial_epoch: Option<PartialEpoch>,
    pub(super) clock: Clock,
    pub(super) pace: Pace,
    pub(super) origin: Origin,
}

/// The inputs of a run.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    pub(super) corpus: &'a Corpus,
    pub(super) batches: &'a Batches,
    pub(super) units: Option<&'a Units>,
    pub(super) fingerprint: &'a CorpusFingerprint,
    pub(super) codec: &'a str,
}

/// The outputs of a run. Only the first rank writes.
pub(super) struct Output<'a> {
    pub(super) folder: &'a RunFolder,
    /// `None` only until a checkpoint with the recorded metrics has been restored.
    pub(super) metrics: Option<MetricsLog>,
    /// `None` on ranks other than the first, which write nothing.
    pub(super) checkpoints: Option<CheckpointWriter>,
    pub(super) checkpoint_timer: CheckpointTimer,
}

/// What the ranks have agreed to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Agreed {
    /// Any of them was asked to stop.
    pub(super) stop: bool,
    /// The run has reached the place to pause at.
    pub(super) pause: bool,
    /// The time of a checkpoint has come.
    pub(super) save: bool,
}

/// Measures the total time of a run.
pub(super) struct Clock {
    /// When the run was started or resumed in this process.
    pub(super) resumed: Instant,
    /// Seconds spent in previous processes.
    pub(super) before_s: f64,
}

impl<'a> Run<'a> {
    /// Opens the output files of the run, and writes its provenance before there are any results.
    pub(super) fn begin(
        trainer: &'a mut Trainer,
        folder: &'a RunFolder,
        watch: Watch<'a>,
        resumption: Option<&Resumption>,
    ) -> Result<Run<'a>> {
        let leads = trainer.ranks().leads();
        if let Some(Resumption { checkpoint, .. }) = resumption.filter(|_| leads) {
            require_best(&trainer.plan, checkpoint, folder)?;
        }
        let origin = if leads { trainer.origin(folder, resumption)? } else { trainer.origin.clone() };
        let provenance = leads.then(|| begin_provenance(trainer, folder, resumption)).transpose()?;
        let Trainer { plan, corpus, fingerprint, batches, units, codec, learner, progress, .. } = trainer;
        let (mut metrics, mut checkpoints) = (None, None);
        if let Some(provenance) = provenance {
            corpus.vocab().save(folder.vocab())?;
            metrics = match resumption {
                Some(_) => None,
                // A run that was killed before its first checkpoint starts from the beginning, and so do its
                // records.
                None if folder.metrics().exists() => {
                    Some(MetricsLog::resume(folder, &[], provenance.started_unix_s)?)
                }
                None => Some(MetricsLog::create(folder, provenance.started_unix_s)?),
            };
            progress.started_unix_s = provenance.started_unix_s;
            checkpoints = Some(CheckpointWriter::open(folder)?);
        }
        Ok(Run {
            output: Output {
                folder,
                metrics,
                checkpoints,
                checkpoint_timer: CheckpointTimer::new(plan.training.checkpoint_every),
            },
            plan,
            texts: Texts { corpus, batches, units: units.as_ref(), fingerprint, codec },
            learner,
            progress,
            watch,
            interrupted: false,
            steps_before: 0,
            deferred: Deferred::default(),
            until: None,
            agreed: Agreed::default(),
            batches: 0,
            full_epoch: 0,
            partial_epoch: None,
            clock: Clock { resumed: Instant::now(), before_s: 0.0 },
            pace: Pace::default(),
            origin,
        })
    }

    /// Trains from the beginning or from a checkpoint to the end of the plan, or until the run is asked to stop.
    pub(super) fn complete(&mut self, resumption: Option<Resumption>, continues: bool) -> Result<()> {
        let is_new = resumption.is_none();
        if let Some(resumption) = resumption {
            self.resume(resumption)?;
        }
        self.steps_before = self.progress.steps;
        self.summarize(Status::Running, None)?;
        if is_new && continues {
            self.validate_base_model()?;
        }
        self.epochs()
    }

    /// Whether this rank writes files: the first.
    pub(super) fn writes(&self) -> bool {
        self.learner.ranks().leads()
    }

    /// Lets all ranks agree on what to do next. Clocks and signals differ among them.
    pub(super) fn agree(&mut self) -> Result<()> {
        let stop = self.watch.asked_to_stop;
        let ranks = self.learner.ranks();
        // The first rank decides about time.
        let decides = ranks.leads();
        let pause = decides && self.has_reached_pause();
        let save = decides && self.output.checkpoint_timer.time_is_up();
        let mut codes = [stop, pause, save].map(u8::from);
        ranks.max(&mut codes)?;
        let [stop, pause, save] = codes.map(|code| code > 0);
        // A run that is asked to stop at the place to pause at stops.
        self.agreed = Agreed { stop, pause: pause && !stop, save };
        Ok(())
    }

    /// Seconds since the start of the run, excluding interruptions.
    pub(super) fn elapsed_s(&self) -> f64 {
        self.clock.before_s + self.clock.resumed.elapsed().as_secs_f64()
    }

    pub(super) fn record(&mut self, record: &Record) -> Result<()> {
        Ok(self.output.metrics.as_mut().map_or(Ok(()), |metrics| metrics.write(record))?)
    }

    /// The results of the run.
    pub(super) fn outcome(&self) -> Outcome {
        let progress = &self.progress;
        Outcome {
            best_epoch: progress.best_epoch.filter(|_| self.partial_epoch.is_none()),
            partial_epoch: self.partial_epoch,
            best_valid: progress.best_valid,
            best_test: progress.best_test,
            steps: progress.steps,
            tokens: progress.tokens,
            training_s: progress.training_s,
            waiting_s: self.learner.waiting_s(),
            elapsed_s: self.elapsed_s(),
            interrupted: self.interrupted,
            end: progress.end,
        }
    }
}

/// Writes the provenance of a new or resumed run.
fn begin_provenance(
    trainer: &Trainer,
    folder: &RunFolder,
    resumption: Option<&Resumption>,
) -> Result<Provenance> {
    let Trainer { plan, fingerprint, .. } = trainer;
    let device = trainer.model().parameters().device();
    let processes = trainer.ranks().size();
    let new = || of_new_run((device, processes), plan.training.seed, fingerprint.clone());
    let provenance = match resumption {
        None => new(),
        Some(Resumption { checkpoint, changes, is_pause }) => {
            // A missing provenance file does not prevent resuming.
            let mut provenance = if folder.provenance().exists() { Provenance::read(folder)? } else { new() };
            if !is_pause {
                let place = (checkpoint.epoch(), checkpoint.steps());
                provenance.resumptions.push(resumption_now((device, processes), place, changes.clone()));
            }
            // A change that was made after the checkpoint has no effect on the run from here.
            provenance.changes.clone_from(&checkpoint.progress.changes);
            let with_effect = with_effect(changes);
            if !with_effect.is_empty() {
                if provenance.changes.is_empty() {
                    folder.write_original_plan(checkpoint.plan())?;
                }
                provenance.changes.push(checkpoint.progress.change(with_effect));
            }
            if !changes.is_empty() {
                folder.replace_plan(&plan.to_toml()?)?;
            }
            provenance
        }
    };
    provenance.write(folder)?;
    Ok(provenance)
}

/// The changes that affect the results.
pub(super) fn with_effect(changes: &[Change]) -> Vec<Change> {
    changes.iter().filter(|change| has_effect(&change.setting)).cloned().collect()
}
