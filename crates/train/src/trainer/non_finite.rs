//! What follows from a loss or gradient that is NaN or infinite.

use super::run::Run;
use crate::checkpoint::Checkpoint;
use crate::error::Tried;
use crate::observer::Event;
use crate::step::{NonFinite, Quantity};
use crate::{NonFiniteRule, Result, TrainError};

/// So many steps in a row that cannot be taken show that it is not the text that is at fault.
const MOST_SKIPS_IN_A_ROW: u64 = 20;

/// How training goes on after a step that could not be taken.
pub(super) enum Remedy {
    /// With the next batch.
    NextBatch,
    /// From an earlier place.
    RolledBack,
}

impl Run<'_> {
    /// Does what the plan says about a step that could not be taken; the weights are as they were before it.
    pub(super) fn remedy(&mut self, NonFinite { what, found }: NonFinite) -> Result<Remedy> {
        // The step that would have been the next.
        let (epoch, step) = (self.progress.epoch, self.progress.steps + 1);
        match self.plan.training.non_finite {
            NonFiniteRule::Stop => Err(self.non_finite(what, found, Tried::Nothing)),
            NonFiniteRule::Skip => {
                if self.progress.skipped_in_a_row >= MOST_SKIPS_IN_A_ROW {
                    return Err(self.non_finite(what, found, Tried::Skips(self.progress.skipped_in_a_row)));
                }
                self.progress.skipped += 1;
                self.progress.skipped_in_a_row += 1;
                // It may be what the layers remember that is at fault.
                self.learner.state.clear();
                self.watch.tell(Event::Skipped { what, found, epoch, step });
                Ok(Remedy::NextBatch)
            }
            NonFiniteRule::Rollback { times, factor } => {
                if self.progress.rollbacks >= times {
                    return Err(self.non_finite(what, found, Tried::Rollbacks(self.progress.rollbacks)));
                }
                let rollbacks = self.progress.rollbacks + 1;
                let Some((checkpoint, _)) = Checkpoint::latest(self.output.folder)? else {
                    return Err(self.non_finite(what, found, Tried::Nothing));
                };
                self.restore(&checkpoint)?;
                self.progress.rollbacks = rollbacks;
                self.progress.schedule.scale_learning_rate(factor);
                let (to_step, learning_rate) = (self.progress.steps, self.progress.schedule.learning_rate());
                self.watch.tell(Event::RolledBack { what, found, epoch, step, to_step, learning_rate });
                // Whoever goes on from here must do so with the lower rate, and not count anew.
                self.save_checkpoint()?;
                Ok(Remedy::RolledBack)
            }
        }
    }

    /// Fails unless every weight is finite, so that it can be kept as the best.
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

    fn non_finite(&self, what: Quantity, found: f64, tried: Tried) -> TrainError {
        let best = self.progress.best_epoch.map(|_| self.output.folder.best_model());
        let (epoch, step) = (self.progress.epoch, self.progress.steps + 1);
        TrainError::NonFinite { what, found, epoch, step, tried, best }
    }
}
