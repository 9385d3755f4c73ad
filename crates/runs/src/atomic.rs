//! Atomic writes: a file has either its old content or all of the new content, never a part.
//!
//! ```text
//! write ─▶ .x1y2z3.partial in the same folder ─▶ flush, sync ─▶ close ─▶ rename ─▶ sync the folder
//! ```
//!
//! Windows does not replace a file that is open or mapped. So nothing in Rondo writes over a file that the same process
//! has open, on any system; other processes are waited for a second.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

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
    replace(from, to).and_then(|()| sync_folder(folder_of(to))).map_err(RunsError::io("write", to))
}

/// Removes a file; false if Windows refuses it because a program has the file open.
pub(crate) fn remove_unless_in_use(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Err(error) if is_in_use(&error) => Ok(false),
        result => result.map(|()| true),
    }
}

/// Renames a file to its final path. If Windows refuses it because another program has the old file open, such as a reader
/// or a virus scanner, it is tried again for a second.
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let mut pause = Duration::from_millis(1);
    loop {
        match fs::rename(from, to) {
            Err(error) if is_in_use(&error) && pause < Duration::from_secs(1) => {
                thread::sleep(pause);
                pause *= 2;
            }
            result => return result,
        }
    }
}

/// Whether Windows says that a program has a file open or mapped; other systems let files be renamed and removed.
fn is_in_use(error: &io::Error) -> bool {
    const ACCESS_DENIED: i32 = 5;
    const SHARING_VIOLATION: i32 = 32;
    const USER_MAPPED_FILE: i32 = 1224;
    let codes = [ACCESS_DENIED, SHARING_VIOLATION, USER_MAPPED_FILE];
    cfg!(windows) && error.raw_os_error().is_some_and(|code| codes.contains(&code))
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
    // The file is closed before it is renamed.
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
        replace(&self.0, to)?;
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
