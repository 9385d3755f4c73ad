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

/// The maximum number of places of each kind per step: each has its own masks.
const PLACES_PER_STEP: u64 = 64;

/// Offset of the mask numbers of parameters. No run has enough steps for the mask numbers of activations to
/// reach it.
const PARAMETER_MASKS: u64 = 1 << 63;

/// A recurrent weight with elements dropped.
#[derive(Debug)]
pub(super) struct DroppedWeight {
    /// The dropout that was applied; the backward pass applies it to the gradient.
    pub(super) dropout: Dropout,
    /// The sizes for the dropout.
    pub(super) dims: dropout::Dims,
    /// `[G·H, H]`.
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
    /// If the probability is not at least 0 and below 1, or there are more than 64 places on the tape.
    pub fn dropout(&mut self, x: Value, site: DropoutSite) -> Value {
        let Mode::Train { seed, step } = self.mode else { return x };
        let place = self.dropout_sites;
        self.dropout_sites += 1;
        assert!(place < PLACES_PER_STEP, "more than {PLACES_PER_STEP} dropouts on one tape");
        if site.probability == 0.0 {
            return x;
        }
        let dropout = Dropout {
            probability: site.probability,
            mask: if site.locked { Mask::Locked } else { Mask::Elementwise },
            key: Key { seed, stream: step * PLACES_PER_STEP + place },
        };
        let shape = self.shape(x);
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
        let dropout = Dropout { probability, mask: Mask::Elementwise, key };
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
        let (cell, hidden) = (layer.cell, layer.hidden_size);
        let mut packed = workspace.pool.take(recurrence::pack_len(device, cell, hidden, kind));
        recurrence::pack(device, cell, hidden, kind, dropped.values.slice(), packed.slice_mut());
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
        let ids = self.ids(ids);
        let values = self.parameters.values(table);
        embedding::forward(&self.workspace.device, dims, values, ids.slice(), out.slice_mut());
        if let Some(words) = dropped {
            self.drop_words(words, &ids, width, &mut out);
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
        assert!(
            place < PLACES_PER_STEP,
            "more than {PLACES_PER_STEP} places among the parameters on one tape"
        );
        Some(Key { seed, stream: PARAMETER_MASKS + step * PLACES_PER_STEP + place })
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
