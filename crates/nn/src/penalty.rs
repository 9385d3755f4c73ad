//! What training adds to the loss so that the last layer's activations stay small and change slowly.

use rondo_kernels::activation_penalty::Penalty;

use crate::tape::Tape;
use crate::{Hidden, Result};

/// What the last layer's activations are penalized by.
///
/// ```text
/// activation · mean(dropped[t]²) + temporal · mean((raw[t+1] − raw[t])²)
/// ```
///
/// The means are over the numbers squared: `T·B·H` of the output that the decoder reads, and `(T−1)·B·H` of the
/// output before dropout, since a mask that changes from step to step is no change of the state. The changes are
/// those within a batch: with a single step there are none.
/// *Source*: Merity, McCann & Socher 2017.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ActivationPenalty {
    /// `α`, the weight of the mean square of the dropped output; 0 is off.
    pub activation: f32,
    /// `β`, the weight of the mean square of the raw output's changes; 0 is off.
    pub temporal: f32,
}

impl ActivationPenalty {
    /// Adds the penalty to what the next [`Tape::backward`] differentiates, given what
    /// [`Model::forward`](crate::Model::forward) returned. A weight of zero costs nothing.
    pub fn add_to(self, tape: &mut Tape<'_>, hidden: Hidden) {
        tape.penalize(hidden.dropped, Penalty::Size, self.activation);
        tape.penalize(hidden.raw, Penalty::Change, self.temporal);
    }

    /// The value of the penalty in nats per token, brought to the host.
    ///
    /// # Errors
    /// [`NnError::Device`](crate::NnError::Device) if the device has failed.
    pub fn value(self, tape: &Tape<'_>, hidden: Hidden) -> Result<f64> {
        let mut value = 0.0;
        for (weight, penalty, x) in
            [(self.activation, Penalty::Size, hidden.dropped), (self.temporal, Penalty::Change, hidden.raw)]
        {
            if weight != 0.0 {
                value += f64::from(weight) * tape.penalty(x, penalty)?;
            }
        }
        Ok(value)
    }
}
