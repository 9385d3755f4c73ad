//! The progress of a run: the counts, sums and decisions that the training loop reads and writes.
//!
//! A checkpoint stores it as JSON, in addition to the tensors. Every number that the loop must remember is a
//! field here, so nothing needs to be copied when a checkpoint is written or read.

use std::time::Instant;

use rondo_runs::{Change, SettingsChange};
use serde::{Deserialize, Serialize};

use crate::averaging::AveragingProgress;
use crate::loss_sum::LossSum;
use crate::{MovingLoss, Plan, RunEnd, Schedule};

/// The progress of a run: all of its state except the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// The current epoch, from 1; the plan's epochs plus 1 if all have ended.
    pub(crate) epoch: usize,
    /// The number of its batches that have been trained on or skipped.
    #[serde(alias = "chunk")] // The name up to version 0.1.0.
    pub(crate) batch: usize,
    /// The number of optimizer steps since the start of the run.
    pub(crate) steps: u64,
    /// The number of training tokens in these steps.
    pub(crate) tokens: u64,
    /// The number of steps skipped because a value was NaN or infinite.
    pub(crate) skipped: u64,
    /// The number of consecutive skipped steps up to now.
    pub(crate) skipped_in_a_row: u64,
    /// The number of rollbacks to a checkpoint because a value was NaN or infinite.
    pub(crate) rollbacks: usize,
    /// The sums over the epoch's steps so far.
    pub(crate) epoch_sum: LossSum,
    /// The sums over the steps since the last record.
    pub(crate) log_sum: LossSum,
    /// The losses since the last comparison with a uniform guess.
    #[serde(default)] // Missing up to version 0.1.0, as are all fields with this attribute.
    pub(crate) quarter_sum: LossSum,
    /// Whether the run has warned that its training loss is worse than that of a uniform guess.
    #[serde(default)]
    pub(crate) warned_of_loss: bool,
    pub(crate) moving_loss: MovingLoss,
    /// The gradient norm before clipping of the last step.
    #[serde(default)]
    pub(crate) gradient_norm: Option<f64>,
    pub(crate) schedule: Schedule,
    pub(crate) averaging: AveragingProgress,
    pub(crate) optimizer_steps: u64,
    pub(crate) best_epoch: Option<usize>,
    pub(crate) best_valid: Option<f64>,
    pub(crate) best_test: Option<f64>,
    /// The number of evaluations on the validation text since the best one.
    #[serde(default)]
    pub(crate) evaluations_without_best: usize,
    /// Why the run ended, if it has.
    #[serde(default)]
    pub(crate) end: Option<RunEnd>,
    /// Seconds spent on training steps.
    pub(crate) training_s: f64,
    /// Seconds since the start of the run, excluding interruptions.
    pub(crate) elapsed_s: f64,
    /// `elapsed_s` at the start of the epoch; unknown in the epoch that a checkpoint of version 0.1.0 is in.
    #[serde(default)]
    pub(crate) epoch_began_s: Option<f64>,
    /// The start of the run, in seconds since 1970.
    pub(crate) started_unix_s: f64,
    /// The changes of settings so far.
    #[serde(default)]
    pub(crate) changes: Vec<SettingsChange>,
}

/// A place in a run. A rollback returns to an earlier batch, but counts as later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    rollbacks: usize,
    epoch: usize,
    batch: usize,
}

/// When a run pauses, so that settings can be changed there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pause {
    /// At a place.
    At(Position),
    /// At a time or after a number of steps, whichever comes first.
    After {
        /// The time.
        time: Instant,
        /// The number of steps since the start of the run.
        steps: u64,
    },
}

impl From<&SettingsChange> for Position {
    fn from(change: &SettingsChange) -> Position {
        Position { rollbacks: change.rollbacks, epoch: change.epoch, batch: change.batch }
    }
}

impl Progress {
    /// The progress before the first step of a run with this plan.
    pub(crate) fn new(plan: &Plan) -> Progress {
        let optimization = &plan.optimization;
        Progress {
            epoch: 1,
            batch: 0,
            steps: 0,
            tokens: 0,
            skipped: 0,
            skipped_in_a_row: 0,
            rollbacks: 0,
            epoch_sum: LossSum::default(),
            log_sum: LossSum::default(),
            quarter_sum: LossSum::default(),
            warned_of_loss: false,
            moving_loss: MovingLoss::new(
                plan.training.moving_loss_decay,
                plan.training.moving_loss_correction,
            ),
            gradient_norm: None,
            schedule: Schedule::new(optimization.schedule, optimization.learning_rate)
                .with_warmup(optimization.warmup),
            averaging: AveragingProgress::default(),
            optimizer_steps: 0,
            best_epoch: None,
            best_valid: None,
            best_test: None,
            evaluations_without_best: 0,
            end: None,
            training_s: 0.0,
            elapsed_s: 0.0,
            epoch_began_s: None,
            started_unix_s: 0.0,
            changes: vec![],
        }
    }

    /// The number of batches since the start of the run that have been trained on or skipped.
    pub(crate) fn batches(&self) -> u64 {
        self.steps + self.skipped
    }

    /// The place that the run has reached.
    pub(crate) fn position(&self) -> Position {
        Position { rollbacks: self.rollbacks, epoch: self.epoch, batch: self.batch }
    }

    /// A change of settings at this place.
    pub(crate) fn change(&self, settings: Vec<Change>) -> SettingsChange {
        let Progress { epoch, batch, steps: step, rollbacks, .. } = *self;
        SettingsChange { epoch, batch, step, rollbacks, settings }
    }

    /// Moves to the beginning of the next epoch.
    pub(crate) fn next_epoch(&mut self) {
        self.epoch += 1;
        self.batch = 0;
        self.epoch_sum = LossSum::default();
        self.log_sum = LossSum::default();
        self.epoch_began_s = None;
    }

    /// Whether these values are plausible, so that counting can continue from them without overflow.
    pub(crate) fn is_plausible(&self) -> bool {
        /// Far more than any run can count, and far below overflow.
        const MOST: u64 = 1 << 53;
        let counts = [
            self.epoch as u64,
            self.batch as u64,
            self.steps,
            self.tokens,
            self.skipped,
            self.skipped_in_a_row,
            self.rollbacks as u64,
            self.optimizer_steps,
            self.schedule.epochs() as u64,
            self.averaging.most(),
            self.epoch_sum.tokens(),
            self.log_sum.tokens(),
            self.quarter_sum.tokens(),
            self.evaluations_without_best as u64,
        ];
        let times = [self.training_s, self.elapsed_s, self.epoch_began_s.unwrap_or(0.0), self.started_unix_s];
        self.epoch > 0
            && counts.into_iter().all(|count| count <= MOST)
            && times.into_iter().all(|time| (0.0..=MOST as f64).contains(&time))
    }
}
