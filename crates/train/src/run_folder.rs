//! The folder of a run: which file is where, and how a new one comes to be.
//!
//! ```text
//! runs/built-in-1/
//!   plan.toml               all settings; the first file, so what has one is a run
//!   provenance.json         versions, device, texts, and when the run was resumed
//!   vocab.json              what the ids mean
//!   metrics.jsonl           one record a line, appended to
//!   events.out.tfevents.*   the same for TensorBoard, appended to
//!   best.safetensors        the model with the lowest validation loss
//!   last.safetensors        the latest model
//!   checkpoint-*.safetensors  the last two states of the run, to go on from
//!   curve.svg               losses and perplexities
//!   .lock                   locked by the process that trains, with its number
//! ```
//!
//! Promises: a folder that holds a run is never written over; every file but the two that are appended to is
//! whole at any time ([`write_atomically`]); two processes do not train in one folder.
//! Not here: what is in the files.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::checkpoint::store;
use crate::files::remove_partial;
use crate::metrics::is_event_file;
use crate::{Checkpoint, Plan, Result, TrainError, write_atomically};

const PLAN: &str = "plan.toml";
const PROVENANCE: &str = "provenance.json";
const LOCK: &str = ".lock";
const VOCAB: &str = "vocab.json";
const METRICS: &str = crate::metrics::FILE_NAME;
const BEST_MODEL: &str = "best.safetensors";
const LAST_MODEL: &str = "last.safetensors";
const CURVE: &str = "curve.svg";

/// The folder of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Begins a run in the folder `path`, which is made if it is missing, with its plan.
    ///
    /// Other files may be in the folder already, but none that a run would write.
    ///
    /// # Errors
    /// [`TrainError::RunExists`] if there is a run in it; [`TrainError::Io`] if it cannot be made or written
    /// to. What was made until then is removed again.
    pub fn create(path: impl Into<PathBuf>, plan: &Plan) -> Result<RunFolder> {
        let folder = RunFolder { path: path.into() };
        if let Some(file) = folder.traces()?.into_iter().next() {
            return Err(TrainError::RunExists { path: folder.path, file });
        }
        let text = plan.to_toml()?;
        let made = make_folders(&folder.path).map_err(TrainError::io("create", &folder.path))?;
        match write_atomically(&folder.plan(), |to| to.write_all(text.as_bytes())) {
            Ok(()) => Ok(folder),
            Err(error) => {
                remove_folders(&made);
                Err(error)
            }
        }
    }

    /// Begins a run in the first free folder of `parent` among `name-1`, `name-2`, …
    ///
    /// # Errors
    /// As [`RunFolder::create`], but for runs that exist.
    pub fn create_next(parent: impl AsRef<Path>, name: &str, plan: &Plan) -> Result<RunFolder> {
        let parent = parent.as_ref();
        let mut number = 1_u32;
        loop {
            let path = parent.join(format!("{name}-{number}"));
            // Whatever has this name is left alone, even what is empty: it may be another run about to begin.
            if !path.try_exists().map_err(TrainError::io("read", &path))? {
                return Self::create(path, plan);
            }
            number += 1;
        }
    }

    /// The folder of a run that has begun.
    ///
    /// # Errors
    /// [`TrainError::NoRun`] if there is none in it.
    pub fn open(path: impl Into<PathBuf>) -> Result<RunFolder> {
        let folder = RunFolder { path: path.into() };
        if folder.plan().is_file() {
            Ok(folder)
        } else {
            Err(TrainError::NoRun { path: folder.path, file: PLAN })
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings of the run, as TOML.
    pub fn plan(&self) -> PathBuf {
        self.path.join(PLAN)
    }

    /// Where the numbers come from.
    pub fn provenance(&self) -> PathBuf {
        self.path.join(PROVENANCE)
    }

    /// Writes the plan anew, since something about it has been changed.
    pub(crate) fn replace_plan(&self, plan: &Plan) -> Result<()> {
        let text = plan.to_toml()?;
        write_atomically(&self.plan(), |to| to.write_all(text.as_bytes()))
    }

    /// The latest checkpoint that is whole, and what is wrong with later ones; none if there is no checkpoint.
    ///
    /// # Errors
    /// [`TrainError::NoGoodCheckpoint`] if there are some, but none is whole; [`TrainError::Io`] if one cannot be read,
    /// and [`TrainError::CheckpointVersion`] if one is of another version.
    pub fn latest_checkpoint(&self) -> Result<Option<(Checkpoint, Vec<TrainError>)>> {
        store::latest(&self.path)
    }

    /// Keeps other processes from training in the folder as long as the lock lives, and removes what a process that was
    /// killed has left half-written. The operating system takes the lock from a process that ends, however it does.
    ///
    /// # Errors
    /// [`TrainError::Locked`] if another process has it, [`TrainError::Io`] if the folder cannot be written to.
    pub fn lock(&self) -> Result<RunLock> {
        let path = self.path.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(TrainError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Who it is helps, but is not what matters.
                let _ = file.read_to_string(&mut text);
                return Err(TrainError::Locked { path: self.path.clone(), pid: text.trim().parse().ok() });
            }
            // A file system without locks: nobody else can be told, but the run need not fail for it.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(TrainError::io("lock", &path)(source)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(TrainError::io("write", &path))?;
        remove_partial(&self.path);
        Ok(RunLock { _file: file })
    }

    /// The vocabulary.
    pub fn vocab(&self) -> PathBuf {
        self.path.join(VOCAB)
    }

    /// The records of metrics, one a line.
    pub fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// The model with the lowest validation loss.
    pub fn best_model(&self) -> PathBuf {
        self.path.join(BEST_MODEL)
    }

    /// The latest model.
    pub fn last_model(&self) -> PathBuf {
        self.path.join(LAST_MODEL)
    }

    /// The picture of losses and perplexities.
    pub fn curve(&self) -> PathBuf {
        self.path.join(CURVE)
    }

    /// The names of the files in it that a run would have written.
    fn traces(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            // What cannot be a folder holds no run; making the folder then tells what is in the way.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(vec![]);
            }
            Err(source) => return Err(TrainError::io("read", &self.path)(source)),
        };
        let mut traces = vec![];
        for entry in entries {
            let name = entry.map_err(TrainError::io("read", &self.path))?.file_name();
            let name = name.to_string_lossy();
            let files = [PLAN, PROVENANCE, VOCAB, METRICS, BEST_MODEL, LAST_MODEL, CURVE];
            if files.contains(&&*name) || is_event_file(&name) || store::is_checkpoint(&name) {
                traces.push(name.into_owned());
            }
        }
        // The plan is what best shows that there is a run; otherwise the same is named each time.
        traces.sort_by_key(|name| (name != PLAN, name.clone()));
        Ok(traces)
    }
}

/// Holds the folder of a run for one process.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// Makes the folder and those it is in, and returns the ones that were missing, innermost first.
fn make_folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let missing: Vec<PathBuf> = path
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .map(Path::to_owned)
        .collect();
    match fs::create_dir_all(path) {
        Ok(()) => Ok(missing),
        Err(error) => {
            remove_folders(&missing);
            Err(error)
        }
    }
}

/// Removes folders if they are empty. It is done on the way out of another error, which is the one to tell.
fn remove_folders(folders: &[PathBuf]) {
    for folder in folders {
        let _ = fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    fn plan() -> Plan {
        Plan::new(&Settings::default()).unwrap()
    }

    #[test]
    fn a_run_begins_with_its_plan() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a").join("b");
        let folder = RunFolder::create(&path, &plan()).unwrap();
        let text = fs::read_to_string(folder.plan()).unwrap();
        assert_eq!(Plan::new(&Settings::parse("plan.toml", &text).unwrap()).unwrap(), plan());
        assert_eq!(RunFolder::open(&path).unwrap(), folder);
        assert_eq!(folder.best_model(), path.join("best.safetensors"));
    }

    #[test]
    fn a_folder_that_holds_a_run_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        for (trace, named) in
            [("plan.toml", "plan.toml"), ("events.out.tfevents.1.x", "events.out.tfevents.1.x")]
        {
            let path = parent.path().join(trace);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("notes.txt"), "").unwrap();
            fs::write(path.join(trace), "old").unwrap();
            let error = RunFolder::create(&path, &plan()).unwrap_err().to_string();
            assert_eq!(error, format!("`{}` already holds a run: there is `{named}` in it", path.display()));
            assert_eq!(fs::read_to_string(path.join(trace)).unwrap(), "old");
            assert_eq!(fs::read_dir(&path).unwrap().count(), 2);
        }
    }

    #[test]
    fn one_process_at_a_time_and_what_a_killed_one_left_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(parent.path().join("run"), &plan()).unwrap();
        let partial = folder.path().join(".x1y2.partial");
        fs::write(&partial, "half").unwrap();
        let lock = folder.lock().unwrap();
        assert!(!partial.exists());
        // Another opening of the file is to the system as another process.
        let error = folder.lock().unwrap_err().to_string();
        let pid = std::process::id();
        assert_eq!(error, format!("`{}` is in use by another process, {pid}", folder.path().display()));
        drop(lock);
        folder.lock().unwrap();
    }

    #[test]
    fn other_files_do_not_keep_a_run_from_beginning() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        RunFolder::create(folder.path(), &plan()).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_and_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        let error = RunFolder::create(file.join("run"), &plan()).unwrap_err();
        assert_eq!(error.to_string(), format!("could not create `{}`", file.join("run").display()));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_are_numbered_from_the_first_that_is_free() {
        let parent = tempfile::tempdir().unwrap();
        let runs = parent.path().join("runs");
        fs::create_dir_all(runs.join("ptb-rnn-2")).unwrap();
        let mut names = vec![];
        for _ in 0..2 {
            let folder = RunFolder::create_next(&runs, "ptb-rnn", &plan()).unwrap();
            names.push(folder.path().file_name().unwrap().to_str().unwrap().to_owned());
        }
        assert_eq!(names, ["ptb-rnn-1", "ptb-rnn-3"]);
    }

    #[test]
    fn a_folder_without_a_plan_holds_no_run() {
        let folder = tempfile::tempdir().unwrap();
        let error = RunFolder::open(folder.path()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("`{}` holds no run: there is no `plan.toml` in it", folder.path().display())
        );
    }
}
