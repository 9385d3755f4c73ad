//! The autograd tape: records operations as they run, and computes gradients in reverse.
//!
//! ```text
//!   workspace ── buffers, packed weights, kept from step to step
//!       │ tape(&parameters, mode)
//!       ▼
//!   tape ── operation → Value → operation → Value → … → Loss
//!       │ backward(loss, scale, &mut gradients)
//!       ▼
//!   gradients of the parameters
//! ```
//!
//! This is a single file because a recording, its nodes and the memory they return to are defined by each other.
//!
//! A model is a short function that puts operations on a tape. Training, scoring and generation run the same
//! function; with [`Mode::Evaluate`], nothing is recorded and dropout is the identity. A device failure does
//! not stop the recording: it is reported by the next call that reads values, or by `backward`. All memory
//! comes from the workspace and returns to it when the tape ends, so a training step allocates nothing after
//! the first.
//!
//! A loss can be made of parts: [`Tape::add_part`] adds the losses of some of its rows, which another operation has
//! computed. The backward pass of the whole also starts from each part, with the same factor.

mod adaptive;
mod backward;
mod finished;
mod fused;
mod observer;
mod packs;
mod primitives;
mod regularize;
mod rounds;
mod sampled;

use std::borrow::Cow;
use std::ops::Range;

use rondo_kernels::activation_penalty::Penalty;
use rondo_kernels::dropout::{Columns, Dropout};
use rondo_kernels::{Buffer, BufferPool, Device, DeviceError, Slice, activation, concat, embedding};

use crate::{ParameterId, Parameters, Result, StatePart};
pub(crate) use adaptive::{AdaptiveLayers, Tail};
use finished::Uses;
pub use finished::{Contribution, GradientObserver};
pub use fused::{Layer, Projection};
use observer::Observer;
pub use observer::{OperationObserver, Pass};
use packs::Packs;
pub use rounds::MogrifierLayer;

/// Reusable memory for tapes: buffers, and packed weights.
#[derive(Debug)]
pub struct Workspace {
    device: Device,
    pool: BufferPool,
    id_pool: BufferPool<u32>,
    /// Memory of the host for ids.
    host_ids: Vec<Vec<u32>>,
    packs: Packs,
    slots: Vec<Slot>,
    nodes: Vec<Node>,
    losses: Vec<LossSlot>,
    target_lists: adaptive::TargetLists,
    observer: Observer,
    /// How the recorded operations use each parameter.
    uses: Uses,
    /// The device failure since the tape began, if any. Operations continue, and the next read reports it.
    failure: Option<DeviceError>,
}

/// Whether operations are recorded and whether dropout is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Training: operations are recorded, and dropout is applied.
    Train {
        /// The run's random seed, used for dropout masks.
        seed: u64,
        /// The training step: each step has its own masks.
        step: u64,
    },
    /// Dynamic evaluation: operations are recorded, and dropout is the identity.
    Dynamic,
    /// Evaluation: nothing is recorded, and dropout is the identity.
    Evaluate,
}

/// A tensor of up to three dimensions computed on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(usize);

/// Negative log-likelihoods computed on a tape, one per row: the starting point of [`Tape::backward`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss(usize);

/// The shape of a tensor: `[T, B, D]`, or `[R, D]` with one step of `R` rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `T`.
    pub steps: usize,
    /// `B`.
    pub batch: usize,
    /// `D`.
    pub width: usize,
}

impl Shape {
    /// `[R, D]`.
    pub fn matrix(rows: usize, width: usize) -> Shape {
        Shape { steps: 1, batch: rows, width }
    }

    /// `T·B`.
    pub fn rows(self) -> usize {
        self.steps * self.batch
    }

    /// The number of elements.
    pub fn count(self) -> usize {
        self.rows() * self.width
    }
}

/// A recording in progress.
pub struct Tape<'a> {
    workspace: &'a mut Workspace,
    parameters: &'a Parameters,
    mode: Mode,
    dropout_sites: u64,
    parameter_masks: u64,
    /// `[T, B]`: nonzero where a step starts from a zero state.
    resets: Option<Buffer<u32>>,
    /// The same, on the host.
    resets_on_host: Vec<u32>,
    /// The columns that these are of a larger batch, and their number.
    columns: Option<(Columns, usize)>,
}

/// Ids on the device, and on the host.
#[derive(Debug)]
pub(crate) struct Ids {
    pub(crate) on_device: Buffer<u32>,
    pub(crate) on_host: Vec<u32>,
}

/// Where a value's elements are stored.
#[derive(Debug)]
enum Storage {
    /// In `buffer`, starting at `offset`.
    Own { buffer: Buffer, offset: usize },
    /// In a parameter.
    Parameter(ParameterId),
}

#[derive(Debug)]
struct Slot {
    storage: Storage,
    shape: Shape,
    /// Whether it depends on anything that needs a gradient.
    needs_gradient: bool,
    gradient: Option<Buffer>,
}

#[derive(Debug)]
struct LossSlot {
    /// The negative log-likelihood of each row.
    nll: Buffer,
    /// The loss that it has been added to.
    part_of: Option<Loss>,
}

/// A recorded operation: its inputs, its output and what its backward pass needs.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // Boxes would allocate in every step; a tape has a dozen nodes.
enum Node {
    Embedding {
        table: ParameterId,
        ids: Ids,
        dropped: Option<regularize::DroppedWords>,
        out: Value,
    },
    Linear {
        x: Value,
        weight: ParameterId,
        bias: Option<ParameterId>,
        out: Value,
    },
    Recurrence(fused::RecurrenceNode),
    Dropout {
        x: Value,
        dropout: Dropout,
        out: Value,
    },
    Decoder(fused::DecoderNode),
    AdaptiveLogSoftmax(adaptive::AdaptiveLogSoftmaxNode),
    Penalty {
        x: Value,
        penalty: Penalty,
        weight: f32,
    },
    Product {
        a: Value,
        b: Value,
        out: Value,
    },
    Add {
        a: Value,
        b: Value,
        out: Value,
    },
    Multiply {
        a: Value,
        b: Value,
        out: Value,
    },
    Scale {
        x: Value,
        factor: f32,
        out: Value,
    },
    AddRow {
        x: Value,
        bias: Value,
        out: Value,
    },
    Activation {
        x: Value,
        activation: activation::Activation,
        out: Value,
    },
    Softmax {
        x: Value,
        temperature: f32,
        out: Value,
    },
    CrossEntropy {
        logits: Value,
        targets: Buffer<u32>,
        log_sums: Buffer,
        loss: Loss,
    },
    /// Some rows of `x` only.
    Rows {
        x: Value,
        rows: Buffer<u32>,
        out: Value,
    },
    /// A block of `x` only.
    Slice {
        x: Value,
        dims: concat::Dims,
        out: Value,
    },
    /// `x` as a block of `out`; `last` if no other part will need the gradient of `out` afterwards.
    Concat {
        x: Value,
        dims: concat::Dims,
        out: Value,
        last: bool,
    },
}

impl Workspace {
    /// An empty workspace on `device`.
    pub fn new(device: &Device) -> Self {
        Workspace {
            device: device.clone(),
            pool: BufferPool::new(device),
            id_pool: BufferPool::new(device),
            host_ids: Vec::new(),
            packs: Packs::default(),
            slots: Vec::new(),
            nodes: Vec::new(),
            losses: Vec::new(),
            target_lists: adaptive::TargetLists::default(),
            observer: Observer::default(),
            uses: Uses::default(),
            failure: None,
        }
    }

    /// The device it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Starts a tape over `parameters`.
    pub fn tape<'a>(&'a mut self, parameters: &'a Parameters, mode: Mode) -> Tape<'a> {
        self.recycle();
        self.failure = None;
        Tape {
            workspace: self,
            parameters,
            mode,
            dropout_sites: 0,
            parameter_masks: 0,
            resets: None,
            resets_on_host: Vec::new(),
            columns: None,
        }
    }

    /// Frees the memory of earlier recordings, for when later ones have other sizes.
    pub fn release(&mut self) {
        self.pool = BufferPool::new(&self.device);
        self.id_pool = BufferPool::new(&self.device);
    }

    /// Takes back all memory of the last recording.
    fn recycle(&mut self) {
        let mut slots = std::mem::take(&mut self.slots);
        for slot in slots.drain(..) {
            if let Storage::Own { buffer, .. } = slot.storage {
                self.pool.give(buffer);
            }
            if let Some(gradient) = slot.gradient {
                self.pool.give(gradient);
            }
        }
        self.slots = slots;
        let mut nodes = std::mem::take(&mut self.nodes);
        for node in nodes.drain(..) {
            self.recycle_node(node);
        }
        self.nodes = nodes;
        for loss in self.losses.drain(..) {
            self.pool.give(loss.nll);
        }
    }
}

impl Drop for Tape<'_> {
    fn drop(&mut self) {
        if let Some(resets) = self.resets.take() {
            self.workspace.id_pool.give(resets);
        }
        self.workspace.recycle();
    }
}

impl Tape<'_> {
    /// The parameters it computes with.
    pub fn parameters(&self) -> &Parameters {
        self.parameters
    }

    /// Whether it records operations.
    pub fn is_training(&self) -> bool {
        self.mode != Mode::Evaluate
    }

    /// The shape of a value.
    pub fn shape(&self, value: Value) -> Shape {
        self.workspace.slots[value.0].shape
    }

    /// The elements of a value, on the device.
    pub fn values(&self, value: Value) -> Slice<'_> {
        self.workspace.values(self.parameters, value)
    }

    /// The elements of a value, on the host.
    ///
    /// # Errors
    /// [`NnError::Device`](crate::NnError::Device) if the device has failed, now or since the tape began.
    pub fn read(&self, value: Value) -> Result<Cow<'_, [f32]>> {
        self.workspace.check()?;
        Ok(self.values(value).read()?)
    }

    /// Each row's negative log-likelihood, in nats, on the device.
    pub fn nll(&self, loss: Loss) -> Slice<'_> {
        self.workspace.losses[loss.0].nll.slice()
    }

    /// Each row's negative log-likelihood, in nats, on the host.
    ///
    /// # Errors
    /// As [`Tape::read`].
    pub fn read_nll(&self, loss: Loss) -> Result<Cow<'_, [f32]>> {
        self.workspace.check()?;
        Ok(self.nll(loss).read()?)
    }

    /// The sum of all rows' negative log-likelihoods, in nats, accumulated in `f64` on the host.
    ///
    /// # Errors
    /// As [`Tape::read`].
    pub fn nll_sum(&self, loss: Loss) -> Result<f64> {
        Ok(self.read_nll(loss)?.iter().map(|&nll| f64::from(nll)).sum())
    }

    /// Adds the losses `part` of some rows to those of `whole`: `nll[rows[n]] += part[n]`. The whole's backward pass then
    /// also starts from the part.
    ///
    /// # Panics
    /// If there is not one row for each loss of the part, a row is out of range, the part has already been added, or it is
    /// the whole itself.
    pub fn add_part(&mut self, whole: Loss, part: Loss, rows: &[u32]) {
        let ids = self.ids(rows);
        let Workspace { device, losses, id_pool, .. } = &mut *self.workspace;
        let Ok([to, from]) = losses.get_disjoint_mut([whole.0, part.0]) else {
            panic!("a loss cannot be a part of itself");
        };
        assert!(from.part_of.is_none(), "a loss is added to another only once");
        from.part_of = Some(whole);
        let dims = embedding::Dims { rows: rows.len(), vocab: to.nll.len(), width: 1 };
        embedding::backward(device, dims, ids.slice(), from.nll.slice(), to.nll.slice_mut());
        id_pool.give(ids);
    }

    /// A constant from host values; it needs no gradient.
    ///
    /// # Panics
    /// If the number of values does not match the shape.
    pub fn constant(&mut self, shape: Shape, values: &[f32]) -> Value {
        let mut buffer = self.workspace.pool.take(shape.count());
        let written = buffer.write_from(values);
        self.workspace.note(written);
        self.push(shape, buffer, false)
    }

    /// A part of the recurrent state as a value `[B, width]`. The gradient stops here: this is the truncation
    /// in truncated backpropagation through time.
    pub fn state(&mut self, part: &StatePart) -> Value {
        let values = part.values();
        let shape = Shape::matrix(values.len() / part.width().max(1), part.width());
        let mut buffer = self.workspace.pool.take(shape.count());
        buffer.slice_mut().copy_from(values.slice());
        self.push(shape, buffer, false)
    }

    /// Stores `value: [B, width]` in the recurrent state.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn keep(&self, value: Value, part: &mut StatePart) {
        part.values_mut().slice_mut().copy_from(self.values(value));
    }

    /// Sets where steps start from a zero state instead of the state after the step before: for each step and row,
    /// `[T, B]`, a number that is nonzero there. Recurrent layers respect it; models that are made of other
    /// operations call [`Tape::reset_state`]. The gradient does not flow through a reset.
    ///
    /// It must be set before the model's forward pass. Without a nonzero number, it has no effect.
    ///
    /// # Panics
    /// If it has been set before.
    pub fn set_resets(&mut self, resets: &[u32]) {
        assert!(self.resets.is_none(), "the resets of a tape are set once");
        if resets.iter().any(|&reset| reset != 0) {
            self.resets = Some(self.ids(resets));
            self.resets_on_host = resets.to_vec();
        }
    }

    /// Says that the columns `columns` of a batch of `batch` columns are on this tape, and not the whole batch. Dropout then
    /// drops the same elements of them as it would in the whole batch.
    ///
    /// It must be set before the model's forward pass.
    ///
    /// # Panics
    /// If the batch does not have these columns.
    pub fn set_columns(&mut self, columns: Range<usize>, batch: usize) {
        assert!(columns.start <= columns.end && columns.end <= batch, "columns {columns:?} of {batch}");
        self.columns = Some((Columns { first: columns.start, all: batch }, columns.len()));
    }

    /// `state: [B, width]` with the rows set to zero that are reset before this step; the state itself if there are
    /// none. For models of your own, before each step: see [`Tape::set_resets`].
    ///
    /// # Panics
    /// If the resets were set for fewer steps, or for another batch size.
    pub fn reset_state(&mut self, state: Value, step: usize) -> Value {
        let Shape { batch, width, .. } = self.shape(state);
        if self.resets.is_none() {
            return state;
        }
        let rows = &self.resets_on_host[step * batch..(step + 1) * batch];
        if rows.iter().all(|&reset| reset == 0) {
            return state;
        }
        let kept = |&reset: &u32| std::iter::repeat_n(if reset == 0 { 1.0 } else { 0.0 }, width);
        let mask: Vec<f32> = rows.iter().flat_map(kept).collect();
        let mask = self.constant(Shape::matrix(batch, width), &mask);
        self.multiply(state, mask)
    }

    /// A parameter as a value; a vector becomes one row.
    pub fn parameter(&mut self, id: ParameterId) -> Value {
        let (rows, width) = match *self.parameters.shape(id) {
            [width] => (1, width),
            [rows, width] => (rows, width),
            ref shape => panic!("parameter `{}` has shape {shape:?}", self.parameters.name(id)),
        };
        let storage = Storage::Parameter(id);
        let shape = Shape::matrix(rows, width);
        self.workspace.slots.push(Slot { storage, shape, needs_gradient: true, gradient: None });
        Value(self.workspace.slots.len() - 1)
    }

    fn push(&mut self, shape: Shape, buffer: Buffer, needs_gradient: bool) -> Value {
        self.push_part(shape, buffer, 0, needs_gradient)
    }

    /// A value whose elements begin at an offset within a buffer.
    fn push_part(&mut self, shape: Shape, buffer: Buffer, offset: usize, needs_gradient: bool) -> Value {
        let storage = Storage::Own { buffer, offset };
        self.workspace.slots.push(Slot { storage, shape, needs_gradient, gradient: None });
        Value(self.workspace.slots.len() - 1)
    }

    fn push_loss(&mut self, nll: Buffer) -> Loss {
        self.workspace.losses.push(LossSlot { nll, part_of: None });
        Loss(self.workspace.losses.len() - 1)
    }

    /// Whether the backward pass from `whole` starts from `loss`: they are the same, or it is a part.
    fn is_part(&self, loss: Loss, whole: Loss) -> bool {
        let part_of = |loss: &Loss| self.workspace.losses[loss.0].part_of;
        std::iter::successors(Some(loss), part_of).any(|found| found == whole)
    }

    fn needs_gradient(&self, value: Value) -> bool {
        self.workspace.slots[value.0].needs_gradient
    }

    /// Keeps an operation for [`Tape::backward`], if a gradient is needed.
    fn record(&mut self, node: Node) {
        self.workspace.tell(node.operation(), Pass::Forward);
        if self.is_training() {
            self.workspace.nodes.push(node);
        } else {
            self.workspace.recycle_node(node);
        }
    }

    /// Ids that get a gradient: the host plans which rows they belong to.
    fn look_up_ids(&mut self, ids: &[u32]) -> Ids {
        let mut on_host = self.workspace.host_ids.pop().unwrap_or_default();
        on_host.clear();
        on_host.extend(ids);
        Ids { on_device: self.ids(ids), on_host }
    }

    fn ids(&mut self, ids: &[u32]) -> Buffer<u32> {
        let mut buffer = self.workspace.id_pool.take(ids.len());
        let written = buffer.write_from(ids);
        self.workspace.note(written);
        buffer
    }
}

impl Workspace {
    /// Remembers the first device failure since the tape began.
    fn note(&mut self, result: std::result::Result<(), DeviceError>) {
        if let (Err(error), None) = (result, &self.failure) {
            self.failure = Some(error);
        }
    }

    /// Returns an error if the device has failed since the tape began.
    fn check(&self) -> Result<()> {
        self.failure.clone().map_or(Ok(()), |error| Err(error.into()))
    }

    fn values<'s>(&'s self, parameters: &'s Parameters, value: Value) -> Slice<'s> {
        let slot = &self.slots[value.0];
        match &slot.storage {
            Storage::Own { buffer, offset } => buffer.range(*offset..offset + slot.shape.count()),
            Storage::Parameter(id) => parameters.values(*id),
        }
    }

    fn recycle_ids(&mut self, ids: Ids) {
        self.id_pool.give(ids.on_device);
        self.host_ids.push(ids.on_host);
    }

    fn recycle_node(&mut self, node: Node) {
        match node {
            Node::Embedding { ids, .. } => self.recycle_ids(ids),
            Node::Rows { rows, .. } => self.id_pool.give(rows),
            Node::Recurrence(node) => {
                for buffer in [node.gates, node.extra, node.cell_state].into_iter().chain(node.kept) {
                    self.pool.give(buffer);
                }
                if let Some(dropped) = node.dropped {
                    self.pool.give(dropped.values);
                }
                if let fused::KeptProjection::LookUp { ids, .. } = node.projection {
                    self.recycle_ids(ids);
                }
            }
            Node::Decoder(node) => {
                self.id_pool.give(node.targets);
                self.pool.give(node.kept);
                if let Some(rows) = node.gathered {
                    self.recycle_rows(rows);
                }
            }
            Node::AdaptiveLogSoftmax(node) => self.pool.give(node.log_sums),
            Node::CrossEntropy { targets, log_sums, .. } => {
                self.id_pool.give(targets);
                self.pool.give(log_sums);
            }
            Node::Linear { .. }
            | Node::Dropout { .. }
            | Node::Penalty { .. }
            | Node::Product { .. }
            | Node::Add { .. }
            | Node::Multiply { .. }
            | Node::Scale { .. }
            | Node::AddRow { .. }
            | Node::Activation { .. }
            | Node::Softmax { .. }
            | Node::Slice { .. }
            | Node::Concat { .. } => {}
        }
    }
}
