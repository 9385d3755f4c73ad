//! What the perplexity on the built-in language is to be held against.

use anyhow::Result;
use rondo_data::tales::TalesText;
use rondo_data::{Corpus, Tales, Tokenizer, ngram};

/// Perplexities on the built-in language's test text.
pub(super) struct Baselines {
    /// That of the language itself: no model that has not seen the text can be expected to do better.
    pub(super) best_possible: f64,
    /// That of a model which knows the word before.
    pub(super) bigram: f64,
    /// That of a model which knows how frequent words are.
    pub(super) unigram: f64,
}

impl Baselines {
    /// Measures them; none if the corpus is not made of the language's own tokens.
    pub(super) fn new(text: &TalesText, corpus: &Corpus) -> Result<Option<Baselines>> {
        let Corpus { train, test: Some(test), codec, .. } = corpus else { return Ok(None) };
        // The language gives probabilities to words; perplexities of other tokens are another measure.
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
