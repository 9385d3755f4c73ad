//! A normalizer on the device of its model.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use rondo_kernels::activation::{self, Activation};
use rondo_kernels::{Buffer, Device, DeviceError, Slice, cross_entropy, embedding, linear, target_logits};
use rondo_nn::{Decoder, Hidden, Model, NnError, Tape};

use super::{Normalizer, NormalizerStatistics};
use crate::{Distribution, InferError, ModelHandle, Result};

/// One position in this many is also normalized exactly.
pub const CHECK_EVERY: u64 = 1000;

/// The errors of a normalizer on the texts that were read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormalizerCheck {
    /// The errors on these texts.
    pub here: NormalizerStatistics,
    /// The errors on the validation text when it was fitted.
    pub fitted: NormalizerStatistics,
}

impl NormalizerCheck {
    /// Whether the errors on these texts are so much larger than those on the validation text that the scores are not to be
    /// trusted: a mean or a standard deviation of more than 0.1 nats and three times the validation text's deviation.
    pub fn is_poor(&self) -> bool {
        let limit = (3.0 * self.fitted.deviation).max(0.1);
        self.here.positions > 0 && (self.here.mean.abs() > limit || self.here.deviation > limit)
    }
}

/// A normalizer, ready to be used with a model.
#[derive(Debug)]
pub(crate) struct Approximation {
    decoder: Decoder,
    frequent: Layer,
    hidden: Layer,
    output: Layer,
    fitted: NormalizerStatistics,
    errors: Mutex<Errors>,
}

/// A dense layer whose weight is packed.
#[derive(Debug)]
struct Layer {
    inputs: usize,
    outputs: usize,
    packed: Buffer,
    bias: Buffer,
}

/// The rows of a decoder that give the logits of some tokens.
#[derive(Debug)]
pub(crate) struct TokenLogits(Layer);

/// The negative log-likelihood of each row's target: exact, or approximate if there is an approximation.
pub(crate) fn nll_of<'t>(
    approximation: Option<(&Approximation, &mut Buffers)>,
    model: &dyn Model,
    tape: &'t mut Tape<'_>,
    hidden: Hidden,
    targets: &[u32],
    is_text: &dyn Fn(usize) -> bool,
) -> Result<Cow<'t, [f32]>> {
    match approximation {
        Some((approximation, buffers)) => {
            Ok(approximation.nll(model, tape, hidden, targets, is_text, buffers)?.into())
        }
        None => {
            let loss = model.loss(tape, hidden, targets);
            Ok(tape.read_nll(loss)?)
        }
    }
}

/// The sums of the errors that were found.
#[derive(Clone, Copy, Debug, Default)]
struct Errors {
    count: u64,
    sum: f64,
    squares: f64,
}

/// The memory for the results of a batch, and the number of positions before it.
#[derive(Debug)]
pub(crate) struct Buffers {
    rows: usize,
    frequent: Buffer,
    nll: Buffer,
    log_sums: Buffer,
    units: Buffer,
    rectified: Buffer,
    rest: Buffer,
    logits: Buffer,
    targets: Buffer<u32>,
    zeros: Buffer<u32>,
    positions: u64,
}

impl Layer {
    fn new(device: &Device, weight: Slice<'_>, bias: Buffer) -> Layer {
        let outputs = bias.len();
        let inputs = weight.len() / outputs;
        let kind = linear::Pack::Forward;
        let mut packed = Buffer::zeros(device, linear::pack_len(device, inputs, outputs, kind));
        linear::pack(device, inputs, outputs, kind, weight, packed.slice_mut());
        Layer { inputs, outputs, packed, bias }
    }

    /// The rows of the decoder that belong to some tokens.
    fn of_tokens(model: &dyn Model, decoder: Decoder, tokens: &[u32]) -> Result<Layer> {
        let (parameters, device) = (model.parameters(), model.parameters().device());
        let (vocab, hidden, rows) = (model.vocab_size(), parameters.shape(decoder.weight)[1], tokens.len());
        let ids = Buffer::from_slice(device, tokens).map_err(NnError::from)?;
        let gathered = |table: Slice<'_>, width: usize| {
            let mut out = Buffer::zeros(device, rows * width);
            let dims = embedding::Dims { rows, vocab, width };
            embedding::forward(device, dims, table, ids.slice(), out.slice_mut());
            out
        };
        let weight = gathered(parameters.values(decoder.weight), hidden);
        let bias = match decoder.bias {
            Some(bias) => gathered(parameters.values(bias), 1),
            None => Buffer::zeros(device, rows),
        };
        Ok(Layer::new(device, weight.slice(), bias))
    }

    /// `y = x·Wᵀ + b` for each row.
    fn forward(&self, device: &Device, rows: usize, x: Slice<'_>, y: &mut Buffer) {
        let dims = linear::Dims { rows, inputs: self.inputs, outputs: self.outputs };
        let y = y.range_mut(0..rows * self.outputs);
        linear::forward(device, dims, self.packed.slice(), Some(self.bias.slice()), x, y);
    }
}

impl Approximation {
    /// # Errors
    /// [`InferError::NoDecoder`] if the model's logits are not those of a dense layer, or the normalizer is for another one.
    pub(crate) fn new(handle: &ModelHandle, normalizer: &Normalizer) -> Result<Approximation> {
        let (model, device) = (handle.model(), handle.device());
        let decoder = model.decoder().ok_or(InferError::NoDecoder)?;
        let parameters = model.parameters();
        let hidden = parameters.shape(decoder.weight)[1];
        if normalizer.hidden_weight.len() != normalizer.units() * hidden {
            return Err(InferError::NoDecoder);
        }
        let upload = |values: &[f32]| Buffer::from_slice(device, values).map_err(NnError::from);
        Ok(Approximation {
            decoder,
            frequent: Layer::of_tokens(model, decoder, &normalizer.frequent)?,
            hidden: Layer::new(
                device,
                upload(&normalizer.hidden_weight)?.slice(),
                upload(&normalizer.hidden_bias)?,
            ),
            output: Layer::new(
                device,
                upload(&normalizer.output_weight)?.slice(),
                upload(&[normalizer.output_bias])?,
            ),
            fitted: normalizer.statistics,
            errors: Mutex::default(),
        })
    }

    /// How many numbers it computes for a row: the logits that are summed, and the units.
    pub(crate) fn width(&self) -> usize {
        self.frequent.outputs + 2 * self.hidden.outputs
    }

    /// The negative log-likelihood of each row's target, approximately. The rows that `is_text` accepts are positions of
    /// the text, of which some are checked.
    pub(crate) fn nll(
        &self,
        model: &dyn Model,
        tape: &mut Tape<'_>,
        hidden: Hidden,
        targets: &[u32],
        is_text: &dyn Fn(usize) -> bool,
        buffers: &mut Buffers,
    ) -> Result<Vec<f32>> {
        let device = model.parameters().device();
        let rows = targets.len();
        buffers.fit(device, rows, self);
        let h = tape.values(hidden.dropped);
        let log_z = self.log_sums(device, rows, h, buffers).map_err(NnError::from)?;
        let (all, parameters) = (0..rows, model.parameters());
        buffers.targets.range_mut(all.clone()).write_from(targets).map_err(NnError::from)?;
        let args = target_logits::Forward {
            hidden: h,
            weight: parameters.values(self.decoder.weight),
            bias: self.decoder.bias.map(|bias| parameters.values(bias)),
            targets: buffers.targets.range(all.clone()),
            logits: buffers.logits.range_mut(all.clone()),
        };
        let dims = target_logits::Dims { rows, hidden: self.hidden.inputs, vocab: model.vocab_size() };
        target_logits::forward(device, dims, args);
        let logits = buffers.logits.range(all).read().map_err(NnError::from)?;
        let nll =
            log_z.iter().zip(&*logits).map(|(log_z, &logit)| (log_z - f64::from(logit)) as f32).collect();
        self.check_some(model, tape, hidden, &log_z, is_text, &mut buffers.positions)?;
        Ok(nll)
    }

    /// The logits of some tokens, to be asked for again and again.
    pub(crate) fn token_logits(&self, model: &dyn Model, tokens: &[u32]) -> Result<TokenLogits> {
        Ok(TokenLogits(Layer::of_tokens(model, self.decoder, tokens)?))
    }

    /// The log-probabilities of some tokens after each row, approximately, row by row.
    pub(crate) fn log_probs(
        &self,
        model: &dyn Model,
        tape: &mut Tape<'_>,
        hidden: Hidden,
        rows: usize,
        TokenLogits(layer): &TokenLogits,
        buffers: &mut Buffers,
    ) -> Result<Vec<f32>> {
        let device = model.parameters().device();
        buffers.fit(device, rows, self);
        let h = tape.values(hidden.dropped);
        let log_z = self.log_sums(device, rows, h, buffers).map_err(NnError::from)?;
        let mut logits = Buffer::zeros(device, rows * layer.outputs);
        layer.forward(device, rows, h, &mut logits);
        let logits = logits.read().map_err(NnError::from)?;
        let rows = logits.chunks_exact(layer.outputs).zip(&log_z);
        let log_probs = rows
            .flat_map(|(logits, log_z)| logits.iter().map(move |&logit| (f64::from(logit) - log_z) as f32));
        let log_probs = log_probs.collect();
        self.check_some(model, tape, hidden, &log_z, &|_| true, &mut buffers.positions)?;
        Ok(log_probs)
    }

    /// The logarithm of each row's sum, approximately.
    pub(super) fn log_sums(
        &self,
        device: &Device,
        rows: usize,
        h: Slice<'_>,
        buffers: &mut Buffers,
    ) -> std::result::Result<Vec<f64>, DeviceError> {
        let all = 0..rows;
        self.frequent.forward(device, rows, h, &mut buffers.frequent);
        let (frequent, units) = (self.frequent.outputs, self.hidden.outputs);
        cross_entropy::forward(
            device,
            cross_entropy::Dims { rows, vocab: frequent },
            buffers.frequent.range(0..rows * frequent),
            buffers.zeros.range(all.clone()),
            buffers.nll.range_mut(all.clone()),
            buffers.log_sums.range_mut(all.clone()),
        );
        self.hidden.forward(device, rows, h, &mut buffers.units);
        let rectified = buffers.rectified.range_mut(0..rows * units);
        activation::forward(device, Activation::Relu, buffers.units.range(0..rows * units), rectified);
        self.output.forward(device, rows, buffers.rectified.range(0..rows * units), &mut buffers.rest);
        let (sums, rest) = (buffers.log_sums.range(all.clone()).read()?, buffers.rest.range(all).read()?);
        Ok(sums.iter().zip(&*rest).map(|(&sum, &rest)| log_of_sum(sum.into(), rest.into())).collect())
    }

    /// Normalizes some positions exactly.
    fn check_some(
        &self,
        model: &dyn Model,
        tape: &mut Tape<'_>,
        hidden: Hidden,
        log_z: &[f64],
        is_text: &dyn Fn(usize) -> bool,
        positions: &mut u64,
    ) -> Result<()> {
        let mut chosen = Vec::new();
        for row in (0..log_z.len()).filter(|&row| is_text(row)) {
            if positions.is_multiple_of(CHECK_EVERY) {
                chosen.push(row as u32);
            }
            *positions += 1;
        }
        if chosen.is_empty() {
            return Ok(());
        }
        let some = Hidden::new(tape.select_rows(hidden.dropped, &chosen));
        let logits = model.logits(tape, some);
        let logits = tape.read(logits)?;
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        for (row, logits) in chosen.iter().zip(logits.chunks_exact(model.vocab_size())) {
            errors.add(log_z[*row as usize] - Distribution::new(logits)?.log_normalizer());
        }
        Ok(())
    }

    /// The errors found so far.
    pub(crate) fn check(&self) -> NormalizerCheck {
        let errors = *self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        NormalizerCheck { here: errors.statistics(), fitted: self.fitted }
    }
}

impl Errors {
    fn add(&mut self, error: f64) {
        self.count += 1;
        self.sum += error;
        self.squares += error * error;
    }

    fn statistics(self) -> NormalizerStatistics {
        if self.count == 0 {
            return NormalizerStatistics::default();
        }
        let count = self.count as f64;
        let mean = self.sum / count;
        let deviation = (self.squares / count - mean * mean).max(0.0).sqrt();
        NormalizerStatistics { positions: self.count, mean, deviation }
    }
}

/// The statistics of these errors.
pub(super) fn statistics_of(errors: impl Iterator<Item = f64>) -> NormalizerStatistics {
    let mut all = Errors::default();
    errors.for_each(|error| all.add(error));
    all.statistics()
}

impl Buffers {
    pub(crate) fn new(device: &Device) -> Buffers {
        let floats = || Buffer::zeros(device, 0);
        let ids = || Buffer::zeros(device, 0);
        Buffers {
            rows: 0,
            frequent: floats(),
            nll: floats(),
            log_sums: floats(),
            units: floats(),
            rectified: floats(),
            rest: floats(),
            logits: floats(),
            targets: ids(),
            zeros: ids(),
            positions: 0,
        }
    }

    /// Makes room for this many rows.
    pub(super) fn fit(&mut self, device: &Device, rows: usize, approximation: &Approximation) {
        if self.rows >= rows {
            return;
        }
        let floats = |width: usize| Buffer::zeros(device, rows * width);
        let units = approximation.hidden.outputs;
        *self = Buffers {
            rows,
            frequent: floats(approximation.frequent.outputs),
            nll: floats(1),
            log_sums: floats(1),
            units: floats(units),
            rectified: floats(units),
            rest: floats(1),
            logits: floats(1),
            targets: Buffer::zeros(device, rows),
            zeros: Buffer::zeros(device, rows),
            positions: self.positions,
        };
    }
}

/// `ln (eᵃ + eᵇ)`.
fn log_of_sum(a: f64, b: f64) -> f64 {
    let (large, small) = if a > b { (a, b) } else { (b, a) };
    large + (small - large).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_errors_are_means_and_deviations() {
        let found = statistics_of([1.0, 3.0, 2.0, 2.0].into_iter());
        assert_eq!((found.positions, found.mean), (4, 2.0));
        assert!((found.deviation - 0.5_f64.sqrt()).abs() < 1e-12);
        assert_eq!(statistics_of(std::iter::empty()), NormalizerStatistics::default());
        assert!((log_of_sum(0.0, 0.0) - 2.0_f64.ln()).abs() < 1e-12);
        assert_eq!(log_of_sum(f64::NEG_INFINITY, 1.0), 1.0);
        let poor = |mean, deviation| {
            let here = NormalizerStatistics { positions: 10, mean, deviation };
            NormalizerCheck {
                here,
                fitted: NormalizerStatistics { positions: 9, mean: 0.0, deviation: 0.05 },
            }
            .is_poor()
        };
        assert_eq!([poor(0.0, 0.14), poor(0.0, 0.16), poor(-0.2, 0.0)], [false, true, true]);
    }
}
