//! Matrix multiplication `c = a·b`, for custom cells.
//!
//! The dense layer ([`crate::linear`]) multiplies by a weight that is packed once; here both factors are new
//! each time, so the right one is packed in the scratch buffer.

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, Store, check_len};

/// The shape of a matrix multiplication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Rows of `a` and `c`.
    pub m: usize,
    /// Columns of `a`, rows of `b`.
    pub k: usize,
    /// Columns of `b` and `c`.
    pub n: usize,
}

/// The length of the scratch buffer that [`forward`] needs.
pub fn forward_scratch_len(device: &Device, dims: Dims) -> usize {
    match device {
        Device::Cpu(_) => cpu::forward_scratch_len(dims),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => 0,
    }
}

/// `c = a·b`.
///
/// # Shapes
/// - `a: [M, K]`, read.
/// - `b: [K, N]`, read.
/// - `c: [M, N]`, overwritten.
/// - `scratch`: at least [`forward_scratch_len`] elements, contents undefined before and after.
/// # Panics
/// If a length does not match `dims`.
pub fn forward(
    device: &Device,
    dims: Dims,
    a: Slice<'_>,
    b: Slice<'_>,
    c: SliceMut<'_>,
    scratch: SliceMut<'_>,
) {
    check_len("a", a.len(), dims.m * dims.k);
    check_len("b", b.len(), dims.k * dims.n);
    check_len("c", c.len(), dims.m * dims.n);
    check_scratch(scratch.len(), forward_scratch_len(device, dims));
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, a.host(), b.host(), c.host(), scratch.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, dims, a.gpu(), b.gpu(), c.gpu()),
    }
}

/// The length of the scratch buffer that [`backward_a`] and [`backward_b`] need.
pub fn backward_scratch_len(device: &Device, dims: Dims) -> usize {
    match device {
        Device::Cpu(_) => cpu::backward_scratch_len(dims),
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => 0,
    }
}

/// `da = dc·bᵀ`.
///
/// # Shapes
/// - `d_c: [M, N]`, read.
/// - `b: [K, N]`, read.
/// - `d_a: [M, K]`, stored.
/// - `scratch`: at least [`backward_scratch_len`] elements, contents undefined before and after.
/// # Panics
/// If a length does not match `dims`.
pub fn backward_a(
    device: &Device,
    dims: Dims,
    d_c: Slice<'_>,
    b: Slice<'_>,
    d_a: SliceMut<'_>,
    store: Store,
    scratch: SliceMut<'_>,
) {
    check_len("d_c", d_c.len(), dims.m * dims.n);
    check_len("b", b.len(), dims.k * dims.n);
    check_len("d_a", d_a.len(), dims.m * dims.k);
    check_scratch(scratch.len(), backward_scratch_len(device, dims));
    match device {
        Device::Cpu(cpu) => {
            cpu::backward_a(cpu, dims, d_c.host(), b.host(), d_a.host(), store, scratch.host())
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::backward_a(gpu, dims, d_c.gpu(), b.gpu(), d_a.gpu(), store),
    }
}

/// `db = aᵀ·dc`.
///
/// # Shapes
/// - `a: [M, K]`, read.
/// - `d_c: [M, N]`, read.
/// - `d_b: [K, N]`, stored.
/// - `scratch`: at least [`backward_scratch_len`] elements, contents undefined before and after.
/// # Panics
/// If a length does not match `dims`.
pub fn backward_b(
    device: &Device,
    dims: Dims,
    a: Slice<'_>,
    d_c: Slice<'_>,
    d_b: SliceMut<'_>,
    store: Store,
    scratch: SliceMut<'_>,
) {
    check_len("a", a.len(), dims.m * dims.k);
    check_len("d_c", d_c.len(), dims.m * dims.n);
    check_len("d_b", d_b.len(), dims.k * dims.n);
    check_scratch(scratch.len(), backward_scratch_len(device, dims));
    match device {
        Device::Cpu(cpu) => {
            cpu::backward_b(cpu, dims, a.host(), d_c.host(), d_b.host(), store, scratch.host())
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::backward_b(gpu, dims, a.gpu(), d_c.gpu(), d_b.gpu(), store),
    }
}

#[track_caller]
fn check_scratch(found: usize, needed: usize) {
    assert!(found >= needed, "scratch has {found} elements, needs {needed}");
}
