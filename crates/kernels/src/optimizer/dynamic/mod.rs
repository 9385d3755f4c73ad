//! Steps of dynamic evaluation, which decay toward the trained weights, and gradients that are kept as products.

mod cpu;

use super::factors::DynamicFactors;
use crate::cpu::Cpu;
use crate::{Device, Slice, SliceMut, check_len};

/// Dynamic evaluation: gradient steps on the text being evaluated, with decay back to the trained weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dynamic {
    /// `η`, the learning rate.
    pub learning_rate: f64,
    /// `λ`, the decay rate toward the trained weights; 0 is off.
    pub decay: f64,
    /// `n`, the number of decays: usually 1; more if a row missed some, in which it had no gradient.
    pub decays: u32,
}

impl Dynamic {
    /// Panics unless there is a decay to apply, if only by a rate of 0.
    #[track_caller]
    fn check(&self) {
        assert!(self.decays > 0, "`decays` counts from 1");
    }
}

/// The root mean square (RMS) of past gradients, which scales the steps of a tensor as in RMSprop.
#[derive(Clone, Copy)]
pub struct RmsScale<'a> {
    /// `√MS: [N]`, the root mean square gradient of each element.
    pub rms: Slice<'a>,
    /// The mean of `√MS`, over all tensors.
    pub mean: f64,
    /// `ε`, added to `√MS`.
    pub epsilon: f64,
}

/// One step of dynamic evaluation, with decay toward the trained weight.
///
/// ```text
/// w = w − η · scale · g             + share · (w₀ − w)        share = 1 − (1 − min(1, λ))ⁿ
/// w = w − η · scale · g / (√MS + ε) + share · (w₀ − w)        share = 1 − (1 − min(1, λ · √MS / mean))ⁿ, with `rms_scale`
/// ```
///
/// Elements for which `√MS + ε` is 0 get no gradient step.
///
/// # Shapes
/// - `gradient: [N]`, read; `None` if it is zero.
/// - `trained: [N]`, read: the trained weights `w₀`.
/// - `weight: [N]`, updated.
/// # Panics
/// If lengths differ, or `decays` is 0.
/// # Source
/// Krause, Kahembwe, Murray & Renals 2018.
pub fn dynamic(
    device: &Device,
    options: &Dynamic,
    rms_scale: Option<RmsScale<'_>>,
    scale: f64,
    gradient: Option<Slice<'_>>,
    trained: Slice<'_>,
    weight: SliceMut<'_>,
) {
    options.check();
    check_len("gradient", gradient.as_ref().map_or(weight.len(), Slice::len), weight.len());
    check_len("trained", trained.len(), weight.len());
    check_len("rms", rms_scale.as_ref().map_or(weight.len(), |scale| scale.rms.len()), weight.len());
    let factors = DynamicFactors::new(options, rms_scale, scale);
    match device {
        Device::Cpu(cpu) => {
            let gradient = gradient.map(Slice::host);
            cpu::step(cpu, factors, rms_scale, gradient, trained.host(), weight.host());
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => super::gpu::dynamic(gpu, factors, rms_scale, gradient, trained.gpu(), weight),
    }
}

/// A gradient that is a product `left·right` of matrices with a small inner dimension `R`: that of a dense layer in a batch of
/// a few rows.
#[derive(Clone, Copy)]
pub struct ProductGradient<'a> {
    /// `[V, R]`: the gradient of the layer's output, transposed.
    pub left: Slice<'a>,
    /// `[R, H]`: the layer's input.
    pub right: Slice<'a>,
    /// `R`.
    pub rows: usize,
}

impl ProductGradient<'_> {
    /// The most rows that are faster as a product than multiplied out.
    pub const MAX_ROWS: usize = 16;

    /// `V` and `H`. Panics unless the lengths match.
    #[track_caller]
    fn sizes(self) -> (usize, usize) {
        let ProductGradient { left, right, rows } = self;
        assert!((1..=Self::MAX_ROWS).contains(&rows), "{rows} rows in a product");
        let (vocab, width) = (left.len() / rows, right.len() / rows);
        check_len("left", left.len(), vocab * rows);
        check_len("right", right.len(), width * rows);
        (vocab, width)
    }
}

/// One step of [`dynamic`](fn@dynamic), with a gradient that is never multiplied out: the weights are read and written once,
/// and no gradient of their size is. On CPUs only.
///
/// # Shapes
/// - `gradient`: a product of `[V, R]` and `[R, H]`, read.
/// - `trained: [V, H]`, read: the trained weights `w₀`.
/// - `weight: [V, H]`, updated.
/// # Panics
/// If a length does not match, `decays` is 0, or on a GPU.
pub fn dynamic_product(
    device: &Device,
    options: &Dynamic,
    rms_scale: Option<RmsScale<'_>>,
    scale: f64,
    gradient: ProductGradient<'_>,
    trained: Slice<'_>,
    weight: SliceMut<'_>,
) {
    options.check();
    let (vocab, width) = gradient.sizes();
    check_len("weight", weight.len(), vocab * width);
    check_len("trained", trained.len(), weight.len());
    check_len("rms", rms_scale.as_ref().map_or(weight.len(), |scale| scale.rms.len()), weight.len());
    let factors = DynamicFactors::new(options, rms_scale, scale);
    let (trained, weight) = (trained.host(), weight.host());
    cpu::product_step(on_cpu(device), factors, rms_scale, gradient, trained, weight);
}

/// `Σ x²` over the elements of a product, from its factors. On CPUs only.
///
/// ```text
/// ‖left·right‖² = Σ_rs (leftᵀ·left)[r, s] · (right·rightᵀ)[r, s]
/// ```
///
/// The sums are in `f64`, over the partition of [`squared_norm`](super::squared_norm).
///
/// # Panics
/// If a length does not match, or on a GPU.
pub fn squared_norm_of_product(device: &Device, product: ProductGradient<'_>) -> f64 {
    product.sizes();
    cpu::squared_norm_of_product(on_cpu(device), product)
}

/// Panics on a GPU.
fn on_cpu(device: &Device) -> &Cpu {
    match device {
        Device::Cpu(cpu) => cpu,
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => panic!("a gradient is not kept as a product on a GPU"),
    }
}
