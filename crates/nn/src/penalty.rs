//! Activation regularization: penalties on the last layer's activations and their changes, added to the
//! training loss.

use rondo_kernels::activation_penalty::Penalty;

use crate::tape::Tape;
use crate::{Hidden, Result};

/// The weights of the activation penalties (AR and TAR).
///
/// ```text
/// activation · mean(dropped[t]²) + temporal · mean((raw[t+1] − raw[t])²)
/// ```
///
/// The means are over the squared elements: `T·B·H` for the dropped output, which the decoder reads, and
/// `(T−1)·B·H` for the output before dropout, because a mask that changes from step to step is not a change
/// of the state. Changes are taken within a batch: with a single step there are none.
/// *Source*: Merity, McCann & Socher 2017.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ActivationPenalty {
    /// `α`, the weight of the mean square of the dropped output (AR); 0 is off.
    pub activation: f32,
    /// `β`, the weight of the mean square of the raw output's changes over time (TAR); 0 is off.
    pub temporal: f32,
}

impl ActivationPenalty {
    /// Adds the penalty to the function that the next [`Tape::backward`] differentiates, given the output of
    /// [`Model::forward`](crate::Model::forward). A weight of zero costs nothing.
    pub fn add_to(self, tape: &mut Tape<'_>, hidden: Hidden) {
        tape.penalize(hidden.dropped, Penalty::Size, self.activation);
        tape.penalize(hidden.raw, Penalty::Change, self.temporal);
    }

    /// The value of the penalty in nats per token, read on the host.
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
