//! The vocabulary: which tokens a model knows, and the id of each.
//!
//! ```text
//! order by frequency                          order by first appearance
//! 0            unknown token, if any          0, 1, …      each token where the text has it first,
//! 1, 2, …      reserved tokens, as listed                  special tokens (unknown, reserved) alike
//! then         falling count, ties            then         special tokens that the text lacks
//!              alphabetical
//! ```
//!
//! Promises: ids are `0..len` without gaps, and the same counts and options give the same ids everywhere.
//! Not here: reading texts (`corpus`), turning whole texts into ids (`codec`).

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;
use sha2::{Digest, Sha256};

use crate::{Counter, DataError, Result, hex::hex};

mod file;
mod options;

pub(crate) use file::{FORMAT, Header, VERSION, VocabFile};
pub use options::{VocabOptions, VocabOrder};

/// A bijection between tokens and ids, and perhaps an unknown token that stands for all others.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocab {
    tokens: IndexSet<Box<str>, FxBuildHasher>,
    unknown: Option<u32>,
}

impl Vocab {
    /// Chooses and orders the tokens of `counter` as `options` say.
    ///
    /// # Errors
    /// [`DataError::VocabTooSmall`] if the special tokens alone exceed `max_size`;
    /// [`DataError::EmptyVocab`] if no token is left.
    pub fn from_counter(counter: &Counter, options: &VocabOptions) -> Result<Self> {
        let tokens = options.choose(counter)?;
        Self::from_tokens("the counted tokens", tokens, options.unknown.as_deref())
    }

    /// The vocabulary with exactly `tokens` in this order, of which `unknown` is one; `origin` is for errors.
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
        let mut vocab = Self { tokens: set, unknown: None };
        if let Some(token) = unknown {
            let unlisted = || DataError::UnlistedUnknown { origin: origin.into(), token: token.into() };
            vocab.unknown = Some(vocab.id(token).ok_or_else(unlisted)?);
        }
        Ok(vocab)
    }

    /// This vocabulary with those of `counter` added that it lacks, after its own and by falling count, ties
    /// alphabetical: all old ids stay. Tokens that occur fewer times than `min_freq` stay out, as do those that would
    /// make it larger than `max_size`.
    #[must_use]
    pub fn extended(&self, counter: &Counter, min_freq: u64, max_size: Option<usize>) -> Self {
        let room = max_size.map_or(usize::MAX, |max_size| max_size.saturating_sub(self.len()));
        let common = counter.most_common().into_iter();
        let new = common.filter(|&(token, count)| count >= min_freq && self.id(token).is_none()).take(room);
        let mut extended = self.clone();
        extended.tokens.extend(new.map(|(token, _)| Box::from(token)));
        extended
    }

    /// How many tokens there are: `V`, the model's input and output size.
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

    /// The id of `token` or else of the unknown token; `None` if there is neither.
    #[must_use]
    pub fn id_or_unknown(&self, token: &str) -> Option<u32> {
        self.id(token).or(self.unknown)
    }

    /// The token with this id.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<&str> {
        self.tokens.get_index(id as usize).map(|token| &**token)
    }

    /// The id that stands for all tokens not in the vocabulary.
    #[must_use]
    pub fn unknown_id(&self) -> Option<u32> {
        self.unknown
    }

    /// The token that stands for all tokens not in the vocabulary.
    #[must_use]
    pub fn unknown_token(&self) -> Option<&str> {
        self.unknown.and_then(|id| self.token(id))
    }

    /// The tokens in order of their ids.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.tokens.iter().map(|token| &**token)
    }

    /// The ids of `tokens`, with the unknown token's for those not in the vocabulary.
    ///
    /// # Errors
    /// [`DataError::UnknownToken`] for a token not in the vocabulary if there is no unknown token; its line
    /// is the token's place in the sequence, from 1. Texts are better read by [`TextCodec`](crate::TextCodec).
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

    /// Names this vocabulary in model files: equal for equal tokens in equal order with equal unknown token.
    ///
    /// The SHA-256, in 64 hexadecimal digits, of `rondo-vocab 1\n`, then each token in UTF-8 after its length
    /// in bytes, then the id of the unknown token or 2⁶⁴ − 1; numbers are 64 bits wide, little-endian.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(b"rondo-vocab 1\n");
        for token in self.tokens() {
            hasher.update((token.len() as u64).to_le_bytes());
            hasher.update(token);
        }
        hasher.update(self.unknown.map_or(u64::MAX, u64::from).to_le_bytes());
        hex(&hasher.finalize())
    }
}

/// The error for a token that has no id.
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
        assert_eq!(error, "id 3 is not in the vocabulary of 3 tokens");
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
        assert_eq!(error, "`test` lists token `a` twice, as id 0 and 2");
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
        // Pinned: model files carry it, so it may never change for the same vocabulary.
        let pinned = vocab(&["<unk>", "a"], Some("<unk>")).unwrap().fingerprint();
        assert_eq!(pinned, "a520f2f962fca64466fb52413ddacecfe2e33614c8436603c49a62a2ef5ff919");
    }
}
