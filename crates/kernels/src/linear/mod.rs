//! A dense layer: `y = x·Wᵀ + b`.
//!
//! The weight is packed for the multiplication by [`pack`], once for as long as it does not change: a
//! training step packs each weight once; evaluation and generation pack it once and for all.

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Packed, Slice, SliceMut, Store, check_len};

/// The shape of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, the number of rows the layer is applied to.
    pub rows: usize,
    /// `D`, the input width.
    pub inputs: usize,
    /// `N`, the output width.
    pub outputs: usize,
}

/// The two packed layouts of the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pack {
    /// `Wᵀ`, for [`forward`].
    Forward,
    /// `W`, for [`backward`].
    Backward,
}

/// The length of the packed form of a weight `[outputs, inputs]`.
pub fn pack_len(device: &Device, inputs: usize, outputs: usize, kind: Pack) -> usize {
    match device {
        Device::Cpu(_) => cpu::pack_len(inputs, outputs, kind),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => inputs * outputs,
    }
}

/// Packs the weight `w: [N, D]` for matrix multiplication.
///
/// # Panics
/// If the length of `packed` is not [`pack_len`], or that of `w` is not `N·D`.
pub fn pack(device: &Device, inputs: usize, outputs: usize, kind: Pack, w: Slice<'_>, packed: SliceMut<'_>) {
    check_len("w", w.len(), inputs * outputs);
    check_len("packed", packed.len(), pack_len(device, inputs, outputs, kind));
    match device {
        Device::Cpu(cpu) => cpu::pack(cpu, inputs, outputs, kind, w.host(), packed.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => packed.copy_from(w),
    }
}

/// The length of a weight `[outputs, inputs]` packed as bytes.
pub fn int8_pack_len(inputs: usize, outputs: usize) -> usize {
    cpu::int8_pack_len(inputs, outputs)
}

/// Packs the weight `w: [N, D]` for [`forward`] as bytes, with a scale for each of its rows. Weights that have been
/// [quantized](crate::int8) before do not change by that.
///
/// # Panics
/// If the length of `packed` is not [`int8_pack_len`], or that of `w` is not `N·D`; if the device does not
/// [support](Packed::supports_int8) it.
pub fn pack_int8(device: &Device, inputs: usize, outputs: usize, w: Slice<'_>, packed: SliceMut<'_>) {
    check_len("w", w.len(), inputs * outputs);
    check_len("packed", packed.len(), int8_pack_len(inputs, outputs));
    match device {
        Device::Cpu(cpu) => cpu::pack_int8(cpu, inputs, outputs, w.host(), packed.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => panic!("only a CPU multiplies by bytes"),
    }
}

/// `y = x·Wᵀ + b`.
///
/// # Shapes
/// - `packed`, read: `W: [N, D]` packed for [`Pack::Forward`], or by [`pack_int8`].
/// - `bias: [N]`, read, optional.
/// - `x: [R, D]`, read.
/// - `y: [R, N]`, overwritten.
/// # Panics
/// If a length does not match `dims`.
pub fn forward<'p>(
    device: &Device,
    dims: Dims,
    packed: impl Into<Packed<'p>>,
    bias: Option<Slice<'_>>,
    x: Slice<'_>,
    y: SliceMut<'_>,
) {
    let packed = packed.into();
    check_packed("packed", device, packed, dims.inputs, dims.outputs);
    check_len("bias", bias.map_or(dims.outputs, |bias| bias.len()), dims.outputs);
    check_len("x", x.len(), dims.rows * dims.inputs);
    check_len("y", y.len(), dims.rows * dims.outputs);
    match device {
        Device::Cpu(cpu) => {
            cpu::forward(cpu, dims, packed, bias.map(Slice::host), x.host(), y.host());
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => {
            gpu::forward(gpu, dims, packed.numbers().gpu(), bias.map(Slice::gpu), x.gpu(), y.gpu())
        }
    }
}

/// Checks the length of a weight that is packed for [`forward`].
#[track_caller]
pub(crate) fn check_packed(name: &str, device: &Device, packed: Packed<'_>, inputs: usize, outputs: usize) {
    let expected = match packed {
        Packed::Numbers(_) => pack_len(device, inputs, outputs, Pack::Forward),
        Packed::Int8(_) => int8_pack_len(inputs, outputs),
    };
    check_len(name, packed.len(), expected);
}

/// The arguments of [`backward`].
pub struct Backward<'a> {
    /// `[R, D]`, read: the input.
    pub x: Slice<'a>,
    /// `[R, N]`, read: the gradient of the output.
    pub d_y: Slice<'a>,
    /// The weight packed for [`Pack::Backward`]; the buffer `[R, D]` for the gradient of the input; and
    /// whether it is overwritten or added to. `None` if that gradient is not needed.
    pub d_x: Option<(Slice<'a>, SliceMut<'a>, Store)>,
    /// `[N, D]`, stored: the gradient of the weight.
    pub d_w: SliceMut<'a>,
    /// `[N]`, stored: the gradient of the bias, optional.
    pub d_bias: Option<SliceMut<'a>>,
    /// Whether the gradients of weight and bias are overwritten or added to.
    pub store: Store,
    /// At least [`backward_scratch_len`] elements, contents undefined before and after.
    pub scratch: SliceMut<'a>,
}

/// The length of the scratch buffer that [`backward`] needs.
pub fn backward_scratch_len(device: &Device, dims: Dims) -> usize {
    match device {
        Device::Cpu(_) => cpu::backward_scratch_len(dims),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => 0,
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
    assert!(args.scratch.len() >= scratch, "scratch has {} elements, needs {scratch}", args.scratch.len());
    match device {
        Device::Cpu(cpu) => cpu::backward(cpu, dims, args),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::backward(gpu, dims, args),
    }
}
