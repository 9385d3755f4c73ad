//! The moving average of the training loss.

use serde::{Deserialize, Serialize};

/// An exponential moving average of losses, in one of two definitions. With decay β and losses x₁, x₂, …:
///
/// ```text
/// corrected    vₙ = β · vₙ₋₁ + (1 − β) · xₙ,  v₀ = 0;   the average is vₙ / (1 − βⁿ)
/// from first   vₙ = β · vₙ₋₁ + (1 − β) · xₙ,  v₁ = x₁;  the average is vₙ
/// ```
///
/// The corrected one is a weighted mean of all losses in which newer ones count more, from the first batch on. In the
/// other one, the first loss keeps the weight βⁿ⁻¹, which for β = 0.99 is more than a third after 100 batches; so early
/// averages are too high. It is the definition published with the recipe `time-machine-char`, and that of version
/// 0.1.0: a resumed run of that version continues with it.
///
/// *Source* of the correction: Kingma & Ba 2015 (Adam), section 3.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovingLoss {
    decay: f64,
    value: Option<f64>,
    /// βⁿ, the weight that is missing; `None` if the bias is not corrected. Version 0.1.0 did not store it.
    #[serde(default)]
    missing: Option<f64>,
}

impl MovingLoss {
    /// An average without losses yet. A `decay` of 0 gives the latest loss; a `decay` near 1 changes slowly.
    /// `correction` says whether its bias is corrected.
    pub fn new(decay: f64, correction: bool) -> Self {
        MovingLoss { decay, value: None, missing: correction.then_some(1.0) }
    }

    /// Adds a loss and returns the average.
    pub fn update(&mut self, loss: f64) -> f64 {
        let value = match (self.value, self.missing) {
            (None, None) => loss,
            (old, _) => self.decay * old.unwrap_or(0.0) + (1.0 - self.decay) * loss,
        };
        self.missing = self.missing.map(|missing| missing * self.decay);
        self.value = Some(value);
        self.corrected(value)
    }

    /// The average; `None` before the first loss.
    pub fn value(&self) -> Option<f64> {
        self.value.map(|value| self.corrected(value))
    }

    fn corrected(&self, value: f64) -> f64 {
        self.missing.map_or(value, |missing| value / (1.0 - missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_one_takes_the_first_loss_as_it_is_and_later_ones_by_a_hundredth() {
        let mut moving = MovingLoss::new(0.99, false);
        assert_eq!(moving.value(), None);
        assert_eq!(moving.update(4.0), 4.0);
        assert_eq!(moving.update(2.0), 0.99 * 4.0 + (1.0 - 0.99) * 2.0);
        assert_eq!(moving.value(), Some(3.98));
    }

    #[test]
    fn a_corrected_one_is_the_weighted_mean_of_the_losses() {
        let mut moving = MovingLoss::new(0.5, true);
        assert_eq!(moving.value(), None);
        assert_eq!(moving.update(8.0), 8.0);
        // Weights 1/2 and 1, divided by their sum.
        assert!((moving.update(2.0) - (0.5 * 8.0 + 2.0) / 1.5).abs() < 1e-12);
        assert!((moving.update(1.0) - (0.25 * 8.0 + 0.5 * 2.0 + 1.0) / 1.75).abs() < 1e-12);
        // A constant stays what it is, and a decay of 0 is the latest loss.
        let mut moving = MovingLoss::new(0.99, true);
        for _ in 0..500 {
            assert!((moving.update(3.0) - 3.0).abs() < 1e-12);
        }
        let mut moving = MovingLoss::new(0.0, true);
        assert_eq!([4.0, 1.0].map(|loss| moving.update(loss)), [4.0, 1.0]);
    }

    /// The curves of version 0.1.0 ended far above the losses that were printed.
    #[test]
    fn a_short_run_does_not_end_far_above_its_losses() {
        let losses: Vec<f64> =
            (0..100).map(|n| if n < 20 { 9.0 - 0.2 * f64::from(n) } else { 5.0 }).collect();
        let last = |correction| {
            let mut moving = MovingLoss::new(0.99, correction);
            losses.iter().map(|&loss| moving.update(loss)).last().unwrap()
        };
        let mean = losses.iter().sum::<f64>() / 100.0;
        assert!(last(true) < mean, "newer losses count more: {} of {mean}", last(true));
        assert!(last(false) > 6.0, "the first loss counts most: {}", last(false));
    }

    #[test]
    fn it_survives_being_saved() {
        for correction in [false, true] {
            let mut moving = MovingLoss::new(0.9, correction);
            moving.update(1.0 / 3.0);
            let saved = serde_json::to_string(&moving).unwrap();
            assert_eq!(serde_json::from_str::<MovingLoss>(&saved).unwrap(), moving);
        }
    }

    #[test]
    fn one_of_version_0_1_0_continues_as_it_began() {
        let mut moving: MovingLoss = serde_json::from_str(r#"{"decay":0.75,"value":4.0}"#).unwrap();
        assert_eq!(moving.update(2.0), 3.5);
    }
}
