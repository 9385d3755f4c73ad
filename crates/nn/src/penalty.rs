//! What training adds to the loss so that the last layer's activations stay small and change slowly.

use rondo_kernels::activation_penalty::Penalty;

use crate::tape::Tape;
use crate::{Hidden, RnnLm};

/// What the last layer's activations are penalised by.
///
/// ```text
/// activation · mean(dropped[t]²) + temporal · mean((raw[t+1] − raw[t])²)
/// ```
///
/// The means are over the numbers squared: `T·B·H` of the output that the decoder reads, and `(T−1)·B·H` of the
/// output before dropout, since a mask that changes from step to step is no change of the state. The changes are
/// those within a chunk: with a single step there are none.
/// *Source*: Merity, McCann & Socher 2017.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ActivationPenalty {
    /// `α`, the weight of the mean square of the dropped output; 0 is off.
    pub activation: f32,
    /// `β`, the weight of the mean square of the raw output's changes; 0 is off.
    pub temporal: f32,
}

impl RnnLm {
    /// Adds a penalty to what the next [`Tape::backward`] differentiates, given what [`RnnLm::forward`] returned,
    /// and returns its value in nats per token. What is off costs nothing.
    pub fn penalise(&self, tape: &mut Tape<'_>, hidden: Hidden, penalty: ActivationPenalty) -> f64 {
        let ActivationPenalty { activation, temporal } = penalty;
        tape.penalise(hidden.dropped, Penalty::Size, activation)
            + tape.penalise(hidden.raw, Penalty::Change, temporal)
    }
}
