//! Linear interpolation with an n-gram model of words, token by token.
//!
//! ```text
//! p(w) = (1 − W) · p_model(w) + W · p_ngram(w)
//!
//! tokens of the model     <eos>   the    zork    sat   <eos>
//! words of the n-grams    <s>     the    <unk>   sat   </s>      <s> starts the context again after each line
//! ```
//!
//! Both models predict the same events: the tokens of the model's vocabulary. A token that the n-gram model does not
//! know has the probability of its `<unk>` there, and its line end is `</s>`.
//!
//! Promises: with `W = 0` the result is the model's, bit for bit, and with `W = 1` the n-gram model's.
//! Not here: reading the files (`rondo_data::Arpa`), weights that depend on the context.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use rondo_data::{Arpa, TextCodec, TokenIds};
use rondo_nn::{Model, Workspace};

use crate::evaluate::{Reader, check_text, column_count, for_each_token};
use crate::mixture::Mixture;
use crate::{Evaluation, InferError, Resets, Result};

/// An n-gram model for the tokens of a language model, and its weight. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Interpolation {
    arpa: Arc<Arpa>,
    /// The n-gram model's word for each token.
    words: Arc<[u32]>,
    line_end: Option<u32>,
    weight: f64,
    unknown_tokens: usize,
    unknown_words: usize,
}

/// The evaluation of a text by a model, by an n-gram model, and by both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NgramEvaluation {
    /// The weight of the n-gram model.
    pub weight: f64,
    /// The model alone.
    pub base: Evaluation,
    /// The n-gram model alone.
    pub ngram: Evaluation,
    /// Both, interpolated.
    pub mixed: Evaluation,
}

impl Interpolation {
    /// Pairs an n-gram model with the vocabulary of a language model; `weight` is that of the n-gram model.
    ///
    /// # Errors
    /// [`InferError::NgramWeight`] if the weight is not within `[0, 1]`; [`InferError::NgramOfWords`] if the
    /// tokens are not words.
    pub fn new(arpa: Arc<Arpa>, codec: &TextCodec, weight: f64) -> Result<Interpolation> {
        if !codec.is_of_words() {
            return Err(InferError::NgramOfWords { tokens: codec.tokenizer().to_string() });
        }
        let (line_end, unknown) = (codec.line_end(), codec.unknown_id());
        let mut unknown_tokens = 0;
        let word = |(id, token)| {
            let word = if Some(id) == line_end { arpa.end() } else { arpa.id(token) };
            if Some(id) == unknown {
                return arpa.unknown();
            }
            word.unwrap_or_else(|| {
                unknown_tokens += 1;
                arpa.unknown()
            })
        };
        let words = (0..).zip(codec.vocab().tokens()).map(word).collect();
        let known = |word: &&str| !Arpa::is_special(word) && codec.vocab().id(word).is_none();
        let unknown_words = arpa.words().filter(known).count();
        let interpolation =
            Interpolation { arpa, words, line_end, weight: 0.0, unknown_tokens, unknown_words };
        interpolation.with_weight(weight)
    }

    /// The same with a different weight of the n-gram model.
    ///
    /// # Errors
    /// [`InferError::NgramWeight`] if it is not within `[0, 1]`.
    pub fn with_weight(self, weight: f64) -> Result<Interpolation> {
        if (0.0..=1.0).contains(&weight) {
            Ok(Interpolation { weight, ..self })
        } else {
            Err(InferError::NgramWeight { found: weight })
        }
    }

    /// The weight of the n-gram model.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// The n-gram model.
    #[must_use]
    pub fn arpa(&self) -> &Arpa {
        &self.arpa
    }

    /// How many tokens of the model's vocabulary the n-gram model does not know, apart from the model's own unknown
    /// token: they get the probability of its `<unk>`.
    #[must_use]
    pub fn unknown_tokens(&self) -> usize {
        self.unknown_tokens
    }

    /// How many words of the n-gram model are not in the model's vocabulary: in a text, they are the model's unknown
    /// token.
    #[must_use]
    pub fn unknown_words(&self) -> usize {
        self.unknown_words
    }

    /// The context at the start of a line.
    pub(crate) fn context(&self) -> NgramContext {
        NgramContext { words: self.arpa.start().into_iter().collect() }
    }

    /// Reads a token, and returns its log-probability (natural logarithm).
    pub(crate) fn read(&self, context: &mut NgramContext, token: u32) -> f64 {
        let words = &mut context.words;
        let word = self.words[token as usize];
        let log10_prob = self.arpa.log10_prob(words.make_contiguous(), word);
        words.push_back(word);
        if words.len() >= self.arpa.order() {
            words.pop_front();
        }
        if Some(token) == self.line_end {
            *context = self.context();
        }
        log10_prob * std::f64::consts::LN_10
    }

    /// Mixes the log-probabilities of tokens, which the context has not read yet, with those of the n-gram model.
    pub(crate) fn mix(&self, context: &mut NgramContext, tokens: &[u32], log_probs: &mut [f32]) {
        let mixture = Mixture::new(self.weight);
        for (&token, log_prob) in tokens.iter().zip(log_probs) {
            let other = self.read(context, token);
            if self.weight > 0.0 {
                // `0 − x` rather than `−x`, which would give −0 for a token of probability 1.
                *log_prob = (0.0 - mixture.nll(-f64::from(*log_prob), other)) as f32;
            }
        }
    }
}

/// The last words that an n-gram model has read: at most one fewer than its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct NgramContext {
    words: VecDeque<u32>,
}

/// Predicts each token of a text from those before it, as [`evaluate`](fn@crate::evaluate) does, with the model alone,
/// with the n-gram model alone and with both; `sizes` are the batch size and the number of steps.
///
/// # Panics
/// If the interpolation is for a vocabulary of another size.
/// # Errors
/// As [`evaluate_with`](crate::evaluate_with).
pub fn evaluate_with_ngram(
    model: &dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    resets: Option<Resets>,
    interpolation: &Interpolation,
    sizes: (usize, usize),
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<NgramEvaluation> {
    let mixture = Mixture::new(interpolation.weight);
    let (mut sums, mut tokens) = ([0.0; 3], 0);
    let columns = Columns { model, ids, resets, interpolation, sizes };
    columns.predict(workspace, progress, &mut |nll, log_prob| {
        let nll = f64::from(nll);
        let mixed = if interpolation.weight == 0.0 { nll } else { mixture.nll(nll, log_prob) };
        for (sum, term) in sums.iter_mut().zip([nll, 0.0 - log_prob, mixed]) {
            *sum += term;
        }
        tokens += 1;
    })?;
    let [base, ngram, mixed] = sums.map(|nll_sum| Evaluation { nll_sum, tokens });
    Ok(NgramEvaluation { weight: interpolation.weight, base, ngram, mixed })
}

/// Finds the weight of the n-gram model that makes a text most likely, by expectation maximization; returns the
/// evaluation of the text with it.
///
/// ```text
/// W ← mean over the tokens of  W · p_ngram / ((1 − W) · p_model + W · p_ngram)
/// ```
///
/// The likelihood of the text is concave in the weight, so the weight found is the best one, and does not depend on
/// where the search starts.
///
/// # Panics
/// As [`evaluate_with_ngram`].
/// # Errors
/// As [`evaluate_with_ngram`]; [`InferError::NonFiniteLogits`] if the model predicts no distribution.
/// # Source
/// Jelinek & Mercer 1980.
pub fn tune_ngram(
    model: &dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    resets: Option<Resets>,
    interpolation: &Interpolation,
    sizes: (usize, usize),
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<NgramEvaluation> {
    let mut log_probs: Vec<[f32; 2]> = Vec::new();
    let columns = Columns { model, ids, resets, interpolation, sizes };
    columns.predict(workspace, progress, &mut |nll, log_prob| log_probs.push([nll, log_prob as f32]))?;
    if log_probs.iter().any(|[nll, _]| nll.is_nan()) {
        return Err(InferError::NonFiniteLogits);
    }
    let weight = best_weight(&log_probs);
    let mixture = Mixture::new(weight);
    let tokens = log_probs.len() as u64;
    let sum = |term: &dyn Fn(f64, f64) -> f64| {
        let terms = log_probs.iter().map(|&[nll, log_prob]| term(f64::from(nll), f64::from(log_prob)));
        Evaluation { nll_sum: terms.sum(), tokens }
    };
    Ok(NgramEvaluation {
        weight,
        base: sum(&|nll, _| nll),
        ngram: sum(&|_, log_prob| 0.0 - log_prob),
        mixed: sum(&|nll, log_prob| mixture.nll(nll, log_prob)),
    })
}

/// The best weight of the second model, given the first one's negative log-likelihood and the second one's
/// log-probability of each token.
fn best_weight(tokens: &[[f32; 2]]) -> f64 {
    /// Far more than are needed; the steps are smallest when the best weight is 0 or 1.
    const MOST_STEPS: usize = 1000;
    const SMALLEST_STEP: f64 = 1e-7;
    let mut weight: f64 = 0.5;
    for _ in 0..MOST_STEPS {
        // The odds of the second model, in log space because probabilities can be too small for an `f64`.
        let log_odds = (weight / (1.0 - weight)).ln();
        let posterior = |&[nll, log_prob]: &[f32; 2]| {
            1.0 / (1.0 + (-(log_odds + f64::from(log_prob) + f64::from(nll))).exp())
        };
        let next = tokens.iter().map(posterior).sum::<f64>() / tokens.len() as f64;
        let step = next - weight;
        weight = next;
        if step.abs() < SMALLEST_STEP || !(0.0 < weight && weight < 1.0) {
            break;
        }
    }
    weight.clamp(0.0, 1.0)
}

/// A text that is read in columns.
struct Columns<'a> {
    model: &'a dyn Model,
    ids: &'a TokenIds,
    resets: Option<Resets>,
    interpolation: &'a Interpolation,
    sizes: (usize, usize),
}

impl Columns<'_> {
    /// Calls `each` for every predicted token with the model's negative log-likelihood and the n-gram model's
    /// log-probability.
    fn predict(
        &self,
        workspace: &mut Workspace,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
        each: &mut dyn FnMut(f32, f64),
    ) -> Result<()> {
        let Columns { model, ids, resets, interpolation, sizes } = *self;
        assert_eq!(
            interpolation.words.len(),
            model.vocab_size(),
            "the interpolation is for another vocabulary"
        );
        let mut contexts = match resets {
            // Each column begins with a line.
            Some(_) => vec![interpolation.context(); sizes.0.min(ids.len())],
            None => {
                check_text(model, ids)?;
                self.contexts(column_count(ids.len(), sizes.0).max(1))?
            }
        };
        let reader = Reader::exact(model, resets);
        for_each_token(reader, workspace, ids, sizes, progress, &mut |token| {
            each(token.nll, interpolation.read(&mut contexts[token.column], token.target));
        })
    }

    /// The context of each column after its first token, which is not predicted.
    fn contexts(&self, columns: usize) -> Result<Vec<NgramContext>> {
        let column_len = self.ids.len() / columns;
        let context = |column: usize| {
            let start = column * column_len;
            let before = start.saturating_sub(self.interpolation.arpa.order());
            // In the middle of a text, a line starts only where the text says so.
            let mut context =
                if before == 0 { self.interpolation.context() } else { NgramContext::default() };
            for &token in &*self.ids.read(before..(start + 1).min(self.ids.len()))? {
                self.interpolation.read(&mut context, token);
            }
            Ok(context)
        };
        (0..columns).map(context).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log-likelihood of a text that is predicted by a mixture.
    fn likelihood(tokens: &[[f32; 2]], weight: f64) -> f64 {
        let mixture = Mixture::new(weight);
        tokens.iter().map(|&[nll, log_prob]| -mixture.nll(nll.into(), log_prob.into())).sum()
    }

    #[test]
    fn the_best_weight_is_better_than_its_neighbors() {
        let tokens: Vec<[f32; 2]> =
            (0..200).map(|i| [0.5 + (i % 7) as f32, -0.3 - ((i * 5) % 11) as f32 * 0.7]).collect();
        let best = best_weight(&tokens);
        assert!(best > 0.05 && best < 0.95, "{best}");
        for other in [0.0, best - 0.01, best - 0.0005, best + 0.0005, best + 0.01, 1.0] {
            assert!(likelihood(&tokens, best) > likelihood(&tokens, other), "{best} {other}");
        }
    }

    #[test]
    fn a_model_that_is_better_everywhere_gets_all_weight() {
        assert!(best_weight(&[[1.0, -2.0]; 20]) < 1e-3);
        assert!(best_weight(&[[2.0, -1.0]; 20]) > 0.999);
        // Probabilities too small for an `f64`, and those of unknown words.
        assert!(best_weight(&[[2000.0, -1.0], [1.0, -230.0]]) - 0.5 < 1e-6);
        assert_eq!(best_weight(&[[f32::INFINITY, -1.0]; 3]), 1.0);
    }
}
