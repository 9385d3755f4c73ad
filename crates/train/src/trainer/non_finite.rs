//! Handles a loss or gradient that is NaN or infinite.

use super::run::Run;
use crate::checkpoint::Checkpoint;
use crate::error::Tried;
use crate::observer::Event;
use crate::step::{NonFinite, Quantity};
use crate::{NonFiniteRule, Result, TrainError};

/// The maximum number of consecutive skipped steps. After that, the cause is the weights and not the text.
const MOST_SKIPS_IN_A_ROW: u64 = 20;

/// How training continues after a step that could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Continue with the next batch.
    NextBatch,
    /// Continue from an earlier checkpoint.
    RolledBack,
}

impl Run<'_> {
    /// Handles a step that could not be taken as the plan says. The weights are unchanged by that step.
    pub(super) fn remedy(&mut self, NonFinite { what, found }: NonFinite) -> Result<Remedy> {
        let (epoch, step) = (self.progress.epoch, self.step_of(what));
        match self.plan.training.non_finite {
            NonFiniteRule::Stop => Err(self.non_finite(what, found, Tried::Nothing)),
            NonFiniteRule::Skip => {
                if self.progress.skipped_in_a_row >= MOST_SKIPS_IN_A_ROW {
                    return Err(self.non_finite(what, found, Tried::Skips(self.progress.skipped_in_a_row)));
                }
                self.progress.skipped += 1;
                self.progress.skipped_in_a_row += 1;
                // The cause may be the hidden state. That of a deferred step is zero already.
                if !self.learner.defers_steps() {
                    self.learner.clear_state();
                }
                self.watch.notify(Event::Skipped { what, found, epoch, step });
                Ok(Remedy::NextBatch)
            }
            NonFiniteRule::Rollback { times, factor } => {
                if self.progress.rollbacks >= times {
                    return Err(self.non_finite(what, found, Tried::Rollbacks(self.progress.rollbacks)));
                }
                let rollbacks = self.progress.rollbacks + 1;
                // A checkpoint from this step would fail again at once, since its weights are these.
                let latest = Checkpoint::of_first_rank(&**self.learner.ranks(), || {
                    Checkpoint::latest_before(self.output.folder, self.progress.steps)
                })?;
                let Some(checkpoint) = latest else {
                    return Err(self.non_finite(what, found, Tried::Nothing));
                };
                let before = self.progress.schedule.clone();
                self.restore(&checkpoint)?;
                self.progress.rollbacks = rollbacks;
                self.progress.schedule.lower_learning_rate(&before, factor);
                let (to_step, learning_rate) = (self.progress.steps, self.progress.schedule.learning_rate());
                self.watch.notify(Event::RolledBack { what, found, epoch, step, to_step, learning_rate });
                // A run resumed from here must use the lower rate and keep the count of rollbacks.
                self.save_checkpoint()?;
                Ok(Remedy::RolledBack)
            }
        }
    }

    /// Fails unless all weights are finite, which is required of the best model.
    pub(super) fn require_finite_weights(&self) -> Result<()> {
        match self.non_finite_weights()? {
            None => Ok(()),
            Some(NonFinite { what, found }) => Err(self.non_finite(what, found, Tried::Nothing)),
        }
    }

    /// The norm of the weights, if it is not finite: then some weight is not.
    pub(super) fn non_finite_weights(&self) -> Result<Option<NonFinite>> {
        let found = self.learner.weight_norm()?;
        Ok((!found.is_finite()).then_some(NonFinite { what: Quantity::WeightNorm, found }))
    }

    /// The number of the step at which a quantity became NaN or infinite: the step that was not taken, or the last one
    /// before an evaluation.
    fn step_of(&self, what: Quantity) -> u64 {
        match what {
            Quantity::ValidationLoss | Quantity::TestLoss => self.progress.steps,
            _ => self.progress.steps + 1,
        }
    }

    pub(super) fn non_finite(&self, what: Quantity, found: f64, tried: Tried) -> TrainError {
        let best = self.progress.best_epoch.map(|_| self.output.folder.best_model());
        let (epoch, step) = (self.progress.epoch, self.step_of(what));
        TrainError::NonFinite { what, found, epoch, step, tried, best }
    }
}
