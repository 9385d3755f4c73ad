//! Ids in a file, read by position.
//!
//! The file consists of the ids as 32-bit little-endian integers and nothing else, so other tools can read it, too. It
//! is not mapped into memory: pages of a mapped file would count as memory of the process.
//!
//! Not here: how such a file is made and checked (`corpus/store`).

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::{DataError, Result};

/// The size of an id in bytes.
pub(crate) const ID_BYTES: usize = size_of::<u32>();

/// An open file of ids.
#[derive(Debug)]
pub(super) struct IdFile {
    file: File,
    path: PathBuf,
    /// Ids are below this.
    limit: u32,
    /// Known fingerprints of parts of the file.
    pub(super) fingerprints: Vec<(Range<usize>, String)>,
}

impl IdFile {
    pub(super) fn new(
        file: File,
        path: PathBuf,
        limit: u32,
        fingerprints: Vec<(Range<usize>, String)>,
    ) -> Self {
        Self { file, path, limit, fingerprints }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a range of ids.
    pub(super) fn read(&self, range: Range<usize>) -> Result<Vec<u32>> {
        let failed = |source| DataError::Read { origin: self.path.display().to_string(), source };
        let mut bytes = vec![0; range.len() * ID_BYTES];
        read_exact_at(&self.file, &mut bytes, range.start as u64 * ID_BYTES as u64).map_err(failed)?;
        let ids: Vec<u32> = bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        match ids.iter().find(|id| **id >= self.limit) {
            Some(&id) => Err(DataError::DamagedIds { path: self.path.clone(), id, limit: self.limit }),
            None => Ok(ids),
        }
    }
}

/// Appends the bytes of ids.
pub(crate) fn append_bytes(ids: &[u32], bytes: &mut Vec<u8>) {
    bytes.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        match file.seek_read(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// There are no files.
#[cfg(not(any(unix, windows)))]
fn read_exact_at(_file: &File, _bytes: &mut [u8], _offset: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
