//! The decoder: dense layer, softmax and cross-entropy in one, without more than one buffer of the logits' size.
//!
//! ```text
//! logits[r, v] = h[r]·W[v] + b[v]        nll[r] = log Σ_v exp(logits[r, v]) − logits[r, target[r]]
//! ```
//!
//! With a vocabulary of tens of thousands this is nine tenths of a model's work. It goes through the vocabulary in
//! chunks that stay in cache; each chunk's exponentials are kept relative to the chunk's own maximum, and the
//! backward pass turns them into the logits' gradient as it multiplies them with weight and input.
//! Where no gradient is wanted, nothing of the logits' size is kept at all.

pub mod cases;
mod cpu;
pub mod reference;
mod rounded;
mod vectors;

use crate::{Device, Slice, SliceMut, Store, check_len};

/// The sizes of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, how many rows are decoded: `T·B`.
    pub rows: usize,
    /// `H`, the width of the decoder's input.
    pub width: usize,
    /// `V`, the vocabulary.
    pub vocab: usize,
}

/// Numbers that [`forward`] keeps for [`backward`]: little more than `R·V`.
pub fn kept_len(device: &Device, dims: Dims) -> usize {
    match device {
        Device::Cpu(cpu) => cpu::kept_len(cpu, dims),
    }
}

/// What [`forward`] reads and writes.
pub struct Forward<'a> {
    /// `[V, H]`, read.
    pub weight: Slice<'a>,
    /// `[V]`, read, where there is one.
    pub bias: Option<Slice<'a>>,
    /// `[R, H]`, read.
    pub hidden: Slice<'a>,
    /// `[R]`, read: which token follows each row.
    pub targets: Slice<'a, u32>,
    /// `[R]`, overwritten: each row's negative log-likelihood, in nats.
    pub nll: SliceMut<'a>,
    /// [`kept_len`] numbers from the beginning of a buffer, overwritten with what [`backward`] needs; none if it will
    /// not be called.
    pub kept: Option<SliceMut<'a>>,
    /// At least [`forward_scratch_len`] numbers, of no meaning before or after.
    pub scratch: SliceMut<'a>,
}

/// Scratch that [`forward`] needs.
pub fn forward_scratch_len(device: &Device, dims: Dims) -> usize {
    match device {
        Device::Cpu(cpu) => cpu::forward_scratch_len(cpu, dims),
    }
}

/// The negative log-likelihood of each row's target.
///
/// # Panics
/// If a length does not match `dims`, or a target is no token of the vocabulary.
pub fn forward(device: &Device, dims: Dims, args: Forward<'_>) {
    check_len("weight", args.weight.len(), dims.vocab * dims.width);
    check_len("bias", args.bias.map_or(dims.vocab, |bias| bias.len()), dims.vocab);
    check_len("hidden", args.hidden.len(), dims.rows * dims.width);
    check_len("targets", args.targets.len(), dims.rows);
    check_len("nll", args.nll.len(), dims.rows);
    let kept = kept_len(device, dims);
    check_len("kept", args.kept.as_ref().map_or(kept, SliceMut::len), kept);
    let scratch = forward_scratch_len(device, dims);
    assert!(args.scratch.len() >= scratch, "scratch holds {}, needs {scratch}", args.scratch.len());
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, args),
    }
}

/// What [`backward`] reads and writes.
pub struct Backward<'a> {
    /// `[V, H]`, read.
    pub weight: Slice<'a>,
    /// `[R, H]`, read.
    pub hidden: Slice<'a>,
    /// `[R]`, read.
    pub targets: Slice<'a, u32>,
    /// What [`forward`] kept; of no meaning afterwards.
    pub kept: SliceMut<'a>,
    /// The gradient of each row's negative log-likelihood: `1/R` for their mean, 1 for their sum.
    pub scale: f32,
    /// `[R, H]`, overwritten: the gradient of `hidden`.
    pub d_hidden: SliceMut<'a>,
    /// `[V, H]`, stored: the gradient of the weight.
    pub d_weight: SliceMut<'a>,
    /// `[V]`, stored: the gradient of the bias, where there is one.
    pub d_bias: Option<SliceMut<'a>>,
    /// Whether the gradients of weight and bias are overwritten or added to.
    pub store: Store,
    /// At least [`backward_scratch_len`] numbers, of no meaning before or after.
    pub scratch: SliceMut<'a>,
}

/// Scratch that [`backward`] needs.
pub fn backward_scratch_len(device: &Device, dims: Dims) -> usize {
    match device {
        Device::Cpu(cpu) => cpu::backward_scratch_len(cpu, dims),
    }
}

/// `d = scale·(softmax(logits) − onehot(target))`; `dh = d·W`, `dW = dᵀ·h`, `db = Σ_rows d`.
///
/// # Panics
/// If a length does not match `dims`.
pub fn backward(device: &Device, dims: Dims, args: Backward<'_>) {
    check_len("weight", args.weight.len(), dims.vocab * dims.width);
    check_len("hidden", args.hidden.len(), dims.rows * dims.width);
    check_len("targets", args.targets.len(), dims.rows);
    check_len("kept", args.kept.len(), kept_len(device, dims));
    check_len("d_hidden", args.d_hidden.len(), dims.rows * dims.width);
    check_len("d_weight", args.d_weight.len(), dims.vocab * dims.width);
    check_len("d_bias", args.d_bias.as_ref().map_or(dims.vocab, SliceMut::len), dims.vocab);
    let scratch = backward_scratch_len(device, dims);
    assert!(args.scratch.len() >= scratch, "scratch holds {}, needs {scratch}", args.scratch.len());
    match device {
        Device::Cpu(cpu) => cpu::backward(cpu, dims, args),
    }
}
