//! The checkpoints in the folder of a run.
//!
//! Each is written beside the others under the next number, and when it is safe on the disk all but the last two are
//! removed. Should the latest turn out to be damaged, the one before it is there.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Checkpoint;
use crate::{Result, TrainError, write_atomically};

/// How many are kept.
const KEPT: usize = 2;

const PREFIX: &str = "checkpoint-";
const SUFFIX: &str = ".safetensors";

/// Writes the checkpoints of a run.
#[derive(Debug)]
pub(crate) struct CheckpointStore {
    folder: PathBuf,
    next: u64,
}

impl CheckpointStore {
    /// Goes on after the checkpoints in the folder, if there are any.
    pub(crate) fn open(folder: &Path) -> Result<CheckpointStore> {
        let next = numbered(folder)?.last().map_or(1, |(number, _)| number + 1);
        Ok(CheckpointStore { folder: folder.to_owned(), next })
    }

    /// Writes the next checkpoint, and removes all but the last two.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        let path = self.folder.join(format!("{PREFIX}{:06}{SUFFIX}", self.next));
        write_atomically(&path, write)?;
        self.next += 1;
        let all = numbered(&self.folder)?;
        for (_, path) in &all[..all.len().saturating_sub(KEPT)] {
            fs::remove_file(path).map_err(TrainError::io("remove", path))?;
        }
        Ok(())
    }
}

/// The latest checkpoint of a folder that is whole, and what is wrong with later ones; none if there is no checkpoint.
///
/// # Errors
/// [`TrainError::NoGoodCheckpoint`] if there are some, but none is whole; [`TrainError::Io`] if one cannot be read, and
/// [`TrainError::CheckpointVersion`] if one is of another version.
pub(crate) fn latest(folder: &Path) -> Result<Option<(Checkpoint, Vec<TrainError>)>> {
    let mut damaged = vec![];
    for (_, path) in numbered(folder)?.into_iter().rev() {
        match Checkpoint::read(&path) {
            Ok(checkpoint) => return Ok(Some((checkpoint, damaged))),
            // Not a matter of damage: going back would lose what is there for those who can read it.
            Err(error @ (TrainError::Io { .. } | TrainError::CheckpointVersion { .. })) => return Err(error),
            Err(error) => damaged.push(error),
        }
    }
    match damaged.into_iter().next() {
        None => Ok(None),
        Some(newest) => {
            Err(TrainError::NoGoodCheckpoint { path: folder.to_owned(), newest: Box::new(newest) })
        }
    }
}

/// Whether a file is called as checkpoints are.
pub(crate) fn is_checkpoint(name: &str) -> bool {
    number(name).is_some()
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

/// The checkpoints in the folder with their numbers, the latest last.
fn numbered(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).map_err(TrainError::io("read", folder))? {
        let entry = entry.map_err(TrainError::io("read", folder))?;
        if let Some(number) = entry.file_name().to_str().and_then(number) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}
