//! The token ids of a text, read by range.
//!
//! ```text
//! TokenIds  [ train ............................ | valid .... | test .... ]     one text, shared
//! slice     [ 0..80 ]                              [ 80..90 ]   [ 90..100 ]     views without a copy
//! blocks    [ 64 Ki ids ][ 64 Ki ids ][ … ]                                     one pass, in pieces of bounded size
//! ```
//!
//! Code outside this module does not assume that a whole text is one slice in memory: it requests a range, which is
//! borrowed or read. That is why reading returns a `Result`, although it never fails for ids in memory.
//!
//! Promises: cloning and slicing do not copy ids; reading ids in memory neither copies nor allocates.
//! Not here: the meaning of ids (`vocab`), batches (`batches`).

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{Result, hex::hex};

/// The number of ids per block of [`TokenIds::blocks`].
const BLOCK_LEN: usize = 1 << 16;

/// The token ids of a text. Cheap to clone.
///
/// ```
/// use rondo_data::TokenIds;
///
/// let text = TokenIds::from(vec![5, 6, 7, 8]);
/// assert_eq!(*text.read(1..3)?, [6, 7]);
/// let end = text.slice(2..4);
/// assert_eq!((end.len(), end.first()?), (2, Some(7)));
/// assert_eq!(end, TokenIds::from(vec![7, 8]));
/// # Ok::<(), rondo_data::DataError>(())
/// ```
#[derive(Clone, Default)]
pub struct TokenIds {
    storage: Arc<Vec<u32>>,
    /// The part of the storage that is visible through this handle.
    range: Range<usize>,
}

impl TokenIds {
    /// The number of ids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are no ids.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The ids of a range; borrowed if they are in memory.
    ///
    /// # Panics
    /// If the range is out of bounds.
    /// # Errors
    /// [`DataError::Read`](crate::DataError::Read) if the ids cannot be read. This cannot happen for ids in memory.
    #[inline]
    pub fn read(&self, range: Range<usize>) -> Result<Cow<'_, [u32]>> {
        Ok(Cow::Borrowed(&self.storage[self.within(range)]))
    }

    /// All ids in order, in blocks of bounded size.
    ///
    /// # Errors
    /// See [`read`](Self::read), for each item.
    pub fn blocks(&self) -> impl Iterator<Item = Result<Cow<'_, [u32]>>> {
        let starts = (0..self.len()).step_by(BLOCK_LEN);
        starts.map(|start| self.read(start..self.len().min(start + BLOCK_LEN)))
    }

    /// A part of the text as a text of its own; it shares the ids.
    ///
    /// # Panics
    /// If the range is out of bounds.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        Self { range: self.within(range), storage: Arc::clone(&self.storage) }
    }

    /// The first id, if there is one.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub fn first(&self) -> Result<Option<u32>> {
        Ok(self.read(0..self.len().min(1))?.first().copied())
    }

    /// Identifies the ids: equal if the ids and their order are equal.
    ///
    /// It is the SHA-256, as 64 hexadecimal digits, of the ids as 32-bit little-endian integers.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub fn fingerprint(&self) -> Result<String> {
        let mut hasher = Sha256::new();
        let mut bytes = Vec::with_capacity(self.len().min(BLOCK_LEN) * size_of::<u32>());
        for ids in self.blocks() {
            bytes.clear();
            bytes.extend(ids?.iter().flat_map(|id| id.to_le_bytes()));
            hasher.update(&bytes);
        }
        Ok(hex(&hasher.finalize()))
    }

    /// Converts a range of this text to a range of the storage.
    #[inline]
    fn within(&self, Range { start, end }: Range<usize>) -> Range<usize> {
        assert!(
            start <= end && end <= self.len(),
            "range {start}..{end} is out of bounds for a text of {} tokens",
            self.len()
        );
        self.range.start + start..self.range.start + end
    }
}

impl From<Vec<u32>> for TokenIds {
    fn from(ids: Vec<u32>) -> Self {
        Self { range: 0..ids.len(), storage: Arc::new(ids) }
    }
}

impl PartialEq for TokenIds {
    fn eq(&self, other: &Self) -> bool {
        self.storage[self.range.clone()] == other.storage[other.range.clone()]
    }
}

impl Eq for TokenIds {}

impl fmt::Debug for TokenIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.storage[self.range.clone()]).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(len: usize) -> TokenIds {
        TokenIds::from((0..len as u32).collect::<Vec<_>>())
    }

    #[test]
    fn blocks_are_the_whole_text_in_order() {
        for len in [0, 1, BLOCK_LEN - 1, BLOCK_LEN, 2 * BLOCK_LEN + 1] {
            let text = ids(len);
            let blocks: Vec<Vec<u32>> = text.blocks().map(|block| block.unwrap().into_owned()).collect();
            assert!(blocks.iter().all(|block| (1..=BLOCK_LEN).contains(&block.len())), "{len}");
            assert_eq!(TokenIds::from(blocks.concat()), text, "{len}");
        }
    }

    #[test]
    fn a_slice_of_a_slice_shows_the_same_ids() {
        let part = ids(10).slice(2..9).slice(1..4);
        assert_eq!(part, TokenIds::from(vec![3, 4, 5]));
        assert_eq!(format!("{part:?}"), "[3, 4, 5]");
        assert!(matches!(part.read(1..2), Ok(Cow::Borrowed([4]))), "memory is not copied");
        assert_eq!((part.slice(3..3).first().unwrap(), TokenIds::default().is_empty()), (None, true));
    }

    #[test]
    fn a_text_can_be_sent_to_another_thread() {
        fn check<T: Send + Sync + 'static>() {}
        check::<TokenIds>();
    }

    #[test]
    #[should_panic(expected = "range 1..4 is out of bounds for a text of 3 tokens")]
    fn a_range_past_the_end_is_a_bug() {
        let _ = ids(10).slice(0..3).read(1..4);
    }
}
