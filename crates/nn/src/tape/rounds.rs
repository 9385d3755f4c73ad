//! The rounds of a Mogrifier on the tape: packed weights, and the gradients of its backward pass.

use rondo_kernels::recurrence::mogrifier::{Rounds, Weights};
use rondo_kernels::{Buffer, BufferPool, linear, recurrence};

use super::packs::Layout;
use super::{Tape, Value};
use crate::{Gradients, ParameterId};

/// The parameters of a Mogrifier's rounds.
#[derive(Clone, Copy, Debug)]
pub struct MogrifierLayer {
    /// The number of rounds.
    pub rounds: usize,
    /// The rank of their matrices; `None` if they are not factored.
    pub rank: Option<usize>,
    /// The stacked weights, whose shapes are [`Rounds::weight_shapes`].
    pub weights: Weights<ParameterId>,
}

/// What the backward pass of a Mogrifier computes in addition.
pub(super) struct RoundGradients {
    pub(super) d_x: Buffer,
    pub(super) d_weight_ih: Buffer,
    pub(super) d_weights: Weights<Buffer>,
}

impl RoundGradients {
    pub(super) fn take(pool: &mut BufferPool, dims: recurrence::Dims, rounds: Rounds) -> RoundGradients {
        let d_x = pool.take(dims.steps * dims.batch * rounds.input);
        let d_weight_ih = pool.take(dims.gates_width() * rounds.input);
        let shapes = rounds.weight_shapes(dims.hidden);
        let d_weights = shapes.map(|shape| shape.map(|[rows, columns]| pool.take(rows * columns)));
        RoundGradients { d_x, d_weight_ih, d_weights }
    }
}

impl Tape<'_> {
    /// Packs the input weight of a Mogrifier and the weights of its rounds.
    pub(super) fn prepare_rounds(
        &mut self,
        weight_ih: ParameterId,
        weights: Weights<ParameterId>,
        (rounds, hidden): (Rounds, usize),
        kind: linear::Pack,
    ) {
        let (workspace, parameters) = (&mut *self.workspace, self.parameters);
        let device = &workspace.device;
        workspace.packs.prepare(device, parameters, weight_ih, Layout::Linear(kind));
        workspace.packs.prepare_rounds(device, parameters, weights, (rounds, hidden), kind);
    }

    /// Keeps the gradients of a Mogrifier with their parameters and its input.
    pub(super) fn keep_round_gradients(
        &mut self,
        found: RoundGradients,
        (x, weight_ih): (Value, ParameterId),
        weights: Weights<ParameterId>,
        gradients: &mut Gradients,
    ) {
        self.add_dense(weight_ih, found.d_weight_ih, gradients);
        for (id, d_weight) in weights.into_iter().flatten().zip(found.d_weights.into_iter().flatten()) {
            self.add_dense(id, d_weight, gradients);
        }
        self.add_gradient(x, found.d_x, gradients);
    }
}
