//! The vocabulary: the tokens that a model knows, and their ids.
//!
//! ```text
//! order by frequency                          order by first appearance
//! 0            unknown token, if any          0, 1, …      each token at its first appearance in the text,
//! 1, 2, …      reserved tokens, as listed                  including special tokens (unknown, reserved)
//! then         by decreasing frequency,       then         special tokens that are not in the text
//!              ties alphabetical
//! ```
//!
//! Promises: ids are `0..len` without gaps, and the same counts and options give the same ids on every machine.
//! How often each token occurs in the training text is kept with the tokens (`counts.rs`), and is not part of what
//! the vocabulary is. Not here: reading texts (`corpus`), encoding whole texts (`codec`).

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

use crate::{Counter, DataError, Result, hash::Sha256};

mod counts;
mod file;
mod list;
mod options;

pub(crate) use file::{FORMAT, Header, VERSION, VocabFile};
pub use options::{VocabOptions, VocabOrder};

/// A one-to-one mapping between tokens and ids, with an optional unknown token for out-of-vocabulary tokens.
///
/// ```
/// use rondo_data::{Counter, Vocab, VocabOptions};
///
/// # fn main() -> rondo_data::Result<()> {
/// let counter: Counter = "the cat saw the dog <eos>".split(' ').collect();
/// let options = VocabOptions { reserved: vec!["<eos>".into()], ..VocabOptions::default() };
/// let vocab = Vocab::from_counter(&counter, &options)?;
///
/// assert_eq!(vocab.tokens().collect::<Vec<_>>(), ["<unk>", "<eos>", "the", "cat", "dog", "saw"]);
/// assert_eq!(vocab.encode(["the", "bird"])?, [2, 0]);
/// assert_eq!(vocab.decode(&[2, 0])?, ["the", "<unk>"]);
/// # Ok(())
/// # }
/// ```
///
/// Two vocabularies are equal if their tokens, the order and the unknown token are; [counts](Self::counts) do not matter.
#[derive(Debug, Clone)]
pub struct Vocab {
    tokens: IndexSet<Box<str>, FxBuildHasher>,
    unknown: Option<u32>,
    /// How often each token occurs in the training text, by id.
    counts: Option<Vec<u64>>,
}

impl PartialEq for Vocab {
    fn eq(&self, other: &Self) -> bool {
        // Sets are equal in any order.
        self.unknown == other.unknown && self.tokens.iter().eq(&other.tokens)
    }
}

impl Eq for Vocab {}

impl Vocab {
    /// Builds a vocabulary from token counts, selecting and ordering the tokens according to `options`, and keeps the
    /// [counts](Self::counts).
    ///
    /// # Errors
    /// [`DataError::VocabTooSmall`] if the special tokens alone exceed `max_size`;
    /// [`DataError::EmptyVocab`] if no tokens are left.
    pub fn from_counter(counter: &Counter, options: &VocabOptions) -> Result<Self> {
        let tokens = options.choose(counter)?;
        let mut vocab = Self::from_tokens("the counted tokens", tokens, options.unknown.as_deref())?;
        vocab.counts = Some(vocab.counts_in(counter));
        Ok(vocab)
    }

    /// Builds the vocabulary with exactly `tokens` in this order, which must include `unknown`, without counts. `origin`
    /// is used in errors.
    ///
    /// # Errors
    /// [`DataError::DuplicateToken`], [`DataError::UnlistedUnknown`] and [`DataError::EmptyVocab`].
    pub fn from_tokens<T: Into<Box<str>>>(
        origin: &str,
        tokens: impl IntoIterator<Item = T>,
        unknown: Option<&str>,
    ) -> Result<Self> {
        let tokens = tokens.into_iter();
        let mut set: IndexSet<Box<str>, FxBuildHasher> =
            IndexSet::with_capacity_and_hasher(tokens.size_hint().0, FxBuildHasher);
        for (second_id, token) in tokens.enumerate() {
            let token = token.into();
            if let Some(first_id) = set.get_index_of(&token) {
                let (origin, token) = (origin.to_owned(), token.into());
                return Err(DataError::DuplicateToken { origin, token, first_id, second_id });
            }
            set.insert(token);
        }
        if set.is_empty() {
            return Err(DataError::EmptyVocab);
        }
        let mut vocab = Self { tokens: set, unknown: None, counts: None };
        if let Some(token) = unknown {
            let unlisted = || DataError::UnlistedUnknown { origin: origin.into(), token: token.into() };
            vocab.unknown = Some(vocab.id(token).ok_or_else(unlisted)?);
        }
        Ok(vocab)
    }

    /// Returns this vocabulary with the new tokens of `counter` appended, in order of decreasing frequency (ties
    /// alphabetical). All existing ids stay the same. Tokens that occur fewer than `min_freq` times are left out,
    /// and so are tokens that would make the vocabulary larger than `max_size`. If this vocabulary has
    /// [counts](Self::counts), they stay, and the new tokens get those of `counter`.
    #[must_use]
    pub fn extended(&self, counter: &Counter, min_freq: u64, max_size: Option<usize>) -> Self {
        let room = max_size.map_or(usize::MAX, |max_size| max_size.saturating_sub(self.len()));
        let common = counter.most_common().into_iter();
        let new = common.filter(|&(token, count)| count >= min_freq && self.id(token).is_none()).take(room);
        let mut extended = self.clone();
        for (token, count) in new {
            extended.tokens.insert(token.into());
            extended.counts.iter_mut().for_each(|counts| counts.push(count));
        }
        extended
    }

    /// The vocabulary size `V`: the number of tokens, and the model's input and output size.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a vocabulary is never empty")]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The id of `token`, if it is in the vocabulary.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tokens.get_index_of(token).map(|index| index as u32)
    }

    /// The id of `token` or, for an out-of-vocabulary token, of the unknown token; `None` if there is no unknown
    /// token.
    #[must_use]
    pub fn id_or_unknown(&self, token: &str) -> Option<u32> {
        self.id(token).or(self.unknown)
    }

    /// The token with this id.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<&str> {
        self.tokens.get_index(id as usize).map(|token| &**token)
    }

    /// The id of the unknown token, which replaces out-of-vocabulary tokens.
    #[must_use]
    pub fn unknown_id(&self) -> Option<u32> {
        self.unknown
    }

    /// The unknown token, which replaces out-of-vocabulary tokens.
    #[must_use]
    pub fn unknown_token(&self) -> Option<&str> {
        self.unknown.and_then(|id| self.token(id))
    }

    /// The tokens in order of their ids.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.tokens.iter().map(|token| &**token)
    }

    /// The ids of `tokens`; out-of-vocabulary tokens get the id of the unknown token.
    ///
    /// # Errors
    /// [`DataError::UnknownToken`] for an out-of-vocabulary token if there is no unknown token; the line in the
    /// error is the position of the token in the sequence, starting at 1. To encode texts, use
    /// [`TextCodec`](crate::TextCodec).
    pub fn encode<'a>(&self, tokens: impl IntoIterator<Item = &'a str>) -> Result<Vec<u32>> {
        let tokens = tokens.into_iter().zip(1..);
        let id = |(token, place)| {
            self.id_or_unknown(token).ok_or_else(|| unknown_token(token, "the tokens", place))
        };
        tokens.map(id).collect()
    }

    /// The tokens of `ids`.
    ///
    /// # Errors
    /// [`DataError::IdOutOfRange`] for an id that is not in the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<Vec<&str>> {
        let token = |&id| self.token(id).ok_or(DataError::IdOutOfRange { id, vocab_size: self.len() });
        ids.iter().map(token).collect()
    }

    /// Identifies this vocabulary in model files: equal if the tokens, their order and the unknown token are equal.
    ///
    /// It is the SHA-256, as 64 hexadecimal digits, of `rondo-vocab 1\n`, then for each token its length in bytes
    /// and its UTF-8 bytes, then the id of the unknown token or 2⁶⁴ − 1. Integers are 64-bit little-endian.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::default();
        hasher.update(b"rondo-vocab 1\n");
        for token in self.tokens() {
            hasher.update((token.len() as u64).to_le_bytes());
            hasher.update(token);
        }
        hasher.update(self.unknown.map_or(u64::MAX, u64::from).to_le_bytes());
        hasher.finish()
    }
}

/// The error for an out-of-vocabulary token that has no id.
pub(crate) fn unknown_token(token: &str, origin: &str, line: u64) -> DataError {
    DataError::UnknownToken { token: token.to_owned(), origin: origin.to_owned(), line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocab(tokens: &[&str], unknown: Option<&str>) -> Result<Vocab> {
        Vocab::from_tokens("test", tokens.iter().copied(), unknown)
    }

    #[test]
    fn words_to_ids_and_back() {
        let vocab = vocab(&["<unk>", "a", "b"], Some("<unk>")).unwrap();
        assert_eq!(vocab.encode(["b", "a", "z", "<unk>"]).unwrap(), [2, 1, 0, 0]);
        assert_eq!(vocab.decode(&[2, 1, 0]).unwrap(), ["b", "a", "<unk>"]);
        assert_eq!((vocab.unknown_id(), vocab.unknown_token()), (Some(0), Some("<unk>")));
        assert_eq!((vocab.len(), vocab.token(3)), (3, None));
        let error = vocab.decode(&[3]).unwrap_err().to_string();
        assert_eq!(error, "token id 3 is out of range for a vocabulary of 3 tokens");
    }

    #[test]
    fn without_an_unknown_token_an_unknown_word_is_an_error() {
        let error = vocab(&["a"], None).unwrap().encode(["a", "z"]).unwrap_err();
        let expected =
            "out-of-vocabulary token `z` on line 2 of `the tokens`: the vocabulary has no unknown token";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn impossible_lists_are_refused() {
        let error = vocab(&["a", "b", "a"], None).unwrap_err().to_string();
        assert_eq!(error, "`test` lists token `a` twice, with ids 0 and 2");
        let error = vocab(&["a"], Some("<unk>")).unwrap_err().to_string();
        assert_eq!(error, "`test` does not list its unknown token `<unk>`");
        assert!(matches!(vocab(&[], None), Err(DataError::EmptyVocab)));
    }

    #[test]
    fn an_extended_vocabulary_keeps_its_ids_and_adds_the_most_frequent_new_tokens() {
        let vocab = vocab(&["<unk>", "b", "a"], Some("<unk>")).unwrap();
        let counter: Counter = "d a c d <unk> e c e d".split(' ').collect();
        let tokens = |min_freq, max_size| {
            let extended = vocab.extended(&counter, min_freq, max_size);
            assert_eq!(extended.unknown_id(), Some(0));
            extended.tokens().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(tokens(1, None), "<unk> b a d c e");
        assert_eq!(tokens(3, None), "<unk> b a d");
        assert_eq!(tokens(1, Some(5)), "<unk> b a d c");
        assert_eq!(tokens(1, Some(2)), "<unk> b a");
    }

    #[test]
    fn the_fingerprint_depends_on_tokens_order_borders_and_unknown_token() {
        let prints: std::collections::HashSet<String> = [
            vocab(&["a", "b"], None),
            vocab(&["b", "a"], None),
            vocab(&["ab"], None),
            vocab(&["a", "b"], Some("a")),
            vocab(&["a", "b"], Some("b")),
        ]
        .map(|vocab| vocab.unwrap().fingerprint())
        .into();
        assert_eq!(prints.len(), 5);
        // Pinned: model files contain it, so it must never change for the same vocabulary.
        let pinned = vocab(&["<unk>", "a"], Some("<unk>")).unwrap().fingerprint();
        assert_eq!(pinned, "a520f2f962fca64466fb52413ddacecfe2e33614c8436603c49a62a2ef5ff919");
    }
}
