//! Adapts a trained model to other text: different dropout, a larger vocabulary.
//!
//! Promises: the learned parameters are kept; the ratios between the probabilities of old tokens do not change, or, with
//! an adaptive softmax, those within a cluster.
//! Not here: the vocabulary itself, which only has to keep its old ids.

use rand::Rng;

use crate::config::{Dropout, Initialization};
use crate::{Model, NnError, Result, RnnLm, RnnLmConfig};

impl RnnLm {
    /// The model with different dropout.
    ///
    /// # Errors
    /// As [`RnnLmConfig::check`].
    pub fn with_dropout(mut self, dropout: Dropout) -> Result<RnnLm> {
        let config = RnnLmConfig { dropout, ..self.config().clone() };
        config.check()?;
        self.config = config;
        Ok(self)
    }

    /// The model with its vocabulary extended to `vocab_size` tokens. The rows of the old tokens are
    /// unchanged; those of the new tokens are initialized randomly. In the decoder's bias the new tokens get
    /// the mean of the old ones, so they start as words of average frequency.
    ///
    /// With an adaptive softmax, the new tokens join the last tail, whose old tokens have to share its probability with
    /// them. It has no bias, so the mean of the old tokens' rows is added to those of the new ones.
    ///
    /// # Errors
    /// [`NnError::Config`] if the vocabulary would shrink, or as [`RnnLmConfig::check`].
    pub fn extended(
        &self,
        vocab_size: usize,
        initialization: &Initialization,
        rng: &mut impl Rng,
    ) -> Result<RnnLm> {
        let old_size = self.config().vocab_size;
        if vocab_size < old_size {
            let reason =
                format!("must be at least the model's vocabulary size ({old_size}), but is {vocab_size}");
            return Err(NnError::Config { field: "vocab_size", reason });
        }
        let mut config = RnnLmConfig { vocab_size, ..self.config().clone() };
        let mut last_tail = None;
        if let Some(softmax) = &mut config.adaptive_softmax {
            softmax.extend(vocab_size);
            last_tail = Some(format!("decoder.tails.{}.weight", softmax.cutoffs().len() - 1));
        }
        let mut extended = RnnLm::new(config, self.parameters().device())?;
        extended.initialize(initialization, rng)?;
        for (id, from) in extended.parameters().ids().zip(self.parameters().ids()) {
            let name = self.parameters().name(from);
            let old = self.parameters().values(from).read()?;
            let mut values = extended.parameters().values(id).read()?.into_owned();
            if name == "decoder.bias" {
                values.fill(mean_row(&old, 1)[0]);
            } else if last_tail.as_deref() == Some(name) {
                let mean = mean_row(&old, self.parameters().shape(from)[1]);
                values.iter_mut().zip(mean.iter().cycle()).for_each(|(value, mean)| *value += mean);
            }
            values[..old.len()].copy_from_slice(&old);
            extended.parameters_mut().values_mut(id).write_from(&values)?;
        }
        Ok(extended)
    }
}

/// The mean of the rows of a matrix with this many columns.
fn mean_row(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns;
    let column = |column| values.iter().skip(column).step_by(columns).map(|&value| f64::from(value));
    (0..columns).map(|index| (column(index).sum::<f64>() / rows as f64) as f32).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rondo_kernels::Device;
    use rondo_kernels::recurrence::Cell;

    use super::*;
    use crate::config::{AdaptiveSoftmax, Biases, CellOptions, Initializer, Input};
    use crate::{Mode, Workspace};

    fn model(input: Input, tied: bool) -> RnnLm {
        let config = RnnLmConfig {
            vocab_size: 5,
            input,
            cell: Cell::Gru,
            hidden_sizes: vec![3, 4],
            biases: Biases::Two,
            tied,
            dropout: Dropout::default(),
            adaptive_softmax: None,
            cell_options: CellOptions::default(),
        };
        let mut model = RnnLm::new(config, &Device::cpu(1).unwrap()).unwrap();
        let all = Initializer::Normal(0.5);
        let drawn = Initialization { embedding: all, recurrent: all, decoder: all, bias: all };
        model.initialize(&drawn, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        model
    }

    fn logits(model: &RnnLm, ids: &[u32]) -> Vec<f32> {
        let mut workspace = Workspace::new(model.parameters().device());
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        let hidden = model.forward(&mut tape, ids, &mut model.zero_state(1));
        let logits = model.logits(&mut tape, hidden);
        tape.read(logits).unwrap().to_vec()
    }

    #[test]
    fn old_tokens_have_the_same_logits_and_new_ones_the_mean_bias() {
        for (input, tied) in
            [(Input::Embedding(4), true), (Input::Embedding(2), false), (Input::OneHot, false)]
        {
            let old = model(input, tied);
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            let new = old.extended(8, &Initialization::default(), &mut rng).unwrap();
            assert_eq!(new.config().vocab_size, 8);
            let ids = [0, 4, 2];
            let (before, after) = (logits(&old, &ids), logits(&new, &ids));
            for (before, after) in before.chunks(5).zip(after.chunks(8)) {
                assert_eq!(before, &after[..5]);
            }
            assert!(logits(&new, &[7]).iter().all(|logit| logit.is_finite()));
            let bias = |model: &RnnLm| {
                let id = model.parameters().find("decoder.bias").unwrap();
                model.parameters().values(id).read().unwrap().to_vec()
            };
            let mean = bias(&old).iter().sum::<f32>() / 5.0;
            assert!(bias(&new)[5..].iter().all(|bias| (bias - mean).abs() < 1e-6));
        }
    }

    #[test]
    fn new_tokens_join_the_last_tail_of_an_adaptive_softmax() {
        for order in [[].as_slice(), &[4, 1, 0, 3, 2]] {
            let softmax = AdaptiveSoftmax::new(vec![2, 3]).with_order(order.to_vec());
            let mut old = model(Input::Embedding(2), false).config().clone();
            (old.adaptive_softmax, old.hidden_sizes) = (Some(softmax), vec![3, 16]);
            let mut old = RnnLm::new(old, &Device::cpu(1).unwrap()).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            old.initialize(&Initialization::default(), &mut rng).unwrap();
            let new = old.extended(8, &Initialization::default(), &mut rng).unwrap();
            new.config().check().unwrap();
            let ids = [0, 4, 2];
            let (before, after) = (logits(&old, &ids), logits(&new, &ids));
            let ranked = |rank: usize| order.get(rank).map_or(rank, |&id| id as usize);
            for (before, after) in before.chunks(5).zip(after.chunks(8)) {
                // The clusters before it are unchanged; its own words are all less likely by the same factor.
                let shifts: Vec<f32> =
                    (0..5).map(|rank| before[ranked(rank)] - after[ranked(rank)]).collect();
                assert!(shifts[..3].iter().all(|shift| shift.abs() < 1e-5), "{shifts:?}");
                assert!(shifts[3] > 1e-3 && (shifts[3] - shifts[4]).abs() < 1e-5, "{shifts:?}");
                assert!(after.iter().all(|logit| logit.is_finite()));
            }
        }
    }

    #[test]
    fn a_vocabulary_does_not_shrink() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let error =
            model(Input::OneHot, false).extended(4, &Initialization::default(), &mut rng).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`vocab_size` must be at least the model's vocabulary size (5), but is 4"
        );
    }
}
