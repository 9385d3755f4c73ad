//! What becomes of numbers that are infinite or none at all.

use rondo_kernels::optimiser;
use rondo_nn::{Model, NnError};

use super::Run;
use crate::checkpoint::Checkpoint;
use crate::error::Tried;
use crate::observer::Event;
use crate::step::NonFinite;
use crate::{NonFiniteRule, Result, TrainError};

/// So many steps in a row that cannot be taken show that it is not the text that is at fault.
const MOST_SKIPS_IN_A_ROW: u64 = 20;

/// How training goes on after a step that could not be taken.
pub(super) enum Remedy {
    /// With the next chunk.
    NextChunk,
    /// From an earlier place.
    RolledBack,
}

impl Run<'_> {
    /// Does what the plan says about a step that could not be taken; the weights are as they were before it.
    pub(super) fn remedy(&mut self, NonFinite { what, found }: NonFinite) -> Result<Remedy> {
        // The step that would have been the next.
        let (epoch, step) = (self.place.epoch, self.outcome.steps + 1);
        match self.plan.training.non_finite {
            NonFiniteRule::Stop => Err(self.non_finite(what, found, Tried::Nothing)),
            NonFiniteRule::Skip => {
                if self.skipped_in_a_row >= MOST_SKIPS_IN_A_ROW {
                    return Err(self.non_finite(what, found, Tried::Skips(self.skipped_in_a_row)));
                }
                self.skipped += 1;
                self.skipped_in_a_row += 1;
                // It may be what the layers remember that is at fault.
                self.place.state.clear();
                self.observer.observe(Event::Skipped { what, found, epoch, step });
                Ok(Remedy::NextChunk)
            }
            NonFiniteRule::Rollback { times, factor } => {
                if self.rollbacks >= times {
                    return Err(self.non_finite(what, found, Tried::Rollbacks(self.rollbacks)));
                }
                let rollbacks = self.rollbacks + 1;
                let Some((checkpoint, _)) = Checkpoint::latest(self.folder)? else {
                    return Err(self.non_finite(what, found, Tried::Nothing));
                };
                self.restore(&checkpoint)?;
                self.rollbacks = rollbacks;
                self.schedule.scale_learning_rate(factor);
                let (to_step, learning_rate) = (self.outcome.steps, self.schedule.learning_rate());
                self.observer.observe(Event::RolledBack { what, found, epoch, step, to_step, learning_rate });
                // Whoever goes on from here must do so with the lower rate, and not count anew.
                self.save_checkpoint()?;
                Ok(Remedy::RolledBack)
            }
        }
    }

    /// Fails unless every weight is a finite number, so that it can be kept as the best.
    pub(super) fn require_finite_weights(&self) -> Result<()> {
        if self.weights_are_finite()? {
            Ok(())
        } else {
            Err(self.non_finite("weights", f64::NAN, Tried::Nothing))
        }
    }

    pub(super) fn weights_are_finite(&self) -> Result<bool> {
        let parameters = self.model.parameters();
        let mut squares = 0.0;
        for id in parameters.ids() {
            let square = optimiser::squared_norm(parameters.device(), parameters.values(id));
            squares += square.map_err(NnError::from)?;
        }
        Ok(squares.is_finite())
    }

    fn non_finite(&self, what: &'static str, found: f64, tried: Tried) -> TrainError {
        let best = self.outcome.best_epoch.map(|_| self.folder.best_model());
        let (epoch, step) = (self.place.epoch, self.outcome.steps + 1);
        TrainError::NonFinite { what, found, epoch, step, tried, best }
    }
}
