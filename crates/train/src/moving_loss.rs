//! The training loss, smoothed.

use serde::{Deserialize, Serialize};

/// An exponentially weighted average of losses: the first as it is, then `decay · old + (1 − decay) · new`.
///
/// The first value is not shrunk toward 0, so there is no bias to correct, but it weighs more than others at
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovingLoss {
    decay: f64,
    value: Option<f64>,
}

impl MovingLoss {
    /// The average of no losses yet; a `decay` of 0 follows the latest, one near 1 hardly moves.
    pub fn new(decay: f64) -> Self {
        MovingLoss { decay, value: None }
    }

    /// Takes in a loss and returns the average.
    pub fn update(&mut self, loss: f64) -> f64 {
        let value = self.value.map_or(loss, |old| self.decay * old + (1.0 - self.decay) * loss);
        self.value = Some(value);
        value
    }

    /// The average, once there is a loss.
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
