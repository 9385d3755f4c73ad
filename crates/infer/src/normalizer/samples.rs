//! What a normalizer is fitted to: states of the model at positions of a text, and their exact sums.

use rondo_data::TokenIds;
use rondo_kernels::{Buffer, target_logits};
use rondo_nn::{Mode, NnError};

use super::approximation::{Approximation, Buffers, statistics_of};
use super::{Normalizer, NormalizerStatistics};
use crate::{InferError, LanguageModel, Result};

/// Columns in which a text is read, fewer if it is short.
const COLUMNS: usize = 32;
/// Steps of a batch.
const STEPS: usize = 24;
/// Steps at the beginning of each column that are only read: its state is zero at first.
const WARM_UP: usize = 48;

/// Inputs of the decoder at positions of a text, and the logarithms of the softmax's sums.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NormalizerSamples {
    /// `[P, H]`: the inputs of the decoder.
    pub hidden: Vec<f32>,
    /// `[P]`: `ln Z`.
    pub log_sums: Vec<f64>,
    /// `[P]`: the same over frequent tokens only.
    pub frequent_log_sums: Vec<f64>,
}

impl NormalizerSamples {
    /// Reads at most `count` positions of a text, spread over it: half of it as running text, and half line by line from a
    /// zero state, as sentences are scored. The states after a few words of a line alone are others than those within a
    /// text, and a normalizer that has not seen them is off by more than a nat there.
    ///
    /// # Errors
    /// [`InferError::NoDecoder`] if the model's logits are not those of a dense layer; [`InferError::TextTooShort`];
    /// [`InferError::Data`] if the text cannot be read; [`InferError::NonFiniteLogits`].
    pub fn read(
        model: &LanguageModel,
        text: &TokenIds,
        frequent: &[u32],
        count: usize,
    ) -> Result<NormalizerSamples> {
        let handle = model.handle();
        let (inner, device) = (handle.model(), handle.device());
        let decoder = inner.decoder().ok_or(InferError::NoDecoder)?;
        let (vocab, width) = (inner.vocab_size(), inner.parameters().shape(decoder.weight)[1]);
        if text.len() < 2 {
            return Err(InferError::TextTooShort { tokens: text.len() });
        }
        // At least one column of each kind, if the text has two tokens for each.
        let batch = (text.len() / (2 * WARM_UP)).clamp(1 + usize::from(text.len() >= 4), COLUMNS);
        let apart = text.len() / batch;
        // The last token of a column is only a target.
        let len = (count.div_ceil(batch) + WARM_UP).min(apart - 1);
        let columns: Vec<Vec<u32>> = (0..batch)
            .map(|column| Ok(text.read(column * apart..column * apart + len + 1)?.into_owned()))
            .collect::<Result<_>>()?;
        for column in &columns {
            handle.check_ids(column)?;
        }
        // No units: only the sums over frequent tokens are needed.
        let bare = Normalizer {
            frequent: frequent.to_vec(),
            hidden_weight: vec![0.0; width],
            hidden_bias: vec![0.0],
            output_weight: vec![0.0],
            output_bias: f32::NEG_INFINITY,
            statistics: NormalizerStatistics::default(),
        };
        let approximation = Approximation::new(handle, &bare)?;
        let mut buffers = Buffers::new(device);
        let (mut workspace, mut state) = (handle.workspace(), inner.zero_state(batch));
        let line_end = model.codec().line_end().filter(|_| inner.can_reset());
        let mut samples = NormalizerSamples::default();
        let warm_up = WARM_UP.min(len / 2);
        let mut before = vec![handle.start(); batch];
        for start in (0..len).step_by(STEPS) {
            let steps = STEPS.min(len - start);
            let at = |offset: usize| -> Vec<u32> {
                let places = start + offset..start + offset + steps;
                places.flat_map(|place| columns.iter().map(move |column| column[place])).collect()
            };
            let (inputs, targets) = (at(0), at(1));
            let mut tape = workspace.tape(inner.parameters(), Mode::Evaluate);
            match (line_end, handle.resets()) {
                (Some(line_end), None) => {
                    let restarts =
                        |(row, &id): (usize, &u32)| u32::from(row % batch % 2 == 1 && id == line_end);
                    tape.set_resets(&inputs.iter().enumerate().map(restarts).collect::<Vec<_>>());
                }
                _ => handle.set_resets(&mut tape, &inputs, &before),
            }
            before.copy_from_slice(&inputs[inputs.len() - batch..]);
            let hidden = inner.forward(&mut tape, &inputs, &mut state);
            let first = warm_up.saturating_sub(start).min(steps) * batch;
            if first == inputs.len() {
                continue;
            }
            let loss = inner.loss(&mut tape, hidden, &targets);
            let rows = inputs.len();
            let device_error = NnError::from;
            buffers.fit(device, rows, &approximation);
            let h = tape.values(hidden.dropped);
            let frequent_sums =
                approximation.log_sums(device, rows, h, &mut buffers).map_err(device_error)?;
            let mut logits = Buffer::zeros(device, rows);
            let target_ids = Buffer::from_slice(device, &targets).map_err(device_error)?;
            let parameters = inner.parameters();
            let args = target_logits::Forward {
                hidden: h,
                weight: parameters.values(decoder.weight),
                bias: decoder.bias.map(|bias| parameters.values(bias)),
                targets: target_ids.slice(),
                logits: logits.slice_mut(),
            };
            target_logits::forward(device, target_logits::Dims { rows, hidden: width, vocab }, args);
            let (nll, logits) = (tape.read_nll(loss)?, logits.read().map_err(device_error)?);
            let h = h.read().map_err(device_error)?;
            for row in first..rows {
                // ln Z, from the loss of the target and its logit.
                let log_sum = f64::from(nll[row]) + f64::from(logits[row]);
                if !log_sum.is_finite() {
                    return Err(InferError::NonFiniteLogits);
                }
                samples.log_sums.push(log_sum);
                samples.frequent_log_sums.push(frequent_sums[row]);
                samples.hidden.extend(&h[row * width..(row + 1) * width]);
            }
        }
        Ok(samples)
    }

    /// The number of positions.
    pub fn len(&self) -> usize {
        self.log_sums.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.log_sums.is_empty()
    }

    /// The errors of a normalizer at these positions.
    ///
    /// # Errors
    /// As [`LanguageModel::approximate`].
    pub fn statistics(&self, model: &LanguageModel, normalizer: &Normalizer) -> Result<NormalizerStatistics> {
        let device = model.device();
        let approximation = Approximation::new(model.handle(), normalizer)?;
        let mut buffers = Buffers::new(device);
        let width = self.hidden.len() / self.len().max(1);
        let mut errors = Vec::with_capacity(self.len());
        for (hidden, exact) in self.hidden.chunks(width.max(1) * 1024).zip(self.log_sums.chunks(1024)) {
            buffers.fit(device, exact.len(), &approximation);
            let hidden = Buffer::from_slice(device, hidden).map_err(NnError::from)?;
            let found = approximation.log_sums(device, exact.len(), hidden.slice(), &mut buffers);
            errors
                .extend(found.map_err(NnError::from)?.iter().zip(exact).map(|(found, exact)| found - exact));
        }
        Ok(statistics_of(errors.into_iter()))
    }
}
