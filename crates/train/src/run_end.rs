//! Why a run ends: all epochs are done, or it stops early.
//!
//! The decision depends only on the plan and the progress at the end of an epoch. So a resumed run decides as the
//! uninterrupted one does, and a run that has stopped early continues if it is resumed with other settings.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Plan;
use crate::progress::Progress;

/// Why a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum RunEnd {
    /// All epochs of the plan are complete.
    Epochs,
    /// The maximum number of steps is reached.
    Steps {
        /// That number.
        steps: u64,
    },
    /// Early stopping: the validation loss did not improve.
    EarlyStopping {
        /// The number of evaluations since the best one.
        evaluations: usize,
    },
    /// The learning rate would be below its minimum.
    MinLearningRate {
        /// The learning rate that the next epoch would have.
        learning_rate: f64,
        /// The minimum.
        minimum: f64,
    },
}

impl RunEnd {
    /// The end of a run that has made this progress; `None` if it is to continue.
    pub(crate) fn of(plan: &Plan, progress: &Progress) -> Option<RunEnd> {
        if progress.epoch > plan.training.epochs && !plan.training.is_unplanned() {
            return Some(RunEnd::Epochs);
        }
        if let Some(steps) = plan.training.max_steps.filter(|&steps| progress.batches() >= steps) {
            return Some(RunEnd::Steps { steps });
        }
        if progress.batch > 0 {
            return None; // An epoch that has begun is completed.
        }
        let evaluations = progress.evaluations_without_best;
        if plan.training.early_stopping.is_some_and(|most| evaluations >= most) {
            return Some(RunEnd::EarlyStopping { evaluations });
        }
        let learning_rate = progress.schedule.learning_rate();
        let minimum = plan.optimization.min_learning_rate.filter(|&minimum| learning_rate < minimum);
        minimum.map(|minimum| RunEnd::MinLearningRate { learning_rate, minimum })
    }

    /// Whether the run has ended because of what happened in it.
    pub fn is_early(&self) -> bool {
        !self.is_complete()
    }

    /// Whether all training that the plan asks for is done.
    pub fn is_complete(&self) -> bool {
        matches!(self, RunEnd::Epochs | RunEnd::Steps { .. })
    }

    /// A short name: `epochs`, `steps`, `early-stopping` or `min-learning-rate`.
    pub fn name(&self) -> &'static str {
        match self {
            RunEnd::Epochs => "epochs",
            RunEnd::Steps { .. } => "steps",
            RunEnd::EarlyStopping { .. } => "early-stopping",
            RunEnd::MinLearningRate { .. } => "min-learning-rate",
        }
    }
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunEnd::Epochs => write!(f, "all epochs are complete"),
            RunEnd::Steps { steps } => write!(f, "the maximum of {steps} steps is reached"),
            RunEnd::EarlyStopping { evaluations: 1 } => write!(f, "no improvement in the last evaluation"),
            RunEnd::EarlyStopping { evaluations } => {
                write!(f, "no improvement in the last {evaluations} evaluations")
            }
            RunEnd::MinLearningRate { learning_rate, minimum } => {
                write!(f, "the learning rate would be {learning_rate}, below the minimum of {minimum}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Settings, Validation};

    const SETTINGS: &str = "[training]\nepochs = 9\nearly_stopping = 3\n\
                            [optimization]\nlearning_rate = 8\ndecay_factor = 0.5\nmin_learning_rate = 2";

    fn plan(text: &str) -> Plan {
        Plan::new(&Settings::parse("test", text).unwrap()).unwrap()
    }

    #[test]
    fn a_run_ends_with_its_last_epoch_or_before() {
        let plan = plan(SETTINGS);
        let mut progress = Progress::new(&plan);
        assert_eq!(RunEnd::of(&plan, &progress), None);
        progress.evaluations_without_best = 3;
        let end = RunEnd::of(&plan, &progress).unwrap();
        assert_eq!((end.name(), end.is_early()), ("early-stopping", true));
        assert_eq!(end.to_string(), "no improvement in the last 3 evaluations");
        // In the middle of an epoch, a run does not end.
        assert_eq!(RunEnd::of(&plan, &Progress { batch: 1, ..progress.clone() }), None);
        progress.epoch = 10;
        assert_eq!(RunEnd::of(&plan, &progress), Some(RunEnd::Epochs));
    }

    #[test]
    fn a_rate_below_the_minimum_ends_the_run_but_not_the_minimum_itself() {
        let plan = plan(SETTINGS);
        let mut progress = Progress::new(&plan);
        progress.schedule.after_epoch(Validation::Loss(5.0));
        for expected in [4.0, 2.0] {
            assert_eq!(progress.schedule.after_epoch(Validation::Loss(6.0)).learning_rate, expected);
            assert_eq!(RunEnd::of(&plan, &progress), None);
        }
        progress.schedule.after_epoch(Validation::Loss(6.0));
        let end = RunEnd::of(&plan, &progress);
        assert_eq!(end, Some(RunEnd::MinLearningRate { learning_rate: 1.0, minimum: 2.0 }));
        assert_eq!(end.unwrap().to_string(), "the learning rate would be 1, below the minimum of 2");
    }

    #[test]
    fn an_end_survives_being_saved() {
        for end in [
            RunEnd::Epochs,
            RunEnd::EarlyStopping { evaluations: 2 },
            RunEnd::MinLearningRate { learning_rate: 0.1, minimum: 0.2 },
        ] {
            let saved = serde_json::to_string(&end).unwrap();
            assert!(saved.contains(&format!(r#""kind":"{}""#, end.name())), "{saved}");
            assert_eq!(serde_json::from_str::<RunEnd>(&saved).unwrap(), end);
        }
    }
}
