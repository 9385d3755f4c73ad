//! One split of a corpus as ids of an existing vocabulary, even if that lacks some of its characters.
//!
//! Not here: the texts for training ([`Corpus::read`]).

use std::ops::ControlFlow;

use super::destination::Place;
use super::read::{divided, parts, thread_count};
use super::reading::{ReadState, Reader, Sizes};
use super::{Corpus, CorpusOptions, CorpusTexts, Split, divide};
use crate::{Result, TextCodec, TokenIds};

/// What stands for an out-of-vocabulary token until the text is divided. No vocabulary is so large.
const MISSING: u32 = u32::MAX;

/// One split of a corpus as ids of an existing vocabulary; see [`Corpus::read_part`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusPart {
    /// One id per token.
    pub ids: TokenIds,
    /// The number of out-of-vocabulary tokens. If the vocabulary has no unknown token, they are left out.
    pub out_of_vocab_tokens: u64,
}

impl Corpus {
    /// Reads the texts with a codec and returns one split, or `None` if the corpus does not have it. Tokenizer,
    /// vocabulary and whether reading is lossy are the codec's; the other options are used.
    ///
    /// If the vocabulary has no unknown token, out-of-vocabulary tokens are left out after the text is divided. If
    /// `strict`, they are an error.
    ///
    /// # Errors
    /// As [`Corpus::read`]; out-of-vocabulary tokens only if `strict`.
    pub fn read_part(
        texts: &CorpusTexts,
        codec: &TextCodec,
        options: &CorpusOptions,
        split: Split,
        strict: bool,
    ) -> Result<Option<CorpusPart>> {
        divide::check_fractions(options.valid_fraction, options.test_fraction)?;
        let (tokenizer, lossy) = (codec.tokenizer().clone(), codec.is_lossy());
        let options = &CorpusOptions { tokenizer, lossy, ..options.clone() };
        let unknown = codec.unknown_id();
        let refused = strict && unknown.is_none();
        let (sources, mut state) = (texts.sources(), ReadState::default());
        let mut place = Place::Memory(vec![]);
        let mut reader = Reader {
            sources: &sources,
            options,
            threads: thread_count(0),
            sizes: Sizes::default(),
            observer: &mut |_| ControlFlow::Continue(()),
            looks: vec![],
        };
        reader.encode(codec, (!refused).then_some(MISSING), &mut state, place.destination())?;
        let ids = place.taken()?;
        let parts = parts(&ids, &state.done, texts, options, |token| codec.vocab().id(token))?;
        let (ids, [train_end, valid_end]) = divided(&mut place, ids, &parts)?;
        let mut ids = ids.into_vec()?;
        let range = match split {
            Split::Train => 0..train_end,
            Split::Valid => train_end..valid_end,
            Split::Test => valid_end..ids.len(),
        };
        if range.is_empty() {
            return Ok(None);
        }
        ids.truncate(range.end);
        ids.drain(..range.start);
        let out_of_vocab_tokens = ids.iter().filter(|&&id| id == MISSING).count() as u64;
        match unknown {
            Some(unknown) => ids.iter_mut().filter(|id| **id == MISSING).for_each(|id| *id = unknown),
            None => ids.retain(|&id| id != MISSING),
        }
        Ok(Some(CorpusPart { ids: ids.into(), out_of_vocab_tokens }))
    }
}
