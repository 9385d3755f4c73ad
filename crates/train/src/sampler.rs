//! The tokens that a sampled softmax draws in each step.
//!
//! ```text
//! counts of the training text ─▶ q(v), the distribution ─▶ draws with replacement ─▶ candidates of the batch
//!                                 └▶ p(v) = 1 − (1 − q(v))^draws, the probability of inclusion
//! ```
//!
//! Promises: the tokens of a step depend only on the seed, the number of the step, the counts and the settings. Not here:
//! the loss ([`Candidates`], [`rondo_nn::Tape::sampled_decoder`]).

use rand::distr::Distribution;
use rand_distr::weighted::WeightedAliasIndex;
use rondo_data::TokenIds;
use rondo_nn::Candidates;

use crate::random::{Stream, rng};
use crate::settings::SamplerKind;
use crate::{Result, SampledSoftmax};

/// Draws the tokens of a sampled softmax.
///
/// ```
/// use rondo_train::settings::SamplerKind;
/// use rondo_train::{SampledSoftmax, Sampler};
///
/// let plan = SampledSoftmax { draws: 2, sampler: SamplerKind::default() };
/// let mut sampler = Sampler::new(plan, &[90, 6, 4]); // how often each token occurs
/// let (seed, step, targets) = (1, 0, [2]);
/// assert!(sampler.candidates(seed, step, &targets).ids().contains(&2));
/// assert!(sampler.log_inclusion(0) > sampler.log_inclusion(1));
/// ```
#[derive(Debug)]
pub struct Sampler {
    draws: usize,
    distribution: WeightedAliasIndex<f64>,
    log_inclusion: Vec<f32>,
    /// The tokens drawn in a step, and the candidates. Their memory is reused.
    drawn: Vec<u32>,
    candidates: Candidates,
}

impl Sampler {
    /// A sampler for a vocabulary with these counts. A token that does not occur counts as if it occurred once: otherwise
    /// nothing would ever lower its probability.
    ///
    /// # Panics
    /// If there are no counts.
    pub fn new(plan: SampledSoftmax, counts: &[u64]) -> Sampler {
        let weights = match plan.sampler {
            SamplerKind::Unigram { power } => {
                counts.iter().map(|&count| (count.max(1) as f64).powf(power)).collect()
            }
            SamplerKind::LogUniform => log_uniform(counts),
        };
        let sum: f64 = weights.iter().sum();
        let draws = plan.draws as f64;
        // ln p = ln(1 − (1 − q)^draws), without the rounding error of either difference.
        let log_inclusion = |weight: &f64| (-(draws * (-weight / sum).ln_1p()).exp_m1()).ln() as f32;
        Sampler {
            draws: plan.draws,
            log_inclusion: weights.iter().map(log_inclusion).collect(),
            distribution: match WeightedAliasIndex::new(weights) {
                Ok(distribution) => distribution,
                Err(error) => panic!("a vocabulary of {} tokens: {error}", counts.len()),
            },
            drawn: Vec::with_capacity(plan.draws),
            candidates: Candidates::default(),
        }
    }

    /// Draws the tokens of a step, and adds the targets of its rows.
    ///
    /// # Panics
    /// If a target is not in the vocabulary.
    pub fn candidates(&mut self, seed: u64, step: u64, targets: &[u32]) -> &Candidates {
        let mut rng = rng(seed, Stream::SampledTokens { step });
        self.drawn.clear();
        self.drawn.extend((0..self.draws).map(|_| self.distribution.sample(&mut rng) as u32));
        self.candidates.fill(&self.drawn, targets, |id| self.log_inclusion[id as usize]);
        &self.candidates
    }

    /// The expected number of different tokens that a step draws.
    pub fn expected_count(&self) -> f64 {
        self.log_inclusion.iter().map(|&log| f64::from(log).exp()).sum()
    }

    /// The logarithm of the probability that a token is among those drawn in a step.
    pub fn log_inclusion(&self, id: u32) -> f32 {
        self.log_inclusion[id as usize]
    }
}

/// For each token: `ln((r + 2) / (r + 1))`, where `r` is its rank by frequency from 0. Of equally frequent tokens, the one
/// with the lower id ranks higher.
fn log_uniform(counts: &[u64]) -> Vec<f64> {
    let mut ranked: Vec<usize> = (0..counts.len()).collect();
    ranked.sort_by_key(|&id| std::cmp::Reverse(counts[id]));
    let mut weights = vec![0.0; counts.len()];
    for (rank, id) in ranked.into_iter().enumerate() {
        weights[id] = (1.0 / (rank as f64 + 1.0)).ln_1p();
    }
    weights
}

/// How often each of `vocab_size` tokens occurs in a text.
///
/// # Errors
/// [`TrainError::Data`](crate::TrainError::Data) if the text cannot be read.
pub(crate) fn counts(ids: &TokenIds, vocab_size: usize) -> Result<Vec<u64>> {
    /// Tokens read at once.
    const PIECE: usize = 1 << 20;
    let mut counts = vec![0; vocab_size];
    for start in (0..ids.len()).step_by(PIECE) {
        for &id in ids.read(start..ids.len().min(start + PIECE))?.iter() {
            counts[id as usize] += 1;
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: [u64; 8] = [3, 0, 40, 40, 7, 1, 100, 9];
    const KINDS: [SamplerKind; 4] = [
        SamplerKind::Unigram { power: 0.75 },
        SamplerKind::Unigram { power: 0.0 },
        SamplerKind::Unigram { power: 1.0 },
        SamplerKind::LogUniform,
    ];

    #[test]
    fn ranks_are_by_frequency_whatever_the_order_of_ids() {
        let weights = log_uniform(&COUNTS);
        let rank = |rank: f64| ((rank + 2.0) / (rank + 1.0)).ln();
        let expected = [5.0, 7.0, 1.0, 2.0, 4.0, 6.0, 0.0, 3.0].map(rank);
        for (weight, expected) in weights.iter().zip(expected) {
            assert!((weight - expected).abs() < 1e-12, "{weights:?}");
        }
        assert!((weights.iter().sum::<f64>() - 9f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn tokens_are_included_with_their_probability() {
        const STEPS: u64 = 20_000;
        for sampler in KINDS {
            let mut sampler = Sampler::new(SampledSoftmax { draws: 5, sampler }, &COUNTS);
            let mut included = [0.0; COUNTS.len()];
            for step in 0..STEPS {
                sampler.candidates(1, step, &[]).ids().iter().for_each(|&id| included[id as usize] += 1.0);
            }
            for (id, included) in included.iter().enumerate() {
                let p = f64::from(sampler.log_inclusion(id as u32)).exp();
                let deviation = (p * (1.0 - p) / STEPS as f64).sqrt();
                let found = included / STEPS as f64;
                assert!((found - p).abs() < 4.5 * deviation, "{found} instead of {p}");
            }
        }
    }

    /// The gradient of a model that is right is zero in the mean, whichever tokens are drawn. For a wrong correction it is
    /// not.
    #[test]
    fn the_loss_is_lowest_at_the_probabilities_of_the_full_softmax() {
        const STEPS: u64 = 60_000;
        let probabilities: [f64; 8] = [0.3, 0.01, 0.05, 0.2, 0.14, 0.02, 0.25, 0.03];
        for sampler in KINDS {
            let mut sampler = Sampler::new(SampledSoftmax { draws: 3, sampler }, &COUNTS);
            let targets = WeightedAliasIndex::new(probabilities.to_vec()).unwrap();
            let log_inclusion = sampler.log_inclusion.clone();
            let mut rng = rng(2, Stream::Initialization);
            let (mut sums, mut squares, mut sum_of_all) = ([0f64; 8], [0f64; 8], 0.0);
            for step in 0..STEPS {
                let target = targets.sample(&mut rng) as u32;
                let candidates = sampler.candidates(1, step, &[target]);
                // The logits of the right model, with any constant added.
                let weight = |(&id, log_inclusion): (&u32, &f32)| {
                    (probabilities[id as usize].ln() + 2.0 - f64::from(*log_inclusion)).exp()
                };
                let weights: Vec<f64> =
                    candidates.ids().iter().zip(candidates.log_inclusion()).map(weight).collect();
                let sum: f64 = weights.iter().sum();
                for (&id, weight) in candidates.ids().iter().zip(weights) {
                    let gradient = weight / sum - f64::from(u8::from(id == target));
                    sums[id as usize] += gradient;
                    squares[id as usize] += gradient * gradient;
                }
                let drawn = candidates.ids().iter().zip(candidates.only_as_target());
                let drawn = drawn.filter(|&(_, &only)| only == 0).map(|(&id, _)| id);
                sum_of_all += drawn
                    .map(|id| probabilities[id as usize] / f64::from(log_inclusion[id as usize]).exp())
                    .sum::<f64>();
            }
            for (sum, square) in sums.iter().zip(squares) {
                assert!(sum.abs() < 4.5 * square.sqrt(), "{sum} ± {}", square.sqrt());
            }
            // The sum over the drawn tokens, each divided by its probability of inclusion, estimates the sum over all.
            let mean = sum_of_all / STEPS as f64;
            assert!((mean - 1.0).abs() < 0.03, "{mean}");
        }
    }

    #[test]
    fn steps_differ_and_repeat() {
        let mut sampler = Sampler::new(SampledSoftmax { draws: 3, sampler: KINDS[0] }, &[1; 1000]);
        let mut ids = |seed, step| sampler.candidates(seed, step, &[]).ids().to_vec();
        assert_eq!(ids(1, 5), ids(1, 5));
        assert_ne!(ids(1, 5), ids(1, 6));
        assert_ne!(ids(1, 5), ids(2, 5));
    }

    #[test]
    fn tokens_that_are_almost_always_or_never_drawn_have_finite_logarithms() {
        let counts = [u64::from(u32::MAX), 1];
        let plan = SampledSoftmax { draws: 1_000_000, sampler: SamplerKind::Unigram { power: 1.0 } };
        let sampler = Sampler::new(plan, &counts);
        assert_eq!(sampler.log_inclusion(0), 0.0);
        let expected = (1_000_000.0 / f64::from(u32::MAX)).ln();
        assert!((f64::from(sampler.log_inclusion(1)) - expected).abs() < 1e-3);
    }
}
