//! What a model is made of: its configuration, as kept in the model file, and how its parameters begin.

use std::fmt;
use std::str::FromStr;

use rondo_kernels::recurrence::Cell;
use serde::{Deserialize, Serialize};

use crate::{NnError, Result};

/// The shape of a recurrent language model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RnnLmConfig {
    /// `V`, the number of tokens the model knows.
    pub vocab_size: usize,
    /// How a token enters the network.
    pub input: Input,
    /// The recurrent cell of every layer.
    #[serde(with = "as_text")]
    pub cell: Cell,
    /// The hidden width of each layer, the one nearest the input first.
    pub hidden_sizes: Vec<usize>,
    /// How many bias vectors a layer has.
    pub biases: Biases,
    /// Whether the decoder's weight is the embedding's; the last hidden width is then the embedding's.
    pub tied: bool,
    /// What is dropped in training, and where.
    pub dropout: Dropout,
}

/// How a token enters the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// As a learnt vector of this width.
    Embedding(usize),
    /// As a vector of zeros with a single one. Multiplying it by the first layer's input weight picks a row
    /// of the weight's transpose, so that is what is kept: `input.weight: [V, G·H]`.
    OneHot,
}

/// How many bias vectors a recurrent layer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Biases {
    /// One on the input projection: the textbook's layer.
    One,
    /// One on the input and one on the recurrent projection, as in cuDNN, PyTorch and Gluon. Both receive the
    /// same gradient (but for a GRU's candidate), so that their sum learns twice as fast as a single bias.
    Two,
}

/// What is dropped in training, and where. A dropped number is 0; the others are divided by the share kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// On the embedding.
    pub input: DropoutSite,
    /// On each layer's output but the last's.
    pub between: DropoutSite,
    /// On the last layer's output.
    pub output: DropoutSite,
    /// Probability of dropping a word where it is looked up: its row of the embedding is 0 wherever it occurs in
    /// a batch. A tied decoder keeps all of its rows. At least 0 and below 1; 0 is off.
    /// *Source*: Gal & Ghahramani 2016.
    #[serde(default, skip_serializing_if = "is_off")]
    pub words: f32,
    /// Probability of dropping a number of a recurrent matrix `weight_hh`, for all steps of a batch (DropConnect,
    /// or weight-drop). At least 0 and below 1; 0 is off.
    /// *Source*: Wan et al. 2013; Merity, Keskar & Socher 2017.
    #[serde(default, skip_serializing_if = "is_off")]
    pub weights: f32,
}

/// The dropout at one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropoutSite {
    /// Probability of dropping a unit, at least 0 and below 1; 0 is off.
    pub probability: f32,
    /// Whether one mask serves all steps of a batch (locked, or variational) instead of one for each.
    pub locked: bool,
}

/// A distribution that parameters are drawn from at the start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initializer {
    /// All zeros.
    Zeros,
    /// Uniform within ± the limit.
    Uniform(f32),
    /// Uniform within ± √(6 / (rows + columns)) of the (gate-stacked) matrix.
    /// *Source*: Glorot & Bengio 2010.
    Xavier,
    /// Normal with mean 0 and this standard deviation.
    Normal(f32),
}

/// Which parameters begin how.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initialization {
    /// The embedding, and with it a tied decoder; or the one-hot input's weight.
    pub embedding: Initializer,
    /// The recurrent layers' matrices.
    pub recurrent: Initializer,
    /// The decoder's matrix, where it has its own.
    pub decoder: Initializer,
    /// All biases.
    pub bias: Initializer,
}

impl Default for Initialization {
    /// Embedding uniform within ±0.1, Xavier matrices, no bias: the WikiText-2 recipes.
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
    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`NnError::Config`] names the first field that does not, and why.
    pub fn check(&self) -> Result<()> {
        let refuse = |field: &'static str, reason: String| Err(NnError::Config { field, reason });
        if self.vocab_size == 0 {
            return refuse("vocab_size", "must be at least 1".to_owned());
        }
        let Some(&last) = self.hidden_sizes.last() else {
            return refuse("hidden_sizes", "must name at least one layer".to_owned());
        };
        if self.hidden_sizes.contains(&0) {
            return refuse("hidden_sizes", "must all be at least 1".to_owned());
        }
        match self.input {
            Input::Embedding(0) => return refuse("embedding_size", "must be at least 1".to_owned()),
            Input::Embedding(width) if self.tied && width != last => {
                let reason = format!("must equal the last hidden size, {last}, when tied, but is {width}");
                return refuse("embedding_size", reason);
            }
            Input::OneHot if self.tied => {
                return refuse("tied", "needs an embedding, but the input is one-hot".to_owned());
            }
            Input::OneHot if self.dropout.input.probability != 0.0 => {
                return refuse("dropout.input", "needs an embedding, but the input is one-hot".to_owned());
            }
            Input::OneHot if self.dropout.words != 0.0 => {
                return refuse("dropout.words", "needs an embedding, but the input is one-hot".to_owned());
            }
            _ => {}
        }
        if self.checked_parameter_count().is_none() {
            return refuse(
                "hidden_sizes",
                "and the other sizes ask for more parameters than memory can hold".to_owned(),
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

    /// Reads `zeros`, `xavier`, `uniform:LIMIT` or `normal:DEVIATION`.
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

/// Whether a probability need not be written: files from before there was such a one do not have it either.
fn is_off(probability: &f32) -> bool {
    *probability == 0.0
}

/// Values that are written as their `Display` and read by their `FromStr`.
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
