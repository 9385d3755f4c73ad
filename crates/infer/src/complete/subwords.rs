//! Words of a model of subwords: a search over the tokens that a word can consist of.
//!
//! ```text
//! "the unhap"     after `the`: tokens whose text begins with, or is the beginning of, ` unhap`
//!                 Ġun hap py │ B      a word ends where one of the tokens B that begin with a space, or a line end, follows
//! ```
//!
//! The probability of a word is that of its tokens and of B after them, divided by that of all tokens that begin with a
//! space: the space after the text before is known (Oh and Schuler 2024, Pimentel and Meister 2024). A word can consist of
//! other tokens than those that the tokenizer makes of it; these count as well, if the search finds them.

use std::collections::HashMap;

use rondo_data::TextCodec;

use super::{BEAMS_PER_WORD, Completing, Completion, FEWEST_BEAMS, sorted, split_last_word};
use crate::decoder::DecoderState;
use crate::{Decoder, InferError, ModelHandle, Result};

/// The search gives up on a word after this many tokens.
const LONGEST_WORD: usize = 16;

/// What the search needs to know about the tokens.
#[derive(Debug)]
pub(super) struct Subwords {
    /// The text of each token after a word.
    texts: Vec<Vec<u8>>,
    /// Whether it begins with whitespace, or ends the line.
    ends_word: Vec<bool>,
    /// Whether the first token of a line has a space before it, which is not text.
    starts_spaced: bool,
}

/// The beginning of a word.
struct Beam {
    state: DecoderState,
    /// The log-probabilities of the next token: a row of the last call.
    row: usize,
    word: Vec<u8>,
    log_prob: f64,
}

impl Subwords {
    pub(super) fn new(codec: &TextCodec) -> Subwords {
        let texts = codec.texts_after_word();
        let mut ends_word = vec![false; texts.len()];
        codec.separators().iter().for_each(|&id| ends_word[id as usize] = true);
        let first = codec.encode_prefix("a").ok().and_then(|ids| ids.first().copied());
        let starts_spaced = first.is_some_and(|id| ends_word[id as usize]);
        Subwords { texts, ends_word, starts_spaced }
    }

    /// The most likely words after `text`.
    pub(super) fn complete(
        &self,
        handle: &ModelHandle,
        codec: &TextCodec,
        text: &str,
        completing: &Completing,
        wants: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<Completion>> {
        let (before, begun) = split_last_word(text);
        // The last space belongs to the word.
        let space = before.chars().next_back();
        let context = &before[..before.len() - space.map_or(0, char::len_utf8)];
        let mut decoder = Decoder::new(handle);
        let mut read = None;
        let mut states = vec![decoder.begin()];
        for id in codec.prompt(context)? {
            let (next, rows) = decoder.advance(&states, &[id])?;
            (states, read) = (next, Some(rows));
        }
        let (Some(state), Some(mut rows)) = (states.pop(), read) else { return Err(InferError::EmptyPrefix) };

        let first = space.map(String::from).or_else(|| self.starts_spaced.then(|| " ".to_owned()));
        let begins = |id: u32| match &first {
            Some(space) => self.texts[id as usize].starts_with(space.as_bytes()),
            None => !self.ends_word[id as usize],
        };
        let known: f64 = match space {
            Some(_) => {
                let spaced = (0..).zip(rows.row(0)).filter(|&(id, _)| begins(id));
                spaced.map(|(_, &log_prob)| f64::from(log_prob).exp()).sum()
            }
            None => 1.0,
        };
        let count = completing.top.saturating_mul(BEAMS_PER_WORD).max(FEWEST_BEAMS);
        let mut words: HashMap<String, f64> = HashMap::new();
        let mut beams = vec![Beam { state, row: 0, word: vec![], log_prob: -known.ln() }];
        for length in 0..LONGEST_WORD {
            // The probability of a word is at most that of its beginning.
            let least = kth_largest(words.values().copied(), completing.top).ln();
            let mut next: Vec<(f64, usize, u32)> = Vec::new();
            for (index, beam) in beams.iter().enumerate() {
                for (id, &log_prob) in (0..).zip(rows.row(beam.row)) {
                    let log_prob = beam.log_prob + f64::from(log_prob);
                    let continues = if length == 0 { begins(id) } else { !self.ends_word[id as usize] };
                    if log_prob > least
                        && continues
                        && self.fits(&beam.word, id, begun.as_bytes())
                        && !completing.forbidden.contains(&id)
                    {
                        next.push((log_prob, index, id));
                    }
                }
            }
            next.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
            next.truncate(count);
            if next.is_empty() {
                break;
            }
            let states: Vec<DecoderState> =
                next.iter().map(|&(_, index, _)| beams[index].state.clone()).collect();
            let ids: Vec<u32> = next.iter().map(|&(_, _, id)| id).collect();
            let (states, new_rows) = decoder.advance(&states, &ids)?;
            let extended =
                next.iter().zip(states).enumerate().map(|(row, (&(log_prob, index, id), state))| Beam {
                    state,
                    row,
                    word: self.extended(&beams[index].word, id),
                    log_prob,
                });
            beams = extended.collect();
            rows = new_rows;
            for beam in beams.iter().filter(|beam| beam.word.starts_with(begun.as_bytes())) {
                let log_prob = beam.log_prob + self.log_prob_of_end(rows.row(beam.row));
                // Tokens of bytes can be put together to what is no word.
                if let Some(word) =
                    str::from_utf8(&beam.word).ok().filter(|word| is_word(word) && wants(word))
                {
                    *words.entry(word.to_owned()).or_default() += log_prob.exp();
                }
            }
        }
        let completion = |(word, probability): (String, f64)| Completion { word, log_prob: probability.ln() };
        Ok(sorted(words.into_iter().map(completion).collect(), completing.top))
    }

    /// The log-probability that a word ends.
    fn log_prob_of_end(&self, log_probs: &[f32]) -> f64 {
        let ends = log_probs.iter().zip(&self.ends_word).filter(|&(_, &ends)| ends);
        ends.map(|(&log_prob, _)| f64::from(log_prob).exp()).sum::<f64>().ln()
    }

    /// The word with the text of one more token, without the space before it.
    fn extended(&self, word: &[u8], id: u32) -> Vec<u8> {
        let text = &self.texts[id as usize];
        let text = if word.is_empty() { text.trim_ascii_start() } else { text };
        [word, text].concat()
    }

    /// Whether the word with this token is the beginning of the partial word, or begins with it.
    fn fits(&self, word: &[u8], id: u32, begun: &[u8]) -> bool {
        let text = &self.texts[id as usize];
        if text.is_empty() || text.last() == Some(&b'\n') {
            return false;
        }
        let word = self.extended(word, id);
        word.starts_with(begun) || begun.starts_with(&word)
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}

/// The `k`-th largest of some numbers; 0 if there are fewer.
fn kth_largest(numbers: impl Iterator<Item = f64>, k: usize) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(|a, b| b.total_cmp(a));
    numbers.get(k.wrapping_sub(1)).copied().unwrap_or(0.0)
}
