//! Adds a row to every row of a matrix, for custom cells.

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, Store, check_len};

/// The shape of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, the rows.
    pub rows: usize,
    /// `N`, the columns.
    pub columns: usize,
}

/// `y[r] = x[r] + bias`. The gradient of `x` equals that of `y`.
///
/// # Shapes
/// - `x: [R, N]`, read.
/// - `bias: [N]`, read.
/// - `y: [R, N]`, overwritten.
/// # Panics
/// If a length does not match `dims`.
pub fn forward(device: &Device, dims: Dims, x: Slice<'_>, bias: Slice<'_>, y: SliceMut<'_>) {
    check_len("x", x.len(), dims.rows * dims.columns);
    check_len("bias", bias.len(), dims.columns);
    check_len("y", y.len(), dims.rows * dims.columns);
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, x.host(), bias.host(), y.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, dims, x.gpu(), bias.gpu(), y.gpu()),
    }
}

/// `d_bias = Σ_r dy[r]`.
///
/// # Shapes
/// - `d_y: [R, N]`, read.
/// - `d_bias: [N]`, stored according to `store`.
/// # Panics
/// If a length does not match `dims`.
pub fn backward(device: &Device, dims: Dims, d_y: Slice<'_>, d_bias: SliceMut<'_>, store: Store) {
    check_len("d_y", d_y.len(), dims.rows * dims.columns);
    check_len("d_bias", d_bias.len(), dims.columns);
    match device {
        Device::Cpu(cpu) => cpu::backward(cpu, dims, d_y.host(), d_bias.host(), store),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::backward(gpu, dims, d_y.gpu(), d_bias.gpu(), store),
    }
}
