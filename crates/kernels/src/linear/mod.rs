//! A dense layer: `y = x·Wᵀ + b`.
//!
//! The weight is laid out for the product by [`pack`], once as long as it does not change: a training step packs
//! each weight once, evaluation and generation pack it once for good.

pub mod cases;
mod cpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, Store, check_len};

/// The sizes of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, how many rows the layer is applied to.
    pub rows: usize,
    /// `D`, the input width.
    pub inputs: usize,
    /// `N`, the output width.
    pub outputs: usize,
}

/// The two layouts of the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pack {
    /// `Wᵀ`, for [`forward`].
    Forward,
    /// `W`, for [`backward`].
    Backward,
}

/// Numbers that [`pack`] writes for a weight `[outputs, inputs]`.
pub fn pack_len(device: &Device, inputs: usize, outputs: usize, kind: Pack) -> usize {
    match device {
        Device::Cpu(_) => cpu::pack_len(inputs, outputs, kind),
    }
}

/// Lays the weight `w: [N, D]` out for the product.
///
/// # Panics
/// If `packed` is not [`pack_len`] long or `w` not `N·D`.
pub fn pack(device: &Device, inputs: usize, outputs: usize, kind: Pack, w: Slice<'_>, packed: SliceMut<'_>) {
    check_len("w", w.len(), inputs * outputs);
    check_len("packed", packed.len(), pack_len(device, inputs, outputs, kind));
    match device {
        Device::Cpu(cpu) => cpu::pack(cpu, inputs, outputs, kind, w.host(), packed.host()),
    }
}

/// `y = x·Wᵀ + b`.
///
/// # Shapes
/// - `packed`, read: `W: [N, D]` packed for [`Pack::Forward`].
/// - `bias: [N]`, read, where there is one.
/// - `x: [R, D]`, read.
/// - `y: [R, N]`, overwritten.
/// # Panics
/// If a length does not match `dims`.
pub fn forward(
    device: &Device,
    dims: Dims,
    packed: Slice<'_>,
    bias: Option<Slice<'_>>,
    x: Slice<'_>,
    y: SliceMut<'_>,
) {
    check_len("packed", packed.len(), pack_len(device, dims.inputs, dims.outputs, Pack::Forward));
    check_len("bias", bias.map_or(dims.outputs, |bias| bias.len()), dims.outputs);
    check_len("x", x.len(), dims.rows * dims.inputs);
    check_len("y", y.len(), dims.rows * dims.outputs);
    match device {
        Device::Cpu(cpu) => {
            cpu::forward(cpu, dims, packed.host(), bias.map(Slice::host), x.host(), y.host());
        }
    }
}

/// What [`backward`] reads and writes.
pub struct Backward<'a> {
    /// `[R, D]`, read: the input.
    pub x: Slice<'a>,
    /// `[R, N]`, read: the gradient of the output.
    pub d_y: Slice<'a>,
    /// The weight packed for [`Pack::Backward`] and, `[R, D]`, what receives the gradient of the input, which is
    /// stored as told; none if nobody wants it.
    pub d_x: Option<(Slice<'a>, SliceMut<'a>, Store)>,
    /// `[N, D]`, stored: the gradient of the weight.
    pub d_w: SliceMut<'a>,
    /// `[N]`, stored: the gradient of the bias, where there is one.
    pub d_bias: Option<SliceMut<'a>>,
    /// Whether the gradients of weight and bias are overwritten or added to.
    pub store: Store,
    /// At least [`backward_scratch_len`] numbers, of no meaning before or after.
    pub scratch: SliceMut<'a>,
}

/// Scratch that [`backward`] needs.
pub fn backward_scratch_len(device: &Device, dims: Dims) -> usize {
    match device {
        Device::Cpu(_) => cpu::backward_scratch_len(dims),
    }
}

/// `dx = dy·W`, `dW = dyᵀ·x`, `db = Σ_rows dy`.
///
/// # Panics
/// If a length does not match `dims`.
pub fn backward(device: &Device, dims: Dims, args: Backward<'_>) {
    check_len("x", args.x.len(), dims.rows * dims.inputs);
    check_len("d_y", args.d_y.len(), dims.rows * dims.outputs);
    if let Some((packed, d_x, _)) = &args.d_x {
        check_len("packed", packed.len(), pack_len(device, dims.inputs, dims.outputs, Pack::Backward));
        check_len("d_x", d_x.len(), dims.rows * dims.inputs);
    }
    check_len("d_w", args.d_w.len(), dims.outputs * dims.inputs);
    check_len("d_bias", args.d_bias.as_ref().map_or(dims.outputs, SliceMut::len), dims.outputs);
    let scratch = backward_scratch_len(device, dims);
    assert!(args.scratch.len() >= scratch, "scratch holds {}, needs {scratch}", args.scratch.len());
    match device {
        Device::Cpu(cpu) => cpu::backward(cpu, dims, args),
    }
}
