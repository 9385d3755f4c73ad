//! Tales, the built-in corpus: a small generated language whose true entropy is known.
//!
//! ```text
//! the brave captain that two divers admire steers a ship near the reef .
//!           └───────── one ──────────────── steers
//!                             └─ many ─ admire        and all of it at sea
//! ```
//!
//! A sentence is about the sea or a castle and stays there; a verb fits the kind of its subject (person or
//! thing) and agrees with its number, however many clauses stand between them. Neither can be seen in the word
//! before, so a bigram model is far from the best a model can do, and how far is known: the sentences come from
//! a stochastic grammar in which each has one derivation, so that the entropy is a linear system away.
//!
//! 300 words, 14.2 tokens to a sentence; perplexity 10.6, and 20.4 for a bigram, 108 for a unigram.
//!
//! Promises: a seed gives the same bytes everywhere and for ever; the training text of [`Tales::text`] holds
//! every word. A token is a word or the `<eos>` of a sentence; sentences are independent of each other.
//! Not here: the vocabulary and ids (`vocab`), a bigram to compare with (`ngram`).

mod expectation;
mod grammar;
mod lookahead;
mod rules;
#[cfg(test)]
mod tests;
mod words;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::corpus::{CorpusTexts, TextSource};
use grammar::Grammar;

/// The language of the built-in corpus: generates its sentences and knows their probabilities.
///
/// # Example
/// ```
/// let tales = rondo_data::tales::Tales::new();
/// assert!(tales.log_probability("the captain that the pirates fear sleeps .").is_none()); // At sea one snores.
/// let likely = tales.log_probability("the captain that the pirates fear snores .").unwrap();
/// let rarer = tales.log_probability("the captain that the pirates fear snores alone .").unwrap();
/// assert!(rarer < likely);
/// ```
pub struct Tales {
    grammar: Grammar,
}

/// The three splits of a text, one sentence to an element, without line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TalesText {
    /// To train on.
    pub train: Vec<String>,
    /// To choose the model by.
    pub valid: Vec<String>,
    /// To report.
    pub test: Vec<String>,
}

impl TalesText {
    /// The text as a corpus in memory, a sentence to a line.
    #[must_use]
    pub fn to_texts(&self) -> CorpusTexts {
        let source = |name: &str, lines: &[String]| {
            let text = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            TextSource::Memory { name: format!("tales, {name}"), text }
        };
        CorpusTexts::Splits {
            train: source("train", &self.train),
            valid: Some(source("valid", &self.valid)),
            test: Some(source("test", &self.test)),
        }
    }
}

impl Tales {
    /// The seed of the built-in corpus itself.
    pub const SEED: u64 = 1;
    /// How many tokens a training text has, but for the words that complete its last sentence.
    pub const TRAIN_TOKENS: usize = 300_000;
    /// As [`Tales::TRAIN_TOKENS`], of a validation text.
    pub const VALID_TOKENS: usize = 20_000;
    /// As [`Tales::TRAIN_TOKENS`], of a test text.
    pub const TEST_TOKENS: usize = 20_000;

    /// Builds the language.
    #[must_use]
    pub fn new() -> Self {
        Self { grammar: rules::grammar() }
    }

    /// The words of the language in alphabetical order, punctuation included and `<eos>` not.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        let mut words: Vec<&str> = self.grammar.words().iter().map(String::as_str).collect();
        words.sort_unstable();
        words
    }

    /// Training, validation and test text; the built-in corpus for [`Tales::SEED`].
    #[must_use]
    pub fn text(&self, seed: u64) -> TalesText {
        let split = |stream, tokens: usize| -> Vec<String> {
            let mut left = tokens;
            let ends_in_time = |sentence: &String| {
                let wanted = left > 0;
                left = left.saturating_sub(tokens_in(sentence));
                wanted
            };
            self.sentences(seed, stream).take_while(ends_in_time).collect()
        };
        TalesText {
            train: split(0, Self::TRAIN_TOKENS),
            valid: split(1, Self::VALID_TOKENS),
            test: split(2, Self::TEST_TOKENS),
        }
    }

    /// Sentences without end; those of different streams of a seed are independent.
    pub fn sentences(&self, seed: u64, stream: u64) -> impl Iterator<Item = String> {
        // The key is spelled out because `seed_from_u64` spreads a seed in a way that a release may change.
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream);
        std::iter::repeat_with(move || self.grammar.generate(&mut rng))
    }

    /// The entropy of the language: what the mean loss of a model tends to at best as a text grows.
    ///
    /// ```text
    /// entropy of a sentence / expected tokens of a sentence
    /// ```
    #[must_use]
    pub fn entropy_nats_per_token(&self) -> f64 {
        self.grammar.entropy_nats() / self.tokens_per_sentence()
    }

    /// The perplexity of the language, `exp` of [`Tales::entropy_nats_per_token`].
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        self.entropy_nats_per_token().exp()
    }

    /// How many tokens a sentence has on average, its `<eos>` included.
    #[must_use]
    pub fn tokens_per_sentence(&self) -> f64 {
        self.grammar.expected_words() + 1.0
    }

    /// The natural logarithm of a sentence's probability; `None` if it is not of the language.
    ///
    /// Words are separated by white space.
    #[must_use]
    pub fn log_probability(&self, sentence: &str) -> Option<f64> {
        Some(self.token_log_probabilities(sentence)?.iter().sum())
    }

    /// The natural logarithm of the probability of each token given those before it in the sentence, the last
    /// being that of `<eos>`; `None` if the sentence is not of the language.
    #[must_use]
    pub fn token_log_probabilities(&self, sentence: &str) -> Option<Vec<f64>> {
        self.grammar.log_probabilities(sentence.split_whitespace())
    }

    /// The perplexity of these very sentences under the language, which no model that does not know them can
    /// be expected to beat. `None` if one is not of the language, or if there are none.
    ///
    /// ```text
    /// exp(-Σ log p(sentence) / Σ tokens of the sentence)
    /// ```
    ///
    /// It differs from [`Tales::perplexity`] as a finite text does from the average.
    #[must_use]
    pub fn perplexity_of<S: AsRef<str>>(&self, sentences: impl IntoIterator<Item = S>) -> Option<f64> {
        let (mut nll_sum, mut tokens) = (0.0, 0);
        for sentence in sentences {
            nll_sum -= self.log_probability(sentence.as_ref())?;
            tokens += tokens_in(sentence.as_ref());
        }
        (tokens > 0).then(|| (nll_sum / tokens as f64).exp())
    }
}

impl Default for Tales {
    fn default() -> Self {
        Self::new()
    }
}

/// Words and `<eos>`.
fn tokens_in(sentence: &str) -> usize {
    sentence.split_whitespace().count() + 1
}
