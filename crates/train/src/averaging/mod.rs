//! Weight averaging: the average of the weights over many steps is often a better model than the weights of
//! one step.
//!
//! With a constant learning rate the weights end up moving around a minimum, and their mean is closer to it.
//! A mean from the first step would include the weights on the way to the minimum. So it begins later, for example when
//! the validation loss stops improving, or it forgets early weights exponentially.
//!
//! Promises: training continues with the weights themselves, as if there were no average.
//! Not here: evaluating and saving the average (the trainer swaps it in for that).
//!
//! *Source*: Polyak & Juditsky 1992; the trigger is that of NT-ASGD, Merity, Keskar & Socher 2017. Exponential moving
//! average with bias correction: Kingma & Ba 2015, section 7.2.

mod lag;

use rondo_kernels::optimizer;
use rondo_nn::tensor_file::{Tensor, TensorFile};
use rondo_nn::{Gradient, Gradients, Parameters, parameter_tensors, read_parameters};
use serde::{Deserialize, Serialize};

use crate::Result;
use lag::Lag;

/// When averaging of the weights begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AveragingRule {
    /// Never.
    Off,
    /// After `patience` validated epochs in a row without improvement: non-monotonically triggered ASGD
    /// (NT-ASGD).
    Stalled {
        /// The number of epochs without improvement, at least 1.
        patience: usize,
    },
    /// After a fixed number of epochs (ASGD).
    After {
        /// The number of epochs; 0 averages from the first step.
        epochs: usize,
    },
    /// For the last steps of the run.
    Tail {
        /// Their fraction of the run's steps, above 0 and at most 1.
        fraction: f64,
    },
    /// From the first step, as an exponential moving average.
    ///
    /// ```text
    /// average[n] = (1 − d) · Σ d^(n−i) · w[i] / (1 − d^n)        for i from 1 to n
    /// ```
    ///
    /// The divisor corrects the bias: the weights before the first step do not count, and the weights of the first
    /// step count no more than d^(n−1) times those of the last. (An average that starts from the first weights
    /// without correction, as PyTorch's does, is still 37 % those after 1 / (1 − d) steps.)
    Exponential {
        /// The decay `d`, above 0 and below 1.
        decay: f64,
    },
}

impl AveragingRule {
    /// The weight of the latest weights in an average over this many steps.
    fn latest_share(self, steps: u64) -> f64 {
        match self {
            AveragingRule::Exponential { decay } => (1.0 - decay) / -(steps as f64 * decay.ln()).exp_m1(),
            _ => 1.0 / steps as f64,
        }
    }

    /// How much of an average over `from` steps is left in that over `to` steps, if the weights are the same in the steps
    /// between: the product of 1 − [`latest_share`](Self::latest_share) over them.
    fn kept(self, from: u64, to: u64) -> f64 {
        match self {
            _ if from == 0 => 0.0,
            AveragingRule::Exponential { decay } => {
                let sum = |steps: u64| (steps as f64 * decay.ln()).exp_m1();
                ((to - from) as f64 * decay.ln()).exp() * sum(from) / sum(to)
            }
            _ => from as f64 / to as f64,
        }
    }
}

/// The prefix of the names of the average's tensors in a checkpoint.
pub(crate) const AVERAGE: &str = "average/";

/// An [`AveragingRule`] and the average of the weights, if averaging has begun. Its counts are in
/// [`AveragingProgress`], which a run keeps with its own counts.
///
/// ```
/// use rondo_kernels::Device;
/// use rondo_nn::{Model, PRESETS, RnnLm};
/// use rondo_train::{Averaging, AveragingProgress, AveragingRule};
///
/// let mut model = RnnLm::new(PRESETS[0].config(4), &Device::cpu(1)?)?;
/// let mut progress = AveragingProgress::default();
/// let rule = AveragingRule::After { epochs: 0 };
/// let mut averaging = Averaging::new(rule, &mut progress, model.parameters());
/// for _ in 0..3 {
///     // A training step changes the parameters here.
///     averaging.after_step(&mut progress, model.parameters());
/// }
/// averaging.swap(&progress, model.parameters_mut())?; // evaluate the average …
/// averaging.swap(&progress, model.parameters_mut())?; // … and continue training
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Averaging {
    rule: AveragingRule,
    /// The average of the weights over the counted steps, and how far its rows lag behind.
    average: Option<(Parameters, Lag)>,
}

/// The progress of an [`Averaging`]: its state except the average itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AveragingProgress {
    epochs: usize,
    epochs_without_best: usize,
    /// The number of steps averaged over, if averaging has begun.
    steps: Option<u64>,
}

impl AveragingProgress {
    /// The largest of its counts.
    pub(crate) fn most(&self) -> u64 {
        let steps = self.steps.unwrap_or(0);
        steps.max(self.epochs as u64).max(self.epochs_without_best as u64)
    }

    /// Whether there is an average to evaluate instead of the weights.
    pub fn has_average(&self) -> bool {
        self.steps.is_some_and(|steps| steps > 0)
    }
}

impl Averaging {
    /// The state before the first step, for weights with these shapes.
    pub fn new(rule: AveragingRule, progress: &mut AveragingProgress, parameters: &Parameters) -> Averaging {
        let mut averaging = Averaging { rule, average: None };
        averaging.begin_if_due(progress, parameters);
        averaging
    }

    /// The average, if averaging has begun. Its values are meaningless before a step has been counted. After
    /// [`before_update`](Self::before_update), rows can lag behind until the next [`swap`](Self::swap).
    pub fn average(&self) -> Option<&Parameters> {
        self.average.as_ref().map(|(average, _)| average)
    }

    /// The average as tensors of a checkpoint.
    pub(crate) fn tensors(&self) -> Result<Vec<Tensor<'_>>> {
        let Some((average, lag)) = &self.average else { return Ok(vec![]) };
        let mut tensors = parameter_tensors(AVERAGE, average)?;
        tensors.extend(lag.tensors(average));
        Ok(tensors)
    }

    /// Restores the average from the tensors of a checkpoint, if `progress` says that there is one.
    pub(crate) fn restore(
        &mut self,
        progress: &AveragingProgress,
        tensors: &TensorFile<'_>,
        parameters: &Parameters,
    ) -> Result<()> {
        self.average = None;
        if progress.steps.is_some() {
            let mut average = parameters.like();
            read_parameters(AVERAGE, tensors, &mut average)?;
            let mut lag = Lag::new(parameters);
            lag.restore(tensors, parameters)?;
            self.average = Some((average, lag));
        }
        Ok(())
    }

    /// Begins the average of the tail if it starts with the next step; `position` is the part of the run that precedes
    /// the step, from 0 to 1. In a run that has become longer, an average that began too early is discarded.
    pub fn before_step(&mut self, progress: &mut AveragingProgress, position: f64, parameters: &Parameters) {
        /// Far above the rounding error of positions, and far below the length of a step.
        const TOLERANCE: f64 = 1e-12;
        let AveragingRule::Tail { fraction } = self.rule else { return };
        let is_tail = 1.0 - position <= fraction + TOLERANCE;
        match (&self.average, is_tail) {
            (None, true) => self.begin(progress, parameters),
            (Some(_), false) => self.discard(progress),
            _ => {}
        }
    }

    /// Prepares for an update with these gradients: rows that are about to change catch up with the average. Optional: it
    /// makes [`after_step`](Self::after_step) cheaper for parameters with row-sparse gradients, which then get only the
    /// rows that change.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed.
    pub fn before_update(
        &mut self,
        progress: &AveragingProgress,
        gradients: &Gradients,
        parameters: &Parameters,
    ) -> Result<()> {
        let (Some((average, lag)), Some(steps)) = (&mut self.average, progress.steps) else { return Ok(()) };
        let at = (self.rule, steps);
        for id in parameters.ids() {
            match gradients.get(id) {
                Gradient::Rows { rows_on_host, .. } => {
                    lag.begin(id, steps, parameters);
                    lag.catch_up(at, id, rows_on_host.iter().copied(), parameters, average)?;
                }
                Gradient::Dense(_) if lag.has(id) => {
                    let rows = 0..parameters.shape(id)[0] as u32;
                    lag.catch_up(at, id, rows, parameters, average)?;
                }
                Gradient::Dense(_) | Gradient::Zero => {}
            }
        }
        Ok(())
    }

    /// Adds the weights after a step to the average.
    pub fn after_step(&mut self, progress: &mut AveragingProgress, parameters: &Parameters) {
        let (Some((average, lag)), Some(steps)) = (&mut self.average, &mut progress.steps) else { return };
        *steps += 1;
        let share = self.rule.latest_share(*steps);
        for id in parameters.ids().filter(|&id| !lag.has(id)) {
            let device = parameters.device();
            optimizer::average(device, share, parameters.values(id), average.values_mut(id));
        }
    }

    /// Updates the counts at the end of an epoch; `is_best` says whether it was the best epoch, if it was
    /// validated. Returns whether averaging begins with the next epoch.
    pub fn after_epoch(
        &mut self,
        progress: &mut AveragingProgress,
        is_best: Option<bool>,
        parameters: &Parameters,
    ) -> bool {
        progress.epochs += 1;
        match is_best {
            Some(true) => progress.epochs_without_best = 0,
            Some(false) => progress.epochs_without_best += 1,
            None => {}
        }
        self.average.is_none() && self.begin_if_due(progress, parameters)
    }

    /// Continues after the rule has changed to that of this value: `Off` discards the average; any other rule keeps
    /// it, or begins one if its condition is already met. Rows that lag behind catch up by the new rule.
    pub(crate) fn rule_changed(&mut self, progress: &mut AveragingProgress, parameters: &Parameters) {
        if self.rule == AveragingRule::Off {
            self.discard(progress);
        } else if self.average.is_none() {
            self.begin_if_due(progress, parameters);
        }
    }

    fn begin_if_due(&mut self, progress: &mut AveragingProgress, parameters: &Parameters) -> bool {
        let due = match self.rule {
            AveragingRule::Off | AveragingRule::Tail { .. } => false,
            AveragingRule::Exponential { .. } => true,
            AveragingRule::Stalled { patience } => progress.epochs_without_best >= patience,
            AveragingRule::After { epochs } => progress.epochs >= epochs,
        };
        if due {
            self.begin(progress, parameters);
        }
        due
    }

    fn begin(&mut self, progress: &mut AveragingProgress, parameters: &Parameters) {
        self.average = Some((parameters.like(), Lag::new(parameters)));
        progress.steps = Some(0);
    }

    fn discard(&mut self, progress: &mut AveragingProgress) {
        self.average = None;
        progress.steps = None;
    }

    /// Swaps the weights with their average, if there is one; a second call swaps them back.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed.
    pub fn swap(&mut self, progress: &AveragingProgress, parameters: &mut Parameters) -> Result<()> {
        if let (Some((average, lag)), Some(steps @ 1..)) = (&mut self.average, progress.steps) {
            lag.catch_up_all((self.rule, steps), parameters, average)?;
            std::mem::swap(parameters, average);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rondo_kernels::Device;

    use super::*;

    fn parameters() -> Parameters {
        let mut parameters = Parameters::new(&Device::cpu(1).unwrap());
        parameters.add("a", &[2]);
        parameters
    }

    fn set(parameters: &mut Parameters, values: [f32; 2]) {
        let id = parameters.ids().next().unwrap();
        parameters.values_mut(id).write_from(&values).unwrap();
    }

    fn values(parameters: &Parameters) -> Vec<f32> {
        parameters.values(parameters.ids().next().unwrap()).read().unwrap().into_owned()
    }

    #[test]
    fn the_average_is_the_mean_of_the_weights_since_it_began_and_swapping_twice_changes_nothing() {
        let mut weights = parameters();
        let mut progress = AveragingProgress::default();
        let mut averaging = Averaging::new(AveragingRule::After { epochs: 1 }, &mut progress, &weights);
        set(&mut weights, [100.0, 100.0]);
        averaging.after_step(&mut progress, &weights);
        assert!(!progress.has_average());
        assert!(averaging.after_epoch(&mut progress, Some(true), &weights));
        assert!(!progress.has_average(), "there is nothing to average yet");
        averaging.swap(&progress, &mut weights).unwrap();
        assert_eq!(values(&weights), [100.0, 100.0]);
        for step in [[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]] {
            set(&mut weights, step);
            averaging.after_step(&mut progress, &weights);
        }
        averaging.swap(&progress, &mut weights).unwrap();
        assert_eq!(values(&weights), [3.0, 5.0]);
        averaging.swap(&progress, &mut weights).unwrap();
        assert_eq!(values(&weights), [5.0, 9.0]);
        assert!(!averaging.after_epoch(&mut progress, Some(true), &weights), "it begins once");
        assert!(progress.has_average());
    }

    #[test]
    fn a_changed_rule_begins_keeps_or_discards_the_average() {
        let (weights, mut progress) = (parameters(), AveragingProgress::default());
        let mut averaging = Averaging::new(AveragingRule::Off, &mut progress, &weights);
        averaging.after_epoch(&mut progress, Some(true), &weights);
        averaging.rule = AveragingRule::After { epochs: 2 };
        averaging.rule_changed(&mut progress, &weights);
        assert!(averaging.average().is_none(), "one epoch of two");
        averaging.rule = AveragingRule::After { epochs: 1 };
        averaging.rule_changed(&mut progress, &weights);
        averaging.after_step(&mut progress, &weights);
        assert!(progress.has_average());
        averaging.rule = AveragingRule::Stalled { patience: 9 };
        averaging.rule_changed(&mut progress, &weights);
        assert!(progress.has_average(), "an average is kept");
        averaging.rule = AveragingRule::Off;
        averaging.rule_changed(&mut progress, &weights);
        assert!(!progress.has_average() && averaging.average().is_none());
    }

    #[test]
    fn a_stall_is_a_row_of_epochs_that_are_no_better() {
        let (weights, mut progress) = (parameters(), AveragingProgress::default());
        let mut averaging = Averaging::new(AveragingRule::Stalled { patience: 2 }, &mut progress, &weights);
        let epochs = [Some(true), Some(false), Some(true), Some(false), None, Some(false)];
        let begins = epochs.map(|is_best| averaging.after_epoch(&mut progress, is_best, &weights));
        assert_eq!(begins, [false, false, false, false, false, true]);
    }

    #[test]
    fn off_is_off_and_none_at_all_begins_at_once() {
        let (weights, mut progress) = (parameters(), AveragingProgress::default());
        let mut off = Averaging::new(AveragingRule::Off, &mut progress, &weights);
        assert!(!(0..9).any(|_| off.after_epoch(&mut progress, Some(false), &weights)));
        let mut progress = AveragingProgress::default();
        let mut at_once = Averaging::new(AveragingRule::After { epochs: 0 }, &mut progress, &weights);
        at_once.after_step(&mut progress, &weights);
        assert!(progress.has_average());
    }

    /// Takes the steps of a run from `from` on, with the weights 1, 2, 3 …, and returns the average after each.
    fn averages(rule: AveragingRule, from: u64, length: u64) -> Vec<Option<f32>> {
        let (mut weights, mut progress) = (parameters(), AveragingProgress::default());
        let mut averaging = Averaging::new(rule, &mut progress, &weights);
        let average = |step: u64| {
            averaging.before_step(&mut progress, step as f64 / length as f64, &weights);
            set(&mut weights, [step as f32 + 1.0; 2]);
            averaging.after_step(&mut progress, &weights);
            averaging.average().map(|average| values(average)[0])
        };
        (from..length).map(average).collect()
    }

    #[test]
    fn the_tail_is_the_last_part_of_the_run() {
        let tail = |fraction| averages(AveragingRule::Tail { fraction }, 0, 10);
        assert_eq!(tail(0.3)[6..], [None, Some(8.0), Some(8.5), Some(9.0)]);
        assert_eq!(tail(0.25)[7..], [None, Some(9.0), Some(9.5)]);
        assert_eq!(tail(1.0)[..2], [Some(1.0), Some(1.5)]);
        assert_eq!(tail(0.01), [None; 10]);
        // Positions are rounded: none of these tails has one step more or less.
        for length in [7, 30, 49, 1000] {
            for steps in 1..length {
                let fraction = steps as f64 / length as f64;
                let found = averages(AveragingRule::Tail { fraction }, length - steps - 1, length);
                assert_eq!(
                    (found[0], found[1]),
                    (None, Some((length - steps + 1) as f32)),
                    "{steps} of {length}"
                );
            }
        }
    }

    #[test]
    fn the_tail_of_a_run_that_has_become_longer_begins_later() {
        let (mut weights, mut progress) = (parameters(), AveragingProgress::default());
        let mut averaging = Averaging::new(AveragingRule::Tail { fraction: 0.5 }, &mut progress, &weights);
        let mut step = |position: f64, value: f32| {
            averaging.before_step(&mut progress, position, &weights);
            set(&mut weights, [value; 2]);
            averaging.after_step(&mut progress, &weights);
            averaging.average().map(|average| values(average)[0])
        };
        assert_eq!([step(0.25, 1.0), step(0.5, 2.0), step(0.75, 3.0)], [None, Some(2.0), Some(2.5)]);
        assert_eq!([step(0.4, 4.0), step(0.5, 5.0)], [None, Some(5.0)]);
    }

    #[test]
    fn a_moving_average_is_corrected_for_its_bias() {
        let found = averages(AveragingRule::Exponential { decay: 0.5 }, 0, 4);
        let expected = [
            1.0,
            (1.0 + 2.0 * 2.0) / 3.0,
            (1.0 + 2.0 * 2.0 + 4.0 * 3.0) / 7.0,
            (1.0 + 4.0 + 12.0 + 32.0) / 15.0,
        ];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found.unwrap() - expected).abs() < 1e-6, "{found:?}, expected {expected}");
        }
        // Over far fewer steps than its memory, it is the mean.
        let found = averages(AveragingRule::Exponential { decay: 1.0 - 1e-9 }, 0, 5);
        assert!((found[4].unwrap() - 3.0).abs() < 1e-6, "{found:?}");
    }
}
