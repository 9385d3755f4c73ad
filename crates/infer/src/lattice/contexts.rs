//! The histories of a lattice's paths as a tree, and a language model's predictions after each of them.
//!
//! ```text
//! <eos> ─ the ─┬─ cat ─ sat      a context is what a path has read; paths with the same words share one, at any
//!              └─ cap            times; all contexts that a step needs are advanced in one batch
//! ```

use std::collections::HashMap;

use rondo_data::{DataError, TextCodec};

use super::Lattice;
use crate::decoder::Wanted;
use crate::language_model::encode_line;
use crate::ngram::NgramContext;
use crate::{Decoder, DecoderState, InferError, Interpolation, Result};

/// The log-probability of a word that the model cannot represent, in the search: worse than any other, but finite.
pub(super) const IMPOSSIBLE: f64 = -1e6;

/// The tokens of the words of a lattice.
#[derive(Debug)]
pub(super) struct Pieces {
    /// For each word, its tokens at the start of a line and after another word; `None` if the model has none for it.
    words: Vec<[Option<Vec<u32>>; 2]>,
    end: Option<u32>,
    /// The place of each token among those that are asked for.
    columns: HashMap<u32, usize>,
}

impl Pieces {
    /// # Errors
    /// [`InferError::Data`] if a word cannot be encoded for another reason than unknown tokens.
    pub(super) fn new(codec: &TextCodec, lattice: &Lattice) -> Result<Pieces> {
        let end = codec.line_end();
        let tokens = |text: &str| match encode_line(codec, "the lattice", text, 1) {
            Ok(mut line) => {
                if line.ids.last().copied() == end {
                    line.ids.pop();
                }
                Ok(Some(line.ids))
            }
            Err(DataError::UnknownToken { .. }) => Ok(None),
            Err(error) => Err(InferError::Data(error)),
        };
        let pieces = |word: &String| {
            let first = tokens(word)?;
            // The tokens of a word after another one, which can differ, such as by a space: those that it adds.
            let twice = tokens(&format!("{word} {word}"))?;
            let next = match (&first, twice) {
                (Some(first), Some(twice)) if twice.starts_with(first) => Some(twice[first.len()..].to_vec()),
                _ => first.clone(),
            };
            Ok([first, next])
        };
        let words: Vec<[Option<Vec<u32>>; 2]> = lattice.words().iter().map(pieces).collect::<Result<_>>()?;
        let mut all: Vec<u32> = words.iter().flatten().flatten().flatten().copied().chain(end).collect();
        all.sort_unstable();
        all.dedup();
        let columns = all.into_iter().zip(0..).collect();
        Ok(Pieces { words, end, columns })
    }

    /// The tokens of a word; `None` if the model has none for it.
    pub(super) fn of(&self, word: usize, is_first: bool) -> Option<&[u32]> {
        self.words[word][usize::from(!is_first)].as_deref()
    }

    /// The token that ends a sentence, if there is one.
    pub(super) fn end(&self) -> Option<u32> {
        self.end
    }

    fn tokens(&self) -> Vec<u32> {
        let mut tokens: Vec<(usize, u32)> =
            self.columns.iter().map(|(&token, &place)| (place, token)).collect();
        tokens.sort_unstable();
        tokens.into_iter().map(|(_, token)| token).collect()
    }
}

/// What a path has read.
#[derive(Debug)]
struct Context {
    /// The state before the last token, and then after it.
    state: DecoderState,
    token: Option<u32>,
    /// Of the wanted tokens, once they are known.
    log_probs: Option<Box<[f32]>>,
    ngram: NgramContext,
}

/// The contexts of a lattice.
pub(super) struct Contexts<'a> {
    decoder: &'a mut Decoder,
    ngram: Option<&'a Interpolation>,
    pieces: &'a Pieces,
    wanted: Wanted,
    batch_size: usize,
    all: Vec<Context>,
    children: HashMap<(usize, u32), usize>,
}

/// The context at the start of a sentence.
pub(super) const ROOT: usize = 0;

impl<'a> Contexts<'a> {
    /// The tree with its root alone.
    ///
    /// # Errors
    /// As [`Decoder::advance`].
    pub(super) fn new(
        decoder: &'a mut Decoder,
        ngram: Option<&'a Interpolation>,
        pieces: &'a Pieces,
        batch_size: usize,
    ) -> Result<Contexts<'a>> {
        let wanted = decoder.wanted(pieces.tokens())?;
        let mut context = ngram.map(Interpolation::context).unwrap_or_default();
        if let (Some(ngram), Some(end)) = (ngram, pieces.end) {
            ngram.read(&mut context, end);
        }
        let mut root = Context { state: decoder.begin(), token: pieces.end, log_probs: None, ngram: context };
        // Without a token before a sentence, its first token is not predicted.
        if pieces.end.is_none() {
            root.log_probs = Some(vec![0.0; pieces.columns.len()].into());
        }
        Ok(Contexts { decoder, ngram, pieces, wanted, batch_size, all: vec![root], children: HashMap::new() })
    }

    /// The number of contexts.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Makes sure that the predictions after these contexts are known: those that are not are computed together.
    ///
    /// # Errors
    /// [`InferError::NonFiniteLogits`].
    pub(super) fn predict(&mut self, contexts: impl Iterator<Item = usize>) -> Result<()> {
        let mut unknown: Vec<usize> = contexts.filter(|&place| self.all[place].log_probs.is_none()).collect();
        unknown.sort_unstable();
        unknown.dedup();
        for batch in unknown.chunks(self.batch_size) {
            let states: Vec<DecoderState> =
                batch.iter().map(|&place| self.all[place].state.clone()).collect();
            let tokens: Vec<u32> = batch.iter().filter_map(|&place| self.all[place].token).collect();
            let (states, values) = self.decoder.advance_to(&states, &tokens, &self.wanted)?;
            let width = self.pieces.columns.len();
            for (row, (&place, state)) in batch.iter().zip(states).enumerate() {
                let log_probs = &values[row * width..(row + 1) * width];
                if log_probs.iter().any(|log_prob| log_prob.is_nan()) {
                    return Err(InferError::NonFiniteLogits);
                }
                let context = &mut self.all[place];
                context.state = state;
                context.log_probs = Some(log_probs.into());
            }
        }
        Ok(())
    }

    /// The context after one more token, and the token's log-probability.
    ///
    /// # Panics
    /// If the predictions after the context are not known.
    pub(super) fn step(&mut self, place: usize, token: u32) -> (usize, f64) {
        let context = &self.all[place];
        let log_probs = context.log_probs.as_deref().expect("predictions are computed before steps");
        let mut log_prob = [log_probs[self.pieces.columns[&token]]];
        let is_scored = place != ROOT || self.pieces.end.is_some();
        let mut ngram = NgramContext::default();
        if let Some(interpolation) = self.ngram {
            ngram = context.ngram.clone();
            if is_scored {
                interpolation.mix(&mut ngram, &[token], &mut log_prob);
            } else {
                interpolation.read(&mut ngram, token);
            }
        }
        let (state, count) = (context.state.clone(), self.all.len());
        let child = *self.children.entry((place, token)).or_insert(count);
        if child == count {
            self.all.push(Context { state, token: Some(token), log_probs: None, ngram });
        }
        (child, f64::from(log_prob[0]))
    }
}
