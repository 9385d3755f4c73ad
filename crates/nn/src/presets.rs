//! The named model presets.

use rondo_kernels::recurrence::Cell;

use crate::config::{Biases, CellOptions, Dropout, DropoutSite, Input, RnnLmConfig};

/// The named model presets, all with a tied embedding.
///
/// | preset | embedding | layers | input | between | output | words | weights |
/// |---|---|---|---|---|---|---|---|
/// | `standard_lstm_lm_200` | 200 | 200, 200 | 0.2 | 0.2 | 0.2 locked | | |
/// | `standard_lstm_lm_650` | 650 | 650, 650 | 0.5 | 0.5 | 0.5 locked | | |
/// | `standard_lstm_lm_1500` | 1500 | 1500, 1500 | 0.65 | 0.65 | 0.65 locked | | |
/// | `awd_lstm_lm_600` | 200 | 600, 600, 200 | 0.3 locked | 0.1 locked | 0.2 locked | 0.05 | 0.2 |
/// | `awd_lstm_lm_1150` | 400 | 1150, 1150, 400 | 0.65 locked | 0.2 locked | 0.4 locked | 0.1 | 0.5 |
///
/// | `keyboard_cifg_lm_670` | 96 | 670, projected to 96 | | | | | |
///
/// The last is a CIFG with one bias per layer, for vocabularies of about 10,000 words; the others are LSTMs.
/// The last five columns are the probabilities of [`Dropout`]; dropout that is not locked is element-wise.
/// *Source*: GluonNLP's models of the same names, after Zaremba et al. 2014 and Merity, Keskar & Socher 2017; the
/// last is the model of Hard et al. 2018, Federated Learning for Mobile Keyboard Prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// The cell.
    pub cell: Cell,
    /// The embedding size.
    pub embedding_size: usize,
    /// The hidden size of each layer, starting with the one nearest the input.
    pub hidden_sizes: &'static [usize],
    /// The size that the outputs of the layers are projected to, if they are.
    pub projection_size: Option<usize>,
    /// The number of bias vectors per layer.
    pub biases: Biases,
    /// The dropout applied in training.
    pub dropout: Dropout,
}

/// All presets, grouped by family, the smallest first.
pub const PRESETS: [Preset; 6] = [
    standard("standard_lstm_lm_200", &[200; 2], 0.2),
    standard("standard_lstm_lm_650", &[650; 2], 0.5),
    standard("standard_lstm_lm_1500", &[1500; 2], 0.65),
    Preset {
        name: "awd_lstm_lm_600",
        embedding_size: 200,
        hidden_sizes: &[600, 600, 200],
        dropout: Dropout {
            input: locked(0.3),
            between: locked(0.1),
            output: locked(0.2),
            words: 0.05,
            weights: 0.2,
        },
        ..LSTM
    },
    Preset {
        name: "awd_lstm_lm_1150",
        embedding_size: 400,
        hidden_sizes: &[1150, 1150, 400],
        dropout: Dropout {
            input: locked(0.65),
            between: locked(0.2),
            output: locked(0.4),
            words: 0.1,
            weights: 0.5,
        },
        ..LSTM
    },
    Preset {
        name: "keyboard_cifg_lm_670",
        cell: Cell::Cifg,
        embedding_size: 96,
        hidden_sizes: &[670],
        projection_size: Some(96),
        biases: Biases::One,
        ..LSTM
    },
];

/// What most presets have in common.
const LSTM: Preset = Preset {
    name: "",
    cell: Cell::Lstm,
    embedding_size: 0,
    hidden_sizes: &[],
    projection_size: None,
    biases: Biases::Two,
    dropout: Dropout { input: NONE, between: NONE, output: NONE, words: 0.0, weights: 0.0 },
};

const NONE: DropoutSite = DropoutSite { probability: 0.0, locked: false };

/// Layers as wide as the embedding, and the same dropout probability everywhere.
const fn standard(name: &'static str, hidden_sizes: &'static [usize], probability: f32) -> Preset {
    let elementwise = DropoutSite { probability, locked: false };
    let dropout = Dropout {
        input: elementwise,
        between: elementwise,
        output: locked(probability),
        words: 0.0,
        weights: 0.0,
    };
    Preset { name, embedding_size: hidden_sizes[0], hidden_sizes, dropout, ..LSTM }
}

const fn locked(probability: f32) -> DropoutSite {
    DropoutSite { probability, locked: true }
}

impl Preset {
    /// The preset with this name.
    pub fn find(name: &str) -> Option<Preset> {
        PRESETS.into_iter().find(|preset| preset.name == name)
    }

    /// Its configuration for a vocabulary of `vocab_size` tokens, tied.
    pub fn config(self, vocab_size: usize) -> RnnLmConfig {
        RnnLmConfig {
            vocab_size,
            input: Input::Embedding(self.embedding_size),
            cell: self.cell,
            hidden_sizes: self.hidden_sizes.to_vec(),
            biases: self.biases,
            tied: true,
            dropout: self.dropout,
            adaptive_softmax: None,
            cell_options: CellOptions { projection_size: self.projection_size, ..CellOptions::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_as_many_parameters_as_the_formula_says() {
        // Layers of four gates with two biases each, the embedding shared with the decoder, the decoder's
        // bias.
        let by_formula = |vocab: usize, embedding: usize, hidden: &[usize]| {
            let below = [&[embedding], hidden].concat();
            let layers = below.iter().zip(hidden).map(|(d, h)| 4 * h * (d + h) + 2 * 4 * h);
            vocab * embedding + layers.sum::<usize>() + vocab
        };
        let counts = [7_332_078, 28_434_378, 85_974_278, 12_140_078, 33_556_078];
        let is_lstm = |preset: &Preset| preset.cell == Cell::Lstm;
        assert_eq!(PRESETS.into_iter().filter(is_lstm).count(), counts.len());
        for (preset, count) in PRESETS.into_iter().filter(is_lstm).zip(counts) {
            let config = preset.config(33_278);
            config.check().unwrap();
            let expected = by_formula(33_278, preset.embedding_size, preset.hidden_sizes);
            assert_eq!(config.parameter_count(), expected, "{}", preset.name);
            assert_eq!(config.parameter_count(), count, "{}", preset.name);
            assert_eq!(Preset::find(preset.name), Some(preset));
        }
        assert_eq!(Preset::find("standard_lstm_lm_300"), None);
    }

    #[test]
    fn the_model_for_keyboards_has_the_published_number_of_parameters() {
        let config = Preset::find("keyboard_cifg_lm_670").unwrap().config(10_000);
        config.check().unwrap();
        // 1.4 million.
        let layer = 3 * 670 * (96 + 96 + 1) + 96 * 670;
        assert_eq!(config.parameter_count(), 10_000 * 96 + layer + 10_000);
        assert_eq!(config.parameter_count(), 1_422_250);
    }
}
