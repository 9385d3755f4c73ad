//! Unigram and bigram perplexities: baselines that know at most the previous word.
//!
//! Both models give every token a nonzero probability, so they can score any text.
//! Not here: longer contexts, tokens (only ids), files.

use rustc_hash::FxHashMap;

use crate::{Result, TokenIds};

/// The perplexity of `test` under the unigram frequencies of `train`, with add-one smoothing; see [`Unigram`].
///
/// `NaN` if `test` is empty.
/// # Panics
/// If an id is not below `vocab_size`.
/// # Errors
/// See [`TokenIds::read`].
pub fn unigram_perplexity(train: &TokenIds, test: &TokenIds, vocab_size: usize) -> Result<f64> {
    let model = Unigram::new(train, vocab_size)?;
    perplexity(test, |_, token| model.probability(token))
}

/// The perplexity of `test` under a bigram model of `train`; see [`Bigram`].
///
/// `NaN` if `test` is empty.
/// # Panics
/// If an id is not below `vocab_size`.
/// # Errors
/// See [`TokenIds::read`].
pub fn bigram_perplexity(train: &TokenIds, test: &TokenIds, vocab_size: usize) -> Result<f64> {
    let model = Bigram::new(train, vocab_size)?;
    perplexity(test, |context, token| model.probability(context, token))
}

/// The frequencies of tokens, with add-one smoothing.
///
/// ```text
/// p(w) = (count(w) + 1) / (N + V)        N tokens in the training text
/// ```
/// # Source
/// Laplace's rule of succession.
pub struct Unigram {
    /// `[V]`
    probabilities: Vec<f64>,
}

impl Unigram {
    /// Counts the tokens of `train`.
    ///
    /// # Panics
    /// If an id is not below `vocab_size`.
    /// # Errors
    /// See [`TokenIds::read`].
    pub fn new(train: &TokenIds, vocab_size: usize) -> Result<Self> {
        let mut counts = vec![0; vocab_size];
        for_each(train, |_, token| counts[token as usize] += 1)?;
        Ok(Self::from_counts(&counts))
    }

    /// The frequencies of tokens with these counts, `[V]`, such as those of a vocabulary
    /// ([`Vocab::counts`](crate::Vocab::counts)).
    #[must_use]
    pub fn from_counts(counts: &[u64]) -> Self {
        let total = counts.iter().map(|&count| count as f64 + 1.0).sum::<f64>();
        Self { probabilities: counts.iter().map(|&count| (count as f64 + 1.0) / total).collect() }
    }

    /// The probability of `token`.
    ///
    /// # Panics
    /// If the id is not below the vocabulary size.
    #[must_use]
    pub fn probability(&self, token: u32) -> f64 {
        self.probabilities[token as usize]
    }
}

/// A bigram model with interpolated Kneser-Ney smoothing, the strongest of the common smoothing methods.
///
/// ```text
/// p(w | v) = (max(count(v w) - d, 0) + d · followers(v) · p(w)) / count(v ·)
/// p(w)     = (preceders(w) + 1) / (bigram types + V)
/// d        = n₁ / (n₁ + 2 n₂)            nᵢ: bigram types seen i times
/// ```
///
/// After a token that is never followed by another in the training text, and for the first token of a text, it is
/// `p(w)`.
/// # Source
/// Kneser & Ney 1995; the interpolated form and `d` as in Chen & Goodman 1999.
pub struct Bigram {
    counts: FxHashMap<(u32, u32), u32>,
    contexts: Vec<Context>,
    lower: Vec<f64>,
    discount: f64,
}

/// The counts of the tokens seen after a token.
#[derive(Clone, Copy, Default)]
struct Context {
    tokens: u32,
    followers: u32,
}

impl Bigram {
    /// Counts the bigrams of `train`.
    ///
    /// # Panics
    /// If an id is not below `vocab_size`.
    /// # Errors
    /// See [`TokenIds::read`].
    pub fn new(train: &TokenIds, vocab_size: usize) -> Result<Self> {
        let mut counts = FxHashMap::<(u32, u32), u32>::default();
        for_each(train, |context, token| {
            if let Some(context) = context {
                *counts.entry((context, token)).or_default() += 1;
            }
        })?;
        let mut contexts = vec![Context::default(); vocab_size];
        let mut lower = vec![1.0; vocab_size];
        let mut types_seen = [0_u32; 3];
        for (&(context, token), &count) in &counts {
            contexts[context as usize].tokens += count;
            contexts[context as usize].followers += 1;
            lower[token as usize] += 1.0;
            if let Some(types) = types_seen.get_mut(count as usize) {
                *types += 1;
            }
        }
        let total = (counts.len() + vocab_size) as f64;
        lower.iter_mut().for_each(|value| *value /= total);
        Ok(Self { counts, contexts, lower, discount: discount(types_seen[1], types_seen[2]) })
    }

    /// The probability of `token` after `context`, or at the start of a text if `context` is `None`.
    ///
    /// # Panics
    /// If an id is not below the vocabulary size.
    #[must_use]
    pub fn probability(&self, context: Option<u32>, token: u32) -> f64 {
        let lower = self.lower[token as usize];
        let Some(context) = context else { return lower };
        let Context { tokens, followers } = self.contexts[context as usize];
        if tokens == 0 {
            return lower;
        }
        let count = self.counts.get(&(context, token)).map_or(0.0, |&count| f64::from(count));
        let kept = (count - self.discount).max(0.0);
        (kept + self.discount * f64::from(followers) * lower) / f64::from(tokens)
    }
}

/// The discount subtracted from each count: between 0 and 1, exclusive, so that unseen bigrams get some probability.
fn discount(seen_once: u32, seen_twice: u32) -> f64 {
    // A text without rare bigrams says nothing about unseen ones, so this is an arbitrary middle value.
    if seen_once == 0 || seen_twice == 0 {
        return 0.5;
    }
    f64::from(seen_once) / (f64::from(seen_once) + 2.0 * f64::from(seen_twice))
}

/// The perplexity of a text, given the probability of each token after the previous one.
fn perplexity(text: &TokenIds, probability: impl Fn(Option<u32>, u32) -> f64) -> Result<f64> {
    let mut nll_sum = 0.0;
    for_each(text, |context, token| nll_sum -= probability(context, token).ln())?;
    Ok((nll_sum / text.len() as f64).exp())
}

/// Visits each token of a text with the previous one.
fn for_each(text: &TokenIds, mut visit: impl FnMut(Option<u32>, u32)) -> Result<()> {
    let mut context = None;
    for ids in text.blocks() {
        for &token in &*ids? {
            visit(context, token);
            context = Some(token);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: [u32; 12] = [0, 1, 2, 0, 1, 3, 0, 1, 2, 4, 2, 0];

    fn unigram(train: &[u32], test: &[u32], vocab_size: usize) -> f64 {
        unigram_perplexity(&train.to_vec().into(), &test.to_vec().into(), vocab_size).unwrap()
    }

    fn bigram(train: &[u32], test: &[u32], vocab_size: usize) -> f64 {
        bigram_perplexity(&train.to_vec().into(), &test.to_vec().into(), vocab_size).unwrap()
    }

    fn model(train: &[u32], vocab_size: usize) -> Bigram {
        Bigram::new(&train.to_vec().into(), vocab_size).unwrap()
    }

    #[test]
    fn a_uniform_text_has_the_perplexity_of_its_vocabulary() {
        let text: Vec<u32> = (0..100).flat_map(|_| 0..7).collect();
        assert!((unigram(&text, &text, 7) - 7.0).abs() < 1e-12);
    }

    #[test]
    fn a_unigram_is_counted_by_hand() {
        // Counts + 1 of (a, b, unseen c): 4, 2, 1 of 7.
        let found = unigram(&[0, 0, 1, 0], &[0, 2], 3);
        assert!((found - (49.0_f64 / 4.0).sqrt()).abs() < 1e-12, "{found}");
        let model = Unigram::from_counts(&[3, 1, 0]);
        assert_eq!([0, 1, 2].map(|token| model.probability(token)), [4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0]);
    }

    #[test]
    fn a_bigram_is_counted_by_hand() {
        // Types 01 ×3, 12 ×2, 20 ×2 and 13, 30, 24, 42 once: n₁ = 4, n₂ = 2, d = 1/2.
        let model = model(&TEXT, 6);
        let lower = [3.0 / 13.0, 2.0 / 13.0, 3.0 / 13.0, 2.0 / 13.0, 2.0 / 13.0, 1.0 / 13.0];
        for (context, token, expected) in [
            (Some(0), 1, (2.5 + 0.5 * lower[1]) / 3.0),
            (Some(1), 2, (1.5 + 0.5 * 2.0 * lower[2]) / 3.0),
            (Some(1), 5, 0.5 * 2.0 * lower[5] / 3.0),
            (Some(5), 3, lower[3]),
            (None, 2, lower[2]),
        ] {
            let found = model.probability(context, token);
            assert!((found - expected).abs() < 1e-12, "{context:?} {token}: {found}, expected {expected}");
        }
    }

    #[test]
    fn probabilities_after_any_context_sum_to_one() {
        // The second text has no rare bigrams, the third has no bigrams.
        for text in [&TEXT[..], &[0, 1, 0, 1, 0, 1, 0, 1, 0], &[3]] {
            let model = model(text, 6);
            for context in [None, Some(0), Some(1), Some(2), Some(3), Some(5)] {
                let sum: f64 = (0..6).map(|token| model.probability(context, token)).sum();
                assert!((sum - 1.0).abs() < 1e-12, "{context:?}: {sum}");
                assert!((0..6).all(|token| model.probability(context, token) > 0.0), "{context:?}");
            }
        }
    }

    #[test]
    fn a_bigram_knows_an_alternation_that_a_unigram_cannot() {
        let text: Vec<u32> = (0..1000).map(|position| position % 2).collect();
        assert!((unigram(&text, &text, 2) - 2.0).abs() < 1e-9);
        assert!(bigram(&text, &text, 2) < 1.01);
    }

    #[test]
    fn an_empty_test_text_has_no_perplexity() {
        assert!(unigram(&TEXT, &[], 6).is_nan());
        assert!(bigram(&TEXT, &[], 6).is_nan());
    }

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn an_id_beyond_the_vocabulary_is_refused() {
        let _ = bigram(&TEXT, &[6], 6);
    }
}
