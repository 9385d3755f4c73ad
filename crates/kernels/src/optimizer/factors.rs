//! The constants of the steps, computed in `f64` and rounded to `f32` once.

use super::{Adam, Dynamic, RmsScale, Sgd};

#[derive(Clone, Copy)]
pub(super) struct SgdFactors {
    pub(super) decay: f32,
    pub(super) momentum: f32,
    /// The negative learning rate.
    pub(super) rate: f32,
}

impl SgdFactors {
    pub(super) fn new(options: &Sgd) -> Self {
        SgdFactors {
            decay: options.weight_decay as f32,
            momentum: options.momentum as f32,
            rate: -options.learning_rate as f32,
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct AdamFactors {
    pub(super) decay: f32,
    pub(super) keep: f32,
    pub(super) beta1: f32,
    pub(super) rest1: f32,
    pub(super) beta2: f32,
    pub(super) rest2: f32,
    /// `1 / √(1 − β₂ᵗ)`.
    pub(super) root: f32,
    pub(super) epsilon: f32,
    /// `−learning_rate / (1 − β₁ᵗ)`.
    pub(super) rate: f32,
}

impl AdamFactors {
    pub(super) fn new(options: &Adam, step: u64) -> Self {
        let (correction1, correction2) = options.corrections(step);
        let (decay, keep) = options.decays();
        AdamFactors {
            decay: decay as f32,
            keep: keep as f32,
            beta1: options.beta1 as f32,
            rest1: (1.0 - options.beta1) as f32,
            beta2: options.beta2 as f32,
            rest2: (1.0 - options.beta2) as f32,
            root: (1.0 / correction2.sqrt()) as f32,
            epsilon: options.epsilon as f32,
            rate: (-options.learning_rate / correction1) as f32,
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct DynamicFactors {
    /// The negative learning rate, times the gradient's scale.
    pub(super) rate: f32,
    /// The decay, divided by the mean RMS if RMS scaling is used.
    pub(super) decay: f32,
    pub(super) decays: u32,
    pub(super) epsilon: f32,
}

impl DynamicFactors {
    pub(super) fn new(options: &Dynamic, rms_scale: Option<RmsScale<'_>>, scale: f64) -> Self {
        DynamicFactors {
            rate: (-options.learning_rate * scale) as f32,
            decay: rms_scale.map_or(options.decay.min(1.0), |rms_scale| options.decay / rms_scale.mean)
                as f32,
            decays: options.decays,
            epsilon: rms_scale.map_or(0.0, |rms_scale| rms_scale.epsilon) as f32,
        }
    }
}
