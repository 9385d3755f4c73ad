//! The losses of two models on the same text, line by line, and whether their difference is more than chance.
//!
//! ```text
//! line i ─┬─ model A ─ loss aᵢ ─┐                       Σ bᵢ − aᵢ
//!         └─ model B ─ loss bᵢ ─┴─▶ difference per unit ─────────,  and the same for resamples of the lines
//!              units nᵢ                                   Σ nᵢ
//! ```
//!
//! Each line is one sentence and is scored after a line end, with its own line end. The unit is the token if both models
//! have the same ones; otherwise it is the word or the character of the text, where each line end counts as one more. The
//! interval is the percentile interval of a paired bootstrap: lines are drawn with replacement, for both models the same.
//! *Source*: Efron & Tibshirani 1993, chapters 13 and 16; Berg-Kirkpatrick et al. 2012 for its use with sentences.
//!
//! Promises: the same seed gives the same interval; a line is in memory as three numbers.
//! Not here: perplexities of running text (`evaluate`), repeated runs (`rondo_runs::Interval`).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rondo_data::{LineEncoder, TextCodec};

use crate::{InferError, LanguageModel, Result, Scorer, Scoring};

/// What a loss is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareUnit {
    /// The tokens of both models.
    Token,
    /// The words of the text, which stand between whitespace, and the line ends.
    Word,
    /// The characters of the text, and the line ends.
    Character,
}

/// How two models are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparing {
    /// The unit; `None` for the token if both models have the same ones, else the word if both models have words or
    /// spaces, else the character.
    pub unit: Option<CompareUnit>,
    /// Whether each line continues the one before.
    pub carry_state: bool,
    /// How many lines are scored in a batch.
    pub batch_size: usize,
    /// Among how many unseen words the probability of the unknown token is shared; 1 to leave it as it is.
    pub unknown_words: u64,
}

impl Default for Comparing {
    /// Independent lines, in the unit that fits both models.
    fn default() -> Self {
        Comparing { unit: None, carry_state: false, batch_size: 32, unknown_words: 1 }
    }
}

/// How a difference is resampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// The number of resamples.
    pub resamples: usize,
    /// The seed of the random numbers.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 10,000 resamples.
    fn default() -> Self {
        Bootstrap { resamples: 10_000, seed: 1 }
    }
}

/// Compares two models on texts: see [`Comparer::text`] and [`Comparer::finish`].
#[derive(Debug)]
pub struct Comparer {
    models: [LanguageModel; 2],
    options: Comparing,
    unit: CompareUnit,
    lines: Vec<Line>,
    left_out: usize,
    unknown_tokens: [u64; 2],
}

/// The losses of both models on a line, in nats, and its number of units.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    nll: [f64; 2],
    units: f64,
}

/// The lines of one text, which no state leaves.
#[derive(Debug)]
pub struct ComparedText<'a> {
    comparer: &'a mut Comparer,
    scorers: [Scorer; 2],
    encoders: [LineEncoder; 2],
}

/// The losses of two models, A and B, on the same texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The unit.
    pub unit: CompareUnit,
    /// The number of lines that were compared.
    pub lines: usize,
    /// The number of lines that were left out, because they have characters that a model's vocabulary does not contain.
    pub left_out: usize,
    /// The number of units in the lines that were compared.
    pub units: u64,
    /// The total negative log-likelihood of each model, in nats.
    pub nll_sums: [f64; 2],
    /// The number of unknown tokens of each model.
    pub unknown_tokens: [u64; 2],
    /// The loss of B minus the loss of A, in nats per unit: below 0 if B is better.
    pub difference: f64,
    /// The 95 % confidence interval of the difference.
    pub interval: (f64, f64),
    /// The fraction of resamples in which B is better; equal losses count half.
    pub b_is_better: f64,
}

impl CompareUnit {
    /// Its name: `token`, `word` or `character`.
    pub fn name(self) -> &'static str {
        match self {
            CompareUnit::Token => "token",
            CompareUnit::Word => "word",
            CompareUnit::Character => "character",
        }
    }
}

impl Comparer {
    /// A comparison of models A and B that has read nothing yet.
    ///
    /// # Errors
    /// [`InferError::DifferentTokens`] if the unit is the token and the models have different ones.
    pub fn new(models: [LanguageModel; 2], options: Comparing) -> Result<Comparer> {
        let codecs = models.each_ref().map(LanguageModel::codec);
        let [a, b] = codecs;
        let same = a.tokenizer() == b.tokenizer() && a.vocab() == b.vocab();
        let unit = match options.unit {
            Some(CompareUnit::Token) if !same => {
                let tokens = codecs.map(described).to_vec();
                return Err(InferError::DifferentTokens { what: "a comparison per token", tokens });
            }
            Some(unit) => unit,
            None if same => CompareUnit::Token,
            None if codecs.into_iter().all(has_words) => CompareUnit::Word,
            None => CompareUnit::Character,
        };
        Ok(Comparer { models, options, unit, lines: vec![], left_out: 0, unknown_tokens: [0; 2] })
    }

    /// The unit.
    pub fn unit(&self) -> CompareUnit {
        self.unit
    }

    /// Begins a text; `origin` is its name in errors.
    ///
    /// # Errors
    /// [`InferError::ZeroSize`] if the batch size is 0.
    pub fn text(&mut self, origin: &str) -> Result<ComparedText<'_>> {
        let Comparing { carry_state, batch_size, .. } = self.options;
        let scorer = |model: &LanguageModel| {
            let start = model.codec().line_end();
            model.scorer(Scoring { start, carry_state, batch_size, ..Scoring::default() })
        };
        let [a, b] = &self.models;
        let scorers = [scorer(a)?, scorer(b)?];
        let encoders = [a, b].map(|model| model.codec().line_encoder(origin));
        Ok(ComparedText { comparer: self, scorers, encoders })
    }

    /// Compares the losses on all lines.
    ///
    /// # Errors
    /// [`InferError::ZeroSize`] without resamples, [`InferError::NothingToCompare`] without units.
    pub fn finish(&self, bootstrap: Bootstrap) -> Result<Comparison> {
        if bootstrap.resamples == 0 {
            return Err(InferError::ZeroSize { name: "resamples" });
        }
        let units: f64 = self.lines.iter().map(|line| line.units).sum();
        if units == 0.0 {
            return Err(InferError::NothingToCompare { unit: self.unit });
        }
        let nll_sums = [0, 1].map(|model| self.lines.iter().map(|line| line.nll[model]).sum::<f64>());
        let differences: Vec<(f64, f64)> =
            self.lines.iter().map(|line| (line.nll[1] - line.nll[0], line.units)).collect();
        let resampled = resampled_ratios(&differences, bootstrap);
        let wins: f64 =
            resampled.iter().map(|&ratio| if ratio == 0.0 { 0.5 } else { f64::from(ratio < 0.0) }).sum();
        Ok(Comparison {
            unit: self.unit,
            lines: self.lines.len(),
            left_out: self.left_out,
            units: units as u64,
            nll_sums,
            unknown_tokens: self.unknown_tokens,
            difference: (nll_sums[1] - nll_sums[0]) / units,
            interval: (quantile(&resampled, 0.025), quantile(&resampled, 0.975)),
            b_is_better: wins / resampled.len() as f64,
        })
    }
}

impl ComparedText<'_> {
    /// Scores the next lines, each given with or without its line ending.
    ///
    /// # Errors
    /// [`InferError::Data`] for bytes that are not text, [`InferError::NonFiniteLogits`].
    pub fn add(&mut self, lines: &[Vec<u8>]) -> Result<()> {
        let (mut ids, mut texts) = ([vec![], vec![]], vec![]);
        for line in lines {
            let [a, b] = &mut self.encoders;
            let encoded = [a.encode(line)?, b.encode(line)?];
            if encoded.iter().any(|line| !line.missing.is_empty()) {
                self.comparer.left_out += 1;
                continue;
            }
            for ((ids, unknown), line) in ids.iter_mut().zip(&mut self.comparer.unknown_tokens).zip(encoded) {
                *unknown += line.unknown_tokens;
                ids.push((line.ids, line.unknown_tokens));
                texts.push(line.text);
            }
        }
        let more = (self.comparer.options.unknown_words as f64).ln();
        let mut scored = [vec![], vec![]];
        for ((scorer, ids), scored) in self.scorers.iter_mut().zip(&ids).zip(&mut scored) {
            let sentences: Vec<&[u32]> = ids.iter().map(|(ids, _)| ids.as_slice()).collect();
            for (score, (_, unknown)) in scorer.score(&sentences)?.into_iter().zip(ids) {
                let nll = *unknown as f64 * more - score.log_prob_sum;
                scored.push((nll, score.log_probs.len()));
            }
        }
        let [a, b] = scored;
        for ((a, b), text) in a.into_iter().zip(b).zip(texts.into_iter().step_by(2)) {
            let units = match self.comparer.unit {
                CompareUnit::Token => a.1,
                CompareUnit::Word => String::from_utf8_lossy(&text).split_whitespace().count() + 1,
                CompareUnit::Character => String::from_utf8_lossy(&text).chars().count() + 1,
            };
            self.comparer.lines.push(Line { nll: [a.0, b.0], units: units as f64 });
        }
        Ok(())
    }
}

impl Comparison {
    /// The loss of each model in nats per unit.
    pub fn losses(&self) -> [f64; 2] {
        self.nll_sums.map(|sum| sum / self.units as f64)
    }
}

/// The tokens of a codec in errors.
pub(crate) fn described(codec: &TextCodec) -> String {
    format!("{} {}", codec.vocab().len(), codec.tokenizer())
}

/// Whether texts in these tokens consist of words.
fn has_words(codec: &TextCodec) -> bool {
    codec.is_of_words() || codec.separators().iter().any(|&id| Some(id) != codec.line_end())
}

/// The ratio of the sums of both numbers in each resample, in increasing order.
///
/// Not a statistics crate: those that are maintained have no bootstrap of a ratio, and it is these lines.
fn resampled_ratios(pairs: &[(f64, f64)], bootstrap: Bootstrap) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(bootstrap.seed);
    let count = pairs.len() as u128;
    let mut ratio = || {
        let (mut above, mut below) = (0.0, 0.0);
        for _ in pairs {
            // The high half of the product is uniform below `count`, with an error below count / 2⁶⁴.
            let (a, b) = pairs[((u128::from(rng.next_u64()) * count) >> 64) as usize];
            above += a;
            below += b;
        }
        if below > 0.0 { above / below } else { 0.0 }
    };
    let mut ratios: Vec<f64> = (0..bootstrap.resamples).map(|_| ratio()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}

/// A quantile of numbers in increasing order, interpolated between neighbors.
fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let place = probability * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated() {
        let sorted = [1.0, 2.0, 4.0];
        let found = [0.0, 0.25, 0.5, 0.75, 1.0].map(|probability| quantile(&sorted, probability));
        assert_eq!(found, [1.0, 1.5, 2.0, 3.0, 4.0]);
        assert_eq!(quantile(&[3.0], 0.025), 3.0);
    }

    #[test]
    fn resamples_of_a_ratio_spread_as_its_standard_error_says() {
        // Differences of −1 and 1 on lines of 4 and 6 units: the linearized standard error of the ratio is known.
        let pairs: Vec<(f64, f64)> = (0..400)
            .map(|line| (if line % 4 == 0 { 1.0 } else { -1.0 }, if line % 2 == 0 { 4.0 } else { 6.0 }))
            .collect();
        let ratio =
            pairs.iter().map(|pair| pair.0).sum::<f64>() / pairs.iter().map(|pair| pair.1).sum::<f64>();
        assert!((ratio + 0.1).abs() < 1e-12);
        let squares: f64 = pairs.iter().map(|(a, b)| (a - ratio * b).powi(2)).sum();
        let error = squares.sqrt() / 2000.0;
        let resampled = resampled_ratios(&pairs, Bootstrap { resamples: 4000, seed: 3 });
        let (low, high) = (quantile(&resampled, 0.025), quantile(&resampled, 0.975));
        assert!((low - (ratio - 1.96 * error)).abs() < 0.15 * error, "{low} {ratio} {error}");
        assert!((high - (ratio + 1.96 * error)).abs() < 0.15 * error, "{high} {ratio} {error}");
        assert_eq!(resampled, resampled_ratios(&pairs, Bootstrap { resamples: 4000, seed: 3 }));
        assert_ne!(resampled, resampled_ratios(&pairs, Bootstrap { resamples: 4000, seed: 4 }));
    }
}
