//! Atomic writes: a file has either its old content or all of the new content, never a part.
//!
//! ```text
//! write ─▶ .x1y2z3.partial in the same folder ─▶ flush, sync ─▶ rename ─▶ sync the folder
//! ```

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Result, RunsError};

/// Writes a whole file atomically: a reader of `path`, even after a crash, finds the old content or all of the new.
///
/// The content is written to a temporary file in the same folder, which is flushed, synced to disk and renamed;
/// then the folder is synced. If `write` fails, the temporary file is removed. If the process is killed, the
/// temporary file stays until the next lock of the folder ([`RunFolder::lock`](crate::RunFolder::lock)).
///
/// # Errors
/// [`RunsError::Io`] if the folder is missing or cannot be written to, or if `write` fails.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    write_and_rename(path, write).map_err(RunsError::io("write", path))
}

/// Moves a complete `file` from `from` to its final path `to` in the same folder: it is synced to disk and
/// renamed, and the folder is synced. This is for files that cannot be temporary, such as a resumable download;
/// for others use [`write_atomically`].
///
/// # Errors
/// [`RunsError::Io`] if the file cannot be synced or renamed.
pub fn move_into_place(file: &File, from: &Path, to: &Path) -> Result<()> {
    file.sync_all().map_err(RunsError::io("write", from))?;
    fs::rename(from, to).and_then(|()| sync_folder(folder_of(to))).map_err(RunsError::io("write", to))
}

/// Prefix and suffix of a temporary file's name, around a random part.
const PARTIAL: (&str, &str) = (".", ".partial");

/// Removes temporary files left behind by a killed process. One that cannot be removed is harmless.
pub(crate) fn remove_partial(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PARTIAL.0) && name.ends_with(PARTIAL.1) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn write_and_rename(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let folder = folder_of(path);
    let (partial, file) = Partial::create(folder)?;
    let mut buffered = BufWriter::new(file);
    write(&mut buffered)?;
    // The file is closed before it is renamed, which some systems require.
    buffered.into_inner()?.sync_all()?;
    partial.rename(path)?;
    sync_folder(folder)
}

/// The path of a temporary file, which is removed unless it is renamed.
struct Partial(PathBuf);

impl Partial {
    /// Creates a file with a name that no other file in `folder` has. A crate for temporary files would add eight others
    /// to every program that opens a model.
    fn create(folder: &Path) -> io::Result<(Partial, File)> {
        loop {
            // Each state has random keys.
            let random = RandomState::new().hash_one(());
            let path = folder.join(format!("{}{random:016x}{}", PARTIAL.0, PARTIAL.1));
            match File::create_new(&path) {
                Ok(file) => return Ok((Partial(path), file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn rename(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.0, to)?;
        self.0.clear();
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// The folder that contains a file.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes a rename durable by syncing the folder.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.toml");
        for content in ["long old content", "new"] {
            write_atomically(&path, |to| to.write_all(content.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_content_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.toml");
        fs::write(&path, "old").unwrap();
        let error = write_atomically(&path, |to| {
            to.write_all(b"half of the n")?;
            Err(io::Error::other("no more space"))
        });
        assert_eq!(error.unwrap_err().to_string(), format!("could not write `{}`", path.display()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("plan.toml");
        assert!(matches!(write_atomically(&path, |_| Ok(())), Err(RunsError::Io { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_it_as_they_may_any_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        let (ours, usual) = (folder.path().join("ours"), folder.path().join("usual"));
        write_atomically(&ours, |_| Ok(())).unwrap();
        fs::write(&usual, "").unwrap();
        assert_eq!(mode(&ours), mode(&usual));
    }
}
