//! Activation regularization (AR) and temporal activation regularization (TAR): penalties on the mean square
//! of activations, or of their changes from step to step.
//!
//! The mean is over the squared elements, so a penalty depends neither on the sequence length nor on the
//! batch size.

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::cpu::sums;
use crate::{Device, DeviceError, Slice, SliceMut, Store, check_len};

/// The shape of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `T`, the steps.
    pub steps: usize,
    /// `B`, the batch rows.
    pub batch: usize,
    /// `H`, the width.
    pub width: usize,
}

/// Which quantity is squared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Penalty {
    /// The activations themselves (activation regularization).
    Size,
    /// How they change from one step to the next (temporal activation regularization).
    Change,
}

impl Penalty {
    /// Both.
    pub const ALL: [Penalty; 2] = [Penalty::Size, Penalty::Change];
}

impl Dims {
    /// The number of squared elements.
    fn squares(self, penalty: Penalty) -> usize {
        let steps = match penalty {
            Penalty::Size => self.steps,
            Penalty::Change => self.steps.saturating_sub(1),
        };
        steps * self.batch * self.width
    }
}

/// The mean square; 0 if there is nothing to square, such as changes within a single
/// step.
///
/// ```text
/// size     Σ h[t]² / T·B·H               change   Σ (h[t+1] − h[t])² / (T−1)·B·H
/// ```
///
/// A CPU accumulates in `f64`; the result does not depend on the number of threads or the instruction set. A GPU
/// accumulates parts in `f32`, and the host adds them up.
///
/// # Shapes
/// - `h: [T, B, H]`, read.
/// # Panics
/// If a length does not match `dims`.
/// # Errors
/// As [`Slice::read`]: the mean is read on the host.
/// # Source
/// Merity, McCann & Socher 2017 (Revisiting activation regularization for language RNNs).
pub fn forward(device: &Device, dims: Dims, penalty: Penalty, h: Slice<'_>) -> Result<f64, DeviceError> {
    check_len("h", h.len(), dims.steps * dims.batch * dims.width);
    let squares = dims.squares(penalty);
    if squares == 0 {
        return Ok(0.0);
    }
    let sum = match device {
        Device::Cpu(cpu) => match penalty {
            Penalty::Size => sums::squares(cpu, h.host()),
            Penalty::Change => {
                let (h, row) = (h.host(), dims.batch * dims.width);
                sums::squared_differences(cpu, &h[row..], &h[..squares])
            }
        },
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, penalty, squares, dims.batch * dims.width, h.gpu())?,
    };
    Ok(sum / squares as f64)
}

/// The gradient of `scale` times the mean square.
///
/// ```text
/// size     dh[t] = 2·scale / T·B·H · h[t]
/// change   dh[t] = 2·scale / (T−1)·B·H · ((h[t] − h[t−1]) − (h[t+1] − h[t]))
///            without the terms that reach beyond the first or last step
/// ```
///
/// # Shapes
/// - `h: [T, B, H]`, read.
/// - `d_h: [T, B, H]`, stored according to `store`.
/// # Panics
/// If a length does not match `dims`.
pub fn backward(
    device: &Device,
    dims: Dims,
    penalty: Penalty,
    scale: f64,
    h: Slice<'_>,
    d_h: SliceMut<'_>,
    store: Store,
) {
    let len = dims.steps * dims.batch * dims.width;
    check_len("h", h.len(), len);
    check_len("d_h", d_h.len(), len);
    let squares = dims.squares(penalty);
    if squares == 0 {
        if store == Store::Overwrite {
            d_h.fill(0.0);
        }
        return;
    }
    let factor = (2.0 * scale / squares as f64) as f32;
    match device {
        Device::Cpu(cpu) => match penalty {
            Penalty::Size => cpu::size_backward(cpu, factor, h.host(), d_h.host(), store),
            Penalty::Change => {
                cpu::change_backward(cpu, dims.batch * dims.width, factor, h.host(), d_h.host(), store);
            }
        },
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => {
            let row = dims.batch * dims.width;
            gpu::backward(gpu, penalty, [len, row], factor, h.gpu(), d_h.gpu(), store);
        }
    }
}
