//! Softmax and cross-entropy of given logits, for models written from the primitives.
//!
//! [`decoder`](crate::decoder) also computes the logits, in blocks that stay in cache.

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, Store, check_len};

/// The shape of the logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, the rows.
    pub rows: usize,
    /// `V`, the vocabulary size.
    pub vocab: usize,
}

/// The negative log-likelihood of each row's target, in nats.
///
/// ```text
/// log_sums[r] = ln Σ_v e^logits[r, v]
/// nll[r]      = log_sums[r] − logits[r, targets[r]]
/// ```
///
/// Numerically stable: the row's largest logit is subtracted first. A NaN or infinite logit makes the result
/// NaN or infinite.
///
/// # Shapes
/// - `logits: [R, V]`, read.
/// - `targets: [R]`, read.
/// - `nll: [R]`, overwritten.
/// - `log_sums: [R]`, overwritten: needed by [`backward`].
/// # Panics
/// If a length does not match `dims`, or a target is not below `V` on a CPU; a GPU does not check that.
pub fn forward(
    device: &Device,
    dims: Dims,
    logits: Slice<'_>,
    targets: Slice<'_, u32>,
    nll: SliceMut<'_>,
    log_sums: SliceMut<'_>,
) {
    check_len("logits", logits.len(), dims.rows * dims.vocab);
    check_len("targets", targets.len(), dims.rows);
    check_len("nll", nll.len(), dims.rows);
    check_len("log_sums", log_sums.len(), dims.rows);
    match device {
        Device::Cpu(cpu) => {
            cpu::forward(cpu, dims, logits.host(), targets.host(), nll.host(), log_sums.host());
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => {
            gpu::forward(gpu, dims, logits.gpu(), targets.gpu(), nll.gpu(), log_sums.gpu());
        }
    }
}

/// `d_logits[r] = scale · (softmax(logits[r]) − one_hot(targets[r]))`: the gradient of `scale · Σ_r nll[r]`.
///
/// # Shapes
/// - `logits: [R, V]`, read.
/// - `targets: [R]`, read.
/// - `log_sums: [R]`, read: as written by [`forward`].
/// - `d_logits: [R, V]`, stored according to `store`.
/// # Panics
/// As [`forward`].
#[allow(clippy::too_many_arguments)] // The gradient depends on this many values.
pub fn backward(
    device: &Device,
    dims: Dims,
    scale: f32,
    logits: Slice<'_>,
    targets: Slice<'_, u32>,
    log_sums: Slice<'_>,
    d_logits: SliceMut<'_>,
    store: Store,
) {
    check_len("logits", logits.len(), dims.rows * dims.vocab);
    check_len("targets", targets.len(), dims.rows);
    check_len("log_sums", log_sums.len(), dims.rows);
    check_len("d_logits", d_logits.len(), dims.rows * dims.vocab);
    match device {
        Device::Cpu(cpu) => {
            let rows = (logits.host(), targets.host(), log_sums.host());
            cpu::backward(cpu, dims, scale, rows, d_logits.host(), store);
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => {
            let rows = [logits.gpu(), targets.gpu(), log_sums.gpu()];
            gpu::backward(gpu, dims, scale, rows, d_logits.gpu(), store);
        }
    }
}
