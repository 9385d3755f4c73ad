//! The fused operations that models are built from.

use rondo_kernels::recurrence::{self, Cell, mogrifier};
use rondo_kernels::{Buffer, Slice, decoder, embedding, linear};

use super::packs::{Forward, Layout};
use super::regularize::DroppedWeight;
use super::rounds::MogrifierLayer;
use super::sampled::GatheredRows;
use super::{Ids, Loss, Node, Pass, Shape, Tape, Value, Workspace};
use crate::{Decoder, ParameterId, StatePart};

/// A recurrent layer's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// The cell.
    pub cell: Cell,
    /// `H`, the hidden size.
    pub hidden_size: usize,
    /// `[G·H, P]`, where `P` is `H` unless the output is projected.
    pub weight_hh: ParameterId,
    /// `[G·H]`.
    pub bias_ih: ParameterId,
    /// `[G·H]`, if the layer has a second bias.
    pub bias_hh: Option<ParameterId>,
    /// The probability of dropping an element of `weight_hh` in training, with one mask for all steps of a
    /// batch; 0 is off.
    pub weight_dropout: f32,
    /// `[P, H]`: the weight that projects the output, which then is the hidden state.
    pub projection: Option<ParameterId>,
    /// The limit that the elements of the cell state are clipped to after each step, ±.
    pub cell_clip: Option<f32>,
    /// The rounds of a Mogrifier; `None` for other cells.
    pub mogrifier: Option<MogrifierLayer>,
}

impl Layer {
    /// A layer without weight dropout, projection and clipping; not a Mogrifier.
    pub fn new(
        cell: Cell,
        hidden_size: usize,
        weight_hh: ParameterId,
        bias_ih: ParameterId,
        bias_hh: Option<ParameterId>,
    ) -> Layer {
        Layer {
            cell,
            hidden_size,
            weight_hh,
            bias_ih,
            bias_hh,
            weight_dropout: 0.0,
            projection: None,
            cell_clip: None,
            mogrifier: None,
        }
    }
}

/// The input projection of a recurrent layer.
#[derive(Clone, Copy, Debug)]
pub enum Projection<'a> {
    /// Matrix multiplication by a weight.
    Dense {
        /// `[T, B, D]`.
        x: Value,
        /// `[G·H, D]`.
        weight_ih: ParameterId,
    },
    /// A row look-up: the product with a one-hot input.
    LookUp {
        /// `[T, B]`.
        ids: &'a [u32],
        /// `[V, G·H]`.
        table: ParameterId,
    },
}

/// What the backward pass of a recurrent layer needs.
#[derive(Debug)]
pub(super) struct RecurrenceNode {
    pub(super) dims: recurrence::Dims,
    pub(super) layer: Layer,
    pub(super) projection: KeptProjection,
    pub(super) dropped: Option<DroppedWeight>,
    pub(super) gates: Buffer,
    pub(super) extra: Buffer,
    pub(super) cell_state: Buffer,
    /// What the rounds of a Mogrifier keep.
    pub(super) kept: Option<Buffer>,
    pub(super) out: Value,
}

/// [`Projection`] with owned ids.
#[derive(Debug)]
pub(super) enum KeptProjection {
    Dense { x: Value, weight_ih: ParameterId },
    LookUp { ids: Ids, table: ParameterId },
}

/// What the backward pass of a decoder needs.
#[derive(Debug)]
pub(super) struct DecoderNode {
    pub(super) dims: decoder::Dims,
    pub(super) hidden: Value,
    pub(super) decoder: Decoder,
    /// The rows of weight and bias that it computes with, if not all.
    pub(super) gathered: Option<GatheredRows>,
    pub(super) targets: Buffer<u32>,
    pub(super) kept: Buffer,
    pub(super) loss: Loss,
}

impl Tape<'_> {
    /// Looks up `ids: [T, B]` in the table `[V, E]`.
    ///
    /// # Panics
    /// If an id is out of range, or there are not `T·B`.
    pub fn embedding(&mut self, table: ParameterId, ids: &[u32], steps: usize, batch: usize) -> Value {
        self.look_up(table, ids, steps, batch, None)
    }

    /// `x·Wᵀ + b` for each row; `W: [N, D]`, `b: [N]`.
    ///
    /// # Panics
    /// If the widths of `x` and `W` differ.
    pub fn linear(&mut self, x: Value, weight: ParameterId, bias: Option<ParameterId>) -> Value {
        let shape = self.shape(x);
        let (outputs, _) = self.matrix(weight);
        let mut y = self.workspace.pool.take(shape.rows() * outputs);
        self.project(x, weight, bias, &mut y);
        let out = self.push(Shape { width: outputs, ..shape }, y, true);
        self.record(Node::Linear { x, weight, bias, out });
        out
    }

    /// Runs a recurrent layer over a batch of `[T, B]` steps from `state`, and updates `state`: the next
    /// batch continues from it, while the gradient is truncated between batches. The state is the hidden
    /// state and, for a cell that has one, the cell state.
    ///
    /// Rows are reset where [`Tape::set_resets`] says so.
    ///
    /// # Panics
    /// If the sizes do not match, or the weight dropout is not at least 0 and below 1; if a Mogrifier looks its input up.
    pub fn recurrent_layer(
        &mut self,
        layer: Layer,
        projection: Projection<'_>,
        steps: usize,
        batch: usize,
        state: &mut [StatePart],
    ) -> Value {
        let rounds = layer.mogrifier.map(|MogrifierLayer { rounds, rank, .. }| match projection {
            Projection::Dense { x, .. } => {
                mogrifier::Rounds { count: rounds, input: self.shape(x).width, rank }
            }
            Projection::LookUp { .. } => panic!("the input of a Mogrifier is gated, and cannot be looked up"),
        });
        let dims = recurrence::Dims {
            cell: layer.cell,
            steps,
            batch,
            hidden: layer.hidden_size,
            projection: layer.projection.map(|weight| self.matrix(weight).0),
            rounds,
        };
        let mut gates = self.workspace.pool.take(dims.gates_len());
        let projection = match projection {
            Projection::Dense { x, weight_ih } if rounds.is_some() => KeptProjection::Dense { x, weight_ih },
            Projection::Dense { x, weight_ih } => {
                self.project(x, weight_ih, None, &mut gates);
                KeptProjection::Dense { x, weight_ih }
            }
            Projection::LookUp { ids, table } => {
                let (vocab, width) = self.matrix(table);
                let ids = self.look_up_ids(ids);
                let values = self.parameters.values(table);
                let dims = embedding::Dims { rows: steps * batch, vocab, width };
                let on_device = ids.on_device.slice();
                embedding::forward(&self.workspace.device, dims, values, on_device, gates.slice_mut());
                KeptProjection::LookUp { ids, table }
            }
        };
        if rounds.is_none() {
            self.workspace.tell(projection.operation(), Pass::Forward);
        }
        let linear_forward = Layout::Linear(linear::Pack::Forward);
        let of_projection = layer.projection.map(|weight| {
            let Workspace { packs, device, .. } = &mut *self.workspace;
            (weight, packs.prepare_forward(device, self.parameters, weight, Forward::Linear))
        });
        if let (Some(rounds), Some(of_layer), KeptProjection::Dense { weight_ih, .. }) =
            (rounds, layer.mogrifier, &projection)
        {
            let sizes = (rounds, layer.hidden_size);
            self.prepare_rounds(*weight_ih, of_layer.weights, sizes, linear::Pack::Forward);
        }
        let dropped = self.drop_weight(&layer);
        // Weights that are dropped out are not what was quantized.
        let (own_pack, layout) = match &dropped {
            Some(_) => {
                let kind = recurrence::Pack::Forward;
                (self.lay_out(&layer, kind, dropped.as_ref()), Layout::Recurrence(layer.cell, kind))
            }
            None => {
                let Workspace { packs, device, .. } = &mut *self.workspace;
                let of = Forward::Recurrence(layer.cell);
                (None, packs.prepare_forward(device, self.parameters, layer.weight_hh, of))
            }
        };
        let workspace = &mut *self.workspace;
        let mut extra = workspace.pool.take(dims.extra_len());
        let mut hidden = workspace.pool.take(dims.states_len());
        let mut cell_state = workspace.pool.take(dims.cell_state_len());
        let mut kept = rounds.map(|_| workspace.pool.take(dims.kept_len()));
        let rows = [batch * dims.output(), batch * layer.hidden_size];
        assert_eq!(
            state.len(),
            if layer.cell.has_cell_state() { 2 } else { 1 },
            "parts of the layer's state"
        );
        for ((to, row), from) in [&mut hidden, &mut cell_state].into_iter().zip(rows).zip(&*state) {
            to.range_mut(0..row).copy_from(from.values().slice());
        }
        let resets = self.resets.as_ref();
        let scratch_len = recurrence::forward_scratch_len(&workspace.device, dims, resets.is_some());
        let mut scratch = workspace.pool.take(scratch_len);
        let packs = &workspace.packs;
        let mogrifier = match (&projection, layer.mogrifier, &mut kept) {
            (KeptProjection::Dense { x, weight_ih }, Some(of_layer), Some(kept)) => {
                Some(mogrifier::Forward {
                    x: workspace.values(self.parameters, *x),
                    packed_ih: packs.get(*weight_ih, linear_forward).slice(),
                    packed: packs.rounds(of_layer.weights, linear::Pack::Forward).slice(),
                    kept: kept.slice_mut(),
                })
            }
            _ => None,
        };
        recurrence::forward(
            &workspace.device,
            dims,
            recurrence::Forward {
                packed: match &own_pack {
                    Some(packed) => packed.slice().into(),
                    None => packs.packed(layer.weight_hh, layout),
                },
                bias_ih: self.parameters.values(layer.bias_ih),
                bias_hh: layer.bias_hh.map(|id| self.parameters.values(id)),
                gates: gates.slice_mut(),
                extra: extra.slice_mut(),
                hidden: hidden.slice_mut(),
                cell_state: cell_state.slice_mut(),
                projection: of_projection.map(|(weight, layout)| packs.packed(weight, layout)),
                mogrifier,
                cell_clip: layer.cell_clip,
                resets: resets.map(Buffer::slice),
                scratch: scratch.slice_mut(),
            },
        );
        workspace.pool.give(scratch);
        if let Some(packed) = own_pack {
            workspace.pool.give(packed);
        }
        for ((to, from), row) in state.iter_mut().zip([&hidden, &cell_state]).zip(rows) {
            to.values_mut().slice_mut().copy_from(from.range(steps * row..(steps + 1) * row));
        }
        let out = self.push_part(Shape { steps, batch, width: dims.output() }, hidden, rows[0], true);
        self.record(Node::Recurrence(RecurrenceNode {
            dims,
            layer,
            projection,
            dropped,
            gates,
            extra,
            cell_state,
            kept,
            out,
        }));
        out
    }

    /// Computes the negative log-likelihood of each row's target: dense layer, softmax and cross-entropy in
    /// one. `weight: [V, H]`, `bias: [V]`, `targets: [T, B]`.
    ///
    /// # Panics
    /// If there are not `T·B` targets, or a target is out of range.
    pub fn decoder(
        &mut self,
        hidden: Value,
        weight: ParameterId,
        bias: Option<ParameterId>,
        targets: &[u32],
    ) -> Loss {
        let targets = self.ids(targets);
        self.decode(hidden, Decoder { weight, bias }, targets, None)
    }

    /// The loss of a decoder over the whole vocabulary, or over gathered rows of it.
    pub(super) fn decode(
        &mut self,
        hidden: Value,
        decoder: Decoder,
        targets: Buffer<u32>,
        gathered: Option<GatheredRows>,
    ) -> Loss {
        let (vocab, width) = self.matrix(decoder.weight);
        let all = decoder::Dims { rows: self.shape(hidden).rows(), width, vocab };
        let (dims, most) = match &gathered {
            Some(rows) => (
                decoder::Dims { vocab: rows.ids.on_host.len(), ..all },
                decoder::Dims { vocab: rows.most, ..all },
            ),
            None => (all, all),
        };
        let training = self.is_training();
        let parameters = self.parameters;
        let workspace = &mut *self.workspace;
        let device = &workspace.device;
        let mut nll = workspace.pool.take(dims.rows);
        let kept_len = |dims| if training { decoder::kept_len(device, dims) } else { 0 };
        let mut kept = workspace.pool.take_up_to(kept_len(dims), kept_len(most));
        let mut scratch = workspace.pool.take(decoder::forward_scratch_len(device, most));
        decoder::forward(
            &workspace.device,
            dims,
            decoder::Forward {
                weight: match &gathered {
                    Some(rows) => rows.weight.slice(),
                    None => parameters.values(decoder.weight),
                },
                bias: match &gathered {
                    Some(rows) => Some(rows.bias.slice()),
                    None => decoder.bias.map(|id| parameters.values(id)),
                },
                hidden: workspace.values(parameters, hidden),
                targets: targets.slice(),
                only_as_target: gathered.as_ref().map(|rows| rows.only_as_target.slice()),
                nll: nll.slice_mut(),
                kept: training.then(|| kept.slice_mut()),
                scratch: scratch.slice_mut(),
            },
        );
        workspace.pool.give(scratch);
        let loss = self.push_loss(nll);
        self.record(Node::Decoder(DecoderNode { dims, hidden, decoder, gathered, targets, kept, loss }));
        loss
    }

    /// `y = x·Wᵀ + b` into a buffer.
    fn project(&mut self, x: Value, weight: ParameterId, bias: Option<ParameterId>, y: &mut Buffer) {
        let rows = self.shape(x).rows();
        let (outputs, inputs) = self.matrix(weight);
        let workspace = &mut *self.workspace;
        let Workspace { packs, device, .. } = &mut *workspace;
        let layout = packs.prepare_forward(device, self.parameters, weight, Forward::Linear);
        let packed = workspace.packs.packed(weight, layout);
        let bias = bias.map(|id| self.parameters.values(id));
        let x: Slice<'_> = workspace.values(self.parameters, x);
        let dims = linear::Dims { rows, inputs, outputs };
        linear::forward(&workspace.device, dims, packed, bias, x, y.slice_mut());
    }

    /// Rows and columns of a parameter.
    pub(super) fn matrix(&self, id: ParameterId) -> (usize, usize) {
        match *self.parameters.shape(id) {
            [rows, columns] => (rows, columns),
            ref shape => {
                panic!("parameter `{}` has shape {shape:?}, expected a matrix", self.parameters.name(id))
            }
        }
    }
}
