//! The names of checkpoint files: `checkpoint-000001.safetensors`, `checkpoint-000002.safetensors`, …
//!
//! Each checkpoint gets the next number. Once it is safely on disk, all but the last two are removed; if the
//! latest is damaged, the one before it is still available. Not here: the contents of a checkpoint.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::atomic::remove_unless_in_use;
use crate::{Result, RunFolder, RunsError, write_atomically};

/// The number of checkpoints to keep.
const KEPT: usize = 2;

const PREFIX: &str = "checkpoint-";
const SUFFIX: &str = ".safetensors";

/// Writes the checkpoint files of a run.
#[derive(Debug)]
pub struct CheckpointWriter {
    folder: PathBuf,
    next: u64,
}

impl CheckpointWriter {
    /// Continues the numbering of the checkpoints in the folder, if there are any.
    ///
    /// # Errors
    /// [`RunsError::Io`] if the folder cannot be read.
    pub fn open(folder: &RunFolder) -> Result<CheckpointWriter> {
        let next = numbered(folder.path())?.last().map_or(1, |(number, _)| number + 1);
        Ok(CheckpointWriter { folder: folder.path().to_owned(), next })
    }

    /// Writes the next checkpoint atomically and removes all but the last two. On Windows, a checkpoint that a program has
    /// open is removed later, with the next one.
    ///
    /// # Errors
    /// [`RunsError::Io`] if a file cannot be written or removed, or if `write` fails.
    pub fn write(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        let path = self.folder.join(format!("{PREFIX}{:06}{SUFFIX}", self.next));
        write_atomically(&path, write)?;
        self.next += 1;
        let all = numbered(&self.folder)?;
        for (_, path) in &all[..all.len().saturating_sub(KEPT)] {
            remove_unless_in_use(path).map_err(RunsError::io("remove", path))?;
        }
        Ok(())
    }
}

/// Whether `name` is the file name of a checkpoint.
pub(crate) fn is_checkpoint(name: &str) -> bool {
    number(name).is_some()
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

/// The checkpoints in the folder with their numbers, the latest last.
pub(crate) fn numbered(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).map_err(RunsError::io("read", folder))? {
        let entry = entry.map_err(RunsError::io("read", folder))?;
        if let Some(number) = entry.file_name().to_str().and_then(number) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_are_kept_and_numbers_go_on() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(parent.path().join("run"), "").unwrap();
        assert!(folder.checkpoints().unwrap().is_empty());
        for content in ["first", "second", "third"] {
            // As if in a new process each time.
            let mut writer = CheckpointWriter::open(&folder).unwrap();
            writer.write(|to| to.write_all(content.as_bytes())).unwrap();
        }
        let path = |number| folder.path().join(format!("checkpoint-00000{number}.safetensors"));
        assert_eq!(folder.checkpoints().unwrap(), [path(2), path(3)]);
        assert_eq!(fs::read_to_string(path(3)).unwrap(), "third");
    }

    #[test]
    fn order_is_by_number_and_other_files_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let names =
            ["checkpoint-1000000.safetensors", "checkpoint-999999.safetensors", "checkpoint-x.safetensors"];
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found: Vec<u64> =
            numbered(folder.path()).unwrap().into_iter().map(|(number, _)| number).collect();
        assert_eq!(found, [999_999, 1_000_000]);
        assert!(is_checkpoint(names[0]) && !is_checkpoint(names[2]) && !is_checkpoint("best.safetensors"));
    }
}
