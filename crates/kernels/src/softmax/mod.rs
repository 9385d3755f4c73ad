//! Softmax of each row of a matrix, with a temperature.

pub mod cases;
mod cpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, Store, check_len};

/// The sizes of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, the rows.
    pub rows: usize,
    /// `N`, the columns: what each row is a distribution over.
    pub columns: usize,
}

/// Turns each row into probabilities.
///
/// ```text
/// y[r, n] = e^(x[r, n] / temperature) / Σ_m e^(x[r, m] / temperature)
/// ```
///
/// Stable: the row's largest number is subtracted first. A −∞ gets probability 0; a row with a NaN becomes NaN.
/// Toward temperature 0 the largest number takes all, toward ∞ all become equal.
///
/// # Shapes
/// - `x: [R, N]`, read.
/// - `y: [R, N]`, overwritten.
/// # Panics
/// If a length does not match `dims`, or the temperature is not above 0.
pub fn forward(device: &Device, dims: Dims, temperature: f32, x: Slice<'_>, y: SliceMut<'_>) {
    check_len("x", x.len(), dims.rows * dims.columns);
    check_len("y", y.len(), dims.rows * dims.columns);
    assert!(temperature > 0.0, "temperature {temperature} is not above 0");
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, temperature, x.host(), y.host()),
    }
}

/// `dx[r] = y[r] ∘ (dy[r] − Σ_m dy[r, m] · y[r, m]) / temperature`.
///
/// # Shapes
/// - `y: [R, N]`, read: the output of [`forward`].
/// - `d_y: [R, N]`, read.
/// - `d_x: [R, N]`, stored as `store` says.
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
    assert!(temperature > 0.0, "temperature {temperature} is not above 0");
    match device {
        Device::Cpu(cpu) => cpu::backward(cpu, dims, temperature, y.host(), d_y.host(), d_x.host(), store),
    }
}
