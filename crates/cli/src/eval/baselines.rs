//! `rondo eval --baselines`: the unigram and bigram perplexity of the text next to the model's.
//!
//! ```text
//! unigram   the counts that are stored with the vocabulary, else those of the training text
//! bigram    the training text, found through the plan of the model's run
//! ```
//!
//! Not here: the formulas (`rondo_data::ngram`), which tokens are predicted (`rondo_infer::evaluate_baseline`).

use std::num::NonZeroU64;

use anyhow::Result;
use rondo_data::Split;
use rondo_data::ngram::{Bigram, Unigram};
use rondo_infer::Evaluation;

use super::text::{self, Text};
use crate::console::Console;
use crate::model_args::Loaded;

/// The baselines of a text; `None` where the counts are not known.
pub(super) struct Baselines {
    pub(super) unigram: Option<Evaluation>,
    pub(super) bigram: Option<Evaluation>,
}

impl Baselines {
    /// Evaluates them on the tokens that the model predicts with this batch size. `own` is the model as its run reads
    /// texts. What is missing is said in a note.
    pub(super) fn evaluate(
        text: &Text,
        batch_size: usize,
        loaded: &Loaded,
        own: &Loaded,
        console: Console,
    ) -> Result<Baselines> {
        let vocab = own.codec().vocab();
        let train = text::corpus_text(&[], Split::Train, "--baselines", false, own, console);
        let train = train.map(|train| train.ids);
        if let Err(error) = &train {
            let missing = if vocab.counts().is_some() { "bigram" } else { "unigram and bigram" };
            console.say(&format!("note: no {missing} perplexity, which needs the training text: {error:#}"));
        }
        let train = train.ok();
        let unigram = match (vocab.counts(), &train) {
            (Some(counts), _) => Some(Unigram::from_counts(counts)),
            (None, Some(train)) => Some(Unigram::new(train, vocab.len())?),
            (None, None) => None,
        };
        let bigram = train.map(|train| Bigram::new(&train, vocab.len())).transpose()?;
        let (model, ids) = (&loaded.model, &text.ids);
        Ok(Baselines {
            unigram: unigram
                .map(|unigram| {
                    model.evaluate_baseline(ids, batch_size, |_, token| unigram.probability(token))
                })
                .transpose()?,
            bigram: bigram
                .map(|bigram| {
                    let probability = |before, token| bigram.probability(Some(before), token);
                    model.evaluate_baseline(ids, batch_size, probability)
                })
                .transpose()?,
        })
    }

    /// The same if the probability of each of these unknown tokens is shared by this many unseen words.
    pub(super) fn with_unknown_words(self, unknown_tokens: u64, words: NonZeroU64) -> Baselines {
        let more = unknown_tokens as f64 * (words.get() as f64).ln();
        let with_more =
            |evaluation: Evaluation| Evaluation { nll_sum: evaluation.nll_sum + more, ..evaluation };
        Baselines { unigram: self.unigram.map(with_more), bigram: self.bigram.map(with_more) }
    }
}
