//! Baseline perplexities on the built-in language.

use anyhow::Result;
use rondo_data::tales::TalesText;
use rondo_data::{Corpus, Tales, Tokenizer, ngram};

/// Perplexities on the built-in language's test text.
pub(super) struct Baselines {
    /// The perplexity of the true distribution: the best that a model can be expected to reach.
    pub(super) best_possible: f64,
    /// That of a bigram model.
    pub(super) bigram: f64,
    /// That of a unigram model.
    pub(super) unigram: f64,
}

impl Baselines {
    /// Computes them; `None` if the corpus has other tokens than the language's words.
    pub(super) fn new(text: &TalesText, corpus: &Corpus) -> Result<Option<Baselines>> {
        let Corpus { train, test: Some(test), codec, .. } = corpus else { return Ok(None) };
        // The language assigns probabilities to words; perplexities per other unit are not comparable.
        let vocab_size = codec.vocab().len();
        if *codec.tokenizer() != Tokenizer::default() || vocab_size <= Tales::new().words().len() {
            return Ok(None);
        }
        let Some(best_possible) = Tales::new().perplexity_of(&text.test) else { return Ok(None) };
        Ok(Some(Baselines {
            best_possible,
            bigram: ngram::bigram_perplexity(train, test, vocab_size)?,
            unigram: ngram::unigram_perplexity(train, test, vocab_size)?,
        }))
    }
}
