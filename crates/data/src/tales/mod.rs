//! Tales, the built-in corpus: a small generated language with known entropy.
//!
//! ```text
//! the brave captain that two divers admire steers a ship near the reef .
//!           └───────── one ──────────────── steers
//!                             └─ many ─ admire        and all of it at sea
//! ```
//!
//! A sentence is about the sea or about a castle, and stays with that scene. A verb fits the kind of its subject
//! (person or thing) and agrees with it in number, regardless of the number of clauses between them. Neither can
//! be predicted from the previous word alone, so a bigram model is far from optimal, and the gap is known: the
//! sentences come from a stochastic grammar in which each sentence has one derivation, so that the entropy is the
//! solution of a linear system.
//!
//! 300 words, 14.2 tokens per sentence; perplexity 10.6, compared with 20.4 for a bigram and 108 for a unigram model.
//!
//! Promises: a seed always gives the same bytes, on every machine; the training text of [`Tales::text`] contains
//! every word. A token is a word or the `<eos>` of a sentence; sentences are independent of each other. Not here:
//! the vocabulary and ids (`vocab`), a bigram model as a baseline (`ngram`).

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

/// The language of the built-in corpus: generates sentences and computes their probabilities.
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

/// The three splits of a text, as one sentence per element, without line endings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TalesText {
    /// The training set.
    pub train: Vec<String>,
    /// The validation set.
    pub valid: Vec<String>,
    /// The test set.
    pub test: Vec<String>,
}

impl TalesText {
    /// The text as a corpus in memory, with one sentence per line.
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
    /// The seed of the built-in corpus.
    pub const SEED: u64 = 1;
    /// The number of tokens in a training text, not counting the words that complete its last sentence.
    pub const TRAIN_TOKENS: usize = 300_000;
    /// The number of tokens in a validation text; see [`Tales::TRAIN_TOKENS`].
    pub const VALID_TOKENS: usize = 20_000;
    /// The number of tokens in a test text; see [`Tales::TRAIN_TOKENS`].
    pub const TEST_TOKENS: usize = 20_000;

    /// Builds the language.
    #[must_use]
    pub fn new() -> Self {
        Self { grammar: rules::grammar() }
    }

    /// The words of the language in alphabetical order, including punctuation but not `<eos>`.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        let mut words: Vec<&str> = self.grammar.words().iter().map(String::as_str).collect();
        words.sort_unstable();
        words
    }

    /// Generates training, validation and test texts; [`Tales::SEED`] gives the built-in corpus.
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

    /// An infinite sequence of sentences; different streams of a seed are independent.
    pub fn sentences(&self, seed: u64, stream: u64) -> impl Iterator<Item = String> {
        // The key is spelled out because a release of the library could change how `seed_from_u64` derives it.
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream);
        std::iter::repeat_with(move || self.grammar.generate(&mut rng))
    }

    /// The entropy of the language: the lowest mean loss that a model can reach on a long text.
    ///
    /// ```text
    /// entropy of a sentence / expected tokens in a sentence
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

    /// The expected number of tokens in a sentence, including its `<eos>`.
    #[must_use]
    pub fn tokens_per_sentence(&self) -> f64 {
        self.grammar.expected_words() + 1.0
    }

    /// The natural log-probability of a sentence; `None` if it is not in the language.
    ///
    /// Words are separated by whitespace.
    #[must_use]
    pub fn log_probability(&self, sentence: &str) -> Option<f64> {
        Some(self.token_log_probabilities(sentence)?.iter().sum())
    }

    /// The natural log-probability of each token given the previous tokens of the sentence, including `<eos>` as the
    /// last token; `None` if the sentence is not in the language.
    #[must_use]
    pub fn token_log_probabilities(&self, sentence: &str) -> Option<Vec<f64>> {
        self.grammar.log_probabilities(sentence.split_whitespace())
    }

    /// The perplexity of these sentences under the language. No model can be expected to have a lower perplexity on
    /// sentences it was not trained on. `None` if a sentence is not in the language, or if there are no sentences.
    ///
    /// ```text
    /// exp(-Σ log p(sentence) / Σ tokens in the sentence)
    /// ```
    ///
    /// It differs from [`Tales::perplexity`] because the text is finite.
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

/// The number of words, plus one for `<eos>`.
fn tokens_in(sentence: &str) -> usize {
    sentence.split_whitespace().count() + 1
}
