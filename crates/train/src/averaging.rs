//! The average of the weights over the steps, which is often a better model than the weights of any one step.
//!
//! With a constant learning rate the weights end up circling a minimum; their mean lies nearer to it. Averaging from
//! the first step on would remember the way there, so it begins when there is no more progress.
//!
//! Promises: training goes on with the weights themselves, as if there were no average.
//! Not here: what is evaluated and saved (the trainer swaps the average in for that).
//!
//! *Source*: Polyak & Juditsky 1992; the trigger is that of NT-ASGD, Merity, Keskar & Socher 2017.

use rondo_kernels::optimizer;
use rondo_nn::tensor_file::TensorFile;
use rondo_nn::{Parameters, read_parameters};
use serde::{Deserialize, Serialize};

use crate::Result;

/// When the weights begin to be averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AveragingRule {
    /// Never.
    Off,
    /// After so many epochs in a row that are no better than the best: non-monotonically triggered (NT-ASGD).
    Stalled {
        /// How many epochs it takes, at least 1.
        patience: usize,
    },
    /// After so many epochs in all.
    After {
        /// How many; 0 averages from the first step on.
        epochs: usize,
    },
}

/// What the names of the average's tensors begin with in a checkpoint.
pub(crate) const AVERAGE: &str = "average/";

/// An [`AveragingRule`] and the average of the weights, once there is one. Its counts are in [`AveragingProgress`],
/// which a run keeps with its own.
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
/// averaging.swap(&progress, model.parameters_mut()); // evaluate the average …
/// averaging.swap(&progress, model.parameters_mut()); // … and go on training
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Averaging {
    rule: AveragingRule,
    /// The mean of the weights after each of the counted steps.
    average: Option<Parameters>,
}

/// How far an [`Averaging`] has come: all of its state but the average itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AveragingProgress {
    epochs: usize,
    epochs_without_best: usize,
    /// The steps that are averaged over, if averaging has begun.
    steps: Option<u64>,
}

impl AveragingProgress {
    /// The largest of its counts.
    pub(crate) fn most(&self) -> u64 {
        let steps = self.steps.unwrap_or(0);
        steps.max(self.epochs as u64).max(self.epochs_without_best as u64)
    }

    /// Whether there is an average to be evaluated instead of the weights.
    pub fn has_average(&self) -> bool {
        self.steps.is_some_and(|steps| steps > 0)
    }
}

impl Averaging {
    /// Before the first step, with weights like these.
    pub fn new(rule: AveragingRule, progress: &mut AveragingProgress, parameters: &Parameters) -> Averaging {
        let mut averaging = Averaging { rule, average: None };
        averaging.begin_if_due(progress, parameters);
        averaging
    }

    /// The average, if averaging has begun; it has no meaning before a step has been counted.
    pub fn average(&self) -> Option<&Parameters> {
        self.average.as_ref()
    }

    /// Goes on as `progress` says, with the average of a checkpoint's tensors.
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
            self.average = Some(average);
        }
        Ok(())
    }

    /// Takes note of the weights after a step.
    pub fn after_step(&mut self, progress: &mut AveragingProgress, parameters: &Parameters) {
        let (Some(average), Some(steps)) = (&mut self.average, &mut progress.steps) else { return };
        *steps += 1;
        let share = 1.0 / *steps as f64;
        for id in parameters.ids() {
            let device = parameters.device();
            optimizer::average(device, share, parameters.values(id), average.values_mut(id));
        }
    }

    /// Takes note of an epoch's end, and whether it was the best if it was judged at all; returns whether averaging
    /// begins with the next.
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

    fn begin_if_due(&mut self, progress: &mut AveragingProgress, parameters: &Parameters) -> bool {
        let due = match self.rule {
            AveragingRule::Off => false,
            AveragingRule::Stalled { patience } => progress.epochs_without_best >= patience,
            AveragingRule::After { epochs } => progress.epochs >= epochs,
        };
        if due {
            self.average = Some(parameters.like());
            progress.steps = Some(0);
        }
        due
    }

    /// Exchanges the weights for their average, if there is one; called again, it puts them back.
    pub fn swap(&mut self, progress: &AveragingProgress, parameters: &mut Parameters) {
        if let Some(average) = self.average.as_mut().filter(|_| progress.has_average()) {
            std::mem::swap(parameters, average);
        }
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
        averaging.swap(&progress, &mut weights);
        assert_eq!(values(&weights), [100.0, 100.0]);
        for step in [[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]] {
            set(&mut weights, step);
            averaging.after_step(&mut progress, &weights);
        }
        averaging.swap(&progress, &mut weights);
        assert_eq!(values(&weights), [3.0, 5.0]);
        averaging.swap(&progress, &mut weights);
        assert_eq!(values(&weights), [5.0, 9.0]);
        assert!(!averaging.after_epoch(&mut progress, Some(true), &weights), "it begins once");
        assert!(progress.has_average());
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
}
