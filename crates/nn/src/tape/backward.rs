//! The backward pass over a recording.

use rondo_kernels::decoder::WeightGradient;
use rondo_kernels::recurrence::mogrifier;
use rondo_kernels::{
    Buffer, Slice, SliceMut, Store, activation, activation_penalty, bias, cross_entropy, decoder, dropout,
    elementwise, embedding,
};
use rondo_kernels::{concat, linear, product, recurrence, softmax};

use super::finished::{GradientObserver, each_use};
use super::fused::{DecoderNode, KeptProjection, RecurrenceNode};
use super::observer::RECURRENCE;
use super::packs::Layout;
use super::regularize::{dropout_dims, penalty_dims};
use super::rounds::RoundGradients;
use super::{Loss, Node, Pass, Storage, Tape, Value};
use crate::{Gradients, ParameterId, Result};

impl Tape<'_> {
    /// Adds the gradient of `scale · (Σ nll + R·penalties)` to `gradients`, where `R` is the number of rows and `nll`
    /// includes the [parts](Tape::add_part) of the loss:
    /// with `scale` 1/R, the gradient of the mean over rows plus the penalties; with 1, that of the sum. The
    /// recording can be run backward only once.
    ///
    /// # Panics
    /// If the tape does not record, or its backward pass has already been run.
    /// # Errors
    /// [`NnError::Device`](crate::NnError::Device) if the device has failed, now or since the tape began.
    pub fn backward(&mut self, loss: Loss, scale: f32, gradients: &mut Gradients) -> Result<()> {
        self.backward_observed(loss, scale, gradients, None)
    }

    /// The same, with an observer that learns which gradients are finished while the pass is running.
    ///
    /// # Panics
    /// As [`backward`](Self::backward).
    /// # Errors
    /// As [`backward`](Self::backward).
    pub fn backward_observed(
        &mut self,
        loss: Loss,
        scale: f32,
        gradients: &mut Gradients,
        mut observer: Option<&mut dyn GradientObserver>,
    ) -> Result<()> {
        assert!(self.is_training(), "backward on a tape that does not record");
        assert!(
            !self.workspace.nodes.is_empty(),
            "backward on a tape whose backward pass has already been run"
        );
        if let Some(observer) = &mut observer {
            self.workspace.find_uses(self.parameters.ids().len());
            observer.begin(&self.workspace.uses.contributions, gradients);
        }
        let mut nodes = std::mem::take(&mut self.workspace.nodes);
        while let Some(mut node) = nodes.pop() {
            self.run_back(&mut node, loss, scale, gradients);
            self.workspace.tell(node.last_operation_back(), Pass::Backward);
            if let Some(observer) = &mut observer {
                let workspace = &*self.workspace;
                each_use(workspace, &node, |id, _| {
                    if workspace.uses.first[id.0] == nodes.len() {
                        observer.finished(id, gradients);
                    }
                });
            }
            self.workspace.recycle_node(node);
        }
        self.workspace.nodes = nodes;
        self.workspace.check()
    }

    fn run_back(&mut self, node: &mut Node, from: Loss, scale: f32, gradients: &mut Gradients) {
        match node {
            Node::Embedding { table, ids, dropped, out } => {
                if let Some(mut d_out) = self.take_gradient(*out) {
                    if let Some(words) = *dropped {
                        self.drop_words(words, &ids.on_device, self.shape(*out).width, &mut d_out);
                    }
                    gradients.add_rows(self.parameters, *table, ids, d_out.slice());
                    self.workspace.pool.give(d_out);
                }
            }
            Node::Linear { x, weight, bias, out } => {
                if let Some(d_out) = self.take_gradient(*out) {
                    self.linear_back(*x, *weight, *bias, d_out.slice(), gradients);
                    self.workspace.pool.give(d_out);
                }
            }
            Node::Recurrence(node) => self.recurrence_back(node, gradients),
            Node::Decoder(node) if self.is_part(node.loss, from) => self.decoder_back(node, scale, gradients),
            Node::Decoder(_) => {}
            Node::AdaptiveLogSoftmax(node) => self.adaptive_log_softmax_back(node, gradients),
            Node::Dropout { x, dropout, out } => {
                let dims = dropout_dims(self.shape(*x));
                self.unary_back(*x, *out, gradients, |tape, d_out, d_x, store| {
                    dropout::backward(&tape.workspace.device, dims, *dropout, d_out, d_x, store);
                });
            }
            Node::Penalty { x, penalty, weight } => {
                let dims = penalty_dims(self.shape(*x));
                let rows = self.workspace.losses[from.0].nll.len();
                let scale = f64::from(scale) * rows as f64 * f64::from(*weight);
                let x = *x;
                self.with_target(x, gradients, |tape, d_x, store| {
                    let (device, h) = (&tape.workspace.device, tape.values(x));
                    activation_penalty::backward(device, dims, *penalty, scale, h, d_x, store);
                });
            }
            Node::Product { a, b, out } => self.product_back(*a, *b, *out, gradients),
            Node::Add { a, b, out } => {
                self.binary_back([*a, *b], *out, gradients, |tape, _, d_out, d_x, store| {
                    elementwise::scale(&tape.workspace.device, 1.0, d_out, d_x, store);
                })
            }
            Node::Multiply { a, b, out } => {
                let (a, b) = (*a, *b);
                self.binary_back([a, b], *out, gradients, |tape, which, d_out, d_x, store| {
                    let other = tape.values([b, a][which]);
                    elementwise::multiply(&tape.workspace.device, d_out, other, d_x, store);
                });
            }
            Node::Scale { x, factor, out } => {
                self.unary_back(*x, *out, gradients, |tape, d_out, d_x, store| {
                    elementwise::scale(&tape.workspace.device, *factor, d_out, d_x, store);
                })
            }
            Node::AddRow { x, bias, out } => {
                let shape = self.shape(*out);
                let dims = bias::Dims { rows: shape.rows(), columns: shape.width };
                self.binary_back([*x, *bias], *out, gradients, |tape, which, d_out, d_x, store| {
                    let device = &tape.workspace.device;
                    match which {
                        0 => elementwise::scale(device, 1.0, d_out, d_x, store),
                        _ => bias::backward(device, dims, d_out, d_x, store),
                    }
                });
            }
            Node::Activation { x, activation, out } => {
                let y = *out;
                self.unary_back(*x, y, gradients, |tape, d_out, d_x, store| {
                    activation::backward(
                        &tape.workspace.device,
                        *activation,
                        tape.values(y),
                        d_out,
                        d_x,
                        store,
                    );
                });
            }
            Node::Softmax { x, temperature, out } => {
                let y = *out;
                let shape = self.shape(y);
                let dims = softmax::Dims { rows: shape.rows(), columns: shape.width };
                self.unary_back(*x, y, gradients, |tape, d_out, d_x, store| {
                    softmax::backward(
                        &tape.workspace.device,
                        dims,
                        *temperature,
                        tape.values(y),
                        d_out,
                        d_x,
                        store,
                    );
                });
            }
            Node::CrossEntropy { logits, targets, log_sums, loss } if self.is_part(*loss, from) => {
                let shape = self.shape(*logits);
                let dims = cross_entropy::Dims { rows: shape.rows(), vocab: shape.width };
                let (logits, targets, log_sums) = (*logits, targets.slice(), log_sums.slice());
                self.with_target(logits, gradients, |tape, d_x, store| {
                    let device = &tape.workspace.device;
                    let values = tape.values(logits);
                    cross_entropy::backward(device, dims, scale, values, targets, log_sums, d_x, store);
                });
            }
            Node::CrossEntropy { .. } => {}
            Node::Rows { x, rows, out } => {
                let Some(d_out) = self.take_gradient(*out) else { return };
                let (all, selected) = (self.shape(*x), self.shape(*out));
                let dims =
                    embedding::Dims { rows: selected.rows(), vocab: all.rows(), width: selected.width };
                self.with_target(*x, gradients, |tape, mut d_x, store| {
                    if store == Store::Overwrite {
                        // Other rows do not contribute to this output.
                        d_x.reborrow().fill(0.0);
                    }
                    embedding::backward(&tape.workspace.device, dims, rows.slice(), d_out.slice(), d_x);
                });
                self.workspace.pool.give(d_out);
            }
            Node::Slice { x, dims, out } => {
                let Some(d_out) = self.take_gradient(*out) else { return };
                self.with_target(*x, gradients, |tape, mut d_x, store| {
                    if store == Store::Overwrite {
                        // The rest of the input does not contribute to this output.
                        d_x.reborrow().fill(0.0);
                    }
                    concat::backward(&tape.workspace.device, *dims, d_out.slice(), d_x, Store::Add);
                });
                self.workspace.pool.give(d_out);
            }
            Node::Concat { x, dims, out, last } => {
                let Some(d_out) = self.take_gradient(*out) else { return };
                self.with_target(*x, gradients, |tape, d_x, store| {
                    concat::backward(&tape.workspace.device, *dims, d_out.slice(), d_x, store);
                });
                if *last {
                    self.workspace.pool.give(d_out);
                } else {
                    self.workspace.slots[out.0].gradient = Some(d_out);
                }
            }
        }
    }

    fn decoder_back(&mut self, node: &mut DecoderNode, scale: f32, gradients: &mut Gradients) {
        let dims = node.dims;
        let scratch_len = decoder::backward_scratch_len(&self.workspace.device, dims);
        let mut scratch = self.workspace.pool.take(scratch_len);
        // Only penalties and parts of the loss are recorded after the decoder.
        let earlier = self.take_gradient(node.hidden);
        let mut d_hidden = self.workspace.pool.take(dims.rows * dims.width);
        let mut d_bias = node.decoder.bias.map(|_| self.zeros(dims.vocab));
        let mut d_rows = node
            .gathered
            .as_ref()
            .map(|rows| self.workspace.pool.take_up_to(rows.weight.len(), rows.most * dims.width));
        let weight = node.decoder.weight;
        let product = match d_rows {
            Some(_) => None,
            None => gradients.product_mut(self.parameters, weight, dims.rows),
        };
        let (d_weight, store) = match (&mut d_rows, product) {
            (Some(d_rows), _) => (WeightGradient::Product(d_rows.slice_mut()), Store::Overwrite),
            (None, Some((left, right))) => {
                right.copy_from(self.workspace.values(self.parameters, node.hidden));
                (WeightGradient::Factor(left), Store::Add)
            }
            (None, None) => {
                let (d_weight, store) = gradients.dense(self.parameters, weight);
                (WeightGradient::Product(d_weight), store)
            }
        };
        decoder::backward(
            &self.workspace.device,
            dims,
            decoder::Backward {
                weight: match &node.gathered {
                    Some(rows) => rows.weight.slice(),
                    None => self.parameters.values(node.decoder.weight),
                },
                hidden: self.workspace.values(self.parameters, node.hidden),
                targets: node.targets.slice(),
                kept: node.kept.slice_mut(),
                scale,
                d_hidden: d_hidden.slice_mut(),
                d_weight,
                d_bias: d_bias.as_mut().map(Buffer::slice_mut),
                store,
                scratch: scratch.slice_mut(),
            },
        );
        self.workspace.pool.give(scratch);
        self.add_earlier(earlier, &mut d_hidden);
        self.keep_gradient(node.hidden, d_hidden, gradients);
        match (d_rows, &node.gathered) {
            (Some(d_rows), Some(rows)) => {
                let d_bias_rows = d_bias.as_ref().map(Buffer::slice);
                self.scatter_rows(node.decoder, &rows.ids, d_rows.slice(), d_bias_rows, gradients);
                [Some(d_rows), d_bias]
                    .into_iter()
                    .flatten()
                    .for_each(|buffer| self.workspace.pool.give(buffer));
            }
            _ => {
                if let (Some(d_bias), Some(id)) = (d_bias, node.decoder.bias) {
                    self.add_dense(id, d_bias, gradients);
                }
            }
        }
    }

    fn recurrence_back(&mut self, node: &mut RecurrenceNode, gradients: &mut Gradients) {
        let Some(d_out) = self.take_gradient(node.out) else { return };
        let dims = node.dims;
        let layer = node.layer;
        let own_pack = self.lay_out(&layer, recurrence::Pack::Backward, node.dropped.as_ref());
        let layout = Layout::Recurrence(layer.cell, recurrence::Pack::Backward);
        let linear_back = Layout::Linear(linear::Pack::Backward);
        if let Some(weight) = layer.projection {
            let workspace = &mut *self.workspace;
            workspace.packs.prepare(&workspace.device, self.parameters, weight, linear_back);
        }
        let gated = match (&node.projection, layer.mogrifier, dims.rounds) {
            (&KeptProjection::Dense { x, weight_ih }, Some(of_layer), Some(rounds)) => {
                let sizes = (rounds, dims.hidden);
                self.prepare_rounds(weight_ih, of_layer.weights, sizes, linear::Pack::Backward);
                Some((x, weight_ih, of_layer.weights))
            }
            _ => None,
        };
        let workspace = &mut *self.workspace;
        let resets = self.resets.as_ref();
        let scratch_len = recurrence::backward_scratch_len(&workspace.device, dims, resets.is_some());
        let mut scratch = workspace.pool.take(scratch_len);
        let mut d_r = workspace.pool.take(dims.weight().count());
        let mut d_bias_ih = workspace.pool.take(dims.gates_width());
        let mut d_bias_hh = layer.bias_hh.map(|_| workspace.pool.take(dims.gates_width()));
        let mut d_projection = layer.projection.map(|_| workspace.pool.take(dims.output() * dims.hidden));
        let mut d_rounds = dims.rounds.map(|rounds| RoundGradients::take(&mut workspace.pool, dims, rounds));
        let Storage::Own { buffer: hidden, .. } = &workspace.slots[node.out.0].storage else { return };
        let packs = &workspace.packs;
        let mogrifier = match (gated, &mut d_rounds, &mut node.kept) {
            (Some((x, weight_ih, weights)), Some(found), Some(kept)) => {
                let RoundGradients { d_x, d_weight_ih, d_weights } = found;
                Some(mogrifier::Backward {
                    x: workspace.values(self.parameters, x),
                    packed_ih: packs.get(weight_ih, linear_back).slice(),
                    packed: packs.rounds(weights, linear::Pack::Backward).slice(),
                    kept: kept.slice_mut(),
                    d_x: d_x.slice_mut(),
                    d_weight_ih: d_weight_ih.slice_mut(),
                    d_weights: d_weights.each_mut().map(|weight| weight.as_mut().map(Buffer::slice_mut)),
                })
            }
            _ => None,
        };
        recurrence::backward(
            &workspace.device,
            dims,
            recurrence::Backward {
                packed: match &own_pack {
                    Some(packed) => packed.slice(),
                    None => packs.get(layer.weight_hh, layout).slice(),
                },
                gates: node.gates.slice_mut(),
                extra: node.extra.slice_mut(),
                hidden: hidden.slice(),
                cell_state: node.cell_state.slice(),
                resets: resets.map(Buffer::slice),
                projection: layer.projection.zip(d_projection.as_mut()).map(|(weight, d_weight)| {
                    let packed = packs.get(weight, linear_back).slice();
                    recurrence::BackwardProjection { packed, d_weight: d_weight.slice_mut() }
                }),
                mogrifier,
                cell_clip: layer.cell_clip,
                d_hidden: d_out.slice(),
                d_r: d_r.slice_mut(),
                d_bias_ih: d_bias_ih.slice_mut(),
                d_bias_hh: d_bias_hh.as_mut().map(Buffer::slice_mut),
                store: Store::Overwrite,
                scratch: scratch.slice_mut(),
            },
        );
        workspace.pool.give(scratch);
        workspace.pool.give(d_out);
        if let Some(packed) = own_pack {
            workspace.pool.give(packed);
        }
        if let Some(dropped) = &node.dropped {
            // This is the gradient of the dropped-out weight; dropped elements do not contribute to the loss.
            dropout::in_place(&workspace.device, dropped.dims, dropped.dropout, d_r.slice_mut());
        }
        self.add_dense(layer.weight_hh, d_r, gradients);
        self.add_dense(layer.bias_ih, d_bias_ih, gradients);
        if let (Some(id), Some(d_bias)) = (layer.bias_hh, d_bias_hh) {
            self.add_dense(id, d_bias, gradients);
        }
        if let (Some(id), Some(d_projection)) = (layer.projection, d_projection) {
            self.add_dense(id, d_projection, gradients);
        }
        if let (Some((x, weight_ih, weights)), Some(found)) = (gated, d_rounds) {
            return self.keep_round_gradients(found, (x, weight_ih), weights, gradients);
        }
        self.workspace.tell(RECURRENCE, Pass::Backward);
        // The gates now hold the gradient of the input projection.
        match &node.projection {
            KeptProjection::Dense { x, weight_ih } => {
                self.linear_back(*x, *weight_ih, None, node.gates.slice(), gradients);
            }
            KeptProjection::LookUp { ids, table } => {
                gradients.add_rows(self.parameters, *table, ids, node.gates.slice());
            }
        }
    }

    fn linear_back(
        &mut self,
        x: Value,
        weight: ParameterId,
        bias: Option<ParameterId>,
        d_y: Slice<'_>,
        gradients: &mut Gradients,
    ) {
        let (outputs, inputs) = self.matrix(weight);
        let dims = linear::Dims { rows: self.shape(x).rows(), inputs, outputs };
        let wanted = self.needs_gradient(x);
        let mut d_x = wanted.then(|| self.gradient_buffer(x));
        let mut d_bias = bias.map(|_| self.zeros(dims.outputs));
        let layout = Layout::Linear(linear::Pack::Backward);
        let workspace = &mut *self.workspace;
        if wanted {
            workspace.packs.prepare(&workspace.device, self.parameters, weight, layout);
        }
        let mut scratch = workspace.pool.take(linear::backward_scratch_len(&workspace.device, dims));
        let (d_w, store) = gradients.dense(self.parameters, weight);
        let packs = &workspace.packs;
        linear::backward(
            &workspace.device,
            dims,
            linear::Backward {
                x: workspace.values(self.parameters, x),
                d_y,
                d_x: d_x
                    .as_mut()
                    .map(|(d_x, store)| (packs.get(weight, layout).slice(), d_x.slice_mut(), *store)),
                d_w,
                d_bias: d_bias.as_mut().map(Buffer::slice_mut),
                store,
                scratch: scratch.slice_mut(),
            },
        );
        workspace.pool.give(scratch);
        if let Some((d_x, _)) = d_x {
            self.keep_gradient(x, d_x, gradients);
        }
        if let (Some(id), Some(d_bias)) = (bias, d_bias) {
            self.add_dense(id, d_bias, gradients);
        }
    }

    fn product_back(&mut self, a: Value, b: Value, out: Value, gradients: &mut Gradients) {
        let (a_shape, b_shape) = (self.shape(a), self.shape(b));
        let dims = product::Dims { m: a_shape.rows(), k: a_shape.width, n: b_shape.width };
        let Some(d_out) = self.take_gradient(out) else { return };
        let mut scratch =
            self.workspace.pool.take(product::backward_scratch_len(&self.workspace.device, dims));
        if self.needs_gradient(a) {
            self.with_target(a, gradients, |tape, d_a, store| {
                let (device, b) = (&tape.workspace.device, tape.values(b));
                product::backward_a(device, dims, d_out.slice(), b, d_a, store, scratch.slice_mut());
            });
        }
        if self.needs_gradient(b) {
            self.with_target(b, gradients, |tape, d_b, store| {
                let (device, a) = (&tape.workspace.device, tape.values(a));
                product::backward_b(device, dims, a, d_out.slice(), d_b, store, scratch.slice_mut());
            });
        }
        self.workspace.pool.give(scratch);
        self.workspace.pool.give(d_out);
    }

    /// The backward pass of an operation with one input.
    fn unary_back(
        &mut self,
        x: Value,
        out: Value,
        gradients: &mut Gradients,
        run: impl FnOnce(&Self, Slice<'_>, SliceMut<'_>, Store),
    ) {
        let Some(d_out) = self.take_gradient(out) else { return };
        self.with_target(x, gradients, |tape, d_x, store| run(tape, d_out.slice(), d_x, store));
        self.workspace.pool.give(d_out);
    }

    /// The backward pass of an operation with two inputs, run once for each that needs a gradient.
    fn binary_back(
        &mut self,
        inputs: [Value; 2],
        out: Value,
        gradients: &mut Gradients,
        run: impl Fn(&Self, usize, Slice<'_>, SliceMut<'_>, Store),
    ) {
        let Some(d_out) = self.take_gradient(out) else { return };
        for (which, x) in inputs.into_iter().enumerate() {
            self.with_target(x, gradients, |tape, d_x, store| run(tape, which, d_out.slice(), d_x, store));
        }
        self.workspace.pool.give(d_out);
    }

    /// Lets `run` store or add the gradient of `x`, if it needs one.
    fn with_target(
        &mut self,
        x: Value,
        gradients: &mut Gradients,
        run: impl FnOnce(&Self, SliceMut<'_>, Store),
    ) {
        if self.needs_gradient(x) {
            let (mut d_x, store) = self.gradient_buffer(x);
            run(self, d_x.slice_mut(), store);
            self.keep_gradient(x, d_x, gradients);
        }
    }

    /// The gradient accumulated for a value; `None` if nothing depends on it.
    pub(super) fn take_gradient(&mut self, value: Value) -> Option<Buffer> {
        self.workspace.slots[value.0].gradient.take()
    }

    /// Adds a gradient that a value already had to a new one.
    fn add_earlier(&mut self, earlier: Option<Buffer>, to: &mut Buffer) {
        if let Some(earlier) = earlier {
            let device = &self.workspace.device;
            elementwise::scale(device, 1.0, earlier.slice(), to.slice_mut(), Store::Add);
            self.workspace.pool.give(earlier);
        }
    }

    /// Adds a contribution to the gradient of a value, if it needs one.
    pub(super) fn add_gradient(&mut self, value: Value, mut found: Buffer, gradients: &mut Gradients) {
        if !self.needs_gradient(value) {
            return self.workspace.pool.give(found);
        }
        let earlier = self.take_gradient(value);
        self.add_earlier(earlier, &mut found);
        self.keep_gradient(value, found, gradients);
    }

    /// A buffer for a value's gradient, and whether it already contains a contribution.
    fn gradient_buffer(&mut self, value: Value) -> (Buffer, Store) {
        match self.take_gradient(value) {
            Some(gradient) => (gradient, Store::Add),
            None => {
                let count = self.shape(value).count();
                (self.workspace.pool.take(count), Store::Overwrite)
            }
        }
    }

    /// A buffer for a bias's gradient before it is added to the others: the weight's may be the first
    /// contribution while the bias's is not, and the kernels treat both alike.
    fn zeros(&mut self, len: usize) -> Buffer {
        let mut buffer = self.workspace.pool.take(len);
        buffer.slice_mut().fill(0.0);
        buffer
    }

    /// Stores a value's gradient where it will be looked up: with the value, or with its parameter.
    pub(super) fn keep_gradient(&mut self, value: Value, gradient: Buffer, gradients: &mut Gradients) {
        match self.workspace.slots[value.0].storage {
            Storage::Parameter(id) => self.add_dense(id, gradient, gradients),
            Storage::Own { .. } => self.workspace.slots[value.0].gradient = Some(gradient),
        }
    }

    /// Adds a dense contribution to a parameter's gradient.
    pub(super) fn add_dense(&mut self, id: ParameterId, contribution: Buffer, gradients: &mut Gradients) {
        let (to, store) = gradients.dense(self.parameters, id);
        elementwise::scale(&self.workspace.device, 1.0, contribution.slice(), to, store);
        self.workspace.pool.give(contribution);
    }
}
