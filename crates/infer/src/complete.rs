//! Word completion: the words that may come next, or that complete a partial word.
//!
//! ```text
//!               "the lit"                            "the lit", partial
//! words         after `the`, `lit`: any word         after `the`: a word that begins with `lit`
//! characters    after `the lit`: up to whitespace    the same
//! subwords      after `the`: a word that begins with `lit`, in both cases
//! ```
//!
//! Characters continue the text where it ends: `the lit` with `tle`, `the lit ` with a new word.
//!
//! A word-level model predicts the probability of each word directly. For a character- or byte-level model,
//! the probability of a word is that of its characters and the whitespace that ends it. A beam search finds
//! the candidate words, so the quality of the list depends on the beam size, while each listed probability is
//! exact except for rare kinds of whitespace.
//!
//! Promises: probabilities are the model's own, relative to all possible words and not only to the listed
//! ones.
//! Not here: reading texts, printing.

use std::collections::HashMap;

use rondo_data::TextCodec;

use crate::{BeamSearch, Candidate, Distribution, Hypothesis, InferError, ModelHandle, Predictor, Result};

mod preferences;
mod subwords;
mod suggester;

use preferences::{Choice, begins_sentence, capitalized};
pub use preferences::{Preferences, UserWords};
use subwords::Subwords;
pub use suggester::Suggester;

/// The search gives up on a word after this many characters or bytes.
const LONGEST_WORD: usize = 40;

/// Beam size per requested word, and the minimum: a likely word may begin with unlikely characters and must
/// not be dropped before its end.
const BEAMS_PER_WORD: usize = 4;
const FEWEST_BEAMS: usize = 40;

/// The options of [`Completer::complete`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completing {
    /// How many words to return.
    pub top: usize,
    /// Whether the text ends in a partial word that is to be completed. With a model of characters, bytes or subwords, it does
    /// unless whitespace follows.
    pub partial: bool,
    /// Tokens that are never proposed.
    pub forbidden: Vec<u32>,
}

/// A proposed word.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The word, including the part of it that was in the text.
    pub word: String,
    /// Its log-probability (natural logarithm).
    pub log_prob: f64,
}

/// Completes texts with a word-, character- or byte-level model.
#[derive(Debug)]
pub struct Completer {
    handle: ModelHandle,
    codec: TextCodec,
    /// The whitespace tokens.
    spaces: Vec<u32>,
    /// For a model of subwords.
    subwords: Option<Subwords>,
    choice: Choice,
}

/// A text to complete, as a word model reads it.
struct Written {
    before: String,
    /// The partial word.
    begun: String,
    /// Whether words get a capital letter.
    is_capital: bool,
}

impl Default for Completing {
    /// The ten most likely next words, with no restrictions.
    fn default() -> Self {
        Completing { top: 10, partial: false, forbidden: Vec::new() }
    }
}

impl Completer {
    /// A completer for this model and codec.
    pub fn new(model: &ModelHandle, codec: &TextCodec) -> Self {
        let choice = Choice::new(codec, Preferences::default());
        let is_space = |token: &str| {
            let text = codec.join([token]);
            !text.is_empty() && text.chars().all(char::is_whitespace)
        };
        let spaces = codec.vocab().tokens().zip(0..).filter(|(token, _)| is_space(token)).map(|(_, id)| id);
        let subwords = codec.is_of_subwords().then(|| Subwords::new(codec));
        Completer { handle: model.clone(), codec: codec.clone(), spaces: spaces.collect(), subwords, choice }
    }

    /// The same for a user with these preferences.
    ///
    /// # Errors
    /// [`InferError::UserWeight`] if λ is not within `[0, 1)`; [`InferError::NeedsWords`] if there are words of the
    /// user's own, but the model's tokens are no words.
    pub fn with_preferences(self, preferences: Preferences) -> Result<Self> {
        preferences.check(&self.codec)?;
        Ok(Completer { choice: Choice::new(&self.codec, preferences), ..self })
    }

    /// The most likely words after `text`, most likely first; fewer than requested if there are no more or
    /// the search finds no more. The text is read as the beginning of a line.
    ///
    /// # Errors
    /// [`InferError::ZeroSize`] if no words are requested; [`InferError::EmptyPrefix`] if the text is empty
    /// and the model has no line-end token to start from; [`InferError::Data`] if the text cannot be encoded;
    /// and as [`BeamSearch::run`].
    pub fn complete(&self, text: &str, completing: &Completing) -> Result<Vec<Completion>> {
        if completing.top == 0 {
            return Err(InferError::ZeroSize { name: "top" });
        }
        if self.codec.is_of_words() {
            return self.complete_by_words(text, completing);
        }
        let text = &*self.codec.normalized(text);
        if let Some(subwords) = &self.subwords {
            let wants = |word: &str| self.choice.wants(word);
            subwords.complete(&self.handle, &self.codec, text, completing, &wants)
        } else {
            let (_, begun) = split_last_word(text);
            self.complete_by_characters(&self.codec.prompt(text)?, begun, completing)
        }
    }

    /// [`complete`](Self::complete) for bytes: any bytes with a byte model, UTF-8 with the others. In the completed word,
    /// bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub fn complete_bytes(&self, text: &[u8], completing: &Completing) -> Result<Vec<Completion>> {
        if let Ok(text) = str::from_utf8(text) {
            return self.complete(text, completing);
        }
        if completing.top == 0 {
            return Err(InferError::ZeroSize { name: "top" });
        }
        let ids = self.codec.encode_prefix_bytes(text)?;
        let prefix: Vec<u32> = self.codec.line_end().into_iter().chain(ids).collect();
        let text = String::from_utf8_lossy(text);
        let (_, begun) = split_last_word(&text);
        self.complete_by_characters(&prefix, begun, completing)
    }

    fn complete_by_words(&self, text: &str, completing: &Completing) -> Result<Vec<Completion>> {
        let written = self.written(text, completing.partial);
        let prefix = self.codec.prompt(&written.before)?;
        let mut completions = vec![];
        Predictor::new(&self.handle).read_prefix(&prefix, |distribution| {
            completions = self.choose(&distribution, &written, completing);
        })?;
        Ok(completions)
    }

    /// Divides a text for a word model.
    fn written(&self, text: &str, is_partial: bool) -> Written {
        let (before, begun) = if is_partial { split_last_word(text) } else { (text, "") };
        let [before_normal, begun_normal] =
            [before, begun].map(|text| self.codec.normalized(text).into_owned());
        if !self.choice.capitalizes {
            return Written { before: before_normal, begun: begun_normal, is_capital: false };
        }
        let is_capital = match begun.chars().next() {
            Some(first) => first.is_uppercase(),
            None => begins_sentence(before),
        };
        let before = self.choice.lowercased(&self.codec, &before_normal);
        Written { before, begun: begun_normal.to_lowercase(), is_capital }
    }

    /// The words of a word model's distribution.
    fn choose(
        &self,
        distribution: &Distribution<'_>,
        written: &Written,
        completing: &Completing,
    ) -> Vec<Completion> {
        let begun = &*written.begun;
        let allowed = |id| self.is_allowed(id, begun, completing);
        let candidates = distribution.most_likely(completing.top, allowed);
        let completion = |candidate: &Candidate| {
            let word = self.codec.vocab().token(candidate.id).unwrap_or_default().to_owned();
            Completion { word, log_prob: candidate.log_prob }
        };
        let mut found = self.choice.mix(begun, completing.top, &candidates, distribution, completion);
        if written.is_capital {
            found.iter_mut().for_each(|completion| completion.word = capitalized(&completion.word));
        }
        found
    }

    /// Whether a word may be proposed for a partial one.
    fn is_allowed(&self, id: u32, begun: &str, completing: &Completing) -> bool {
        let fits =
            begun.is_empty() || self.codec.vocab().token(id).is_some_and(|token| token.starts_with(begun));
        fits && self.choice.wants_id(id) && !completing.forbidden.contains(&id)
    }

    /// Completes a partial word by characters or bytes; `prefix` is all of the text.
    fn complete_by_characters(
        &self,
        prefix: &[u32],
        begun: &str,
        completing: &Completing,
    ) -> Result<Vec<Completion>> {
        let search = BeamSearch {
            beams: completing.top.saturating_mul(BEAMS_PER_WORD).max(FEWEST_BEAMS),
            max_tokens: LONGEST_WORD,
            length_penalty: 0.0,
            ends: self.spaces.clone(),
            forbidden: completing.forbidden.clone(),
        };
        let found = search.run(&self.handle, prefix)?;
        // The same word may end in a space or in a line end: their probabilities are added.
        let mut words: HashMap<String, f64> = HashMap::new();
        for Hypothesis { ids, log_prob_sum, ended, .. } in &found {
            let Some((_, ids)) = ids.split_last().filter(|_| *ended) else { continue };
            let word = begun.to_owned() + &self.codec.decode(ids)?;
            if !word.is_empty() && self.choice.wants(&word) {
                *words.entry(word).or_default() += log_prob_sum.exp();
            }
        }
        let completion = |(word, probability): (String, f64)| Completion { word, log_prob: probability.ln() };
        Ok(sorted(words.into_iter().map(completion).collect(), completing.top))
    }
}

/// The most likely words first, as many as requested.
fn sorted(mut completions: Vec<Completion>, top: usize) -> Vec<Completion> {
    completions.sort_by(|a, b| b.log_prob.total_cmp(&a.log_prob).then_with(|| a.word.cmp(&b.word)));
    completions.truncate(top);
    completions
}

/// Splits a text after its last whitespace, into the text before and the partial word.
fn split_last_word(text: &str) -> (&str, &str) {
    let after = |(at, space): (usize, char)| at + space.len_utf8();
    let begin = text.char_indices().rfind(|(_, char)| char.is_whitespace()).map_or(0, after);
    text.split_at(begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_what_no_white_space_follows() {
        assert_eq!(split_last_word("the lit"), ("the ", "lit"));
        assert_eq!(split_last_word("the "), ("the ", ""));
        assert_eq!(split_last_word("lit"), ("", "lit"));
        assert_eq!(split_last_word("a\u{2003}é"), ("a\u{2003}", "é"));
        assert_eq!(split_last_word(""), ("", ""));
    }
}
