//! Draws the initial values of the parameters.

use rand::{Rng, RngExt};

use crate::config::Initializer;

impl Initializer {
    /// Fills a matrix `[rows, columns]` with random values; a vector is one column.
    ///
    /// # Panics
    /// If `values` does not have `rows · columns` elements.
    pub fn fill(self, rows: usize, columns: usize, values: &mut [f32], rng: &mut impl Rng) {
        assert_eq!(values.len(), rows * columns, "elements of a matrix [{rows}, {columns}]");
        match self {
            Initializer::Zeros => values.fill(0.0),
            Initializer::Uniform(limit) => uniform(limit, values, rng),
            Initializer::Xavier => uniform((6.0 / (rows + columns) as f32).sqrt(), values, rng),
            Initializer::Normal(deviation) => {
                for value in values {
                    // Box & Muller 1958; 1 − u is above 0, where the logarithm is finite.
                    let (u, v): (f64, f64) = (rng.random(), rng.random());
                    let radius = (-2.0 * (1.0 - u).ln()).sqrt();
                    *value = deviation * (radius * (std::f64::consts::TAU * v).cos()) as f32;
                }
            }
        }
    }
}

fn uniform(limit: f32, values: &mut [f32], rng: &mut impl Rng) {
    for value in values {
        *value = limit * (2.0 * rng.random::<f32>() - 1.0);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rondo_kernels::Device;

    use super::*;
    use crate::{Initialization, Model, Preset, RnnLm};

    #[test]
    fn the_recipes_matrices_lie_within_their_limits() {
        let model = initialized(1, &Initialization::default());
        let xavier = (6.0f64 / 1000.0).sqrt();
        assert!((xavier - 0.0775).abs() < 5e-5, "the limit that RECIPES names");
        check_uniform(&model, "embedding.weight", 0.1);
        for name in ["rnn.0.weight_ih", "rnn.0.weight_hh", "rnn.1.weight_ih", "rnn.1.weight_hh"] {
            check_uniform(&model, name, xavier);
        }
        for name in ["rnn.0.bias_ih", "rnn.0.bias_hh", "rnn.1.bias_ih", "rnn.1.bias_hh", "decoder.bias"] {
            assert!(values(&model, name).iter().all(|&value| value == 0.0), "{name}");
        }
    }

    #[test]
    fn normal_numbers_have_the_mean_and_deviation_asked_for() {
        let normal = Initializer::Normal(0.01);
        let all = Initialization { embedding: normal, recurrent: normal, decoder: normal, bias: normal };
        let model = initialized(2, &all);
        for id in model.parameters().ids() {
            let name = model.parameters().name(id);
            let values = values(&model, name);
            // Five standard errors: of a mean, of a standard deviation, of a fraction.
            let bound = 5.0 / (values.len() as f64).sqrt();
            let (mean, deviation) = moments(&values);
            assert!(mean.abs() < 0.01 * bound, "{name}: mean {mean}");
            assert!((deviation / 0.01 - 1.0).abs() < bound, "{name}: deviation {deviation}");
            let near = values.iter().filter(|value| value.abs() < 0.01).count();
            let share = near as f64 / values.len() as f64;
            assert!((share - 0.6827).abs() < bound, "{name}: {share} within one deviation");
        }
    }

    #[test]
    fn the_seed_alone_decides() {
        let numbers = |seed| {
            let model = initialized(seed, &Initialization::default());
            values(&model, "rnn.1.weight_hh")
        };
        assert_eq!(numbers(3), numbers(3));
        assert_ne!(numbers(3), numbers(4));
    }

    fn initialized(seed: u64, initialization: &Initialization) -> RnnLm {
        let config = Preset::find("standard_lstm_lm_200").unwrap().config(500);
        let mut model = RnnLm::new(config, &Device::cpu(1).unwrap()).unwrap();
        model.initialize(initialization, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
        model
    }

    /// Checks that the values fill the interval within ± the limit uniformly.
    #[track_caller]
    fn check_uniform(model: &RnnLm, name: &str, limit: f64) {
        let values = values(model, name);
        let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        assert!(largest <= limit * (1.0 + 1e-6) && largest > limit * 0.999, "{name}: largest {largest}");
        let bound = 5.0 / (values.len() as f64).sqrt();
        let (mean, deviation) = moments(&values);
        assert!(mean.abs() < limit * bound, "{name}: mean {mean}");
        assert!((deviation / (limit / 3f64.sqrt()) - 1.0).abs() < bound, "{name}: deviation {deviation}");
    }

    fn values(model: &RnnLm, name: &str) -> Vec<f64> {
        let id = model.parameters().find(name).unwrap();
        model.parameters().values(id).read().unwrap().iter().map(|&value| f64::from(value)).collect()
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }
}
