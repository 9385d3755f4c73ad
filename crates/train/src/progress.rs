//! Where a run stands: the counts, sums and decisions that the training loop reads and writes.
//!
//! A checkpoint holds it as JSON, beside the tensors. So a number that the loop must remember is a field here, and
//! nothing has to be copied for a checkpoint or out of one.

use serde::{Deserialize, Serialize};

use crate::averaging::AveragingProgress;
use crate::loss_sum::LossSum;
use crate::{MovingLoss, Plan, Schedule};

/// Where a run stands: all of its state but for what is made of tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// The epoch under way, from 1; one more than the plan's epochs if all have ended.
    pub(crate) epoch: usize,
    /// How many of its batches have been trained on or skipped.
    #[serde(alias = "chunk")] // Its name until version 0.1.0.
    pub(crate) batch: usize,
    /// The optimizer's steps since the start of the run.
    pub(crate) steps: u64,
    /// The training tokens of these steps.
    pub(crate) tokens: u64,
    /// Steps that were not taken since a number was not finite.
    pub(crate) skipped: u64,
    /// How many of them came last, in a row.
    pub(crate) skipped_in_a_row: u64,
    /// How often training has gone back to a checkpoint since a number was not finite.
    pub(crate) rollbacks: usize,
    /// Losses of the epoch's steps so far.
    pub(crate) epoch_sum: LossSum,
    /// Losses of the steps since the last record.
    pub(crate) log_sum: LossSum,
    pub(crate) moving_loss: MovingLoss,
    pub(crate) schedule: Schedule,
    pub(crate) averaging: AveragingProgress,
    pub(crate) optimizer_steps: u64,
    pub(crate) best_epoch: Option<usize>,
    pub(crate) best_valid: Option<f64>,
    pub(crate) best_test: Option<f64>,
    /// Seconds spent on training steps.
    pub(crate) training_s: f64,
    /// Seconds since the start of the run, interruptions left out.
    pub(crate) elapsed_s: f64,
    /// When the run was started, in seconds since 1970.
    pub(crate) started_unix_s: f64,
}

impl Progress {
    /// Before the first step of a run by this plan.
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
            moving_loss: MovingLoss::new(plan.training.moving_loss_decay),
            schedule: Schedule::new(optimization.schedule, optimization.learning_rate),
            averaging: AveragingProgress::default(),
            optimizer_steps: 0,
            best_epoch: None,
            best_valid: None,
            best_test: None,
            training_s: 0.0,
            elapsed_s: 0.0,
            started_unix_s: 0.0,
        }
    }

    /// Goes to the beginning of the next epoch.
    pub(crate) fn next_epoch(&mut self) {
        self.epoch += 1;
        self.batch = 0;
        self.epoch_sum = LossSum::default();
        self.log_sum = LossSum::default();
    }

    /// Whether a run can come to these numbers, so that it can go on counting from them.
    pub(crate) fn can_be(&self) -> bool {
        /// More than a run counts in the age of the world, and far less than overflows.
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
        ];
        let times = [self.training_s, self.elapsed_s, self.started_unix_s];
        self.epoch > 0
            && counts.into_iter().all(|count| count <= MOST)
            && times.into_iter().all(|time| (0.0..=MOST as f64).contains(&time))
    }
}
