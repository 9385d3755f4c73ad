//! Element-wise sums, products and scaling, for custom cells.

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, Store, check_len};

/// `y = a + b`. The gradient of both inputs is the output's: [`scale`] with factor 1 copies or adds it.
///
/// # Shapes
/// - `a, b: [N]`, read.
/// - `y: [N]`, overwritten.
/// # Panics
/// If the lengths differ.
pub fn add(device: &Device, a: Slice<'_>, b: Slice<'_>, y: SliceMut<'_>) {
    check_len("a", a.len(), y.len());
    check_len("b", b.len(), y.len());
    match device {
        Device::Cpu(cpu) => cpu::add(cpu, a.host(), b.host(), y.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::add(gpu, a.gpu(), b.gpu(), y),
    }
}

/// `y = a ∘ b`, the element-wise product.
///
/// It is its own backward: `da = dy ∘ b` and `db = dy ∘ a`, each stored or added by a separate call.
///
/// # Shapes
/// - `a, b: [N]`, read.
/// - `y: [N]`, stored according to `store`.
/// # Panics
/// If the lengths differ.
pub fn multiply(device: &Device, a: Slice<'_>, b: Slice<'_>, y: SliceMut<'_>, store: Store) {
    check_len("a", a.len(), y.len());
    check_len("b", b.len(), y.len());
    match device {
        Device::Cpu(cpu) => cpu::multiply(cpu, a.host(), b.host(), y.host(), store),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::multiply(gpu, a.gpu(), b.gpu(), y, store),
    }
}

/// `y = factor · x`, which is its own backward: `dx = factor · dy`.
///
/// With [`Store::Add`] and factor 1 it accumulates; with factor −1 it subtracts.
///
/// # Shapes
/// - `x: [N]`, read.
/// - `y: [N]`, stored according to `store`.
/// # Panics
/// If the lengths differ.
pub fn scale(device: &Device, factor: f32, x: Slice<'_>, y: SliceMut<'_>, store: Store) {
    check_len("x", x.len(), y.len());
    match device {
        Device::Cpu(cpu) => cpu::scale(cpu, factor, x.host(), y.host(), store),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::scale(gpu, factor, x.gpu(), y, store),
    }
}
