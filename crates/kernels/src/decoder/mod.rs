//! The decoder: dense layer, softmax and cross-entropy fused, with at most one buffer of the logits' size.
//!
//! ```text
//! logits[r, v] = h[r]·W[v] + b[v]        nll[r] = log Σ_v exp(logits[r, v]) − logits[r, target[r]]
//! ```
//!
//! With a vocabulary of tens of thousands of tokens this is nine tenths of a model's work. The vocabulary is
//! processed in chunks that stay in cache; each chunk's exponentials are stored relative to the chunk's own
//! maximum, and the backward pass turns them into the logits' gradient while multiplying them by weight and
//! input. If no gradient is needed, nothing of the logits' size is stored.
//!
//! The vocabulary can also be a sample of a larger one, as in a sampled softmax: then it includes tokens that are there
//! only because they are a row's target, and that do not count in other rows ([`Forward::only_as_target`]).

pub mod cases;
mod cpu;
mod few_rows;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;
mod rounded;
mod vectors;

use crate::{Device, Slice, SliceMut, Store, check_len};

/// The shape of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, the number of rows decoded: `T·B`.
    pub rows: usize,
    /// `H`, the width of the decoder's input.
    pub width: usize,
    /// `V`, the vocabulary size.
    pub vocab: usize,
}

/// The length of the buffer that [`forward`] keeps for [`backward`]: slightly more than `R·V`.
pub fn kept_len(device: &Device, dims: Dims) -> usize {
    match device {
        Device::Cpu(cpu) => cpu::kept_len(cpu, dims),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => gpu::kept_len(dims),
    }
}

/// The arguments of [`forward`].
pub struct Forward<'a> {
    /// `[V, H]`, read.
    pub weight: Slice<'a>,
    /// `[V]`, read, optional.
    pub bias: Option<Slice<'a>>,
    /// `[R, H]`, read.
    pub hidden: Slice<'a>,
    /// `[R]`, read: the target of each row.
    pub targets: Slice<'a, u32>,
    /// `[V]`, read, optional: nonzero for tokens that are left out of the softmax of all rows but those whose target they
    /// are. There, their probability and their gradient are 0.
    pub only_as_target: Option<Slice<'a, u32>>,
    /// `[R]`, overwritten: each row's negative log-likelihood, in nats.
    pub nll: SliceMut<'a>,
    /// [`kept_len`] elements from the beginning of a buffer, overwritten with what [`backward`] needs; `None`
    /// if it will not be called.
    pub kept: Option<SliceMut<'a>>,
    /// At least [`forward_scratch_len`] elements, contents undefined before and after.
    pub scratch: SliceMut<'a>,
}

/// The length of the scratch buffer that [`forward`] needs.
pub fn forward_scratch_len(device: &Device, dims: Dims) -> usize {
    match device {
        Device::Cpu(cpu) => cpu::forward_scratch_len(cpu, dims),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => gpu::forward_scratch_len(dims),
    }
}

/// The negative log-likelihood of each row's target.
///
/// # Panics
/// If a length does not match `dims`, or a target is not below `V`.
pub fn forward(device: &Device, dims: Dims, args: Forward<'_>) {
    check_len("weight", args.weight.len(), dims.vocab * dims.width);
    check_len("bias", args.bias.map_or(dims.vocab, |bias| bias.len()), dims.vocab);
    check_len("hidden", args.hidden.len(), dims.rows * dims.width);
    check_len("targets", args.targets.len(), dims.rows);
    check_len("only_as_target", args.only_as_target.map_or(dims.vocab, |only| only.len()), dims.vocab);
    check_len("nll", args.nll.len(), dims.rows);
    let kept = kept_len(device, dims);
    check_len("kept", args.kept.as_ref().map_or(kept, SliceMut::len), kept);
    let scratch = forward_scratch_len(device, dims);
    assert!(args.scratch.len() >= scratch, "scratch has {} elements, needs {scratch}", args.scratch.len());
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, args),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, dims, args),
    }
}

/// The arguments of [`backward`].
pub struct Backward<'a> {
    /// `[V, H]`, read.
    pub weight: Slice<'a>,
    /// `[R, H]`, read.
    pub hidden: Slice<'a>,
    /// `[R]`, read.
    pub targets: Slice<'a, u32>,
    /// As kept by [`forward`]; contents undefined afterwards.
    pub kept: SliceMut<'a>,
    /// The gradient of each row's negative log-likelihood: `1/R` for the mean, 1 for the sum.
    pub scale: f32,
    /// `[R, H]`, overwritten: the gradient of `hidden`.
    pub d_hidden: SliceMut<'a>,
    /// Where the gradient of the weight goes.
    pub d_weight: WeightGradient<'a>,
    /// `[V]`, stored: the gradient of the bias, optional.
    pub d_bias: Option<SliceMut<'a>>,
    /// Whether the gradients of weight and bias are overwritten or added to.
    pub store: Store,
    /// At least [`backward_scratch_len`] elements, contents undefined before and after.
    pub scratch: SliceMut<'a>,
}

/// The gradient of the weight: the product `dᵀ·h` of the gradient `d` of the logits and the input `h`.
pub enum WeightGradient<'a> {
    /// `[V, H]`, stored: the product.
    Product(SliceMut<'a>),
    /// `[V, R]`, overwritten: its first factor `dᵀ`, which is much smaller for few rows. On CPUs only.
    Factor(SliceMut<'a>),
}

/// The length of the scratch buffer that [`backward`] needs.
pub fn backward_scratch_len(device: &Device, dims: Dims) -> usize {
    match device {
        Device::Cpu(cpu) => cpu::backward_scratch_len(cpu, dims),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => gpu::backward_scratch_len(dims),
    }
}

/// `d = scale·(softmax(logits) − onehot(target))`; `dh = d·W`, `dW = dᵀ·h`, `db = Σ_rows d`.
///
/// # Panics
/// If a length does not match `dims`, or only a factor is wanted on a GPU.
pub fn backward(device: &Device, dims: Dims, args: Backward<'_>) {
    check_len("weight", args.weight.len(), dims.vocab * dims.width);
    check_len("hidden", args.hidden.len(), dims.rows * dims.width);
    check_len("targets", args.targets.len(), dims.rows);
    check_len("kept", args.kept.len(), kept_len(device, dims));
    check_len("d_hidden", args.d_hidden.len(), dims.rows * dims.width);
    match &args.d_weight {
        WeightGradient::Product(d_weight) => check_len("d_weight", d_weight.len(), dims.vocab * dims.width),
        WeightGradient::Factor(factor) => check_len("factor", factor.len(), dims.vocab * dims.rows),
    }
    check_len("d_bias", args.d_bias.as_ref().map_or(dims.vocab, SliceMut::len), dims.vocab);
    let scratch = backward_scratch_len(device, dims);
    assert!(args.scratch.len() >= scratch, "scratch has {} elements, needs {scratch}", args.scratch.len());
    match device {
        Device::Cpu(cpu) => cpu::backward(cpu, dims, args),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::backward(gpu, dims, args),
    }
}
