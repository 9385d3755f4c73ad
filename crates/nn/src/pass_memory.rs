//! Estimates the memory that a model's forward and backward passes need, before any of it is allocated.
//!
//! The estimate repeats, in the same order, the requests that [`RnnLm`](crate::RnnLm) and the tape make to a
//! workspace: its pool of buffers, its packed weights, and the gradients. So it finds the same reuse of
//! buffers. A test compares it with what is really allocated. How many rows each tail of an adaptive softmax has depends
//! on the text; Zipf's law says how many to expect. This is a single file because the order of the requests is the whole
//! of it.
//!
//! Promises: no sizes make it overflow, panic or take long. Not here: the parameters themselves, the
//! optimizer's state and other copies of the parameters (the caller).

use std::collections::{BTreeMap, HashSet};

use rondo_kernels::recurrence::mogrifier;
use rondo_kernels::{Device, decoder, linear, recurrence};

use crate::config::{AdaptiveSoftmax, tail_frequency};
use crate::{ActivationPenalty, Input, RnnLmConfig};

/// Bytes of an element of a buffer.
const ELEMENT: u64 = size_of::<f32>() as u64;

/// From this many bytes, 4 TiB, an estimate is only a lower bound, because exact lengths could overflow.
const ROUGH: u128 = 1 << 42;

/// The size of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSize {
    /// `T`, the steps.
    pub steps: usize,
    /// `B`, the columns.
    pub columns: usize,
}

/// An estimate of the memory of passes that share a workspace, in bytes.
///
/// ```
/// use rondo_kernels::Device;
/// use rondo_nn::{ActivationPenalty, BatchSize, PRESETS, PassMemory};
///
/// let (config, device) = (PRESETS[0].config(33_278), Device::cpu(1)?);
/// let mut memory = PassMemory::new(&config, &device);
/// memory.train(BatchSize { steps: 35, columns: 20 }, ActivationPenalty::default());
/// memory.evaluate(BatchSize { steps: 38, columns: 20 });
/// assert!((100_000_000..200_000_000).contains(&memory.bytes()));
/// # Ok::<(), rondo_kernels::DeviceError>(())
/// ```
#[derive(Debug)]
pub struct PassMemory<'a> {
    config: &'a RnnLmConfig,
    device: &'a Device,
    /// The tokens drawn in a training step of a sampled softmax.
    draws: Option<usize>,
    pool: Pool,
    packed: HashSet<Packed>,
    packed_bytes: u64,
    /// Everything else.
    other_bytes: u64,
}

/// The pool of a workspace: the lengths of the free buffers, and the bytes of all buffers.
#[derive(Debug, Default)]
struct Pool {
    free: BTreeMap<usize, usize>,
    bytes: u64,
}

/// A packed weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Packed {
    Input {
        layer: usize,
        kind: linear::Pack,
    },
    Recurrent {
        layer: usize,
        kind: recurrence::Pack,
    },
    /// The projection of a layer's output.
    Output {
        layer: usize,
        kind: linear::Pack,
    },
    /// The rounds of a Mogrifier.
    Rounds {
        layer: usize,
        kind: linear::Pack,
    },
    /// The decoder, or the head of an adaptive softmax.
    Decoder,
    Projection {
        tail: usize,
        kind: linear::Pack,
    },
    Tail {
        tail: usize,
    },
}

/// The buffers of a layer that its backward pass needs.
struct Kept {
    gates: usize,
    extra: usize,
    cell_state: usize,
    rounds: Option<usize>,
    dropped_weight: Option<usize>,
}

/// A decoder that computes losses: the only one, or one of an adaptive softmax.
#[derive(Clone, Copy)]
struct Decoded {
    /// The index and the sizes of the projection of a tail.
    projection: Option<(usize, linear::Dims)>,
    dims: decoder::Dims,
    /// The buffer that its backward pass needs.
    kept: usize,
}

impl Pool {
    /// See [`BufferPool::take`](rondo_kernels::BufferPool::take), which this repeats. Returns the capacity.
    fn take(&mut self, len: usize) -> usize {
        /// The elements of a cache line.
        const LINE: usize = 16;
        let capacity = len.max(1).next_multiple_of(LINE);
        if let Some((&found, count)) = self.free.range_mut(capacity..).next() {
            *count -= 1;
            if *count == 0 {
                self.free.remove(&found);
            }
            return found;
        }
        self.bytes += capacity as u64 * ELEMENT;
        capacity
    }

    fn give(&mut self, capacity: usize) {
        *self.free.entry(capacity).or_default() += 1;
    }

    fn give_all(&mut self, capacities: impl IntoIterator<Item = usize>) {
        capacities.into_iter().for_each(|capacity| self.give(capacity));
    }
}

impl<'a> PassMemory<'a> {
    /// No passes yet, of a model with this configuration on this device.
    pub fn new(config: &'a RnnLmConfig, device: &'a Device) -> PassMemory<'a> {
        let (pool, packed) = (Pool::default(), HashSet::new());
        PassMemory { config, device, draws: None, pool, packed, packed_bytes: 0, other_bytes: 0 }
    }

    /// Trains with a sampled softmax of at most this many sampled tokens.
    pub fn with_sampled_softmax(self, draws: usize) -> PassMemory<'a> {
        PassMemory { draws: Some(draws), ..self }
    }

    /// The bytes of all passes so far: the workspace, the gradients, the ids and the hidden states.
    pub fn bytes(&self) -> u64 {
        self.pool.bytes.saturating_add(self.packed_bytes).saturating_add(self.other_bytes)
    }

    /// The bytes that do not depend on the size of batches: the packed weights.
    pub fn packed_bytes(&self) -> u64 {
        self.packed_bytes
    }

    /// Adds a training step without the gradients of the parameters: a forward and a backward pass.
    pub fn train(&mut self, size: BatchSize, penalty: ActivationPenalty) {
        let Some(rows) = self.rows(size) else { return self.add_least(size) };
        self.state_and_ids(size, rows);
        let (mut values, kept) = self.forward(size, rows, true);
        let decoded = self.losses(rows, true, &mut values);
        self.backward(size, rows, decoded, kept, penalty);
        self.pool.give_all(values);
    }

    /// The weight and bias of the candidates of a sampled softmax, in memory for as many as there can be.
    fn gathered_rows(&mut self, dims: decoder::Dims) -> [usize; 2] {
        let gathered = [self.pool.take(dims.vocab * dims.width), self.pool.take(dims.vocab)];
        self.scratch(dims.vocab); // the logarithms of the probabilities of inclusion
        self.add_other(4 * dims.vocab as u64 * ELEMENT); // ids on host and device
        gathered
    }

    /// Adds an evaluation in batches of this size.
    pub fn evaluate(&mut self, size: BatchSize) {
        let Some(rows) = self.rows(size) else { return self.add_least(size) };
        self.state_and_ids(size, rows);
        let (mut values, _) = self.forward(size, rows, false);
        self.losses(rows, false, &mut values);
        self.pool.give_all(values);
    }

    /// Adds forward passes of this size that read tokens without predicting any.
    pub fn read(&mut self, size: BatchSize) {
        let Some(rows) = self.rows(size) else { return self.add_least(size) };
        let (values, _) = self.forward(size, rows, false);
        self.pool.give_all(values);
    }

    /// Adds passes that compute logits: one step of this many rows.
    pub fn logits(&mut self, rows: usize) {
        let size = BatchSize { steps: 1, columns: rows };
        let Some(rows) = self.rows(size) else { return self.add_least(size) };
        self.state_and_ids(size, rows);
        let (mut values, _) = self.forward(size, rows, false);
        for (projection, dims) in self.decoders(rows, |_| rows) {
            let mut packed = Packed::Decoder;
            if let Some((tail, projection)) = projection {
                values.push(self.project(tail, projection));
                packed = Packed::Tail { tail };
            }
            let len = linear::pack_len(self.device, dims.width, dims.vocab, linear::Pack::Forward);
            self.pack(packed, len);
            values.push(self.pool.take(rows * dims.vocab));
        }
        if let Some(softmax) = &self.config.adaptive_softmax {
            let log_sums = self.pool.take(rows * (1 + softmax.cutoffs().len()));
            values.push(self.pool.take(rows * self.config.vocab_size));
            self.pool.give(log_sums);
        }
        self.pool.give_all(values);
    }

    /// Adds the gradients of the parameters for batches of this size. `dense` says whether the optimizer
    /// changes all rows of an embedding in each step, rather than those of the batch's tokens.
    pub fn gradients(&mut self, size: BatchSize, dense: bool) {
        let Some(rows) = self.rows(size) else { return self.add_other(clamped(self.parameter_bytes())) };
        let config = self.config;
        if self.draws.is_some() && !dense {
            return self.sparse_gradients(rows);
        }
        let looked_up = config.parameter_shapes().into_iter().next();
        let (vocab, width) = looked_up.map_or((0, 0), |(_, shape)| (shape[0], shape[1]));
        let all = config.parameter_count();
        let (dense_len, has_rows) = match config.tied {
            true => (all, false),
            false if dense => (all, true),
            false => (all - vocab * width, true),
        };
        // The gradients of rows come with three lists of their ids.
        let sparse_len = if has_rows { rows * (width + 3) } else { 0 };
        let bytes = (dense_len as u64).saturating_add(sparse_len as u64).saturating_mul(ELEMENT);
        self.add_other(bytes);
    }

    /// Adds the gradients of a sampled softmax: rows of embedding and decoder, everything else dense.
    fn sparse_gradients(&mut self, rows: usize) {
        /// The lists of ids that come with rows.
        const LISTS: usize = 3;
        let decoder = self.training_dims(rows);
        let looked_up = self.config.parameter_shapes().into_iter().next().map_or(vec![], |(_, shape)| shape);
        let (vocab, width) = (decoder.vocab.max(looked_up[0]), looked_up[1]);
        let of_decoder = if self.config.tied { 0 } else { vocab * decoder.width };
        let dense_len = self.config.parameter_count() - vocab * width - of_decoder - vocab;
        let sparse = |rows: usize, width: usize| rows * (width + LISTS);
        let of_weights = if self.config.tied {
            // Rows of both, and their sums, with headroom.
            let both = (decoder.vocab + rows) * 9 / 8;
            sparse(both, width) + both * (width + 1)
        } else {
            sparse(decoder.vocab, decoder.width) + sparse(rows, width)
        };
        let len = dense_len + of_weights + sparse(decoder.vocab, 1);
        self.add_other((len as u64).saturating_mul(ELEMENT));
    }

    /// The number of rows of a batch. `None` if the sizes are enormous.
    fn rows(&self, size: BatchSize) -> Option<usize> {
        let bytes = self.parameter_bytes().saturating_add(self.least_bytes(size));
        (bytes <= ROUGH).then(|| size.steps * size.columns)
    }

    /// The bytes of all parameters.
    fn parameter_bytes(&self) -> u128 {
        let shapes = self.config.parameter_shapes().into_iter();
        let count = |shape: Vec<usize>| shape.into_iter().map(wide).fold(1, u128::saturating_mul);
        let count = shapes.map(|(_, shape)| count(shape)).fold(0, u128::saturating_add);
        count.saturating_mul(u128::from(ELEMENT))
    }

    /// A lower bound of the bytes that a pass over a batch of this size needs.
    fn least_bytes(&self, BatchSize { steps, columns }: BatchSize) -> u128 {
        let config = self.config;
        let hidden: u128 = config.hidden_sizes.iter().map(|&size| wide(size)).sum();
        let embedding = match config.input {
            Input::Embedding(width) => wide(width),
            Input::OneHot => 0,
        };
        // The logits, the embedding, and the gates, outputs and states of the layers. An adaptive softmax has fewer logits,
        // but that makes a difference only at sizes that no memory has.
        let width = wide(config.vocab_size) + embedding + (wide(config.cell.gates()) + 2) * hidden;
        let elements = wide(steps).saturating_mul(wide(columns)).saturating_mul(width);
        elements.saturating_mul(u128::from(ELEMENT))
    }

    /// Adds a lower bound of a pass over a batch of enormous size: the batch, and each weight packed.
    fn add_least(&mut self, size: BatchSize) {
        self.add_other(clamped(self.least_bytes(size)));
        self.packed_bytes = self.packed_bytes.max(clamped(self.parameter_bytes()));
    }

    /// Adds the hidden state, and for an LSTM the cell state; the inputs and targets, in host memory and in
    /// buffers; and the negative log-likelihoods on the host.
    fn state_and_ids(&mut self, size: BatchSize, rows: usize) {
        let config = self.config;
        let of_layer = |&hidden: &usize| {
            config.output_size(hidden) + if config.cell.has_cell_state() { hidden } else { 0 }
        };
        let state = size.columns * config.hidden_sizes.iter().map(of_layer).sum::<usize>();
        self.add_other((state + 5 * rows) as u64 * ELEMENT);
    }

    /// The forward pass up to the decoder's input. Returns the buffers that stay in use until the tape ends,
    /// and, if the pass is recorded, those of each layer that stay until its backward pass.
    fn forward(&mut self, size: BatchSize, rows: usize, records: bool) -> (Vec<usize>, Vec<Kept>) {
        let (config, device) = (self.config, self.device);
        let dropout = config.dropout;
        let (mut values, mut kept) = (vec![], vec![]);
        let mut width = None;
        if let Input::Embedding(embedding) = config.input {
            values.push(self.pool.take(rows * embedding));
            if records && dropout.input.probability > 0.0 {
                values.push(self.pool.take(rows * embedding));
            }
            width = Some(embedding);
        }
        let layers = config.hidden_sizes.len();
        for (layer, &hidden) in config.hidden_sizes.iter().enumerate() {
            let dims = recurrence_dims(config, size, hidden, width.unwrap_or(0));
            let gates = self.pool.take(dims.gates_len());
            self.pack_more(layer, dims, linear::Pack::Forward);
            if let Some(width) = width {
                let kind = linear::Pack::Forward;
                let len = linear::pack_len(device, width, dims.gates_width(), kind);
                self.pack(Packed::Input { layer, kind }, len);
            }
            let drops = records && dropout.weights > 0.0;
            let dropped_weight = drops.then(|| self.pool.take(dims.weight().count()));
            let own_pack = self.pack_recurrent(layer, dims, recurrence::Pack::Forward, drops);
            let extra = self.pool.take(dims.extra_len());
            values.push(self.pool.take(dims.states_len()));
            let cell_state = self.pool.take(dims.cell_state_len());
            let rounds = dims.rounds.map(|_| self.pool.take(dims.kept_len()));
            self.pool.give_all(own_pack);
            let own = Kept { gates, extra, cell_state, rounds, dropped_weight };
            if records {
                kept.push(own);
            } else {
                self.give_kept(own);
            }
            let site = if layer + 1 == layers { dropout.output } else { dropout.between };
            if records && site.probability > 0.0 {
                values.push(self.pool.take(rows * dims.output()));
            }
            width = Some(dims.output());
        }
        (values, kept)
    }

    /// The decoders that compute the losses of `rows` rows, or their logits: each with the index and the sizes of its
    /// projection, if it is a tail of an adaptive softmax. `of_tail` is the number of rows of a tail.
    fn decoders(
        &self,
        rows: usize,
        of_tail: impl Fn(usize) -> usize,
    ) -> Vec<(Option<(usize, linear::Dims)>, decoder::Dims)> {
        let config = self.config;
        let hidden = config.last_output_size();
        let mut decoders = vec![];
        match &config.adaptive_softmax {
            None => decoders.push((None, self.decoder_dims(rows))),
            Some(softmax) => {
                let dims = softmax.dims(config.vocab_size, rows);
                decoders.push((None, decoder::Dims { rows, width: hidden, vocab: dims.head_width() }));
                for tail in 0..dims.cutoffs.len() {
                    let (rows, vocab) = (of_tail(tail), dims.tail(tail).len());
                    let width = AdaptiveSoftmax::projection_width(tail, hidden);
                    let projection = linear::Dims { rows, inputs: hidden, outputs: width };
                    decoders.push((Some((tail, projection)), decoder::Dims { rows, width, vocab }));
                }
            }
        }
        decoders
    }

    /// The rows of a batch whose target is expected to be in a tail of an adaptive softmax.
    fn tail_rows(&self, rows: usize, tail: usize) -> usize {
        let softmax = self.config.adaptive_softmax.as_ref();
        let frequency =
            softmax.map(|softmax| tail_frequency(softmax.dims(self.config.vocab_size, rows), tail));
        ((rows as f64 * frequency.unwrap_or(1.0)).ceil() as usize).clamp(1, rows.max(1))
    }

    /// The losses, added to the buffers that stay in use until the tape ends.
    fn losses(&mut self, rows: usize, records: bool, values: &mut Vec<usize>) -> Vec<Decoded> {
        let mut decoded = vec![];
        for (projection, mut dims) in self.decoders(rows, |tail| self.tail_rows(rows, tail)) {
            if records && self.draws.is_some() {
                dims = self.training_dims(rows);
                values.extend(self.gathered_rows(dims));
            }
            if let Some((tail, projection)) = projection {
                values.push(self.pool.take(projection.rows * projection.inputs));
                values.push(self.project(tail, projection));
            }
            values.push(self.pool.take(dims.rows));
            let kept = self.pool.take(if records { decoder::kept_len(self.device, dims) } else { 0 });
            self.scratch(decoder::forward_scratch_len(self.device, dims));
            if records {
                decoded.push(Decoded { projection, dims, kept });
            } else {
                self.pool.give(kept);
            }
        }
        decoded
    }

    /// The projection of a tail.
    fn project(&mut self, tail: usize, dims: linear::Dims) -> usize {
        let kind = linear::Pack::Forward;
        let output = self.pool.take(dims.rows * dims.outputs);
        self.pack(
            Packed::Projection { tail, kind },
            linear::pack_len(self.device, dims.inputs, dims.outputs, kind),
        );
        output
    }

    /// The backward pass of the losses, to the gradient of the decoder's input; `earlier` is what it already has.
    fn losses_back(
        &mut self,
        rows: usize,
        decoded: Vec<Decoded>,
        mut earlier: Option<usize>,
    ) -> Option<usize> {
        for Decoded { projection, dims, kept } in decoded.into_iter().rev() {
            let scratch = self.pool.take(decoder::backward_scratch_len(self.device, dims));
            let gradient = self.pool.take(dims.rows * dims.width);
            let Some((tail, projection)) = projection else {
                let d_bias = self.config.adaptive_softmax.is_none().then(|| self.pool.take(dims.vocab));
                let d_rows = self.draws.map(|_| self.pool.take(dims.vocab * dims.width));
                self.pool.give(scratch);
                self.pool.give_all(earlier.replace(gradient));
                self.pool.give_all(d_bias);
                self.pool.give(kept);
                self.pool.give_all(d_rows);
                continue;
            };
            self.pool.give_all([scratch, kept]);
            let d_selected = self.pool.take(projection.rows * projection.inputs);
            let kind = linear::Pack::Backward;
            let len = linear::pack_len(self.device, projection.inputs, projection.outputs, kind);
            self.pack(Packed::Projection { tail, kind }, len);
            self.scratch(linear::backward_scratch_len(self.device, projection));
            self.pool.give(gradient);
            earlier = Some(earlier.unwrap_or_else(|| self.pool.take(rows * projection.inputs)));
            self.pool.give(d_selected);
        }
        earlier
    }

    /// The backward pass.
    fn backward(
        &mut self,
        size: BatchSize,
        rows: usize,
        decoded: Vec<Decoded>,
        mut kept: Vec<Kept>,
        penalty: ActivationPenalty,
    ) {
        let (config, device) = (self.config, self.device);
        let width = config.last_output_size();
        // The penalties are recorded last, that on changes after the other. The output before dropout has its own gradient
        // only if there is a dropout.
        let drops = |probability: f32| probability > 0.0;
        let output_drops = drops(config.dropout.output.probability);
        let (mut d_raw, mut d_dropped) = (None, None);
        if penalty.temporal != 0.0 {
            let gradient = Some(self.pool.take(rows * width));
            *(if output_drops { &mut d_raw } else { &mut d_dropped }) = gradient;
        }
        if penalty.activation != 0.0 && d_dropped.is_none() {
            d_dropped = Some(self.pool.take(rows * width));
        }
        let Some(mut gradient) = self.losses_back(rows, decoded, d_dropped) else { return };
        if output_drops {
            let d_x = d_raw.unwrap_or_else(|| self.pool.take(rows * width));
            self.pool.give(std::mem::replace(&mut gradient, d_x));
        }
        for (layer, &hidden) in config.hidden_sizes.iter().enumerate().rev() {
            let input = match (layer.checked_sub(1), config.input) {
                (Some(below), _) => config.output_size(config.hidden_sizes[below]),
                (None, Input::Embedding(width)) => width,
                (None, Input::OneHot) => 0,
            };
            let dims = recurrence_dims(config, size, hidden, input);
            self.pack_more(layer, dims, linear::Pack::Backward);
            let Some(own) = kept.pop() else { return };
            let drops_weight = own.dropped_weight.is_some();
            let own_pack = self.pack_recurrent(layer, dims, recurrence::Pack::Backward, drops_weight);
            let scratch = self.pool.take(recurrence::backward_scratch_len(device, dims, false));
            let d_r = self.pool.take(dims.weight().count());
            let d_biases = [self.pool.take(dims.gates_width()), self.pool.take(dims.gates_width())];
            let d_projection = dims.projection.map(|output| self.pool.take(output * hidden));
            let d_rounds = dims.rounds.map(|rounds| {
                let d_x = self.pool.take(rows * rounds.input);
                let d_weight_ih = self.pool.take(dims.gates_width() * rounds.input);
                let shapes = rounds.weight_shapes(hidden);
                let d_weights =
                    shapes.map(|shape| shape.map(|[rows, columns]| self.pool.take(rows * columns)));
                (d_x, d_weight_ih, d_weights)
            });
            self.pool.give_all([scratch, gradient]);
            self.pool.give_all(own_pack);
            self.pool.give(d_r);
            self.pool.give_all(d_biases);
            self.pool.give_all(d_projection);
            let site = match (layer, config.input) {
                (0, Input::OneHot) => return self.give_kept(own),
                (0, Input::Embedding(_)) => config.dropout.input,
                _ => config.dropout.between,
            };
            let width = input;
            if let Some((d_x, d_weight_ih, d_weights)) = d_rounds {
                self.pool.give(d_weight_ih);
                self.pool.give_all(d_weights.into_iter().flatten());
                gradient = d_x;
                self.give_kept(own);
                if drops(site.probability) {
                    let d_x = self.pool.take(rows * width);
                    self.pool.give(std::mem::replace(&mut gradient, d_x));
                }
                continue;
            }
            gradient = self.pool.take(rows * width);
            let kind = linear::Pack::Backward;
            self.pack(
                Packed::Input { layer, kind },
                linear::pack_len(device, width, dims.gates_width(), kind),
            );
            let dims = linear::Dims { rows, inputs: width, outputs: dims.gates_width() };
            self.scratch(linear::backward_scratch_len(device, dims));
            self.give_kept(own);
            if drops(site.probability) {
                let d_x = self.pool.take(rows * width);
                self.pool.give(std::mem::replace(&mut gradient, d_x));
            }
        }
        self.pool.give(gradient);
    }

    fn give_kept(&mut self, kept: Kept) {
        self.pool.give_all([kept.gates, kept.extra, kept.cell_state]);
        self.pool.give_all(kept.rounds);
        self.pool.give_all(kept.dropped_weight);
    }

    fn add_other(&mut self, bytes: u64) {
        self.other_bytes = self.other_bytes.saturating_add(bytes);
    }

    /// A buffer that is used and returned at once.
    fn scratch(&mut self, len: usize) {
        let capacity = self.pool.take(len);
        self.pool.give(capacity);
    }

    /// Packs a recurrent weight: one with dropped elements in a buffer of the pool, which is returned.
    fn pack_recurrent(
        &mut self,
        layer: usize,
        dims: recurrence::Dims,
        kind: recurrence::Pack,
        drops: bool,
    ) -> Option<usize> {
        let len = recurrence::pack_len(self.device, dims.weight(), kind);
        if drops {
            return Some(self.pool.take(len));
        }
        self.pack(Packed::Recurrent { layer, kind }, len);
        None
    }

    /// Packs the projection of a layer, and the weights of a Mogrifier.
    fn pack_more(&mut self, layer: usize, dims: recurrence::Dims, kind: linear::Pack) {
        if let Some(output) = dims.projection {
            let len = linear::pack_len(self.device, dims.hidden, output, kind);
            self.pack(Packed::Output { layer, kind }, len);
        }
        if let Some(rounds) = dims.rounds {
            let len = linear::pack_len(self.device, rounds.input, dims.gates_width(), kind);
            self.pack(Packed::Input { layer, kind }, len);
            let len = mogrifier::pack_len(self.device, rounds, dims.hidden, kind);
            self.pack(Packed::Rounds { layer, kind }, len);
        }
    }

    fn pack(&mut self, packed: Packed, len: usize) {
        if self.packed.insert(packed) {
            self.packed_bytes += len as u64 * ELEMENT;
        }
    }

    /// The decoder of a training step: with a sampled softmax, over as many candidates as there can be.
    fn training_dims(&self, rows: usize) -> decoder::Dims {
        let all = self.decoder_dims(rows);
        let candidates = self.draws.map_or(all.vocab, |draws| draws.saturating_add(rows));
        decoder::Dims { vocab: candidates.min(all.vocab), ..all }
    }

    fn decoder_dims(&self, rows: usize) -> decoder::Dims {
        let config = self.config;
        decoder::Dims { rows, width: config.last_output_size(), vocab: config.vocab_size }
    }
}

fn wide(size: usize) -> u128 {
    size as u128
}

fn clamped(bytes: u128) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn recurrence_dims(config: &RnnLmConfig, size: BatchSize, hidden: usize, input: usize) -> recurrence::Dims {
    let is_mogrifier = config.cell == recurrence::Cell::Mogrifier;
    recurrence::Dims {
        cell: config.cell,
        steps: size.steps,
        batch: size.columns,
        hidden,
        projection: config.cell_options.projection_size,
        rounds: is_mogrifier.then(|| config.cell_options.mogrifier.rounds(input)),
    }
}
