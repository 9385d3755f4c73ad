//! What a user wants to have suggested: words that never are, capital letters, and words of the user's own.
//!
//! ```text
//! p(word) = (1 − λ) · p_model(word) + λ · weight(word) / Σ weights        for the user's words, λ is 0 without any
//! ```
//!
//! The user's words need not be in the vocabulary; those that are learned from a text have their counts as weights, so
//! they are a cache of what the user has written.

use std::collections::{HashMap, HashSet};

use rondo_data::TextCodec;

use crate::{Candidate, Completion, Distribution, InferError, Result};

/// A model's words are lowercase if at most one in this number begins with a capital letter.
const LOWERCASE: usize = 50;

/// What a user wants to have suggested.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preferences {
    /// Words that are never suggested.
    pub excluded: HashSet<String>,
    /// Whether only words are suggested: no punctuation, no unknown token, no line end.
    pub words_only: bool,
    /// Whether words are suggested with a capital letter at the start of a sentence, and where the word begins with one.
    /// Only a word model whose words are lowercase does so, and it then reads what is written as lowercase, too.
    pub capitalize: bool,
    /// Words of the user's own, which are interpolated with those of a word model.
    pub user_words: UserWords,
}

/// Words of a user, with weights.
#[derive(Clone, Debug, PartialEq)]
pub struct UserWords {
    /// `λ`, from 0 to below 1: their weight, relative to the model's 1 − λ.
    pub lambda: f64,
    weights: HashMap<String, f64>,
    total: f64,
}

impl Default for UserWords {
    /// No words, with λ = 0.2.
    fn default() -> Self {
        UserWords::new(0.2)
    }
}

impl UserWords {
    /// No words, with this λ.
    #[must_use]
    pub fn new(lambda: f64) -> UserWords {
        UserWords { lambda, weights: HashMap::new(), total: 0.0 }
    }

    /// Adds to the weight of a word.
    ///
    /// # Errors
    /// [`InferError::WordWeight`] unless the weight is above 0 and finite.
    pub fn add(&mut self, word: &str, weight: f64) -> Result<()> {
        if !(weight > 0.0 && weight.is_finite()) {
            return Err(InferError::WordWeight { word: word.to_owned(), found: weight });
        }
        *self.weights.entry(word.to_owned()).or_default() += weight;
        self.total += weight;
        Ok(())
    }

    /// Adds 1 to the weight of each word of a text: of what stands between whitespace, without punctuation at its edges.
    pub fn learn(&mut self, text: &str) {
        let words = text.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
        for word in words.filter(|word| !word.is_empty()) {
            *self.weights.entry(word.to_owned()).or_default() += 1.0;
            self.total += 1.0;
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }
}

impl Preferences {
    /// Checks that a model with this codec can have them.
    pub(super) fn check(&self, codec: &TextCodec) -> Result<()> {
        let UserWords { lambda, .. } = self.user_words;
        if !(0.0..1.0).contains(&lambda) {
            return Err(InferError::UserWeight { found: lambda });
        }
        if codec.is_of_words() || self.user_words.is_empty() {
            Ok(())
        } else {
            Err(InferError::NeedsWords { what: "a user's own words", tokens: codec.tokenizer().to_string() })
        }
    }
}

/// The preferences, for the words of a model.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    preferences: Preferences,
    /// Whether each token of a word model may be suggested.
    wanted: Vec<bool>,
    /// Whether capital letters are those of the user, and the model's words are lowercase.
    pub(super) capitalizes: bool,
    /// The user's words as the model writes them.
    user_words: HashMap<String, UserWord>,
    user_ids: HashSet<u32>,
}

#[derive(Clone, Debug)]
struct UserWord {
    weight: f64,
    /// Its id, if it is in the vocabulary.
    id: Option<u32>,
    /// What has to be typed of it: lowercase if the model capitalizes.
    typed: String,
}

impl Choice {
    pub(super) fn new(codec: &TextCodec, preferences: Preferences) -> Choice {
        let words = || codec.vocab().tokens();
        let capitals = words().filter(|word| word.starts_with(char::is_uppercase)).count();
        let is_lowercase = codec.is_of_words() && capitals * LOWERCASE <= words().len();
        let capitalizes = preferences.capitalize && is_lowercase;
        let (user_words, user_ids) = (HashMap::new(), HashSet::new());
        let mut choice = Choice { preferences, wanted: vec![], capitalizes, user_words, user_ids };
        if codec.is_of_words() {
            choice.wanted = words().map(|word| choice.wants(word)).collect();
            let no_word = codec.unknown_id().into_iter().chain(codec.line_end());
            for id in no_word.filter(|_| choice.preferences.words_only) {
                choice.wanted[id as usize] = false;
            }
        }
        choice.find_user_words(codec);
        choice
    }

    /// Learns the words of a text.
    pub(super) fn learn(&mut self, codec: &TextCodec, text: &str) -> Result<()> {
        if !codec.is_of_words() {
            return Err(InferError::NeedsWords {
                what: "a user's own words",
                tokens: codec.tokenizer().to_string(),
            });
        }
        self.preferences.user_words.learn(text);
        self.find_user_words(codec);
        Ok(())
    }

    fn find_user_words(&mut self, codec: &TextCodec) {
        let vocab = codec.vocab();
        self.user_words.clear();
        for (word, weight) in &self.preferences.user_words.weights {
            let lowercase =
                Some(word.to_lowercase()).filter(|_| self.capitalizes && vocab.id(word).is_none());
            let known = lowercase.filter(|word| vocab.id(word).is_some());
            let word = known.unwrap_or_else(|| word.clone());
            let typed = if self.capitalizes { word.to_lowercase() } else { word.clone() };
            let new = UserWord { weight: 0.0, id: vocab.id(&word), typed };
            self.user_words.entry(word).or_insert(new).weight += weight;
        }
        self.user_ids = self.user_words.values().filter_map(|word| word.id).collect();
    }

    /// Whether a word may be suggested.
    pub(super) fn wants(&self, word: &str) -> bool {
        let Preferences { excluded, words_only, .. } = &self.preferences;
        !excluded.contains(word) && (!words_only || word.contains(char::is_alphanumeric))
    }

    /// Whether a token of a word model may be suggested.
    pub(super) fn wants_id(&self, id: u32) -> bool {
        self.wanted[id as usize]
    }

    /// What the model reads for a text.
    pub(super) fn lowercased(&self, codec: &TextCodec, text: &str) -> String {
        let word = |word: &str| {
            let (lower, vocab) = (word.to_lowercase(), codec.vocab());
            let is_name = vocab.id(word.trim_end()).is_some() || vocab.id(lower.trim_end()).is_none();
            if is_name { word.to_owned() } else { lower }
        };
        text.split_inclusive(char::is_whitespace).map(word).collect()
    }

    /// Puts the user's words that begin with `begun` among the candidates of the model, which are the `top` most likely.
    pub(super) fn mix(
        &self,
        begun: &str,
        top: usize,
        candidates: &[Candidate],
        distribution: &Distribution<'_>,
        completion: impl Fn(&Candidate) -> Completion,
    ) -> Vec<Completion> {
        let UserWords { lambda, total, .. } = self.preferences.user_words;
        if self.user_words.is_empty() || lambda == 0.0 {
            return candidates.iter().map(completion).collect();
        }
        // The model's words that are among the `top` of the mixture are among the model's `top`, too.
        let of_model = candidates.iter().filter(|candidate| !self.user_ids.contains(&candidate.id));
        let mut found: Vec<Completion> = of_model.map(completion).collect();
        found.iter_mut().for_each(|completion| completion.log_prob += (-lambda).ln_1p());
        let own =
            self.user_words.iter().filter(|(word, own)| own.typed.starts_with(begun) && self.wants(word));
        for (word, UserWord { weight, id, .. }) in own {
            let own = id.map_or(0.0, |id| distribution.log_prob(id).exp());
            let probability = (1.0 - lambda) * own + lambda * weight / total;
            found.push(Completion { word: word.clone(), log_prob: probability.ln() });
        }
        super::sorted(found, top)
    }
}

/// Whether the next word after a text begins a sentence.
pub(super) fn begins_sentence(before: &str) -> bool {
    let text = before.trim_end();
    let closing = |char: char| matches!(char, '"' | '\'' | ')' | ']' | '\u{201d}' | '\u{2019}');
    let last = text.trim_end_matches(|char: char| closing(char) || char.is_whitespace()).chars().next_back();
    last.is_none_or(|last| matches!(last, '.' | '!' | '?')) || before[text.len()..].contains('\n')
}

/// The word with a capital letter at its beginning.
pub(super) fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_begins_after_the_end_of_another() {
        for text in ["", "  ", "Yes. ", "Yes! \u{201d} ", "(no?) ", "one\n", "one \n "] {
            assert!(begins_sentence(text), "{text:?}");
        }
        for text in ["yes ", "yes, ", "Mr", "\"yes\" "] {
            assert!(!begins_sentence(text), "{text:?}");
        }
        assert_eq!([capitalized("the"), capitalized("\u{e9}t\u{e9}"), capitalized("")], ["The", "Été", ""]);
    }

    #[test]
    fn words_are_learned_without_their_punctuation() {
        let mut words = UserWords::default();
        words.learn("The cat, the (cat) -- don't!");
        let expected = [("The", 1.0), ("cat", 2.0), ("the", 1.0), ("don't", 1.0)];
        assert_eq!(words.weights, expected.map(|(word, weight)| (word.to_owned(), weight)).into());
        words.add("cat", 0.5).unwrap();
        assert_eq!((words.weights["cat"], words.total), (2.5, 5.5));
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(words.add("cat", weight), Err(InferError::WordWeight { .. })));
        }
    }
}
