//! Softmax over each row of a matrix, with a temperature.

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
    /// `N`, the columns: each row is a distribution over them.
    pub columns: usize,
}

/// Turns each row into probabilities.
///
/// ```text
/// y[r, n] = e^(x[r, n] / temperature) / Σ_m e^(x[r, m] / temperature)
/// ```
///
/// Numerically stable: the row's largest element is subtracted first. −∞ gets probability 0; a row with a NaN
/// becomes NaN. As the temperature approaches 0, the largest element gets all the probability; as it grows to
/// ∞, all become equal.
///
/// # Shapes
/// - `x: [R, N]`, read.
/// - `y: [R, N]`, overwritten.
/// # Panics
/// If a length does not match `dims`, or the temperature is not above 0.
pub fn forward(device: &Device, dims: Dims, temperature: f32, x: Slice<'_>, y: SliceMut<'_>) {
    check_len("x", x.len(), dims.rows * dims.columns);
    check_len("y", y.len(), dims.rows * dims.columns);
    assert!(temperature > 0.0, "temperature must be above 0, but is {temperature}");
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, temperature, x.host(), y.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, dims, temperature, x.gpu(), y.gpu()),
    }
}

/// `dx[r] = y[r] ∘ (dy[r] − Σ_m dy[r, m] · y[r, m]) / temperature`.
///
/// # Shapes
/// - `y: [R, N]`, read: the output of [`forward`].
/// - `d_y: [R, N]`, read.
/// - `d_x: [R, N]`, stored according to `store`.
/// # Panics
/// As [`forward`].
pub fn backward(
    device: &Device,
    dims: Dims,
    temperature: f32,
    y: Slice<'_>,
    d_y: Slice<'_>,
    d_x: SliceMut<'_>,
    store: Store,
) {
    check_len("y", y.len(), dims.rows * dims.columns);
    check_len("d_y", d_y.len(), dims.rows * dims.columns);
    check_len("d_x", d_x.len(), dims.rows * dims.columns);
    assert!(temperature > 0.0, "temperature must be above 0, but is {temperature}");
    match device {
        Device::Cpu(cpu) => cpu::backward(cpu, dims, temperature, y.host(), d_y.host(), d_x.host(), store),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => {
            gpu::backward(gpu, dims, temperature, y.gpu(), d_y.gpu(), d_x.gpu(), store);
        }
    }
}
