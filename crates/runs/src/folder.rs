//! The folder of a run: its file names, and how a run is created and opened.
//!
//! ```text
//! runs/built-in-1/
//!   plan.toml               all settings; written first, so a folder with a plan contains a run
//!   plan-original.toml      the settings before the first change, if settings were changed during the run
//!   provenance.json         versions, device, corpus, resumptions
//!   summary.json            changed settings, sizes, results, times; replaced after each epoch
//!   vocab.json              the tokens, in the order of their ids
//!   vocab-list.txt          the word list of the user, if the vocabulary is one
//!   tokenizer.json, tokenizer.model  the tokenizer of the user, if it is in a file
//!   stdin-*.txt             texts that could be read only once, from stdin or a pipe
//!   metrics.jsonl           one record per line, append-only
//!   events.out.tfevents.*   the same for TensorBoard, append-only
//!   best.safetensors        the model with the lowest validation loss
//!   last.safetensors        the latest model
//!   checkpoint-*.safetensors  the last two checkpoints
//!   curve.svg               losses and perplexities
//!   .lock                   locked by the training process; contains its process id
//! ```
//!
//! Promises: a new run never overwrites an old one; every file is complete at any time ([`write_atomically`]), except
//! the two append-only files. Not here: the lock (`lock`), the contents of the files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Result, RunsError, checkpoints, write_atomically};

/// How the names of TensorBoard's event files start.
pub(crate) const EVENTS_PREFIX: &str = "events.out.tfevents.";

/// Whether a file has the name of an event file.
pub(crate) fn is_event_file(name: &str) -> bool {
    name.starts_with(EVENTS_PREFIX)
}

/// The folder of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// File name of the plan: the settings of the run, as TOML.
    pub const PLAN: &str = "plan.toml";
    /// File name of the plan before the first change of settings during the run.
    pub const ORIGINAL_PLAN: &str = "plan-original.toml";
    /// File name of the [`Provenance`](crate::Provenance).
    pub const PROVENANCE: &str = "provenance.json";
    /// File name of the [`RunSummary`](crate::RunSummary).
    pub const SUMMARY: &str = "summary.json";
    /// File name of the vocabulary.
    pub const VOCAB: &str = "vocab.json";
    /// File name of the user's word list.
    pub const VOCAB_LIST: &str = "vocab-list.txt";
    /// File name of the user's tokenizer, if it is JSON of Hugging Face's library.
    pub const TOKENIZER_JSON: &str = "tokenizer.json";
    /// File name of the user's tokenizer, if it is a model of SentencePiece.
    pub const TOKENIZER_MODEL: &str = "tokenizer.model";
    /// File name of the metrics, one record per line.
    pub const METRICS: &str = "metrics.jsonl";
    /// File name of the model with the lowest validation loss.
    pub const BEST_MODEL: &str = "best.safetensors";
    /// File name of the latest model.
    pub const LAST_MODEL: &str = "last.safetensors";
    /// File name of the plot of losses and perplexities.
    pub const CURVE: &str = "curve.svg";

    /// File name of a text that could be read only once, counted from 1.
    pub fn stored_text(number: usize) -> String {
        format!("stdin-{number}.txt")
    }

    /// Whether a file name is that of such a text.
    pub fn is_stored_text(name: &str) -> bool {
        let number = name.strip_prefix("stdin-").and_then(|rest| rest.strip_suffix(".txt"));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// Creates a run in the folder `path` by writing its plan, as TOML. The folder is created if it is missing.
    ///
    /// The folder can contain other files, but none that a run would write.
    ///
    /// # Errors
    /// [`RunsError::RunExists`] if the folder already contains a run; [`RunsError::Io`] if it cannot be created
    /// or written to. Folders created before the error are removed.
    pub fn create(path: impl Into<PathBuf>, plan: &str) -> Result<RunFolder> {
        let folder = RunFolder { path: path.into() };
        if let Some(file) = folder.traces()?.into_iter().next() {
            return Err(RunsError::RunExists { path: folder.path, file });
        }
        let made = make_folders(&folder.path).map_err(RunsError::io("create", &folder.path))?;
        match write_atomically(&folder.plan(), |to| to.write_all(plan.as_bytes())) {
            Ok(()) => Ok(folder),
            Err(error) => {
                remove_folders(&made);
                Err(error)
            }
        }
    }

    /// Creates a run in the first free folder among `name-1`, `name-2`, … in `parent`.
    ///
    /// # Errors
    /// See [`RunFolder::create`], except for existing runs.
    pub fn create_next(parent: impl AsRef<Path>, name: &str, plan: &str) -> Result<RunFolder> {
        let parent = parent.as_ref();
        let mut number = 1_u32;
        loop {
            let path = parent.join(format!("{name}-{number}"));
            // An empty folder is skipped, too: another process may be about to create a run in it.
            if !path.try_exists().map_err(RunsError::io("read", &path))? {
                return Self::create(path, plan);
            }
            number += 1;
        }
    }

    /// Opens the folder of an existing run.
    ///
    /// # Errors
    /// [`RunsError::NoRun`] if it contains no plan.
    pub fn open(path: impl Into<PathBuf>) -> Result<RunFolder> {
        let folder = RunFolder { path: path.into() };
        if folder.plan().is_file() {
            Ok(folder)
        } else {
            Err(RunsError::NoRun { path: folder.path, file: Self::PLAN })
        }
    }

    /// Whether the folder holds a run, or what is left of one.
    #[cfg(feature = "records")]
    pub(crate) fn is_run(path: &Path) -> bool {
        path.join(Self::PLAN).is_file() || path.join(Self::METRICS).is_file()
    }

    /// The folder of a run that another process has created, or will; nothing is read or checked.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> RunFolder {
        RunFolder { path: path.into() }
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the plan.
    pub fn plan(&self) -> PathBuf {
        self.path.join(Self::PLAN)
    }

    /// The path of the plan before the first change of settings; the file exists only if there was a change.
    pub fn original_plan(&self) -> PathBuf {
        self.path.join(Self::ORIGINAL_PLAN)
    }

    /// The path of the provenance.
    pub fn provenance(&self) -> PathBuf {
        self.path.join(Self::PROVENANCE)
    }

    /// The path of the summary.
    pub fn summary(&self) -> PathBuf {
        self.path.join(Self::SUMMARY)
    }

    /// Replaces the plan, for a run that is resumed with different settings.
    ///
    /// # Errors
    /// [`RunsError::Io`] if the file cannot be written.
    pub fn replace_plan(&self, plan: &str) -> Result<()> {
        write_atomically(&self.plan(), |to| to.write_all(plan.as_bytes()))
    }

    /// Writes the plan before the first change of settings.
    ///
    /// # Errors
    /// [`RunsError::Io`] if the file cannot be written.
    pub fn write_original_plan(&self, plan: &str) -> Result<()> {
        write_atomically(&self.original_plan(), |to| to.write_all(plan.as_bytes()))
    }

    /// The paths of the checkpoints, the latest last.
    ///
    /// # Errors
    /// [`RunsError::Io`] if the folder cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<PathBuf>> {
        Ok(checkpoints::numbered(&self.path)?.into_iter().map(|(_, path)| path).collect())
    }

    /// The path of the vocabulary.
    pub fn vocab(&self) -> PathBuf {
        self.path.join(Self::VOCAB)
    }

    /// The path of the metrics.
    pub fn metrics(&self) -> PathBuf {
        self.path.join(Self::METRICS)
    }

    /// The path of the model with the lowest validation loss.
    pub fn best_model(&self) -> PathBuf {
        self.path.join(Self::BEST_MODEL)
    }

    /// The path of the latest model.
    pub fn last_model(&self) -> PathBuf {
        self.path.join(Self::LAST_MODEL)
    }

    /// The path of the plot of losses and perplexities.
    pub fn curve(&self) -> PathBuf {
        self.path.join(Self::CURVE)
    }

    /// The names of the files in the folder that only a run writes.
    fn traces(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            // If the path is a file, creating the folder reports it.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(vec![]);
            }
            Err(source) => return Err(RunsError::io("read", &self.path)(source)),
        };
        let mut traces = vec![];
        for entry in entries {
            let name = entry.map_err(RunsError::io("read", &self.path))?.file_name();
            let name = name.to_string_lossy();
            let files = [
                Self::PLAN,
                Self::ORIGINAL_PLAN,
                Self::PROVENANCE,
                Self::SUMMARY,
                Self::VOCAB,
                Self::VOCAB_LIST,
                Self::TOKENIZER_JSON,
                Self::TOKENIZER_MODEL,
                Self::METRICS,
                Self::BEST_MODEL,
                Self::LAST_MODEL,
                Self::CURVE,
            ];
            let is_numbered = checkpoints::is_checkpoint(&name) || Self::is_stored_text(&name);
            if files.contains(&&*name) || is_event_file(&name) || is_numbered {
                traces.push(name.into_owned());
            }
        }
        // An error names the first file, and the plan is the clearest sign of a run. Sorted, so that it is always
        // the same.
        traces.sort_by_key(|name| (name != Self::PLAN, name.clone()));
        Ok(traces)
    }
}

/// Creates the folder and its parents, and returns the ones that were missing, innermost first.
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

/// Removes folders if they are empty. This is cleanup after another error, which is the one to report.
fn remove_folders(folders: &[PathBuf]) {
    for folder in folders {
        let _ = fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "epochs = 1\n";

    #[test]
    fn a_run_begins_with_its_plan() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a").join("b");
        let folder = RunFolder::create(&path, PLAN).unwrap();
        assert_eq!(fs::read_to_string(folder.plan()).unwrap(), PLAN);
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
            let error = RunFolder::create(&path, PLAN).unwrap_err().to_string();
            assert_eq!(error, format!("`{}` already contains a run: found `{named}`", path.display()));
            assert_eq!(fs::read_to_string(path.join(trace)).unwrap(), "old");
            assert_eq!(fs::read_dir(&path).unwrap().count(), 2);
        }
    }

    #[test]
    fn other_files_do_not_keep_a_run_from_beginning() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        RunFolder::create(folder.path(), PLAN).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_and_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        let error = RunFolder::create(file.join("run"), PLAN).unwrap_err();
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
            let folder = RunFolder::create_next(&runs, "ptb-rnn", PLAN).unwrap();
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
            format!("`{}` is not a run folder: `plan.toml` not found", folder.path().display())
        );
    }
}
