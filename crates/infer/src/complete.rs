//! Words that may come next, or that may become of the beginning of one.
//!
//! ```text
//!               "the lit"                                "the lit", partial
//! words         after `the`, `lit`: any word             after `the`: a word that begins with `lit`
//! characters    after `the lit `: up to a white space    after `the lit`: up to a white space
//! ```
//!
//! A model of words has the probability of each word at hand. One of characters or bytes gives a word that of its
//! characters and of the white space that ends it; which words to look at is found by a beam search, so that the
//! list is as good as its beam is wide, while each probability in it is exact but for rare kinds of white space.
//!
//! Promises: probabilities are the model's own, of all that could come, and not only of what is listed.
//! Not here: reading texts, printing.

use std::collections::HashMap;

use rondo_data::TextCodec;

use crate::{BeamSearch, Hypothesis, InferError, ModelHandle, Predictor, Result};

/// Characters or bytes after which a word is given up.
const LONGEST_WORD: usize = 40;

/// Hypotheses for each word that is wanted, and the fewest there are: a likely word may begin with unlikely
/// characters, and must not be lost before its end.
const BEAMS_PER_WORD: usize = 4;
const FEWEST_BEAMS: usize = 40;

/// What is asked of a [`Completer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completing {
    /// How many words are wanted.
    pub top: usize,
    /// Whether the text ends within a word, which is to be completed, and not after one.
    pub partial: bool,
    /// Tokens that are never proposed.
    pub forbidden: Vec<u32>,
}

/// A word that may come.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The word, with the part of it that stood in the text.
    pub word: String,
    /// The natural logarithm of its probability.
    pub log_prob: f64,
}

/// Completes texts with a model of words, characters or bytes.
#[derive(Debug)]
pub struct Completer {
    handle: ModelHandle,
    codec: TextCodec,
    /// Tokens of white space.
    spaces: Vec<u32>,
}

impl Default for Completing {
    /// The ten likeliest words to come, whatever they are.
    fn default() -> Self {
        Completing { top: 10, partial: false, forbidden: Vec::new() }
    }
}

impl Completer {
    /// A completer with this model of texts and its codec.
    pub fn new(model: &ModelHandle, codec: &TextCodec) -> Self {
        let is_space = |token: &str| {
            let text = codec.join([token]);
            !text.is_empty() && text.chars().all(char::is_whitespace)
        };
        let spaces = codec.vocab().tokens().zip(0..).filter(|(token, _)| is_space(token)).map(|(_, id)| id);
        Completer { handle: model.clone(), codec: codec.clone(), spaces: spaces.collect() }
    }

    /// The likeliest words after `text`, the likeliest first; fewer than wanted if there or found are no more. The text
    /// begins a line.
    ///
    /// # Errors
    /// [`InferError::ZeroSize`] if no word is wanted; [`InferError::EmptyPrefix`] if the text is empty and the model
    /// knows no line end that it could follow; [`InferError::Data`] if the text is none of the model's, and as
    /// [`BeamSearch::run`].
    pub fn complete(&self, text: &str, completing: &Completing) -> Result<Vec<Completion>> {
        if completing.top == 0 {
            return Err(InferError::ZeroSize { name: "top" });
        }
        if self.codec.is_of_words() {
            self.complete_by_words(text, completing)
        } else {
            self.complete_by_characters(text, completing)
        }
    }

    fn complete_by_words(&self, text: &str, completing: &Completing) -> Result<Vec<Completion>> {
        let (before, begun) = if completing.partial { split_last_word(text) } else { (text, "") };
        let prefix = self.codec.prompt(before)?;
        let vocab = self.codec.vocab();
        let allowed = |id| {
            let fits = begun.is_empty() || vocab.token(id).is_some_and(|token| token.starts_with(begun));
            fits && !completing.forbidden.contains(&id)
        };
        let mut predictor = Predictor::new(&self.handle);
        let candidates = predictor.candidates(&prefix, completing.top, allowed)?;
        let completion = |candidate: &crate::Candidate| {
            let word = vocab.token(candidate.id).unwrap_or_default().to_owned();
            Completion { word, log_prob: candidate.log_prob }
        };
        Ok(candidates.iter().map(completion).collect())
    }

    fn complete_by_characters(&self, text: &str, completing: &Completing) -> Result<Vec<Completion>> {
        let begun = if completing.partial { split_last_word(text).1 } else { "" };
        let mut prefix = self.codec.prompt(text)?;
        if !completing.partial && text.chars().last().is_some_and(|last| !last.is_whitespace()) {
            prefix.extend(self.codec.encode_prefix(" ")?);
        }
        let search = BeamSearch {
            beams: completing.top.saturating_mul(BEAMS_PER_WORD).max(FEWEST_BEAMS),
            max_tokens: LONGEST_WORD,
            length_penalty: 0.0,
            ends: self.spaces.clone(),
            forbidden: completing.forbidden.clone(),
        };
        let found = search.run(&self.handle, &prefix)?;
        // A word is one, whether a space or a line end comes after it.
        let mut words: HashMap<String, f64> = HashMap::new();
        for Hypothesis { ids, log_prob_sum, ended, .. } in &found {
            let Some((_, ids)) = ids.split_last().filter(|_| *ended) else { continue };
            let word = begun.to_owned() + &self.codec.decode(ids)?;
            if !word.is_empty() {
                *words.entry(word).or_default() += log_prob_sum.exp();
            }
        }
        let completion = |(word, probability): (String, f64)| Completion { word, log_prob: probability.ln() };
        let mut completions: Vec<Completion> = words.into_iter().map(completion).collect();
        completions.sort_by(|a, b| b.log_prob.total_cmp(&a.log_prob).then_with(|| a.word.cmp(&b.word)));
        completions.truncate(completing.top);
        Ok(completions)
    }
}

/// A text up to its last white space, and the word that is begun after it.
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
