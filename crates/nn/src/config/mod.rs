//! The configuration of a model, as stored in the model file, and the initialization of its parameters.

use std::fmt;
use std::str::FromStr;

use rondo_kernels::recurrence::Cell;
use serde::{Deserialize, Serialize};

use crate::{NnError, Result};

mod adaptive;
mod cell_options;

pub use adaptive::AdaptiveSoftmax;
pub(crate) use adaptive::tail_frequency;
pub use cell_options::{CellOptions, MogrifierOptions};

/// The architecture of a recurrent language model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RnnLmConfig {
    /// `V`, the vocabulary size.
    pub vocab_size: usize,
    /// How a token enters the network.
    pub input: Input,
    /// The recurrent cell of every layer.
    #[serde(with = "as_text")]
    pub cell: Cell,
    /// The hidden size of each layer, starting with the one nearest the input.
    pub hidden_sizes: Vec<usize>,
    /// The number of bias vectors per layer.
    pub biases: Biases,
    /// Weight tying: whether the decoder shares the embedding's weight; the last hidden size, or the size of its
    /// projection, must then equal the embedding size.
    pub tied: bool,
    /// The dropout applied in training.
    pub dropout: Dropout,
    /// The adaptive softmax that predicts the next token; `None` is a softmax over the whole vocabulary. Its decoder
    /// cannot be tied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive_softmax: Option<AdaptiveSoftmax>,
    /// What the recurrent layers have in addition to their cell.
    #[serde(default, skip_serializing_if = "cell_options::is_default")]
    pub cell_options: CellOptions,
}

/// How a token enters the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// As a learned embedding of this width.
    Embedding(usize),
    /// As a one-hot vector. Multiplying it by the first layer's input weight selects a row of the weight's
    /// transpose, so the transpose is stored: `input.weight: [V, G·H]`.
    OneHot,
}

/// The number of bias vectors per recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Biases {
    /// One bias, on the input projection: the textbook layer.
    One,
    /// One bias on the input projection and one on the recurrent projection, as in cuDNN, PyTorch and Gluon.
    /// Both receive the same gradient (except for a GRU's candidate), so their sum learns twice as fast as a
    /// single bias.
    Two,
}

/// The dropout probabilities. A dropped element is 0; the others are divided by the probability of keeping
/// one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// On the embedding.
    pub input: DropoutSite,
    /// On the output of every layer except the last.
    pub between: DropoutSite,
    /// On the output of the last layer.
    pub output: DropoutSite,
    /// Embedding dropout: the probability of dropping a word. Its embedding is 0 for all its occurrences in a
    /// batch. A tied decoder keeps all rows. At least 0 and below 1; 0 is off.
    /// *Source*: Gal & Ghahramani 2016.
    #[serde(default, skip_serializing_if = "is_off")]
    pub words: f32,
    /// Weight dropout (DropConnect): the probability of dropping an element of a recurrent matrix
    /// `weight_hh`, with one mask for all steps of a batch. At least 0 and below 1; 0 is off.
    /// *Source*: Wan et al. 2013; Merity, Keskar & Socher 2017.
    #[serde(default, skip_serializing_if = "is_off")]
    pub weights: f32,
}

/// The dropout at one place in the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropoutSite {
    /// The probability of dropping a unit, at least 0 and below 1; 0 is off.
    pub probability: f32,
    /// Whether one mask is used for all steps of a batch (locked, or variational, dropout) instead of one per
    /// step.
    pub locked: bool,
}

/// The distribution that initial parameters are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initializer {
    /// All zeros.
    Zeros,
    /// Uniform within ± the limit.
    Uniform(f32),
    /// Xavier (Glorot): uniform within ± √(6 / (rows + columns)) of the (gate-stacked) matrix.
    /// *Source*: Glorot & Bengio 2010.
    Xavier,
    /// Normal with mean 0 and this standard deviation.
    Normal(f32),
}

/// The initializers of the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initialization {
    /// The embedding, and a decoder tied to it; or the weight of a one-hot input.
    pub embedding: Initializer,
    /// The matrices of the recurrent layers.
    pub recurrent: Initializer,
    /// The decoder's matrix, if it is not tied; or the matrices of an adaptive softmax.
    pub decoder: Initializer,
    /// All biases.
    pub bias: Initializer,
}

impl Default for Initialization {
    /// Embedding uniform within ±0.1, Xavier matrices, zero biases: as in the WikiText-2 recipes.
    fn default() -> Self {
        Initialization {
            embedding: Initializer::Uniform(0.1),
            recurrent: Initializer::Xavier,
            decoder: Initializer::Xavier,
            bias: Initializer::Zeros,
        }
    }
}

impl RnnLmConfig {
    /// The maximum number of layers.
    pub const MAX_LAYERS: usize = 1024;

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`NnError::Config`] with the first invalid field and the reason.
    pub fn check(&self) -> Result<()> {
        let refuse = |field: &'static str, reason: String| Err(NnError::Config { field, reason });
        if self.vocab_size == 0 {
            return refuse("vocab_size", "must be at least 1".to_owned());
        }
        let Some(&last) = self.hidden_sizes.last() else {
            return refuse("hidden_sizes", "must have at least one layer".to_owned());
        };
        if self.hidden_sizes.len() > Self::MAX_LAYERS {
            let (layers, most) = (self.hidden_sizes.len(), Self::MAX_LAYERS);
            return refuse("hidden_sizes", format!("must have at most {most} layers, but has {layers}"));
        }
        if self.hidden_sizes.contains(&0) {
            return refuse("hidden_sizes", "must all be at least 1".to_owned());
        }
        self.cell_options.check(self.cell, &self.hidden_sizes)?;
        let last = self.output_size(last);
        match self.input {
            Input::OneHot if self.cell == Cell::Mogrifier => {
                let reason = "requires an embedding, but the input is one-hot".to_owned();
                return refuse("cell", format!("`mogrifier` {reason}"));
            }
            Input::Embedding(0) => return refuse("embedding_size", "must be at least 1".to_owned()),
            Input::Embedding(width) if self.tied && width != last => {
                let of =
                    if self.cell_options.projection_size.is_some() { "projection" } else { "last hidden" };
                let reason = format!("must equal the {of} size ({last}) when `tied` is on, but is {width}");
                return refuse("embedding_size", reason);
            }
            Input::OneHot if self.tied => {
                return refuse("tied", "requires an embedding, but the input is one-hot".to_owned());
            }
            Input::OneHot if self.dropout.input.probability != 0.0 => {
                return refuse("dropout.input", "requires an embedding, but the input is one-hot".to_owned());
            }
            Input::OneHot if self.dropout.words != 0.0 => {
                return refuse("dropout.words", "requires an embedding, but the input is one-hot".to_owned());
            }
            _ => {}
        }
        if let Some(softmax) = &self.adaptive_softmax {
            if self.tied {
                return refuse("tied", "cannot be on with an adaptive softmax".to_owned());
            }
            softmax.check(self.vocab_size, last)?;
        }
        if self.checked_parameter_count().is_none() {
            let without_vocabulary = RnnLmConfig { vocab_size: 1, adaptive_softmax: None, ..self.clone() };
            let fits = without_vocabulary.checked_parameter_count().is_some();
            return refuse(
                if fits { "vocab_size" } else { "hidden_sizes" },
                "and the other sizes give more parameters than memory can hold".to_owned(),
            );
        }
        let Dropout { input, between, output, words, weights } = self.dropout;
        for (field, probability) in [
            ("dropout.input", input.probability),
            ("dropout.between", between.probability),
            ("dropout.output", output.probability),
            ("dropout.words", words),
            ("dropout.weights", weights),
        ] {
            if !(0.0..1.0).contains(&probability) {
                return refuse(field, format!("must be at least 0 and below 1, but is {probability}"));
            }
        }
        Ok(())
    }
}

impl RnnLmConfig {
    /// The width of the output of a layer of this hidden size: that of its projection, if there is one.
    pub fn output_size(&self, hidden_size: usize) -> usize {
        self.cell_options.projection_size.unwrap_or(hidden_size)
    }

    /// The width of the output of the last layer.
    pub fn last_output_size(&self) -> usize {
        self.output_size(self.hidden_sizes.last().copied().unwrap_or(0))
    }
}

impl fmt::Display for Initializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Initializer::Zeros => f.write_str("zeros"),
            Initializer::Uniform(limit) => write!(f, "uniform:{limit}"),
            Initializer::Xavier => f.write_str("xavier"),
            Initializer::Normal(deviation) => write!(f, "normal:{deviation}"),
        }
    }
}

impl FromStr for Initializer {
    type Err = NnError;

    /// Parses `zeros`, `xavier`, `uniform:LIMIT` or `normal:DEVIATION`.
    fn from_str(text: &str) -> Result<Self> {
        let unknown = || NnError::Initializer { text: text.to_owned() };
        match text.split_once(':') {
            None if text == "zeros" => Ok(Initializer::Zeros),
            None if text == "xavier" => Ok(Initializer::Xavier),
            Some((name, value)) => {
                let value: f32 = value.parse().map_err(|_| unknown())?;
                match name {
                    "uniform" if value.is_finite() && value >= 0.0 => Ok(Initializer::Uniform(value)),
                    "normal" if value.is_finite() && value >= 0.0 => Ok(Initializer::Normal(value)),
                    _ => Err(unknown()),
                }
            }
            None => Err(unknown()),
        }
    }
}

/// Whether a probability can be left out of the JSON; files written before it was introduced do not have it
/// either.
fn is_off(probability: &f32) -> bool {
    *probability == 0.0
}

/// Serializes values through their `Display` and `FromStr`.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
