//! How many keystrokes suggestions save to someone who types a text on a keyboard.
//!
//! ```text
//! text         t h e ␣ c o m p a n y ␣      12 characters
//! suggestions  1       c o 1                 the is among the first: 1 key; company after two letters: 3 keys
//! saved        (12 − 4) / 12 = 67 %          choosing a suggestion is one key, and types the word with its space
//! ```
//!
//! The typist chooses a word as soon as it is among the suggestions, which are the most likely words that begin with what
//! has been typed of it. The space or line end after a word counts as one of its characters. The measure is an upper bound
//! of what a person saves, who does not look at all suggestions.
//!
//! Not here: words that the vocabulary does not contain. Their spelling is not known from ids, so they are left out and
//! counted.
//! *Source*: keystroke savings as in Trnka & McCoy 2008 (*Evaluating word prediction: framing keystroke savings*).

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use rondo_data::TokenIds;

use crate::{InferError, LanguageModel, Predictor, Result};

/// Tokens that are read between two reports of progress.
const BLOCK: usize = 1024;

/// How someone types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typing {
    /// How many words are suggested at a time.
    pub suggestions: usize,
    /// Words that are never suggested.
    pub excluded: HashSet<String>,
}

/// The keys that someone presses for a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keystrokes {
    /// The words that are typed, punctuation included.
    pub words: u64,
    /// Their characters, with one for the space or line end after each word.
    pub characters: u64,
    /// The keys pressed.
    pub keys: u64,
}

/// The keys that someone presses for a text with different suggestions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypedText {
    /// With the model's suggestions.
    pub model: Keystrokes,
    /// With the most frequent words of the training text that begin with what is typed; `None` if the model knows no
    /// frequencies.
    pub by_frequency: Option<Keystrokes>,
    /// The unknown tokens, which are left out.
    pub unknown_tokens: u64,
}

impl Keystrokes {
    /// `(characters − keys) / characters`; NaN without characters.
    #[must_use]
    pub fn saved(&self) -> f64 {
        1.0 - self.keys as f64 / self.characters as f64
    }

    fn add(&mut self, characters: usize, keys: usize) {
        self.words += 1;
        self.characters += characters as u64;
        self.keys += keys as u64;
    }
}

impl Default for Typing {
    /// Three suggestions, as on a phone.
    fn default() -> Self {
        Typing { suggestions: 3, excluded: HashSet::new() }
    }
}

/// The words that can be suggested.
struct Words<'a> {
    tokens: Vec<&'a str>,
    wanted: Vec<bool>,
    suggestions: usize,
}

impl Words<'_> {
    /// The keys to press for a word: what is typed of it until it is among the suggestions, and one to choose it, or the
    /// space. Of two words with the same score, the one with the smaller id comes first.
    fn keys<T: PartialOrd + Copy>(&self, word: u32, scores: &[T]) -> usize {
        let (text, score) = (self.tokens[word as usize], scores[word as usize]);
        let length = text.chars().count();
        if !self.wanted[word as usize] {
            return length + 1;
        }
        // The number of words before it that have this number of first characters in common with it.
        let mut before = vec![0; length + 1];
        for (id, &other) in scores.iter().enumerate() {
            let is_before = other > score || (other == score && id < word as usize);
            if is_before && self.wanted[id] {
                let common = text.chars().zip(self.tokens[id].chars()).take_while(|(a, b)| a == b).count();
                before[common] += 1;
            }
        }
        let mut above: usize = before.iter().sum();
        for (typed, count) in before.iter().enumerate() {
            if above < self.suggestions {
                return typed + 1;
            }
            above -= count;
        }
        length + 1
    }
}

impl LanguageModel {
    /// The keys that someone presses for a text, with the suggestions of this model, which is one of words. `progress` is
    /// called with the number of tokens read so far.
    ///
    /// # Errors
    /// [`InferError::NeedsWords`] for a model of other tokens; [`InferError::ZeroSize`] without suggestions;
    /// [`InferError::IdOutOfRange`] if an id is outside the vocabulary; [`InferError::NonFiniteLogits`] if the model predicts
    /// no distribution; [`InferError::Stopped`] if `progress` breaks before the end.
    pub fn keystrokes(
        &self,
        ids: &TokenIds,
        typing: &Typing,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<TypedText> {
        let codec = self.codec();
        if !codec.is_of_words() {
            let tokens = codec.tokenizer().to_string();
            return Err(InferError::NeedsWords { what: "keystrokes", tokens });
        }
        if typing.suggestions == 0 {
            return Err(InferError::ZeroSize { name: "suggestions" });
        }
        let (unknown, line_end) = (codec.unknown_id(), codec.line_end());
        let tokens: Vec<&str> = codec.vocab().tokens().collect();
        let is_word = |(token, id): (&&str, u32)| {
            let is_special = unknown == Some(id) || line_end == Some(id);
            !is_special && token.contains(char::is_alphanumeric) && !typing.excluded.contains(*token)
        };
        let wanted = tokens.iter().zip(0..).map(is_word).collect();
        let words = Words { tokens, wanted, suggestions: typing.suggestions };
        let counts = codec.vocab().counts();
        let mut by_frequency = counts.map(|_| Keystrokes::default());
        let mut keys_by_frequency: HashMap<u32, usize> = HashMap::new();
        let (mut model, mut unknown_tokens) = (Keystrokes::default(), 0);

        let mut type_word = |target: u32, logits: &[f32]| {
            if unknown == Some(target) {
                unknown_tokens += 1;
            } else if line_end != Some(target) {
                let characters = words.tokens[target as usize].chars().count() + 1;
                model.add(characters, words.keys(target, logits));
                if let (Some(typed), Some(counts)) = (&mut by_frequency, counts) {
                    let keys = keys_by_frequency.entry(target).or_insert_with(|| words.keys(target, counts));
                    typed.add(characters, *keys);
                }
            }
        };
        let mut predictor = Predictor::new(self.handle());
        let (mut last, mut done_tokens, total_tokens) = (line_end, 0, ids.len() as u64);
        for start in (0..ids.len()).step_by(BLOCK) {
            let targets = &*ids.read(start..ids.len().min(start + BLOCK))?;
            // The first token follows a line end; without one, it is left out.
            let read: Vec<u32> = last.iter().chain(&targets[..targets.len() - 1]).copied().collect();
            let skipped = targets.len() - read.len();
            predictor.read(&read, |place, distribution| {
                if let Some(&target) = targets.get(place + skipped) {
                    type_word(target, distribution.logits());
                }
            })?;
            last = targets.last().copied();
            done_tokens += targets.len() as u64;
            if progress(done_tokens).is_break() && done_tokens < total_tokens {
                return Err(InferError::Stopped { done_tokens, total_tokens });
            }
        }
        Ok(TypedText { model, by_frequency, unknown_tokens })
    }
}
