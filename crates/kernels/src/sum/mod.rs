//! The sum of all elements.

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, check_len};

/// `sum = Σ_n x[n]`; 0 if there are no elements. NaN and infinities are propagated.
///
/// A CPU accumulates in `f64`; the result does not depend on the number of threads or the instruction set. A GPU
/// accumulates in `f32`, in parts.
///
/// # Shapes
/// - `x: [N]`, read.
/// - `sum: [1]`, overwritten.
/// # Panics
/// If `sum` is not a single element.
pub fn forward(device: &Device, x: Slice<'_>, sum: SliceMut<'_>) {
    check_len("sum", sum.len(), 1);
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, x.host(), sum.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, x.len(), x.gpu(), sum.gpu()),
    }
}
