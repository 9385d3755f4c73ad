//! A recurrent layer over time, for every cell.
//!
//! The input projection is computed in advance for all steps at once ([`crate::linear`]); what remains for
//! each step is the recurrent projection and the cell's own arithmetic. The loop over time, its
//! multiplications and its buffers are implemented once; a cell is defined by its number of gates and two
//! pointwise functions ([`Cell`]).
//!
//! With enough batch rows, each thread runs all steps for its own rows, without synchronization inside the
//! recurrence; otherwise the hidden units are split between the threads. The weight is packed once ([`pack`]) for all steps, for as long as it does not change.

pub mod cases;
mod cell;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
mod gru;
mod lstm;
pub mod reference;
mod rnn;
mod split;

pub use cell::Cell;

use crate::{Device, Slice, SliceMut, Store, check_len};

/// The shape of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// The cell.
    pub cell: Cell,
    /// `T`, the steps.
    pub steps: usize,
    /// `B`, the batch rows.
    pub batch: usize,
    /// `H`, the hidden size.
    pub hidden: usize,
}

impl Dims {
    /// `G·H`, the width of the pre-activations.
    pub fn gates_width(&self) -> usize {
        self.cell.gates() * self.hidden
    }

    /// Length of `cell_state`: as [`Dims::states_len`] for a cell that has one, 0 for the others.
    pub fn cell_state_len(&self) -> usize {
        if self.cell.has_cell_state() { self.states_len() } else { 0 }
    }

    /// Length of `gates`: `T·B·G·H`.
    pub fn gates_len(&self) -> usize {
        self.steps * self.batch * self.gates_width()
    }

    /// Length of `hidden`: `(T+1)·B·H`.
    pub fn states_len(&self) -> usize {
        (self.steps + 1) * self.batch * self.hidden
    }

    /// Length of `extra`, which a GRU stores in addition to the gates: `T·B·H`; 0 for the other cells.
    pub fn extra_len(&self) -> usize {
        if self.cell.gates_before_reset() < self.cell.gates() {
            self.steps * self.batch * self.hidden
        } else {
            0
        }
    }
}

/// The two packed layouts of the recurrent weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pack {
    /// `Rᵀ`, for [`forward`].
    Forward,
    /// `R`, for [`backward`].
    Backward,
}

/// The length of the packed weight.
pub fn pack_len(device: &Device, cell: Cell, hidden: usize, kind: Pack) -> usize {
    match device {
        Device::Cpu(_) => cpu::pack_len(cell, hidden, kind),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => gpu::pack_len(cell, hidden),
    }
}

/// Packs the recurrent weight `r: [G·H, H]`.
///
/// # Panics
/// If the length of `packed` is not [`pack_len`], or that of `r` is not `G·H·H`.
pub fn pack(device: &Device, cell: Cell, hidden: usize, kind: Pack, r: Slice<'_>, packed: SliceMut<'_>) {
    assert_eq!(r.len(), cell.gates() * hidden * hidden, "length of r");
    assert_eq!(packed.len(), pack_len(device, cell, hidden, kind), "length of packed");
    match device {
        Device::Cpu(cpu) => cpu::pack(cpu, cell, hidden, kind, r.host(), packed.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::pack(gpu, cell, hidden, kind, r, packed),
    }
}

/// The arguments of [`forward`].
pub struct Forward<'a> {
    /// The recurrent weight, packed for [`Pack::Forward`]. Read.
    pub packed: Slice<'a>,
    /// `[G·H]`, read: the bias of the input projection.
    pub bias_ih: Slice<'a>,
    /// `[G·H]`, read: the bias of the recurrent projection, optional.
    pub bias_hh: Option<Slice<'a>>,
    /// `[T, B, G·H]`: the input projection without bias on entry, the activated gates on return.
    pub gates: SliceMut<'a>,
    /// `[T, B, H]`, overwritten; empty unless [`Dims::extra_len`] is nonzero.
    pub extra: SliceMut<'a>,
    /// `[T+1, B, H]`: row 0 is the initial state, read; rows 1 to T are overwritten with the outputs.
    pub hidden: SliceMut<'a>,
    /// `[T+1, B, H]`: like `hidden`, for a cell with a cell state; empty for the others.
    pub cell_state: SliceMut<'a>,
    /// `[T, B]`, read: nonzero where a step starts from a zero state, optional.
    pub resets: Option<Slice<'a, u32>>,
    /// At least [`forward_scratch_len`] elements, contents undefined before and after.
    pub scratch: SliceMut<'a>,
}

/// The length of the scratch buffer that [`forward`] needs; `resets` says whether there are any.
pub fn forward_scratch_len(device: &Device, dims: Dims, resets: bool) -> usize {
    match device {
        Device::Cpu(cpu) => cpu::forward_scratch_len(cpu, dims, resets),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => 0,
    }
}

/// Runs one layer over a batch and stores what [`backward`] needs.
///
/// ```text
/// LSTM   i, f, g, o = split(xw[t] + b + h[t]·Rᵀ)        c[t+1] = σ(f)∘c[t] + σ(i)∘tanh(g)
///        h[t+1] = σ(o)∘tanh(c[t+1])
/// GRU    r, z = σ(split(xw[t] + b + h[t]·Rᵀ))           n = tanh(xw_n + b_ih_n + r∘(h[t]·R_nᵀ + b_hh_n))
///        h[t+1] = (1 − z)∘n + z∘h[t]
/// RNN    h[t+1] = tanh or relu (xw[t] + b + h[t]·Rᵀ)
/// ```
///
/// The GRU's reset gate acts *after* the recurrent multiplication, as in cuDNN, PyTorch and Gluon; in Cho et
/// al. 2014 it acts before.
///
/// With `resets`, `h[t]` and `c[t]` are zero in the rows that are reset at step t. The outputs of the step before are
/// not affected.
///
/// # Panics
/// If a length does not match `dims`.
/// # Source
/// LSTM: Gers, Schmidhuber & Cummins 2000 (forget gates, no peepholes); gate orders as in PyTorch.
pub fn forward(device: &Device, dims: Dims, args: Forward<'_>) {
    check_len("packed", args.packed.len(), pack_len(device, dims.cell, dims.hidden, Pack::Forward));
    check_len("bias_ih", args.bias_ih.len(), dims.gates_width());
    check_len("bias_hh", args.bias_hh.map_or(dims.gates_width(), |bias| bias.len()), dims.gates_width());
    check_len("gates", args.gates.len(), dims.gates_len());
    check_len("extra", args.extra.len(), dims.extra_len());
    check_len("hidden", args.hidden.len(), dims.states_len());
    check_len("cell_state", args.cell_state.len(), dims.cell_state_len());
    check_len(
        "resets",
        args.resets.map_or(dims.steps * dims.batch, |resets| resets.len()),
        dims.steps * dims.batch,
    );
    let scratch = forward_scratch_len(device, dims, args.resets.is_some());
    assert!(args.scratch.len() >= scratch, "scratch has {} elements, needs {scratch}", args.scratch.len());
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, args),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, dims, args),
    }
}

/// The arguments of [`backward`].
pub struct Backward<'a> {
    /// The recurrent weight, packed for [`Pack::Backward`]. Read.
    pub packed: Slice<'a>,
    /// `[T, B, G·H]`: the activated gates on entry, the gradient of the input projection on return.
    pub gates: SliceMut<'a>,
    /// `[T, B, H]`: as stored by `forward` on entry, contents undefined on return.
    pub extra: SliceMut<'a>,
    /// `[T+1, B, H]`, read.
    pub hidden: Slice<'a>,
    /// `[T+1, B, H]`, read; empty for a cell without a cell state.
    pub cell_state: Slice<'a>,
    /// `[T, B]`, read: as for `forward`.
    pub resets: Option<Slice<'a, u32>>,
    /// `[T, B, H]`, read: the gradient of the outputs.
    pub d_hidden: Slice<'a>,
    /// `[G·H, H]`, stored: the gradient of the recurrent weight.
    pub d_r: SliceMut<'a>,
    /// `[G·H]`, stored: the gradient of the input projection's bias.
    pub d_bias_ih: SliceMut<'a>,
    /// `[G·H]`, stored: the gradient of the recurrent projection's bias, optional.
    pub d_bias_hh: Option<SliceMut<'a>>,
    /// Whether the three gradients above are overwritten or added to.
    pub store: Store,
    /// At least [`backward_scratch_len`] elements, contents undefined before and after.
    pub scratch: SliceMut<'a>,
}

/// The length of the scratch buffer that [`backward`] needs; `resets` says whether there are any.
pub fn backward_scratch_len(device: &Device, dims: Dims, resets: bool) -> usize {
    match device {
        Device::Cpu(_) => cpu::backward_scratch_len(dims, resets),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => gpu::backward_scratch_len(dims, resets),
    }
}

/// Runs one layer backward over a batch. No gradient enters at the last state and none leaves at the first, nor where
/// a row is reset: that is where backpropagation through time is truncated.
///
/// # Panics
/// If a length does not match `dims`.
pub fn backward(device: &Device, dims: Dims, args: Backward<'_>) {
    check_len("packed", args.packed.len(), pack_len(device, dims.cell, dims.hidden, Pack::Backward));
    check_len("gates", args.gates.len(), dims.gates_len());
    check_len("extra", args.extra.len(), dims.extra_len());
    check_len("hidden", args.hidden.len(), dims.states_len());
    check_len("cell_state", args.cell_state.len(), dims.cell_state_len());
    check_len("d_hidden", args.d_hidden.len(), dims.steps * dims.batch * dims.hidden);
    check_len("d_r", args.d_r.len(), dims.gates_width() * dims.hidden);
    check_len("d_bias_ih", args.d_bias_ih.len(), dims.gates_width());
    let d_bias_hh = args.d_bias_hh.as_ref().map_or(dims.gates_width(), SliceMut::len);
    check_len("d_bias_hh", d_bias_hh, dims.gates_width());
    check_len(
        "resets",
        args.resets.map_or(dims.steps * dims.batch, |resets| resets.len()),
        dims.steps * dims.batch,
    );
    let scratch = backward_scratch_len(device, dims, args.resets.is_some());
    assert!(args.scratch.len() >= scratch, "scratch has {} elements, needs {scratch}", args.scratch.len());
    match device {
        Device::Cpu(cpu) => cpu::backward(cpu, dims, args),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::backward(gpu, dims, args),
    }
}
