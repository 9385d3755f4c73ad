//! An approximate normalizer: the logarithm of the softmax's sum, without the logits of the whole vocabulary.
//!
//! ```text
//! h ─┬─ logits of the N most frequent tokens ─▶ ln Σ eˣ ─┐
//!    └─ U units, rectified ─▶ ln of the rest of the sum ─┴─▶ ln Z        log p(w) = W[w] · h + b[w] − ln Z
//! ```
//!
//! The model itself does not change. The units are fitted to its exact sums by `train`, stored in the model file, and
//! ignored by programs that do not know them. Of the text that is scored, one position in [`CHECK_EVERY`] is also
//! normalized exactly, so that each result comes with its error.
//!
//! Promises: an approximate model is asked for explicitly ([`LanguageModel::approximate`]); what needs the whole
//! distribution (generation, entropies, ranks) stays exact. Not here: fitting (`train`).
//!
//! *Source*: predicting the normalizer of a language model from its hidden state goes back to Devlin et al. 2014
//! (self-normalization) and Chen et al. 2015 (variance regularization), which train the model itself for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rondo_data::TextCodec;
use rondo_nn::{ModelContext, StoredTensor};
use serde::{Deserialize, Serialize};

use crate::{InferError, LanguageModel, Result};

mod approximation;
mod samples;

pub(crate) use approximation::{Approximation, Buffers, TokenLogits, nll_of};
pub use approximation::{CHECK_EVERY, NormalizerCheck};
pub use samples::NormalizerSamples;

/// The names in the model file.
const FREQUENT: &str = "normalizer.frequent";
const STATISTICS: &str = "normalizer.statistics";
const HIDDEN_WEIGHT: &str = "normalizer.hidden.weight";
const HIDDEN_BIAS: &str = "normalizer.hidden.bias";
const OUTPUT_WEIGHT: &str = "normalizer.output.weight";
const OUTPUT_BIAS: &str = "normalizer.output.bias";

/// Predicts the logarithm of a softmax's sum from the input of the decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalizer {
    /// `[N]`: the tokens whose logits are summed exactly.
    pub frequent: Vec<u32>,
    /// `[U, H]`.
    pub hidden_weight: Vec<f32>,
    /// `[U]`.
    pub hidden_bias: Vec<f32>,
    /// `[U]`.
    pub output_weight: Vec<f32>,
    /// A single number.
    pub output_bias: f32,
    /// Its errors on a validation text.
    pub statistics: NormalizerStatistics,
}

/// The errors of a normalizer on a text: `ln Z` minus its exact value, in nats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NormalizerStatistics {
    /// The number of positions.
    pub positions: u64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub deviation: f64,
}

impl Normalizer {
    /// The number of units, `U`.
    pub fn units(&self) -> usize {
        self.hidden_bias.len()
    }

    /// The `count` most frequent tokens of the training text, by frequency and then by id; the first tokens of the
    /// vocabulary if frequencies are not known, since vocabularies are ordered by frequency.
    pub fn most_frequent(codec: &TextCodec, count: usize) -> Vec<u32> {
        let mut ids = codec.vocab().ids_by_frequency();
        ids.truncate(count);
        ids
    }

    /// Adds it to what a model file contains.
    pub(crate) fn store(&self, context: &mut ModelContext) {
        let units = self.units();
        let tensors = [
            (HIDDEN_WEIGHT, vec![units, self.hidden_weight.len() / units.max(1)], self.hidden_weight.clone()),
            (HIDDEN_BIAS, vec![units], self.hidden_bias.clone()),
            (OUTPUT_WEIGHT, vec![units], self.output_weight.clone()),
            (OUTPUT_BIAS, vec![1], vec![self.output_bias]),
        ];
        context
            .tensors
            .extend(tensors.map(|(name, shape, values)| (name.to_owned(), StoredTensor { shape, values })));
        let frequent = self.frequent.iter().flat_map(|id| id.to_le_bytes()).collect();
        // Three numbers are always JSON.
        let statistics = serde_json::to_vec(&self.statistics).unwrap_or_default();
        context.attachments.extend([(FREQUENT.to_owned(), frequent), (STATISTICS.to_owned(), statistics)]);
    }

    /// What a model file contains, if it has one that fits the model; one that does not is ignored.
    pub(crate) fn stored(context: &ModelContext, vocab_size: usize) -> Option<Normalizer> {
        let tensors: &BTreeMap<String, StoredTensor> = &context.tensors;
        let values = |name: &str| tensors.get(name).map(|tensor| tensor.values.clone());
        let bytes = context.attachments.get(FREQUENT)?.chunks_exact(4);
        let frequent: Vec<u32> =
            bytes.map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect();
        let statistics = serde_json::from_slice(context.attachments.get(STATISTICS)?).ok()?;
        let normalizer = Normalizer {
            frequent,
            hidden_weight: values(HIDDEN_WEIGHT)?,
            hidden_bias: values(HIDDEN_BIAS)?,
            output_weight: values(OUTPUT_WEIGHT)?,
            output_bias: *values(OUTPUT_BIAS)?.first()?,
            statistics,
        };
        let units = normalizer.units();
        let fits = units > 0
            && normalizer.output_weight.len() == units
            && normalizer.hidden_weight.len().is_multiple_of(units)
            && !normalizer.frequent.is_empty()
            && normalizer.frequent.iter().all(|&id| (id as usize) < vocab_size);
        fits.then_some(normalizer)
    }
}

impl LanguageModel {
    /// The same model with approximate probabilities: scores and evaluations use its [`Normalizer`].
    ///
    /// # Errors
    /// [`InferError::NoNormalizer`] if the model has none; [`InferError::NoDecoder`] if its logits are not those of a
    /// dense layer.
    pub fn approximate(&self) -> Result<LanguageModel> {
        let missing = || InferError::NoNormalizer { path: self.path().map(ToOwned::to_owned) };
        let normalizer = self.normalizer().ok_or_else(missing)?;
        let approximation = Approximation::new(self.handle(), normalizer)?;
        Ok(self.with_handle(self.handle().clone().with_approximation(Arc::new(approximation))))
    }

    /// The errors of an approximate model on the texts that it has read so far, at one position in [`CHECK_EVERY`];
    /// `None` if the model is exact.
    pub fn normalizer_check(&self) -> Option<NormalizerCheck> {
        self.handle().approximation().map(Approximation::check)
    }
}
