//! One-hot encoding of ids.
//!
//! Multiplying by such a row selects a row of the other matrix, which [`embedding`](crate::embedding) does
//! directly; this operation is for models written from first principles.

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, check_len};

/// The shape of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, the number of ids.
    pub rows: usize,
    /// `V`, the row width.
    pub vocab: usize,
}

/// `out[r, v] = 1` where `v = ids[r]`, else 0. Ids have no gradient, so there is no backward.
///
/// # Shapes
/// - `ids: [R]`, read.
/// - `out: [R, V]`, overwritten.
/// # Panics
/// If a length does not match `dims`, or an id is not below `V` on a CPU; a GPU does not check that.
pub fn forward(device: &Device, dims: Dims, ids: Slice<'_, u32>, out: SliceMut<'_>) {
    check_len("ids", ids.len(), dims.rows);
    check_len("out", out.len(), dims.rows * dims.vocab);
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, ids.host(), out.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, dims, ids.gpu(), out.gpu()),
    }
}
