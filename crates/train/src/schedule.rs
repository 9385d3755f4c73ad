//! Learning rate schedules, and the choice of the best epoch.
//!
//! ```text
//! end of epoch ─▶ validation loss ─▶ Schedule::after_epoch ─▶ Decision
//!                                      │ best so far            is_best        save, evaluate on test
//!                                      │ learning rate          learning_rate  of the next epoch
//!                                      │ epochs without a best  reload_best    restore the best weights
//! ```
//!
//! Promises: a loss that is not finite is never the best; a schedule that is saved and loaded continues as if
//! uninterrupted. Not here: the weights (the trainer keeps, saves and restores them).

use serde::{Deserialize, Serialize};

/// When the learning rate is reduced, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ScheduleRule {
    /// Never.
    Constant,
    /// After `patience` validated epochs in a row without improvement.
    Plateau {
        /// The factor by which the learning rate is multiplied.
        decay_factor: f64,
        /// The number of epochs without improvement, at least 1.
        patience: usize,
        /// Whether training then continues from the best weights instead of the latest.
        reload_best: bool,
    },
    /// Every `decay_every` epochs, regardless of the losses.
    Step {
        /// The factor by which the learning rate is multiplied.
        decay_factor: f64,
        /// The number of epochs between reductions, at least 1.
        decay_every: usize,
    },
}

impl ScheduleRule {
    /// Whether training may continue from the best weights.
    pub fn reloads_best(&self) -> bool {
        matches!(self, ScheduleRule::Plateau { reload_best: true, .. })
    }
}

/// The result of the validation at the end of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Validation {
    /// The loss on the validation text: the mean negative log-likelihood in nats per token.
    Loss(f64),
    /// There is a validation text, but no evaluation was due after this epoch.
    NotDue,
    /// There is no validation text. Epochs cannot be compared, so the latest epoch counts as the best.
    NoText,
}

/// What to do at the end of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Whether the weights are the best so far.
    pub is_best: bool,
    /// The learning rate of the next epoch.
    pub learning_rate: f64,
    /// Whether to continue from the best weights instead of the latest.
    pub reload_best: bool,
}

/// A learning rate schedule: a [`ScheduleRule`] and its state. Serialize it to save the state.
///
/// ```
/// use rondo_train::{Schedule, ScheduleRule, Validation};
///
/// let rule = ScheduleRule::Plateau { decay_factor: 0.25, patience: 1, reload_best: false };
/// let mut schedule = Schedule::new(rule, 20.0);
/// assert!(schedule.after_epoch(Validation::Loss(5.3)).is_best);
/// let decision = schedule.after_epoch(Validation::Loss(5.4));
/// assert!(!decision.is_best);
/// assert_eq!(decision.learning_rate, 5.0);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    rule: ScheduleRule,
    learning_rate: f64,
    /// Since the start or the last change.
    epochs: usize,
    best_loss: Option<f64>,
    epochs_without_best: usize,
}

impl Schedule {
    /// The schedule at the start of the first epoch.
    pub fn new(rule: ScheduleRule, learning_rate: f64) -> Self {
        Schedule { rule, learning_rate, epochs: 0, best_loss: None, epochs_without_best: 0 }
    }

    /// The learning rate of the next epoch.
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// The lowest validation loss so far, in nats per token.
    pub fn best_loss(&self) -> Option<f64> {
        self.best_loss
    }

    /// The number of completed epochs since the start, or since the last [`change`](Self::change).
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// Sets the validation loss of the model before the first epoch, which later epochs must improve on.
    ///
    /// Without a validation text there is nothing to compare, and the latest model counts as the best.
    pub fn begin_with(&mut self, validation: Validation) {
        if let Validation::Loss(loss) = validation
            && loss.is_finite()
        {
            self.best_loss = Some(loss);
        }
    }

    /// Continues with another rule, and with another learning rate if one is given. The counts of epochs and of
    /// epochs without improvement restart at 0; the lowest loss so far is kept.
    pub fn change(&mut self, rule: ScheduleRule, learning_rate: Option<f64>) {
        self.rule = rule;
        self.learning_rate = learning_rate.unwrap_or(self.learning_rate);
        self.epochs = 0;
        self.epochs_without_best = 0;
    }

    /// Multiplies the learning rate, or `highest` if that is lower, independently of the rule.
    pub(crate) fn lower_learning_rate(&mut self, highest: f64, factor: f64) {
        self.learning_rate = self.learning_rate.min(highest) * factor;
    }

    /// Updates the schedule at the end of an epoch and decides how to continue.
    pub fn after_epoch(&mut self, validation: Validation) -> Decision {
        self.epochs += 1;
        let is_best = match validation {
            Validation::Loss(loss) => loss.is_finite() && self.best_loss.is_none_or(|best| loss < best),
            Validation::NotDue => false,
            Validation::NoText => true,
        };
        if let Validation::Loss(loss) = validation {
            if is_best {
                self.best_loss = Some(loss);
                self.epochs_without_best = 0;
            } else {
                self.epochs_without_best += 1;
            }
        }
        let reload_best = self.decay();
        Decision { is_best, learning_rate: self.learning_rate, reload_best }
    }

    /// Reduces the learning rate if it is due; returns whether to continue from the best weights.
    fn decay(&mut self) -> bool {
        match self.rule {
            ScheduleRule::Constant => false,
            ScheduleRule::Plateau { decay_factor, patience, reload_best } => {
                let due = self.epochs_without_best >= patience;
                if due {
                    self.learning_rate *= decay_factor;
                    self.epochs_without_best = 0;
                }
                due && reload_best && self.best_loss.is_some()
            }
            ScheduleRule::Step { decay_factor, decay_every } => {
                if self.epochs.is_multiple_of(decay_every) {
                    self.learning_rate *= decay_factor;
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `rule` from a learning rate of 16 and returns its decisions: best, rate, reload.
    fn decisions(rule: ScheduleRule, losses: &[f64]) -> Vec<(bool, f64, bool)> {
        let mut schedule = Schedule::new(rule, 16.0);
        losses
            .iter()
            .map(|&loss| schedule.after_epoch(Validation::Loss(loss)))
            .map(|decision| (decision.is_best, decision.learning_rate, decision.reload_best))
            .collect()
    }

    fn plateau(patience: usize, reload_best: bool) -> ScheduleRule {
        ScheduleRule::Plateau { decay_factor: 0.25, patience, reload_best }
    }

    #[test]
    fn a_plateau_lowers_the_rate_whenever_an_epoch_is_no_better() {
        let expected = [(true, 16.0, false), (false, 4.0, false), (true, 4.0, false), (false, 1.0, false)];
        assert_eq!(decisions(plateau(1, false), &[5.0, 5.0, 4.0, 4.5]), expected);
    }

    #[test]
    fn a_plateau_can_go_on_from_the_best() {
        let expected = [(true, 16.0, false), (false, 4.0, true), (false, 1.0, true)];
        assert_eq!(decisions(plateau(1, true), &[5.0, 6.0, 6.0]), expected);
    }

    #[test]
    fn patience_counts_epochs_since_the_best_or_the_last_decay() {
        let expected = [(true, 16.0), (false, 16.0), (false, 4.0), (false, 4.0), (true, 4.0), (false, 4.0)];
        let found = decisions(plateau(2, false), &[5.0, 6.0, 6.0, 6.0, 4.0, 6.0]);
        assert_eq!(found.iter().map(|&(best, rate, _)| (best, rate)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_not_finite_is_never_best_and_there_is_then_nothing_to_reload() {
        let expected = [(false, 4.0, false), (false, 1.0, false), (true, 1.0, false), (false, 0.25, true)];
        assert_eq!(decisions(plateau(1, true), &[f64::NAN, f64::INFINITY, 9.0, f64::NAN]), expected);
    }

    #[test]
    fn a_step_lowers_the_rate_every_so_many_epochs() {
        let rule = ScheduleRule::Step { decay_factor: 0.5, decay_every: 2 };
        let rates: Vec<f64> = decisions(rule, &[3.0; 5]).iter().map(|decision| decision.1).collect();
        assert_eq!(rates, [16.0, 8.0, 8.0, 4.0, 4.0]);
    }

    #[test]
    fn without_a_validation_text_the_latest_is_the_best_and_a_plateau_never_ends() {
        let mut schedule = Schedule::new(plateau(1, true), 16.0);
        for _ in 0..3 {
            let expected = Decision { is_best: true, learning_rate: 16.0, reload_best: false };
            assert_eq!(schedule.after_epoch(Validation::NoText), expected);
        }
        assert_eq!(schedule.best_loss(), None);
    }

    #[test]
    fn an_epoch_that_is_not_evaluated_changes_nothing() {
        let mut schedule = Schedule::new(plateau(1, false), 16.0);
        schedule.after_epoch(Validation::Loss(5.0));
        let expected = Decision { is_best: false, learning_rate: 16.0, reload_best: false };
        assert_eq!(schedule.after_epoch(Validation::NotDue), expected);
        assert_eq!((schedule.epochs(), schedule.best_loss()), (2, Some(5.0)));
    }

    #[test]
    fn a_model_that_is_there_must_be_beaten() {
        let mut schedule = Schedule::new(plateau(1, true), 16.0);
        schedule.begin_with(Validation::Loss(5.0));
        let expected = Decision { is_best: false, learning_rate: 4.0, reload_best: true };
        assert_eq!(schedule.after_epoch(Validation::Loss(5.5)), expected);
        assert!(schedule.after_epoch(Validation::Loss(4.5)).is_best);
    }

    #[test]
    fn a_change_sets_the_rate_and_restarts_the_counts_but_not_the_best() {
        let mut schedule = Schedule::new(plateau(2, false), 16.0);
        for loss in [5.0, 6.0] {
            schedule.after_epoch(Validation::Loss(loss));
        }
        schedule.change(plateau(2, false), Some(3.0));
        assert_eq!((schedule.learning_rate(), schedule.best_loss()), (3.0, Some(5.0)));
        let rates = [6.0, 6.0].map(|loss| schedule.after_epoch(Validation::Loss(loss)).learning_rate);
        assert_eq!(rates, [3.0, 0.75]);

        schedule.change(ScheduleRule::Step { decay_factor: 0.5, decay_every: 2 }, None);
        let rates = [6.0, 6.0].map(|loss| schedule.after_epoch(Validation::Loss(loss)).learning_rate);
        assert_eq!(rates, [0.75, 0.375]);
    }

    #[test]
    fn a_saved_schedule_goes_on_as_if_uninterrupted() {
        let losses = [5.0, 5.1, 4.9, 5.2, 5.3, 5.3, 4.0];
        for rule in [plateau(2, true), ScheduleRule::Step { decay_factor: 0.1, decay_every: 3 }] {
            let whole = decisions(rule, &losses);
            let mut schedule = Schedule::new(rule, 16.0);
            for (loss, expected) in losses.into_iter().zip(whole) {
                let saved = serde_json::to_string(&schedule).unwrap();
                schedule = serde_json::from_str(&saved).unwrap();
                let found = schedule.after_epoch(Validation::Loss(loss));
                assert_eq!((found.is_best, found.learning_rate, found.reload_best), expected);
            }
        }
    }
}
