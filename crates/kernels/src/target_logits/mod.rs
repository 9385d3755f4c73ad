//! The logit of one token per row: of the target, where the other logits are not needed.
//!
//! The result is not differentiated, so there is no `backward`.

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, check_len};

/// The shape of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, the rows.
    pub rows: usize,
    /// `H`, the input width.
    pub hidden: usize,
    /// `V`, the vocabulary size.
    pub vocab: usize,
}

/// The arguments of [`forward`].
pub struct Forward<'a> {
    /// `[R, H]`, read.
    pub hidden: Slice<'a>,
    /// `[V, H]`, read.
    pub weight: Slice<'a>,
    /// `[V]`, read, optional.
    pub bias: Option<Slice<'a>>,
    /// `[R]`, read: the token of each row, below `V`.
    pub targets: Slice<'a, u32>,
    /// `[R]`, overwritten.
    pub logits: SliceMut<'a>,
}

/// Computes the logits: `logits[r] = W[t] · h[r] + b[t]` with `t = targets[r]`.
///
/// # Panics
/// If a length does not match `dims`, or a token is not below `V` on a CPU; a GPU does not check that.
pub fn forward(device: &Device, dims: Dims, args: Forward<'_>) {
    check_len("hidden", args.hidden.len(), dims.rows * dims.hidden);
    check_len("weight", args.weight.len(), dims.vocab * dims.hidden);
    check_len("bias", args.bias.map_or(dims.vocab, |bias| bias.len()), dims.vocab);
    check_len("targets", args.targets.len(), dims.rows);
    check_len("logits", args.logits.len(), dims.rows);
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, args),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, dims, args),
    }
}
