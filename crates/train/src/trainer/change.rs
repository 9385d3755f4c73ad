//! Changes settings in the middle of a run.
//!
//! Most settings are only read from the plan, so a new plan is enough. This is about those with a state: the learning
//! rate, its schedule, and averaging. (Momentum that is turned on starts with a velocity of zero, and the best
//! weights for `reload_best` are read from the best model: see where the checkpoint is restored.)

use super::run::{Run, with_effect};
use crate::resume::{AVERAGING, LEARNING_RATE, MIN_LEARNING_RATE, SCHEDULE};
use crate::{Result, RunEnd};
use rondo_runs::Change;

impl Run<'_> {
    /// Applies changed settings, which the plan already has, to the restored state; then writes a checkpoint, so that
    /// the changes are part of the run from here.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Result<()> {
        let changes = with_effect(changes);
        if changes.is_empty() {
            return Ok(());
        }
        let has_changed =
            |settings: &[&str]| changes.iter().any(|change| settings.contains(&change.setting.as_str()));
        let optimization = &self.plan.optimization;
        let rate = has_changed(&[LEARNING_RATE]).then_some(optimization.learning_rate);
        // A schedule that decays over the run contains its minimum.
        let has_changed_minimum =
            optimization.schedule.decays_over_run() && has_changed(&[MIN_LEARNING_RATE]);
        if rate.is_some() || has_changed(SCHEDULE) || has_changed_minimum {
            self.progress.schedule.change(optimization.schedule, rate);
        }
        if has_changed(AVERAGING) {
            self.learner.averaging_changed(self.progress);
        }
        let change = self.progress.change(changes);
        self.progress.changes.push(change);
        // A run that had ended may continue with the changed settings.
        self.progress.end = RunEnd::of(self.plan, self.progress);
        self.save_checkpoint()
    }
}
