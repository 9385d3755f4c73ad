//! Element-wise tanh, sigmoid and ReLU, for custom cells.

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, Store, check_len};

/// An activation function, applied to each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `tanh x`.
    Tanh,
    /// `σ(x) = 1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// `max(0, x)`, whose derivative at 0 is 0.
    Relu,
}

impl Activation {
    /// All activation functions.
    pub const ALL: [Activation; 3] = [Activation::Tanh, Activation::Sigmoid, Activation::Relu];
}

/// `y = f(x)`. NaN is propagated.
///
/// # Shapes
/// - `x: [N]`, read.
/// - `y: [N]`, overwritten.
/// # Panics
/// If the lengths differ.
pub fn forward(device: &Device, activation: Activation, x: Slice<'_>, y: SliceMut<'_>) {
    check_len("x", x.len(), y.len());
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, activation, x.host(), y.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, activation, x.gpu(), y),
    }
}

/// `dx = f′(x) ∘ dy`, computed from the output only.
///
/// ```text
/// tanh: (1 − y²) ∘ dy      sigmoid: y ∘ (1 − y) ∘ dy      relu: dy where y > 0, else 0
/// ```
///
/// # Shapes
/// - `y: [N]`, read: the output of [`forward`].
/// - `d_y: [N]`, read.
/// - `d_x: [N]`, stored according to `store`.
/// # Panics
/// If the lengths differ.
pub fn backward(
    device: &Device,
    activation: Activation,
    y: Slice<'_>,
    d_y: Slice<'_>,
    d_x: SliceMut<'_>,
    store: Store,
) {
    check_len("y", y.len(), d_x.len());
    check_len("d_y", d_y.len(), d_x.len());
    match device {
        Device::Cpu(cpu) => cpu::backward(cpu, activation, y.host(), d_y.host(), d_x.host(), store),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::backward(gpu, activation, y.gpu(), d_y.gpu(), d_x, store),
    }
}
