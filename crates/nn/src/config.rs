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

/// What is dropped in training, and where. A dropped unit is 0; the others are divided by the share kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// On the embedding.
    pub input: DropoutSite,
    /// On each layer's output but the last's.
    pub between: DropoutSite,
    /// On the last layer's output.
    pub output: DropoutSite,
}

/// The dropout at one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropoutSite {
    /// Probability of dropping a unit, at least 0 and below 1; 0 is off.
    pub probability: f32,
    /// Whether one mask serves all steps of a chunk (locked, or variational) instead of one for each.
    pub locked: bool,
}

/// A distribution that parameters are drawn from at the start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initialiser {
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
pub struct Initialisation {
    /// The embedding, and with it a tied decoder; or the one-hot input's weight.
    pub embedding: Initialiser,
    /// The recurrent layers' matrices.
    pub recurrent: Initialiser,
    /// The decoder's matrix, where it has its own.
    pub decoder: Initialiser,
    /// All biases.
    pub bias: Initialiser,
}

impl Default for Initialisation {
    /// Embedding uniform within ±0.1, Xavier matrices, no bias: the WikiText-2 recipes.
    fn default() -> Self {
        Initialisation {
            embedding: Initialiser::Uniform(0.1),
            recurrent: Initialiser::Xavier,
            decoder: Initialiser::Xavier,
            bias: Initialiser::Zeros,
        }
    }
}

/// The named models of the zoo: each a stack of LSTM layers as wide as the embedding.
///
/// | preset | layers × width | dropout |
/// |---|---|---|
/// | `standard_lstm_lm_200` | 2 × 200 | 0.2 |
/// | `standard_lstm_lm_650` | 2 × 650 | 0.5 |
/// | `standard_lstm_lm_1500` | 2 × 1500 | 0.65 |
///
/// Dropout is element-wise on the embedding and between the layers, locked on the output.
/// *Source*: GluonNLP's `standard_lstm_lm_*` (after Zaremba et al. 2014), which tie decoder and embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// The name it is asked for by.
    pub name: &'static str,
    /// Width of the embedding and of each layer.
    pub width: usize,
    dropout_percent: u8,
}

/// All presets, smallest first.
pub const PRESETS: [Preset; 3] = [
    Preset { name: "standard_lstm_lm_200", width: 200, dropout_percent: 20 },
    Preset { name: "standard_lstm_lm_650", width: 650, dropout_percent: 50 },
    Preset { name: "standard_lstm_lm_1500", width: 1500, dropout_percent: 65 },
];

impl Preset {
    /// The preset of this name.
    pub fn find(name: &str) -> Option<Preset> {
        PRESETS.into_iter().find(|preset| preset.name == name)
    }

    /// Its configuration over a vocabulary of `vocab_size` tokens, tied.
    pub fn config(self, vocab_size: usize) -> RnnLmConfig {
        let probability = f32::from(self.dropout_percent) / 100.0;
        let elementwise = DropoutSite { probability, locked: false };
        RnnLmConfig {
            vocab_size,
            input: Input::Embedding(self.width),
            cell: Cell::Lstm,
            hidden_sizes: vec![self.width; 2],
            biases: Biases::Two,
            tied: true,
            dropout: Dropout {
                input: elementwise,
                between: elementwise,
                output: DropoutSite { probability, locked: true },
            },
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
            _ => {}
        }
        if self.checked_parameter_count().is_none() {
            return refuse(
                "hidden_sizes",
                "and the other sizes ask for more parameters than memory can hold".to_owned(),
            );
        }
        let Dropout { input, between, output } = self.dropout;
        for (field, site) in
            [("dropout.input", input), ("dropout.between", between), ("dropout.output", output)]
        {
            if !(0.0..1.0).contains(&site.probability) {
                return refuse(field, format!("must be at least 0 and below 1, but is {}", site.probability));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Initialiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Initialiser::Zeros => f.write_str("zeros"),
            Initialiser::Uniform(limit) => write!(f, "uniform:{limit}"),
            Initialiser::Xavier => f.write_str("xavier"),
            Initialiser::Normal(deviation) => write!(f, "normal:{deviation}"),
        }
    }
}

impl FromStr for Initialiser {
    type Err = NnError;

    /// Reads `zeros`, `xavier`, `uniform:LIMIT` or `normal:DEVIATION`.
    fn from_str(text: &str) -> Result<Self> {
        let unknown = || NnError::Initialiser { text: text.to_owned() };
        match text.split_once(':') {
            None if text == "zeros" => Ok(Initialiser::Zeros),
            None if text == "xavier" => Ok(Initialiser::Xavier),
            Some((name, value)) => {
                let value: f32 = value.parse().map_err(|_| unknown())?;
                match name {
                    "uniform" if value.is_finite() && value >= 0.0 => Ok(Initialiser::Uniform(value)),
                    "normal" if value.is_finite() && value >= 0.0 => Ok(Initialiser::Normal(value)),
                    _ => Err(unknown()),
                }
            }
            None => Err(unknown()),
        }
    }
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
