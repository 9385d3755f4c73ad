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
//! Ids are in memory or in a file (`file.rs`), of which only what is requested is in memory.
//!
//! Promises: cloning and slicing do not copy ids; reading ids in memory neither copies nor allocates.
//! Not here: the meaning of ids (`vocab`), batches (`batches`).

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Result, hash::Sha256};

mod file;

use file::IdFile;
pub(crate) use file::{ID_BYTES, append_bytes};

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
    storage: Arc<Storage>,
    /// The part of the storage that is visible through this handle.
    range: Range<usize>,
}

/// Where the ids are.
enum Storage {
    Memory(Vec<u32>),
    File(IdFile),
}

impl Default for Storage {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl TokenIds {
    /// The first `len` ids of an open file of 32-bit little-endian integers, all of them below `limit`. `path` is its name
    /// in errors. The fingerprints are those of some parts of it.
    pub(crate) fn in_file(
        file: File,
        path: PathBuf,
        len: usize,
        limit: u32,
        fingerprints: Vec<(Range<usize>, String)>,
    ) -> Self {
        let storage = Storage::File(IdFile::new(file, path, limit, fingerprints));
        Self { storage: Arc::new(storage), range: 0..len }
    }

    /// The file that the ids are read from; `None` if they are in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &*self.storage {
            Storage::Memory(_) => None,
            Storage::File(file) => Some(file.path()),
        }
    }

    /// All ids in memory; they are copied only if they are shared or in a file.
    pub(crate) fn into_vec(self) -> Result<Vec<u32>> {
        let is_whole = |ids: &Vec<u32>| self.range == (0..ids.len());
        match Arc::try_unwrap(self.storage) {
            Ok(Storage::Memory(ids)) if is_whole(&ids) => Ok(ids),
            Ok(storage) => Ok(storage.read(self.range)?.into_owned()),
            Err(shared) => Ok(shared.read(self.range)?.into_owned()),
        }
    }

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
    /// [`DataError::Read`](crate::DataError::Read) and [`DataError::DamagedIds`](crate::DataError::DamagedIds) if the ids
    /// cannot be read. This cannot happen for ids in memory.
    #[inline]
    pub fn read(&self, range: Range<usize>) -> Result<Cow<'_, [u32]>> {
        self.storage.read(self.within(range))
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
    /// It is the SHA-256, as 64 hexadecimal digits, of the ids as 32-bit little-endian integers. A file of ids knows those
    /// of its splits, and is not read for them.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub fn fingerprint(&self) -> Result<String> {
        if let Storage::File(file) = &*self.storage
            && let Some((_, known)) = file.fingerprints.iter().find(|(range, _)| *range == self.range)
        {
            return Ok(known.clone());
        }
        let mut hasher = Sha256::default();
        let mut bytes = Vec::with_capacity(self.len().min(BLOCK_LEN) * size_of::<u32>());
        for ids in self.blocks() {
            bytes.clear();
            append_bytes(&ids?, &mut bytes);
            hasher.update(&bytes);
        }
        Ok(hasher.finish())
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

impl Storage {
    #[inline]
    fn read(&self, range: Range<usize>) -> Result<Cow<'_, [u32]>> {
        match self {
            Self::Memory(ids) => Ok(Cow::Borrowed(&ids[range])),
            Self::File(file) => file.read(range).map(Cow::Owned),
        }
    }
}

impl From<Vec<u32>> for TokenIds {
    fn from(ids: Vec<u32>) -> Self {
        Self { range: 0..ids.len(), storage: Arc::new(Storage::Memory(ids)) }
    }
}

/// Equal if the ids are, in memory or in files. Ids that cannot be read equal only themselves.
impl PartialEq for TokenIds {
    fn eq(&self, other: &Self) -> bool {
        let is_same = Arc::ptr_eq(&self.storage, &other.storage) && self.range == other.range;
        let have_same_blocks = || {
            self.blocks().zip(other.blocks()).all(|pair| matches!(pair, (Ok(one), Ok(other)) if one == other))
        };
        is_same || (self.len() == other.len() && have_same_blocks())
    }
}

impl Eq for TokenIds {}

impl fmt::Debug for TokenIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.storage {
            Storage::Memory(ids) => f.debug_list().entries(&ids[self.range.clone()]).finish(),
            Storage::File(file) => write!(f, "ids {:?} of `{}`", self.range, file.path().display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// The ids in a file of their own.
    fn in_file(ids: &[u32], limit: u32) -> (tempfile::NamedTempFile, TokenIds) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = Vec::new();
        append_bytes(ids, &mut bytes);
        std::fs::write(file.path(), bytes).unwrap();
        let open = File::open(file.path()).unwrap();
        let ids = TokenIds::in_file(open, file.path().to_owned(), ids.len(), limit, vec![]);
        (file, ids)
    }

    proptest! {
        #[test]
        fn ids_in_a_file_are_those_in_memory(
            ids in prop::collection::vec(0u32..300, 0..40), ends in (0usize..40, 0usize..40),
        ) {
            let (_file, stored) = in_file(&ids, 300);
            let memory = TokenIds::from(ids.clone());
            prop_assert_eq!(&stored, &memory);
            prop_assert_eq!(stored.fingerprint().unwrap(), memory.fingerprint().unwrap());
            let (start, end) = (ends.0.min(ends.1).min(ids.len()), ends.0.max(ends.1).min(ids.len()));
            let (one, other) = (stored.slice(start..end), memory.slice(start..end));
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(one.first().unwrap(), other.first().unwrap());
            prop_assert_eq!(one.into_vec().unwrap(), &ids[start..end]);
            let mut changed = ids.clone();
            if let Some(last) = changed.last_mut() {
                *last += 1;
                prop_assert_ne!(stored, TokenIds::from(changed));
            }
        }
    }

    #[test]
    fn a_damaged_file_is_named_where_it_is_read() {
        let (file, ids) = in_file(&[1, 2, 9], 9);
        let path = file.path().display();
        assert_eq!(*ids.read(0..2).unwrap(), [1, 2]);
        let error = ids.read(1..3).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "`{path}` is damaged: it contains id 9, and all ids are below 9; remove it, and it is made again"
            )
        );
        std::fs::write(file.path(), [0; 7]).unwrap();
        assert_eq!(ids.read(1..2).unwrap_err().to_string(), format!("could not read `{path}`"));
        assert_ne!(ids, TokenIds::from(vec![1, 2, 9]));
        assert_eq!(ids, ids.clone());
        assert_eq!(format!("{:?}", ids.slice(1..3)), format!("ids 1..3 of `{path}`"));
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
