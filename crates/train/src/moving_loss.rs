//! The smoothed training loss.

use serde::{Deserialize, Serialize};

/// An exponential moving average of losses: starts with the first loss, then `decay · old + (1 − decay) · new`.
///
/// Because it starts with the first loss instead of 0, there is no bias to correct, but the first loss has a
/// larger weight at the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovingLoss {
    decay: f64,
    value: Option<f64>,
}

impl MovingLoss {
    /// An average without losses yet. A `decay` of 0 gives the latest loss; a `decay` near 1 changes slowly.
    pub fn new(decay: f64) -> Self {
        MovingLoss { decay, value: None }
    }

    /// Adds a loss and returns the average.
    pub fn update(&mut self, loss: f64) -> f64 {
        let value = self.value.map_or(loss, |old| self.decay * old + (1.0 - self.decay) * loss);
        self.value = Some(value);
        value
    }

    /// The average; `None` before the first loss.
    pub fn value(&self) -> Option<f64> {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_loss_counts_as_it_is_and_later_ones_a_hundredth() {
        let mut moving = MovingLoss::new(0.99);
        assert_eq!(moving.value(), None);
        assert_eq!(moving.update(4.0), 4.0);
        assert_eq!(moving.update(2.0), 0.99 * 4.0 + (1.0 - 0.99) * 2.0);
        assert_eq!(moving.value(), Some(3.98));
    }

    #[test]
    fn it_survives_being_saved() {
        let mut moving = MovingLoss::new(0.9);
        moving.update(1.0 / 3.0);
        let saved = serde_json::to_string(&moving).unwrap();
        assert_eq!(serde_json::from_str::<MovingLoss>(&saved).unwrap(), moving);
    }
}
