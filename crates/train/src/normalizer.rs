//! Fits an approximate normalizer to a trained model: see [`Normalizer`].
//!
//! ```text
//! text ─ model ─▶ samples: h, ln Z, ln of the sum over frequent tokens ─ Adam ─▶ units that predict the rest
//! ```
//!
//! The loss is the squared error of `ln Z` itself, so that the rest of the sum matters as much as it contributes. The model
//! does not change. The same model, text, options, device kind and number of threads give the same normalizer.
//! Not here: how it is used (`infer`).

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rondo_data::TokenIds;
use rondo_infer::{InferError, LanguageModel, Normalizer, NormalizerSamples, NormalizerStatistics};
use rondo_kernels::activation::{self, Activation};
use rondo_kernels::optimizer::{self, Adam, Decay};
use rondo_kernels::{Buffer, Device, DeviceError, Slice, Store, linear};

use crate::{Result, TrainError};

/// Positions of a step of the optimizer.
const BATCH: usize = 256;
/// Adam's first learning rate; it falls to 0 linearly.
const LEARNING_RATE: f64 = 3e-3;
/// The positions of the validation text that the errors are measured at.
const VALIDATION_POSITIONS: usize = 20_000;
/// The most numbers of states that are kept in memory.
const MOST_NUMBERS: usize = 1 << 26;

/// How a normalizer is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormalizerOptions {
    /// How many of the most frequent tokens are summed exactly.
    pub frequent: usize,
    /// The number of units that predict the rest of the sum.
    pub units: usize,
    /// At how many positions of the training text the model is read, at most.
    pub positions: usize,
    /// How often each position is used.
    pub passes: usize,
    /// The seed of the initial values and the order of positions.
    pub seed: u64,
}

impl Default for NormalizerOptions {
    /// 1,000 tokens and 128 units, fitted to 400,000 positions in 4 passes.
    fn default() -> Self {
        NormalizerOptions { frequent: 1000, units: 128, positions: 400_000, passes: 4, seed: 1 }
    }
}

/// Fits a normalizer to a model, and measures its errors on a validation text.
///
/// # Errors
/// [`TrainError::SmallVocabulary`] if there are not more tokens than those that are summed exactly;
/// [`InferError::ZeroSize`] for a size of 0; the errors of [`NormalizerSamples::read`].
pub fn fit_normalizer(
    model: &LanguageModel,
    train: &TokenIds,
    valid: &TokenIds,
    options: NormalizerOptions,
) -> Result<Normalizer> {
    let NormalizerOptions { frequent, units, positions, passes, seed } = options;
    for (name, size) in
        [("frequent", frequent), ("units", units), ("positions", positions), ("passes", passes)]
    {
        if size == 0 {
            return Err(InferError::ZeroSize { name }.into());
        }
    }
    let vocab_size = model.codec().vocab().len();
    if frequent >= vocab_size {
        return Err(TrainError::SmallVocabulary { vocab_size, frequent });
    }
    let frequent = Normalizer::most_frequent(model.codec(), frequent);
    let first = NormalizerSamples::read(model, train, &frequent, 1)?;
    let width = first.hidden.len() / first.len().max(1);
    let positions = positions.min(MOST_NUMBERS / width.max(1));
    let samples = NormalizerSamples::read(model, train, &frequent, positions)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut network = Network::new(model.device(), width, units, &samples, &mut rng)?;
    let mut order: Vec<u32> = (0..samples.len() as u32).collect();
    let steps = passes * order.len().div_ceil(BATCH);
    let mut step = 0;
    for _ in 0..passes {
        order.shuffle(&mut rng);
        for batch in order.chunks(BATCH) {
            let left = 1.0 - step as f64 / steps as f64;
            step += 1;
            network.step(&samples, batch, step as u64, LEARNING_RATE * left)?;
        }
    }
    let mut normalizer = network.finish(frequent)?;
    let held_out = NormalizerSamples::read(model, valid, &normalizer.frequent, VALIDATION_POSITIONS)?;
    normalizer.statistics = held_out.statistics(model, &normalizer)?;
    Ok(normalizer)
}

/// The units in training: a layer of rectified units, and a layer with one output.
struct Network {
    device: Device,
    width: usize,
    units: usize,
    hidden_weight: Trained,
    hidden_bias: Trained,
    output_weight: Trained,
    output_bias: Trained,
    packs: [Buffer; 3],
    scratch: Buffer,
}

/// Numbers in training, with their gradient and Adam's moments.
struct Trained {
    values: Buffer,
    gradient: Buffer,
    moments: [Buffer; 2],
}

impl Trained {
    fn new(device: &Device, values: &[f32]) -> std::result::Result<Trained, DeviceError> {
        let zeros = || Buffer::zeros(device, values.len());
        Ok(Trained {
            values: Buffer::from_slice(device, values)?,
            gradient: zeros(),
            moments: [zeros(), zeros()],
        })
    }

    fn update(&mut self, device: &Device, step: u64, learning_rate: f64) {
        let options = Adam {
            learning_rate,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decay: Decay::Gradient,
        };
        let Trained { values, gradient, moments: [first, second] } = self;
        let moments = (first.slice_mut(), second.slice_mut());
        optimizer::adam(
            device,
            &options,
            step,
            1.0.into(),
            gradient.slice(),
            values.slice_mut(),
            moments.0,
            moments.1,
        );
    }
}

impl Network {
    /// Random units; without them, the output is the mean of what it is fitted to.
    fn new(
        device: &Device,
        width: usize,
        units: usize,
        samples: &NormalizerSamples,
        rng: &mut ChaCha8Rng,
    ) -> Result<Network> {
        let mut random = |count: usize, inputs: usize| -> Vec<f32> {
            let limit = 1.0 / (inputs.max(1) as f32).sqrt();
            (0..count).map(|_| rng.random_range(-limit..limit)).collect()
        };
        let hidden_weight = random(units * width, width);
        let output_weight = random(units, units);
        let rest = samples
            .log_sums
            .iter()
            .zip(&samples.frequent_log_sums)
            .map(|(&all, &frequent)| rest_of(all, frequent));
        let mean = rest.sum::<f64>() / samples.len().max(1) as f64;
        let trained = |values: &[f32]| Trained::new(device, values).map_err(device_error);
        let (forward, backward) = (linear::Pack::Forward, linear::Pack::Backward);
        let pack =
            |inputs, outputs, kind| Buffer::zeros(device, linear::pack_len(device, inputs, outputs, kind));
        let dims = [dims_of(BATCH, width, units), dims_of(BATCH, units, 1)];
        let scratch =
            dims.map(|dims| linear::backward_scratch_len(device, dims)).into_iter().max().unwrap_or(0);
        Ok(Network {
            device: device.clone(),
            width,
            units,
            hidden_weight: trained(&hidden_weight)?,
            hidden_bias: trained(&vec![0.0; units])?,
            output_weight: trained(&output_weight)?,
            output_bias: trained(&[mean as f32])?,
            packs: [pack(width, units, forward), pack(units, 1, forward), pack(units, 1, backward)],
            scratch: Buffer::zeros(device, scratch),
        })
    }

    /// A step of the optimizer on these positions.
    fn step(
        &mut self,
        samples: &NormalizerSamples,
        batch: &[u32],
        step: u64,
        learning_rate: f64,
    ) -> Result<()> {
        self.gradients(samples, batch).map_err(device_error)?;
        let Network { device, hidden_weight, hidden_bias, output_weight, output_bias, .. } = self;
        for trained in [hidden_weight, hidden_bias, output_weight, output_bias] {
            trained.update(device, step, learning_rate);
        }
        Ok(())
    }

    /// The gradients of the mean squared error of `ln Z` at these positions.
    fn gradients(
        &mut self,
        samples: &NormalizerSamples,
        batch: &[u32],
    ) -> std::result::Result<(), DeviceError> {
        let Network { device, width, units, packs: [into_units, into_output, from_output], scratch, .. } =
            self;
        let (device, width, units, rows) = (&*device, *width, *units, batch.len());
        let (forward, backward) = (linear::Pack::Forward, linear::Pack::Backward);
        let (weight, output) = (self.hidden_weight.values.slice(), self.output_weight.values.slice());
        linear::pack(device, width, units, forward, weight, into_units.slice_mut());
        linear::pack(device, units, 1, forward, output, into_output.slice_mut());
        linear::pack(device, units, 1, backward, output, from_output.slice_mut());
        let states: Vec<f32> = batch
            .iter()
            .flat_map(|&place| &samples.hidden[place as usize * width..(place as usize + 1) * width])
            .copied()
            .collect();
        let x = Buffer::from_slice(device, &states)?;
        let layer = |dims, packed: &Buffer, bias: &Trained, x: Slice<'_>, outputs: usize| {
            let mut y = Buffer::zeros(device, rows * outputs);
            linear::forward(device, dims, packed.slice(), Some(bias.values.slice()), x, y.slice_mut());
            y
        };
        let (first, second) = (dims_of(rows, width, units), dims_of(rows, units, 1));
        let sums = layer(first, into_units, &self.hidden_bias, x.slice(), units);
        let mut rectified = Buffer::zeros(device, rows * units);
        activation::forward(device, Activation::Relu, sums.slice(), rectified.slice_mut());
        let rest = layer(second, into_output, &self.output_bias, rectified.slice(), 1);
        let d_rest: Vec<f32> = rest
            .read()?
            .iter()
            .zip(batch)
            .map(|(&rest, &place)| {
                let (all, frequent) =
                    (samples.log_sums[place as usize], samples.frequent_log_sums[place as usize]);
                let (found, share) = sum_and_share(frequent, rest.into());
                (2.0 * (found - all) * share / rows as f64) as f32
            })
            .collect();
        let d_rest = Buffer::from_slice(device, &d_rest)?;
        let mut d_rectified = Buffer::zeros(device, rows * units);
        let args = linear::Backward {
            x: rectified.slice(),
            d_y: d_rest.slice(),
            d_x: Some((from_output.slice(), d_rectified.slice_mut(), Store::Overwrite)),
            d_w: self.output_weight.gradient.slice_mut(),
            d_bias: Some(self.output_bias.gradient.slice_mut()),
            store: Store::Overwrite,
            scratch: scratch.slice_mut(),
        };
        linear::backward(device, second, args);
        let mut d_sums = Buffer::zeros(device, rows * units);
        let (y, d_y, d_x) = (rectified.slice(), d_rectified.slice(), d_sums.slice_mut());
        activation::backward(device, Activation::Relu, y, d_y, d_x, Store::Overwrite);
        let args = linear::Backward {
            x: x.slice(),
            d_y: d_sums.slice(),
            d_x: None,
            d_w: self.hidden_weight.gradient.slice_mut(),
            d_bias: Some(self.hidden_bias.gradient.slice_mut()),
            store: Store::Overwrite,
            scratch: scratch.slice_mut(),
        };
        linear::backward(device, first, args);
        Ok(())
    }

    fn finish(self, frequent: Vec<u32>) -> Result<Normalizer> {
        let read = |trained: &Trained| {
            Ok::<_, TrainError>(trained.values.read().map_err(device_error)?.into_owned())
        };
        Ok(Normalizer {
            frequent,
            hidden_weight: read(&self.hidden_weight)?,
            hidden_bias: read(&self.hidden_bias)?,
            output_weight: read(&self.output_weight)?,
            output_bias: read(&self.output_bias)?[0],
            statistics: NormalizerStatistics::default(),
        })
    }
}

fn dims_of(rows: usize, inputs: usize, outputs: usize) -> linear::Dims {
    linear::Dims { rows, inputs, outputs }
}

fn device_error(error: DeviceError) -> TrainError {
    InferError::from(rondo_nn::NnError::from(error)).into()
}

/// The logarithm of a sum without its frequent part: `ln (eᵃ − eᵇ)`, at least e⁻¹² of the sum.
fn rest_of(all: f64, frequent: f64) -> f64 {
    all + (-(frequent - all).min(0.0).exp()).ln_1p().max(-12.0)
}

/// `ln (eᵃ + eᵇ)`, and the fraction of the second term.
fn sum_and_share(a: f64, b: f64) -> (f64, f64) {
    let larger = a.max(b);
    let (first, second) = ((a - larger).exp(), (b - larger).exp());
    (larger + (first + second).ln(), second / (first + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_the_squared_error() {
        let device = Device::cpu(1).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (width, units, rows) = (5, 7, 6);
        let mut random =
            |count: usize| -> Vec<f64> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
        let samples = NormalizerSamples {
            hidden: random(rows * width).iter().map(|&x| x as f32).collect(),
            log_sums: random(rows).iter().map(|x| 4.0 + x).collect(),
            frequent_log_sums: random(rows).iter().map(|x| 2.0 + x).collect(),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut network = Network::new(&device, width, units, &samples, &mut rng).unwrap();
        let batch: Vec<u32> = (0..rows as u32).collect();
        network.gradients(&samples, &batch).unwrap();
        let values = |trained: &Trained| -> Vec<f64> {
            trained.values.read().unwrap().iter().map(|&x| x.into()).collect()
        };
        let parameters = [
            values(&network.hidden_weight),
            values(&network.hidden_bias),
            values(&network.output_weight),
            values(&network.output_bias),
        ];
        // The definition, in plain loops.
        let loss = |[weight, bias, output, output_bias]: &[Vec<f64>; 4]| -> f64 {
            let row = |row: usize| {
                let h = &samples.hidden[row * width..(row + 1) * width];
                let unit = |unit: usize| {
                    let dot: f64 =
                        h.iter().zip(&weight[unit * width..]).map(|(&h, w)| f64::from(h) * w).sum();
                    (dot + bias[unit]).max(0.0) * output[unit]
                };
                let rest = (0..units).map(unit).sum::<f64>() + output_bias[0];
                let found = (samples.frequent_log_sums[row].exp() + rest.exp()).ln();
                (found - samples.log_sums[row]).powi(2)
            };
            (0..rows).map(row).sum::<f64>() / rows as f64
        };
        let gradients =
            [&network.hidden_weight, &network.hidden_bias, &network.output_weight, &network.output_bias];
        for (part, trained) in gradients.iter().enumerate() {
            for (place, &found) in trained.gradient.read().unwrap().iter().enumerate() {
                let at = |delta: f64| {
                    let mut moved = parameters.clone();
                    moved[part][place] += delta;
                    loss(&moved)
                };
                let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((f64::from(found) - expected).abs() < 1e-5, "{part} {place}: {found}, {expected}");
            }
        }
    }

    #[test]
    fn a_sum_is_its_parts() {
        assert!((rest_of(5.0_f64.ln(), 2.0_f64.ln()) - 3.0_f64.ln()).abs() < 1e-12);
        assert_eq!(rest_of(1.0, 1.0), -11.0);
        let (sum, share) = sum_and_share(3.0_f64.ln(), 1.0_f64.ln());
        assert!((sum - 4.0_f64.ln()).abs() < 1e-12 && (share - 0.25).abs() < 1e-12);
    }
}
