//! Learning rate schedules, and the choice of the best epoch.
//!
//! Some rules decide at the end of an epoch, others decrease the learning rate with every step of the run; warm-up
//! comes before any of them.
//!
//! ```text
//! start of a step ─▶ step number, position in the run ─▶ Schedule::before_step ─▶ learning rate of the step
//!
//! end of epoch ─▶ validation loss ─▶ Schedule::after_epoch ─▶ Decision
//!                                      │ best so far            is_best        save, evaluate on test
//!                                      │ learning rate          learning_rate  of the next epoch
//!                                      │ epochs without a best  reload_best    restore the best weights
//! ```
//!
//! Promises: a loss that is not finite is never the best; a schedule that is saved and loaded continues as if
//! uninterrupted. Not here: the weights (the trainer keeps, saves and restores them).
//!
//! *Source*: linear warm-up for large steps, Goyal et al. 2017; its length for Adam, Ma & Yarats 2021; cosine decay,
//! Loshchilov & Hutter 2017.

use std::f64::consts::PI;

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
    /// With every step, along a line from the learning rate `η` to the minimum `m` at the end of the run.
    ///
    /// ```text
    /// rate = m + (η − m) · (1 − q)        q: the part of the decay that precedes the step, from 0 to 1
    /// ```
    Linear {
        /// The minimum; 0 is a decay to zero. The rate does not change if it is below this.
        min_learning_rate: f64,
    },
    /// With every step, along half a period of a cosine to the minimum at the end of the run.
    ///
    /// ```text
    /// rate = m + (η − m) · (1 + cos πq) / 2
    /// ```
    Cosine {
        /// The minimum; 0 is a decay to zero. The rate does not change if it is below this.
        min_learning_rate: f64,
    },
}

impl ScheduleRule {
    /// Whether the learning rate decreases with every step until the end of the run, so that it depends on the length
    /// of the run.
    pub fn decays_over_run(&self) -> bool {
        matches!(self, ScheduleRule::Linear { .. } | ScheduleRule::Cosine { .. })
    }

    /// The learning rate after a part of the decay that starts from `highest`.
    fn decayed(&self, highest: f64, part: f64) -> f64 {
        let (minimum, remaining) = match *self {
            ScheduleRule::Linear { min_learning_rate } => (min_learning_rate, 1.0 - part),
            ScheduleRule::Cosine { min_learning_rate } => {
                (min_learning_rate, 0.5 * (1.0 + (PI * part).cos()))
            }
            _ => return highest,
        };
        let minimum = minimum.min(highest);
        minimum + (highest - minimum) * remaining
    }

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
    /// The learning rate of the next epoch: see [`Schedule::learning_rate`].
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
///
/// // Ten steps: two of warm-up, then a decay over the remaining eight.
/// let mut schedule = Schedule::new(ScheduleRule::Linear { min_learning_rate: 0.0 }, 6.0).with_warmup(2);
/// let rates: Vec<f64> = (0..10).map(|step| schedule.before_step(step, step as f64 / 10.0)).collect();
/// assert_eq!(rates[..3], [2.0, 4.0, 6.0]);
/// assert!((rates[6] - 3.0).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    rule: ScheduleRule,
    /// The learning rate before a decay over the run.
    learning_rate: f64,
    /// Since the start or the last change.
    epochs: usize,
    best_loss: Option<f64>,
    epochs_without_best: usize,
    /// The number of steps of the run with a lower learning rate.
    #[serde(default)] // Missing up to version 0.1.0, as are the fields below.
    warmup: u64,
    /// The position in the run at which the decay over the run starts, if it has started.
    #[serde(default)]
    decay_start: Option<f64>,
    /// The part of the decay over the run that precedes the last step, from 0 to 1.
    #[serde(default)]
    decay_part: f64,
    /// The learning rate of the last step.
    #[serde(default)]
    last_step: Option<f64>,
}

impl Schedule {
    /// The schedule at the start of the first epoch.
    pub fn new(rule: ScheduleRule, learning_rate: f64) -> Self {
        Schedule {
            rule,
            learning_rate,
            epochs: 0,
            best_loss: None,
            epochs_without_best: 0,
            warmup: 0,
            decay_start: None,
            decay_part: 0.0,
            last_step: None,
        }
    }

    /// The same schedule with a linear warm-up over the first steps of the run: step `n`, counted from 0, has
    /// `(n + 1) / (steps + 1)` times the learning rate. A decay over the run starts after the warm-up.
    pub fn with_warmup(self, steps: u64) -> Self {
        Schedule { warmup: steps, ..self }
    }

    /// The learning rate of the next epoch, or of the last step if the rate decreases with every step; without
    /// warm-up.
    pub fn learning_rate(&self) -> f64 {
        self.rule.decayed(self.learning_rate, self.decay_part)
    }

    /// The learning rate of the last step, with warm-up. Before the first step, that of the first epoch.
    pub fn step_learning_rate(&self) -> f64 {
        self.last_step.unwrap_or(self.learning_rate)
    }

    /// The learning rate of the next step, with warm-up. `steps` is the number of steps taken so far, and `position` the
    /// part of the run that precedes the step, from 0 to 1. It may be called several times before a step.
    pub fn before_step(&mut self, steps: u64, position: f64) -> f64 {
        let mut warmth = 1.0;
        if steps < self.warmup {
            warmth = (steps as f64 + 1.0) / (self.warmup as f64 + 1.0);
        } else if self.rule.decays_over_run() {
            let start = *self.decay_start.get_or_insert(position);
            self.decay_part = ((position - start) / (1.0 - start)).clamp(0.0, 1.0);
        }
        let learning_rate = warmth * self.learning_rate();
        self.last_step = Some(learning_rate);
        learning_rate
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
    /// epochs without improvement restart at 0, and a decay over the run starts at the next step; the lowest loss so far
    /// is kept.
    pub fn change(&mut self, rule: ScheduleRule, learning_rate: Option<f64>) {
        self.learning_rate = learning_rate.unwrap_or(self.learning_rate());
        self.rule = rule;
        self.epochs = 0;
        self.epochs_without_best = 0;
        self.decay_start = None;
        self.decay_part = 0.0;
    }

    /// Multiplies the learning rate, or that of `other` if that is lower, independently of the rule.
    pub(crate) fn lower_learning_rate(&mut self, other: &Schedule, factor: f64) {
        self.learning_rate = self.learning_rate.min(other.learning_rate) * factor;
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
        Decision { is_best, learning_rate: self.learning_rate(), reload_best }
    }

    /// Reduces the learning rate if it is due; returns whether to continue from the best weights.
    fn decay(&mut self) -> bool {
        match self.rule {
            ScheduleRule::Constant | ScheduleRule::Linear { .. } | ScheduleRule::Cosine { .. } => false,
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
mod tests;
