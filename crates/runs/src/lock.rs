//! The lock of a run's folder: only one process at a time can train in it.
//!
//! The file `.lock` contains the process id, but the actual lock is the operating system's lock on the file. It is
//! released when the process ends, for any reason, so a killed process does not block others. On Windows, nothing can be
//! read from a locked file, so the message about it is without the process id.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

use crate::atomic::remove_partial;
use crate::{Result, RunFolder, RunsError};

const LOCK: &str = ".lock";

/// Holds the lock of a run's folder until it is dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunFolder {
    /// Locks the folder against other processes, and removes temporary files left behind by a killed process.
    ///
    /// # Errors
    /// [`RunsError::Locked`] if another process holds the lock, [`RunsError::Io`] if the folder cannot be written to.
    pub fn lock(&self) -> Result<RunLock> {
        let path = self.path().join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(RunsError::io("open", &path))?;
        match lock_patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The process id is only for the message, so it can be missing.
                let _ = file.read_to_string(&mut text);
                return Err(RunsError::Locked {
                    path: self.path().to_owned(),
                    pid: text.trim().parse().ok(),
                });
            }
            // A file system without locks cannot protect the folder, but that is no reason to fail.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(RunsError::io("lock", &path)(source)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(RunsError::io("write", &path))?;
        remove_partial(self.path());
        Ok(RunLock { _file: file })
    }

    /// Whether a process holds the lock. Without a lock file, or on a file system without locks, none does.
    #[cfg(feature = "records")]
    pub(crate) fn is_locked(&self) -> bool {
        let file = File::open(self.path().join(LOCK));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

/// How often, and how long apart, a lock is tried.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);

/// Locks the file. A process that only asks whether it is locked holds it for a moment, so the first failure is not the
/// last word.
fn lock_patiently(file: &File) -> std::result::Result<(), TryLockError> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            result => return result,
        }
    }
    file.try_lock()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_process_at_a_time_and_what_a_killed_one_left_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(parent.path().join("run"), "").unwrap();
        let partial = folder.path().join(".x1y2.partial");
        fs::write(&partial, "half").unwrap();
        let lock = folder.lock().unwrap();
        assert!(!partial.exists());
        // To the operating system, opening the file again is the same as another process opening it.
        let error = folder.lock().unwrap_err().to_string();
        let message = format!("`{}` is in use by another process", folder.path().display());
        let pid = format!("{message} (process id {})", std::process::id());
        // Wine lets locked files be read.
        assert!(error == pid || (cfg!(windows) && error == message), "{error}");
        drop(lock);
        folder.lock().unwrap();
    }
}
