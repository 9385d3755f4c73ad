//! The reference implementation: plain loops.

use num_traits::{AsPrimitive, Float};

use super::{Adam, Dynamic, Sgd};

/// `Σ x²`.
pub fn squared_norm<F: Float>(x: &[F]) -> F {
    x.iter().fold(F::zero(), |sum, &x| sum + x * x)
}

/// Clips each element to `[−limit, limit]`.
pub fn clip_values<F: Float>(limit: F, values: &mut [F]) {
    for value in values {
        *value = value.min(limit).max(-limit);
    }
}

/// One SGD step; the velocity is always kept.
pub fn sgd<F: Float + 'static>(
    options: &Sgd,
    scale: f64,
    gradient: &[F],
    weight: &mut [F],
    velocity: &mut [F],
) where
    f64: AsPrimitive<F>,
{
    for i in 0..weight.len() {
        let g = gradient[i] * scale.as_() + weight[i] * options.weight_decay.as_();
        velocity[i] = velocity[i] * options.momentum.as_() + g;
        weight[i] = weight[i] - velocity[i] * options.learning_rate.as_();
    }
}

/// Runs a step on each of some rows of a parameter's tensors: with the row's gradient, and its part of each tensor.
pub fn each_row<F: Float, const N: usize>(
    rows: &[u32],
    width: usize,
    values: &[F],
    tensors: [&mut [F]; N],
    step: impl Fn(&[F], [&mut [F]; N]),
) {
    let mut tensors = tensors;
    for (&row, gradient) in rows.iter().zip(values.chunks(width)) {
        let first = row as usize * width;
        step(gradient, tensors.each_mut().map(|tensor| &mut tensor[first..first + width]));
    }
}

/// One step of Adam or AdamW, `step` counting from 1; `moments` are the first and the second.
pub fn adam<F: Float + 'static>(
    options: &Adam,
    step: u64,
    scale: f64,
    gradient: &[F],
    weight: &mut [F],
    moments: (&mut [F], &mut [F]),
) where
    f64: AsPrimitive<F>,
{
    let (correction1, correction2) = options.corrections(step);
    let (decay, keep) = options.decays();
    let (m, v) = moments;
    for i in 0..weight.len() {
        let g = gradient[i] * scale.as_() + weight[i] * decay.as_();
        m[i] = m[i] * options.beta1.as_() + g * (1.0 - options.beta1).as_();
        v[i] = v[i] * options.beta2.as_() + g * g * (1.0 - options.beta2).as_();
        let root = (v[i] / correction2.as_()).sqrt() + options.epsilon.as_();
        weight[i] = weight[i] * keep.as_() - m[i] / correction1.as_() / root * options.learning_rate.as_();
    }
}

/// Updates a running average of the weights.
pub fn average<F: Float + 'static>(share: f64, weight: &[F], average: &mut [F])
where
    f64: AsPrimitive<F>,
{
    for (average, &weight) in average.iter_mut().zip(weight) {
        *average = *average + (weight - *average) * share.as_();
    }
}

/// One step of dynamic evaluation; `rms_scale` is `√MS`, its mean and `ε`.
pub fn dynamic<F: Float + 'static>(
    options: &Dynamic,
    rms_scale: Option<(&[F], f64, f64)>,
    scale: f64,
    gradient: &[F],
    trained: &[F],
    weight: &mut [F],
) where
    f64: AsPrimitive<F>,
{
    for i in 0..weight.len() {
        let (divisor, share) = match rms_scale {
            None => (F::one(), options.decay.as_()),
            Some((rms, mean, epsilon)) => (rms[i] + epsilon.as_(), rms[i] * (options.decay / mean).as_()),
        };
        let rate = if divisor > F::zero() { options.learning_rate.as_() / divisor } else { F::zero() };
        let step = gradient[i] * scale.as_() * rate;
        let share = F::one() - (F::one() - share.min(F::one())).powi(options.decays as i32);
        weight[i] = weight[i] - step + share * (trained[i] - weight[i]);
    }
}
