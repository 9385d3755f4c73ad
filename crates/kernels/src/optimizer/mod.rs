//! Optimizer steps: update the weights from a gradient, in one pass over memory.
//!
//! A step takes the gradient as it was summed and a [`Scale`], the product of everything that multiplies it:
//! the gradient clipping factor ([`clip_scale`]) and, for example, one over the number of tokens that the
//! loss is averaged over. It can be computed on the device, so that a step waits for nothing:
//!
//! ```text
//! each gradient ── squares ──▶ [n] sums ── clip ──▶ scale, norm ──▶ steps
//! ```
//!
//! Hyperparameters are `f64` and are rounded once, after terms such as 1 − β have been
//! computed.
//!
//! Not here: learning rate schedules (`train`).

pub mod cases;
mod cpu;
mod dynamic;
mod factors;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

pub use dynamic::{Dynamic, ProductGradient, RmsScale, dynamic, dynamic_product, squared_norm_of_product};
use factors::{AdamFactors, SgdFactors};

use crate::cpu::sums;
use crate::{Device, DeviceError, Slice, SliceMut, check_len};

/// The epsilon that Gluon adds to the norm before dividing by it; PyTorch uses 1e-6.
pub const GLUON_EPSILON: f64 = 1e-8;

/// Stochastic gradient descent (SGD), with or without momentum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// The learning rate.
    pub learning_rate: f64,
    /// `μ`, the momentum: the fraction of the velocity that is kept; 0 is off.
    pub momentum: f64,
    /// `λ`, the weight decay: the fraction of the weight that is added to its gradient; 0 is off.
    pub weight_decay: f64,
}

/// Adam and AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// The learning rate.
    pub learning_rate: f64,
    /// `β₁`, the decay rate of the first moment.
    pub beta1: f64,
    /// `β₂`, the decay rate of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub epsilon: f64,
    /// `λ`, the weight decay; 0 is off.
    pub weight_decay: f64,
    /// How the weight decay is applied.
    pub decay: Decay,
}

/// How Adam's weight decay is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// Coupled: added to the gradient, as in Adam with an L2 penalty.
    Gradient,
    /// Decoupled: subtracted from the weight, as in AdamW.
    Weight,
}

/// What multiplies a gradient: a number of the host, or one that the device has computed.
#[derive(Clone, Copy)]
pub enum Scale<'a> {
    /// A number.
    Host(f64),
    /// `[2]`, as written by [`clip`]: the scale, and the norm. If the norm is not finite, the step changes nothing.
    Device(Slice<'a>),
}

impl From<f64> for Scale<'_> {
    fn from(scale: f64) -> Self {
        Scale::Host(scale)
    }
}

impl Scale<'_> {
    /// Panics unless there are two numbers.
    #[track_caller]
    fn check(self) {
        if let Scale::Device(numbers) = self {
            check_len("scale", numbers.len(), 2);
        }
    }

    /// The number, on a CPU; `None` if the step changes nothing.
    fn host(self) -> Option<f32> {
        match self {
            Scale::Host(scale) => Some(scale as f32),
            Scale::Device(numbers) => {
                let numbers = numbers.host();
                numbers[1].is_finite().then_some(numbers[0])
            }
        }
    }
}

/// `Σ x²`, a tensor's contribution to the squared global norm.
///
/// On a CPU, the squares and the sum are in `f64`, over a partition that is the same on all machines: the result does
/// not depend on the number of threads or the instruction set. On a GPU, up to 1,024 parts are summed in `f32`, and their
/// sums in `f64`. Neither overflows.
///
/// # Errors
/// As [`Slice::read`]: the sum is read on the host.
pub fn squared_norm(device: &Device, x: Slice<'_>) -> Result<f64, DeviceError> {
    match device {
        Device::Cpu(cpu) => Ok(sums::squares(cpu, x.host())),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::squared_norm(gpu, x),
    }
}

/// `Σ x²` as [`squared_norm`], but left on the device, rounded to `f32`; ∞ if it is larger than `f32` allows.
///
/// # Shapes
/// - `x`, of any length, read.
/// - `sum: [1]`, overwritten.
/// # Panics
/// If a length does not match.
pub fn squares(device: &Device, x: Slice<'_>, sum: SliceMut<'_>) {
    check_len("sum", sum.len(), 1);
    match device {
        Device::Cpu(cpu) => sum.host()[0] = sums::squares(cpu, x.host()) as f32,
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::squares(gpu, x, sum.gpu()),
    }
}

/// Gradient clipping: the factor that limits a gradient of this global norm to `max_norm`.
///
/// ```text
/// min(1, max_norm / (norm + epsilon))
/// ```
///
/// # Source
/// Pascanu, Mikolov & Bengio 2013; with [`GLUON_EPSILON`], same as `gluon.utils.clip_global_norm`.
/// # Example
/// ```
/// use rondo_kernels::optimizer::{GLUON_EPSILON, clip_scale};
/// assert_eq!(clip_scale(0.1, 0.25, GLUON_EPSILON), 1.0);
/// assert!((clip_scale(1.0, 0.25, GLUON_EPSILON) - 0.25).abs() < 1e-8);
/// ```
pub fn clip_scale(norm: f64, max_norm: f64, epsilon: f64) -> f64 {
    (max_norm / (norm + epsilon)).min(1.0)
}

/// Computes the [`Scale::Device`] of a step: gradient clipping on the device.
///
/// ```text
/// norm = √(Σ squares)
/// to   = factor · min(1, max_norm / (norm + epsilon)), norm        `factor, norm` without a limit
/// ```
///
/// If the norm is not finite, the scale is unspecified: the steps that get it change nothing.
///
/// # Shapes
/// - `squares: [n]`, read: as written by [`squares`](fn@squares).
/// - `to: [2]`, overwritten.
/// # Panics
/// If a length does not match.
/// # Source
/// As [`clip_scale`].
pub fn clip(
    device: &Device,
    squares: Slice<'_>,
    factor: f64,
    max_norm: Option<f64>,
    epsilon: f64,
    to: SliceMut<'_>,
) {
    check_len("to", to.len(), 2);
    match device {
        Device::Cpu(_) => {
            let norm = squares.host().iter().map(|&square| f64::from(square)).sum::<f64>().sqrt();
            let limited = max_norm.map_or(1.0, |max_norm| clip_scale(norm, max_norm, epsilon));
            to.host().copy_from_slice(&[(factor * limited) as f32, norm as f32]);
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::clip(gpu, squares, factor, max_norm, epsilon, to.gpu()),
    }
}

/// Sets values to zero if the norm of a [`Scale::Device`] is not finite: those that were computed along with the gradient
/// may not be finite either.
///
/// # Shapes
/// - `scale: [2]`, read: as written by [`clip`].
/// - `values`, of any length, overwritten if the norm is not finite.
/// # Panics
/// If a length does not match.
pub fn zero_unless_finite(device: &Device, scale: Slice<'_>, values: SliceMut<'_>) {
    check_len("scale", scale.len(), 2);
    match device {
        Device::Cpu(_) => {
            if !scale.host()[1].is_finite() {
                values.host().fill(0.0);
            }
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::zero_unless_finite(gpu, scale.gpu(), values),
    }
}

/// Clips each element: `x = max(−limit, min(limit, x))`. NaN is propagated.
///
/// # Shapes
/// - `values`, of any length, overwritten.
/// # Panics
/// If the limit is negative or NaN.
pub fn clip_values(device: &Device, limit: f32, values: SliceMut<'_>) {
    assert!(limit >= 0.0, "limit must be at least 0, but is {limit}");
    match device {
        Device::Cpu(cpu) => cpu::clip_values(cpu, limit, values.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::clip_values(gpu, limit, values),
    }
}

/// One SGD step.
///
/// ```text
/// g = scale · gradient + λ · w
/// v = μ · v + g           if there is a velocity; it starts at zero
/// w = w − learning_rate · (v or g)
/// ```
///
/// # Shapes
/// - `gradient: [N]`, read.
/// - `weight: [N]`, updated.
/// - `velocity: [N]`, updated; can be omitted if the momentum is 0.
/// # Panics
/// If lengths differ, or there is momentum but no velocity.
/// # Source
/// PyTorch's `torch.optim.SGD`, without dampening and the Nesterov variant.
pub fn sgd(
    device: &Device,
    options: &Sgd,
    scale: Scale<'_>,
    gradient: Slice<'_>,
    weight: SliceMut<'_>,
    velocity: Option<SliceMut<'_>>,
) {
    scale.check();
    check_len("gradient", gradient.len(), weight.len());
    check_len("velocity", velocity.as_ref().map_or(weight.len(), SliceMut::len), weight.len());
    check_velocity(options, velocity.is_some());
    let factors = SgdFactors::new(options);
    match device {
        Device::Cpu(cpu) => {
            if let Some(scale) = scale.host() {
                cpu::sgd(cpu, factors, scale, gradient.host(), weight.host(), velocity.map(SliceMut::host));
            }
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::sgd(gpu, factors, scale, gradient.into(), weight, velocity),
    }
}

/// A row-sparse gradient: that of some rows of a parameter.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// `[U]`: the indices of the rows, strictly increasing, as from [`plan_rows`](crate::embedding::plan_rows). On a GPU
    /// they are not checked.
    pub rows: Slice<'a, u32>,
    /// `[U, width]`: their gradients.
    pub values: Slice<'a>,
    /// The width of a row.
    pub width: usize,
}

/// One SGD step on the rows of a row-sparse gradient: as [`sgd`] for these rows, bit for bit. All other rows keep their
/// weight and their velocity, while [`sgd`] would also change them if there is momentum or weight decay (*lazy* rows).
///
/// # Shapes
/// - `gradient`: `U` rows of `weight`.
/// - `weight: [V, width]`, the given rows updated.
/// - `velocity: [V, width]`, the given rows updated; can be omitted if the momentum is 0.
/// # Panics
/// If a length does not match, the rows are not strictly increasing or are out of range, or there is momentum but no
/// velocity.
pub fn sgd_rows(
    device: &Device,
    options: &Sgd,
    scale: Scale<'_>,
    gradient: Rows<'_>,
    weight: SliceMut<'_>,
    velocity: Option<SliceMut<'_>>,
) {
    scale.check();
    gradient.check();
    check_len("velocity", velocity.as_ref().map_or(weight.len(), SliceMut::len), weight.len());
    check_velocity(options, velocity.is_some());
    let factors = SgdFactors::new(options);
    match device {
        Device::Cpu(cpu) => {
            if let Some(scale) = scale.host() {
                cpu::sgd_rows(cpu, factors, scale, gradient, weight.host(), velocity.map(SliceMut::host));
            }
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::sgd(gpu, factors, scale, gradient.into(), weight, velocity),
    }
}

/// One step of Adam or AdamW; `step` counts from 1.
///
/// ```text
/// g = scale · gradient              (Decay::Gradient: + λ · w;  Decay::Weight: w = w − learning_rate · λ · w)
/// m = β₁ · m + (1 − β₁) · g
/// v = β₂ · v + (1 − β₂) · g²
/// w = w − learning_rate · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)
/// ```
///
/// # Shapes
/// - `gradient: [N]`, read.
/// - `weight, first_moment, second_moment: [N]`, updated; the moments start at zero.
/// # Panics
/// If lengths differ, or `step` is 0.
/// # Source
/// Kingma & Ba 2015, Loshchilov & Hutter 2019; same as PyTorch's `torch.optim.Adam` and `AdamW`.
#[allow(clippy::too_many_arguments)] // Adam needs this many.
pub fn adam(
    device: &Device,
    options: &Adam,
    step: u64,
    scale: Scale<'_>,
    gradient: Slice<'_>,
    weight: SliceMut<'_>,
    first_moment: SliceMut<'_>,
    second_moment: SliceMut<'_>,
) {
    scale.check();
    check_len("gradient", gradient.len(), weight.len());
    check_len("first_moment", first_moment.len(), weight.len());
    check_len("second_moment", second_moment.len(), weight.len());
    assert!(step > 0, "Adam's `step` counts from 1");
    let factors = AdamFactors::new(options, step);
    match device {
        Device::Cpu(cpu) => {
            if let Some(scale) = scale.host() {
                let moments = (first_moment.host(), second_moment.host());
                cpu::adam(cpu, factors, scale, gradient.host(), weight.host(), moments);
            }
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => {
            gpu::adam(gpu, factors, scale, gradient.into(), weight, [first_moment, second_moment]);
        }
    }
}

/// One step of Adam or AdamW on the rows of a row-sparse gradient: as [`adam`] for these rows, bit for bit. All other rows
/// keep their weight and their moments, while [`adam`] would also change them (*lazy* rows).
///
/// # Shapes
/// - `gradient`: `U` rows of `weight`.
/// - `weight, first_moment, second_moment: [V, width]`, the given rows updated; the moments start at zero.
/// # Panics
/// If a length does not match, the rows are not strictly increasing or are out of range, or `step` is 0.
/// # Source
/// PyTorch's `torch.optim.SparseAdam`, with ε added as in [`adam`].
#[allow(clippy::too_many_arguments)] // As `adam`.
pub fn adam_rows(
    device: &Device,
    options: &Adam,
    step: u64,
    scale: Scale<'_>,
    gradient: Rows<'_>,
    weight: SliceMut<'_>,
    first_moment: SliceMut<'_>,
    second_moment: SliceMut<'_>,
) {
    scale.check();
    gradient.check();
    check_len("first_moment", first_moment.len(), weight.len());
    check_len("second_moment", second_moment.len(), weight.len());
    assert!(step > 0, "Adam's `step` counts from 1");
    let factors = AdamFactors::new(options, step);
    match device {
        Device::Cpu(cpu) => {
            if let Some(scale) = scale.host() {
                let moments = (first_moment.host(), second_moment.host());
                cpu::adam_rows(cpu, factors, scale, gradient, weight.host(), moments);
            }
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => {
            gpu::adam(gpu, factors, scale, gradient.into(), weight, [first_moment, second_moment]);
        }
    }
}

/// Updates a running average of the weights.
///
/// ```text
/// a = a + share · (w − a)
/// ```
///
/// With `share` 1/n in the n-th call, the average is the mean of the weights so far.
///
/// # Shapes
/// - `weight: [N]`, read.
/// - `average: [N]`, updated.
/// # Panics
/// If lengths differ.
/// # Source
/// Polyak & Juditsky 1992.
pub fn average(device: &Device, share: f64, weight: Slice<'_>, average: SliceMut<'_>) {
    check_len("average", average.len(), weight.len());
    match device {
        Device::Cpu(cpu) => cpu::average(cpu, share as f32, weight.host(), average.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::average(gpu, share as f32, weight.gpu(), average),
    }
}

/// Updates rows of a running average over steps in which their weights did not change.
///
/// ```text
/// a[row] = w[row] + kept · (a[row] − w[row])
/// ```
///
/// `kept` is the product of 1 − `share` over the calls of [`average`] that this one replaces.
///
/// # Shapes
/// - `rows: [U]`, read: strictly increasing. On a GPU they are not checked.
/// - `kept: [U]`, read.
/// - `weight: [V, width]`, read.
/// - `average: [V, width]`, the given rows updated.
/// # Panics
/// If a length does not match, or the rows are not strictly increasing or are out of range.
pub fn average_rows(
    device: &Device,
    width: usize,
    rows: Slice<'_, u32>,
    kept: Slice<'_>,
    weight: Slice<'_>,
    average: SliceMut<'_>,
) {
    check_len("kept", kept.len(), rows.len());
    check_len("average", average.len(), weight.len());
    match device {
        Device::Cpu(cpu) => {
            cpu::average_rows(cpu, width, rows.host(), kept.host(), weight.host(), average.host());
        }
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::average_rows(gpu, width, rows, kept.gpu(), weight.gpu(), average.gpu()),
    }
}

/// Panics if there is momentum but no velocity.
fn check_velocity(options: &Sgd, has_velocity: bool) {
    assert!(has_velocity || options.momentum == 0.0, "momentum {} requires a velocity", options.momentum);
}

impl Rows<'_> {
    /// Panics unless the lengths match.
    fn check(self) {
        check_len("values", self.values.len(), self.rows.len() * self.width);
    }
}

impl Adam {
    /// `1 − β₁ᵗ` and `1 − β₂ᵗ`: the bias corrections of the moments, which start at zero, after `step` steps.
    fn corrections(&self, step: u64) -> (f64, f64) {
        let step = step as f64;
        (1.0 - self.beta1.powf(step), 1.0 - self.beta2.powf(step))
    }

    /// `λ` if the decay is added to the gradient, and `1 − learning_rate · λ` if it is subtracted from the
    /// weight.
    fn decays(&self) -> (f64, f64) {
        match self.decay {
            Decay::Gradient => (self.weight_decay, 1.0),
            Decay::Weight => (0.0, 1.0 - self.learning_rate * self.weight_decay),
        }
    }
}
