//! Regularization: dropout of units, words and weights, and penalties on activations. None of it is active in
//! evaluation.
//!
//! A dropout mask is identified by the run's random seed, the training step and its place in the network.
//! Places are numbered in order of use, separately for activations (units) and parameters (words, weights). A
//! place is counted even if nothing is dropped there, so masks do not depend on which others are on.

use rondo_kernels::activation_penalty::{self, Penalty};
use rondo_kernels::dropout::{self, Dropout, Key, Mask};
use rondo_kernels::{Buffer, embedding, recurrence};

use super::packs::Layout;
use super::{Layer, Mode, Node, Shape, Tape, Value};
use crate::config::DropoutSite;
use crate::{ParameterId, Result};

/// Mask numbers that a step has in a row. The first 64 places of step `s` have the numbers `64·s` and up.
const PLACES_IN_A_ROW: u64 = 64;

/// The distance between the rows of mask numbers of a step that has more places. No run has enough steps,
/// 2⁴², to reach from one row to the next.
const NEXT_ROW: u64 = 1 << 48;

/// The maximum number of places of each kind per step.
const PLACES_PER_STEP: u64 = PARAMETER_MASKS / NEXT_ROW * PLACES_IN_A_ROW;

/// Offset of the mask numbers of parameters.
const PARAMETER_MASKS: u64 = 1 << 63;

/// The number of the masks of a place in a step.
///
/// # Panics
/// If there are too many places on the tape: over two million.
fn mask_number(step: u64, place: u64) -> u64 {
    assert!(place < PLACES_PER_STEP, "more than {PLACES_PER_STEP} places of dropout on one tape");
    // A step of more than 2⁴² would only reuse the masks of an earlier one.
    let in_row = (step % (NEXT_ROW / PLACES_IN_A_ROW)) * PLACES_IN_A_ROW + place % PLACES_IN_A_ROW;
    place / PLACES_IN_A_ROW * NEXT_ROW + in_row
}

/// A recurrent weight with elements dropped.
#[derive(Debug)]
pub(super) struct DroppedWeight {
    /// The dropout that was applied; the backward pass applies it to the gradient.
    pub(super) dropout: Dropout,
    /// The sizes for the dropout.
    pub(super) dims: dropout::Dims,
    /// `[G·H, P]`.
    pub(super) values: Buffer,
}

/// Words dropped from a look-up.
#[derive(Clone, Copy, Debug)]
pub(super) struct DroppedWords {
    probability: f32,
    key: Key,
}

impl Tape<'_> {
    /// Applies dropout in training; the identity in evaluation or with probability 0.
    ///
    /// # Panics
    /// If the probability is not at least 0 and below 1, or there are millions of places on the tape.
    pub fn dropout(&mut self, x: Value, site: DropoutSite) -> Value {
        let Mode::Train { seed, step } = self.mode else { return x };
        let place = self.dropout_sites;
        self.dropout_sites += 1;
        if site.probability == 0.0 {
            return x;
        }
        let shape = self.shape(x);
        let dropout = Dropout {
            probability: site.probability,
            mask: if site.locked { Mask::Locked } else { Mask::Elementwise },
            key: Key { seed, stream: mask_number(step, place) },
            // What is not `[T, B, D]` has masks of its own.
            columns: self.columns.filter(|(_, count)| *count == shape.batch).map(|(columns, _)| columns),
        };
        let mut y = self.workspace.pool.take(shape.count());
        let device = &self.workspace.device;
        let values = self.workspace.values(self.parameters, x);
        dropout::forward(device, dropout_dims(shape), dropout, values, y.slice_mut());
        let needs_gradient = self.needs_gradient(x);
        let out = self.push(shape, y, needs_gradient);
        self.record(Node::Dropout { x, dropout, out });
        out
    }

    /// Like [`Tape::embedding`], and drops words in training: either all occurrences of a word in the batch,
    /// or none. The table itself is unchanged for its other uses.
    ///
    /// # Panics
    /// As [`Tape::embedding`], and if the probability is not at least 0 and below 1.
    pub fn embedding_with_dropout(
        &mut self,
        table: ParameterId,
        ids: &[u32],
        steps: usize,
        batch: usize,
        probability: f32,
    ) -> Value {
        let dropped = self.parameter_mask(probability).map(|key| DroppedWords { probability, key });
        self.look_up(table, ids, steps, batch, dropped)
    }

    /// Adds `weight` times the mean square of `x`, or of its changes from step to step, to the function that
    /// the next [`Tape::backward`] differentiates. The value itself is not computed: [`Tape::penalty`] does
    /// that. A weight of zero costs nothing.
    pub fn penalize(&mut self, x: Value, penalty: Penalty, weight: f32) {
        if weight != 0.0 {
            self.record(Node::Penalty { x, penalty, weight });
        }
    }

    /// The mean square of `x`, or of its changes from step to step, read on the host.
    ///
    /// # Errors
    /// As [`Tape::read`].
    pub fn penalty(&self, x: Value, penalty: Penalty) -> Result<f64> {
        let dims = penalty_dims(self.shape(x));
        Ok(activation_penalty::forward(&self.workspace.device, dims, penalty, self.values(x))?)
    }

    /// A recurrent weight with elements dropped, or `None` where the weight itself is used.
    pub(super) fn drop_weight(&mut self, layer: &Layer) -> Option<DroppedWeight> {
        let probability = layer.weight_dropout;
        let key = self.parameter_mask(probability)?;
        let (rows, columns) = self.matrix(layer.weight_hh);
        let dims = dropout::Dims { steps: 1, batch: rows, width: columns };
        let dropout = Dropout { probability, mask: Mask::Elementwise, key, columns: None };
        let mut values = self.workspace.pool.take(rows * columns);
        let weight = self.parameters.values(layer.weight_hh);
        dropout::forward(&self.workspace.device, dims, dropout, weight, values.slice_mut());
        Some(DroppedWeight { dropout, dims, values })
    }

    /// Packs a layer's recurrent weight for the loop over time steps: the weight itself in the packs, which
    /// keep it until it changes; a dropped one, which differs in each step, in a buffer that is returned.
    pub(super) fn lay_out(
        &mut self,
        layer: &Layer,
        kind: recurrence::Pack,
        dropped: Option<&DroppedWeight>,
    ) -> Option<Buffer> {
        let workspace = &mut *self.workspace;
        let device = &workspace.device;
        let Some(dropped) = dropped else {
            let layout = Layout::Recurrence(layer.cell, kind);
            workspace.packs.prepare(device, self.parameters, layer.weight_hh, layout);
            return None;
        };
        let weight =
            recurrence::Weight { cell: layer.cell, hidden: layer.hidden_size, output: dropped.dims.width };
        let mut packed = workspace.pool.take(recurrence::pack_len(device, weight, kind));
        recurrence::pack(device, weight, kind, dropped.values.slice(), packed.slice_mut());
        Some(packed)
    }

    /// Applies word dropout to the rows of a look-up or of its gradient.
    pub(super) fn drop_words(&self, words: DroppedWords, ids: &Buffer<u32>, width: usize, rows: &mut Buffer) {
        let dims = dropout::RowDims { rows: ids.len(), width };
        let (device, DroppedWords { probability, key }) = (&self.workspace.device, words);
        dropout::rows_in_place(device, dims, probability, key, ids.slice(), rows.slice_mut());
    }

    /// Looks up ids and applies word dropout.
    pub(super) fn look_up(
        &mut self,
        table: ParameterId,
        ids: &[u32],
        steps: usize,
        batch: usize,
        dropped: Option<DroppedWords>,
    ) -> Value {
        assert_eq!(ids.len(), steps * batch, "number of ids");
        let (vocab, width) = self.matrix(table);
        let shape = Shape { steps, batch, width };
        let mut out = self.workspace.pool.take(shape.count());
        let dims = embedding::Dims { rows: shape.rows(), vocab, width };
        let ids = self.look_up_ids(ids);
        let values = self.parameters.values(table);
        embedding::forward(&self.workspace.device, dims, values, ids.on_device.slice(), out.slice_mut());
        if let Some(words) = dropped {
            self.drop_words(words, &ids.on_device, width, &mut out);
        }
        let out = self.push(shape, out, true);
        self.record(Node::Embedding { table, ids, dropped, out });
        out
    }

    /// The key of the next parameter mask; `None` if nothing is dropped.
    fn parameter_mask(&mut self, probability: f32) -> Option<Key> {
        let Mode::Train { seed, step } = self.mode else { return None };
        let place = self.parameter_masks;
        self.parameter_masks += 1;
        if probability == 0.0 {
            return None;
        }
        Some(Key { seed, stream: PARAMETER_MASKS + mask_number(step, place) })
    }
}

/// The sizes of an activation for dropout.
pub(super) fn dropout_dims(shape: Shape) -> dropout::Dims {
    dropout::Dims { steps: shape.steps, batch: shape.batch, width: shape.width }
}

/// The sizes of an activation for penalties.
pub(super) fn penalty_dims(shape: Shape) -> activation_penalty::Dims {
    activation_penalty::Dims { steps: shape.steps, batch: shape.batch, width: shape.width }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_place_of_every_step_has_masks_of_its_own() {
        // The numbers of version 0.1.0, which had 64 places.
        assert_eq!((mask_number(0, 63), mask_number(1, 0), mask_number(7, 5)), (63, 64, 7 * 64 + 5));
        let steps = [0, 1, 2, 1000, (1 << 42) - 1];
        let numbers: HashSet<u64> =
            steps.iter().flat_map(|&step| (0..1000).map(move |place| mask_number(step, place))).collect();
        assert_eq!(numbers.len(), 5 * 1000);
        assert!(mask_number((1 << 42) - 1, PLACES_PER_STEP - 1) < PARAMETER_MASKS);
    }
}
