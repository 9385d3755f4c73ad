//! A recurrent layer over time, for every cell.
//!
//! The input projection is computed in advance for all steps at once ([`crate::linear`]); what remains for
//! each step is the recurrent projection and the cell's own arithmetic. The loop over time, its
//! multiplications and its buffers are implemented once; a cell is defined by its number of gates and two
//! pointwise functions ([`Cell`]). Two things can be added to the loop: a projection of the outputs, and the rounds of a
//! [Mogrifier](mogrifier), whose input projection cannot be computed in advance.
//!
//! With enough batch rows, each thread runs all steps for its own rows, without synchronization inside the
//! recurrence; otherwise the hidden units are split between the threads. The weight is packed once ([`pack`]) for all steps, for as long as it does not change.

pub mod cases;
mod cell;
mod cifg;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
mod gru;
mod lstm;
pub mod mogrifier;
pub mod reference;
mod rnn;
mod rows;
mod split;

pub use cell::Cell;
use mogrifier::Rounds;

use crate::{Device, Packed, Slice, SliceMut, Store, check_len, linear};

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
    /// `P`, the width of the outputs, if they are projected; otherwise it is `H`. Only for [some cells](Cell::can_project).
    pub projection: Option<usize>,
    /// The rounds of a Mogrifier; `None` for other cells.
    pub rounds: Option<Rounds>,
}

/// The shape of a recurrent weight, `[G·H, P]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// The cell.
    pub cell: Cell,
    /// `H`, the hidden size.
    pub hidden: usize,
    /// `P`, the width of the outputs.
    pub output: usize,
}

impl Weight {
    /// The number of elements.
    pub fn count(&self) -> usize {
        self.cell.gates() * self.hidden * self.output
    }
}

impl Dims {
    /// A layer without projection; a Mogrifier has five rounds, and inputs as wide as its states.
    pub const fn new(cell: Cell, steps: usize, batch: usize, hidden: usize) -> Dims {
        let rounds = match cell {
            Cell::Mogrifier => Some(Rounds { count: 5, input: hidden, rank: None }),
            _ => None,
        };
        Dims { cell, steps, batch, hidden, projection: None, rounds }
    }

    /// `P`, the width of the outputs.
    pub fn output(&self) -> usize {
        self.projection.unwrap_or(self.hidden)
    }

    /// The shape of the recurrent weight.
    pub fn weight(&self) -> Weight {
        Weight { cell: self.cell, hidden: self.hidden, output: self.output() }
    }

    /// `G·H`, the width of the pre-activations.
    pub fn gates_width(&self) -> usize {
        self.cell.gates() * self.hidden
    }

    /// Length of `cell_state`: `(T+1)·B·H` for a cell that has one, 0 for the others.
    pub fn cell_state_len(&self) -> usize {
        if self.cell.has_cell_state() { (self.steps + 1) * self.batch * self.hidden } else { 0 }
    }

    /// Length of `gates`: `T·B·G·H`.
    pub fn gates_len(&self) -> usize {
        self.steps * self.batch * self.gates_width()
    }

    /// Length of `hidden`: `(T+1)·B·P`.
    pub fn states_len(&self) -> usize {
        (self.steps + 1) * self.batch * self.output()
    }

    /// Length of `extra`, what is stored in addition to the gates: for a GRU what its reset gate multiplies, with a
    /// projection the outputs before it, `T·B·H`; 0 for the others.
    pub fn extra_len(&self) -> usize {
        if self.cell.gates_before_reset() < self.cell.gates() || self.projection.is_some() {
            self.steps * self.batch * self.hidden
        } else {
            0
        }
    }

    /// Length of what the rounds of a Mogrifier keep for the backward pass.
    pub fn kept_len(&self) -> usize {
        self.steps * self.batch * self.rounds.map_or(0, |rounds| rounds.kept_width(self.hidden))
    }

    /// Fails unless the projection and the rounds are those of the cell.
    #[track_caller]
    fn check(&self) {
        assert!(self.projection.is_none() || self.cell.can_project(), "a projection of {}", self.cell);
        assert_eq!(self.rounds.is_some(), self.cell == Cell::Mogrifier, "rounds of {}", self.cell);
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
pub fn pack_len(device: &Device, weight: Weight, kind: Pack) -> usize {
    match device {
        Device::Cpu(_) => cpu::pack_len(weight, kind),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => weight.count(),
    }
}

/// Packs the recurrent weight `r: [G·H, P]`.
///
/// # Panics
/// If the length of `packed` is not [`pack_len`], or that of `r` is not `G·H·P`.
pub fn pack(device: &Device, weight: Weight, kind: Pack, r: Slice<'_>, packed: SliceMut<'_>) {
    assert_eq!(r.len(), weight.count(), "length of r");
    assert_eq!(packed.len(), pack_len(device, weight, kind), "length of packed");
    match device {
        Device::Cpu(cpu) => cpu::pack(cpu, weight, kind, r.host(), packed.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::pack(gpu, weight, kind, r, packed),
    }
}

/// The length of a recurrent weight packed as bytes.
pub fn int8_pack_len(weight: Weight) -> usize {
    cpu::int8_pack_len(weight)
}

/// Packs the recurrent weight `r: [G·H, P]` for [`forward`] as bytes, with a scale for each of its rows. Weights that have
/// been [quantized](crate::int8) before do not change by that.
///
/// # Panics
/// If the length of `packed` is not [`int8_pack_len`], or that of `r` is not `G·H·P`; if the device does not
/// [support](Packed::supports_int8) it.
pub fn pack_int8(device: &Device, weight: Weight, r: Slice<'_>, packed: SliceMut<'_>) {
    assert_eq!(r.len(), weight.count(), "length of r");
    assert_eq!(packed.len(), int8_pack_len(weight), "length of packed");
    match device {
        Device::Cpu(cpu) => cpu::pack_int8(cpu, weight, r.host(), packed.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => panic!("only a CPU multiplies by bytes"),
    }
}

/// The arguments of [`forward`].
pub struct Forward<'a> {
    /// The recurrent weight, packed for [`Pack::Forward`], or by [`pack_int8`]. Read.
    pub packed: Packed<'a>,
    /// `[G·H]`, read: the bias of the input projection.
    pub bias_ih: Slice<'a>,
    /// `[G·H]`, read: the bias of the recurrent projection, optional.
    pub bias_hh: Option<Slice<'a>>,
    /// `[T, B, G·H]`: the input projection without bias on entry (for a Mogrifier, undefined), the activated gates on
    /// return.
    pub gates: SliceMut<'a>,
    /// `[T, B, H]`, overwritten; empty unless [`Dims::extra_len`] is nonzero.
    pub extra: SliceMut<'a>,
    /// `[T+1, B, P]`: row 0 is the initial state, read; rows 1 to T are overwritten with the outputs.
    pub hidden: SliceMut<'a>,
    /// `[T+1, B, H]`: like `hidden`, for a cell with a cell state; empty for the others.
    pub cell_state: SliceMut<'a>,
    /// The weight `[P, H]` of the projection, packed for [`linear::forward`]. Read.
    pub projection: Option<Packed<'a>>,
    /// What a Mogrifier needs in addition.
    pub mogrifier: Option<mogrifier::Forward<'a>>,
    /// The limit of the cell state: each element is clipped to ± this after each step.
    pub cell_clip: Option<f32>,
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
/// CIFG   f, g, o = split(xw[t] + b + h[t]·Rᵀ)           c[t+1] = σ(f)∘c[t] + (1 − σ(f))∘tanh(g)
///        h[t+1] = σ(o)∘tanh(c[t+1])
/// GRU    r, z = σ(split(xw[t] + b + h[t]·Rᵀ))           n = tanh(xw_n + b_ih_n + r∘(h[t]·R_nᵀ + b_hh_n))
///        h[t+1] = (1 − z)∘n + z∘h[t]
/// RNN    h[t+1] = tanh or relu (xw[t] + b + h[t]·Rᵀ)
/// ```
///
/// The GRU's reset gate acts *after* the recurrent multiplication, as in cuDNN, PyTorch and Gluon; in Cho et
/// al. 2014 it acts before.
///
/// With a projection `W: [P, H]`, `W` multiplies `h[t+1]` above, and the product is the state and the output. A Mogrifier is
/// an LSTM whose `x` and `h` have gated each other before each step, see [`mogrifier`].
///
/// With `resets`, `h[t]` and `c[t]` are zero in the rows that are reset at step t. The outputs of the step before are
/// not affected.
///
/// # Panics
/// If a length does not match `dims`.
/// # Source
/// LSTM: Gers, Schmidhuber & Cummins 2000 (forget gates, no peepholes); gate orders as in PyTorch. CIFG: Greff et al. 2017.
/// Projection: Sak, Senior & Beaufays 2014.
pub fn forward(device: &Device, dims: Dims, args: Forward<'_>) {
    dims.check();
    let packed_len = match args.packed {
        Packed::Numbers(_) => pack_len(device, dims.weight(), Pack::Forward),
        Packed::Int8(_) => int8_pack_len(dims.weight()),
    };
    check_len("packed", args.packed.len(), packed_len);
    assert_eq!(args.projection.is_some(), dims.projection.is_some(), "whether there is a projection");
    if let (Some(packed), Some(output)) = (args.projection, dims.projection) {
        linear::check_packed("packed projection", device, packed, dims.hidden, output);
    }
    assert_eq!(args.mogrifier.is_some(), dims.rounds.is_some(), "whether it is a Mogrifier");
    if let (Some(args), Some(rounds)) = (&args.mogrifier, dims.rounds) {
        check_mogrifier(
            (device, dims, rounds),
            [args.x.len(), args.packed_ih.len(), args.packed.len(), args.kept.len()],
            linear::Pack::Forward,
        );
    }
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
    /// `[T+1, B, P]`, read.
    pub hidden: Slice<'a>,
    /// `[T+1, B, H]`, read; empty for a cell without a cell state.
    pub cell_state: Slice<'a>,
    /// `[T, B]`, read: as for `forward`.
    pub resets: Option<Slice<'a, u32>>,
    /// The weight of the projection, and its gradient.
    pub projection: Option<BackwardProjection<'a>>,
    /// What a Mogrifier needs in addition.
    pub mogrifier: Option<mogrifier::Backward<'a>>,
    /// As for `forward`. No gradient flows where the state is clipped.
    pub cell_clip: Option<f32>,
    /// `[T, B, P]`, read: the gradient of the outputs.
    pub d_hidden: Slice<'a>,
    /// `[G·H, P]`, stored: the gradient of the recurrent weight.
    pub d_r: SliceMut<'a>,
    /// `[G·H]`, stored: the gradient of the input projection's bias.
    pub d_bias_ih: SliceMut<'a>,
    /// `[G·H]`, stored: the gradient of the recurrent projection's bias, optional.
    pub d_bias_hh: Option<SliceMut<'a>>,
    /// Whether the gradients of weights and biases are overwritten or added to.
    pub store: Store,
    /// At least [`backward_scratch_len`] elements, contents undefined before and after.
    pub scratch: SliceMut<'a>,
}

/// The projection of a layer backward.
pub struct BackwardProjection<'a> {
    /// The weight `[P, H]`, packed by [`linear::pack`] for [`linear::Pack::Backward`]. Read.
    pub packed: Slice<'a>,
    /// `[P, H]`, stored: its gradient.
    pub d_weight: SliceMut<'a>,
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
    dims.check();
    check_len("packed", args.packed.len(), pack_len(device, dims.weight(), Pack::Backward));
    let found = args.projection.as_ref().map(|projection| projection.packed.len());
    let pack_len = |output| linear::pack_len(device, dims.hidden, output, linear::Pack::Backward);
    assert_eq!(found, dims.projection.map(pack_len), "length of the packed weight of the projection");
    if let Some(projection) = &args.projection {
        check_len("d_weight of the projection", projection.d_weight.len(), dims.output() * dims.hidden);
    }
    assert_eq!(args.mogrifier.is_some(), dims.rounds.is_some(), "whether it is a Mogrifier");
    if let (Some(args), Some(rounds)) = (&args.mogrifier, dims.rounds) {
        check_mogrifier(
            (device, dims, rounds),
            [args.x.len(), args.packed_ih.len(), args.packed.len(), args.kept.len()],
            linear::Pack::Backward,
        );
        check_len("d_x", args.d_x.len(), args.x.len());
        check_len("d_weight_ih", args.d_weight_ih.len(), dims.gates_width() * rounds.input);
        let found = args.d_weights.each_ref().map(|weight| weight.as_ref().map(SliceMut::len));
        mogrifier::check_weights(rounds, dims.hidden, found);
    }
    check_len("gates", args.gates.len(), dims.gates_len());
    check_len("extra", args.extra.len(), dims.extra_len());
    check_len("hidden", args.hidden.len(), dims.states_len());
    check_len("cell_state", args.cell_state.len(), dims.cell_state_len());
    check_len("d_hidden", args.d_hidden.len(), dims.steps * dims.batch * dims.output());
    check_len("d_r", args.d_r.len(), dims.weight().count());
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

/// Checks the lengths of `x`, `packed_ih`, `packed` and `kept`.
#[track_caller]
fn check_mogrifier(
    (device, dims, rounds): (&Device, Dims, Rounds),
    [x, packed_ih, packed, kept]: [usize; 4],
    kind: linear::Pack,
) {
    check_len("x", x, dims.steps * dims.batch * rounds.input);
    check_len("packed_ih", packed_ih, linear::pack_len(device, rounds.input, dims.gates_width(), kind));
    check_len("packed rounds", packed, mogrifier::pack_len(device, rounds, dims.hidden, kind));
    check_len("kept", kept, dims.kept_len());
}
