//! Errors for the files of a run.

use std::path::PathBuf;

/// The result type of this crate's functions.
pub type Result<T> = std::result::Result<T, RunsError>;

/// Why a run's file or folder could not be created, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunsError {
    /// A file or folder could not be created, read or written.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// `read`, `create`, `write`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The underlying I/O error.
        source: std::io::Error,
    },
    /// A new run was requested in a folder that already contains one.
    #[error("`{}` already contains a run: found `{file}`", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
        /// A file of the existing run.
        file: String,
    },
    /// A folder does not contain a run.
    #[error("`{}` is not a run folder: `{file}` not found", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// The missing file, which every run has.
        file: &'static str,
    },
    /// Another process holds the lock of the folder.
    #[error("`{}` is in use by another process{}", path.display(), numbered(*pid))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The id of that process, if known.
        pid: Option<u32>,
    },
    /// A line of a metrics file is not a valid record.
    #[error("line {line} of `{}` is not a valid metrics record", path.display())]
    Metrics {
        /// The file.
        path: PathBuf,
        /// The line number, starting at 1.
        line: usize,
        /// The parse error.
        source: serde_json::Error,
    },
    /// A provenance file cannot be parsed.
    #[error("`{}` is not a valid provenance file", path.display())]
    Provenance {
        /// The file.
        path: PathBuf,
        /// The parse error.
        source: serde_json::Error,
    },
    /// A plan is not valid TOML.
    #[error("line {line} of `{}` is not valid TOML: {reason}", path.display())]
    Plan {
        /// The file.
        path: PathBuf,
        /// The line number, starting at 1.
        line: usize,
        /// The message of the parser.
        reason: String,
    },
    /// A summary file cannot be parsed.
    #[error("`{}` is not a valid summary file", path.display())]
    Summary {
        /// The file.
        path: PathBuf,
        /// The parse error.
        source: serde_json::Error,
    },
    /// A folder and the folders in it contain no runs.
    #[error("`{}` contains no runs", path.display())]
    NoRuns {
        /// The folder.
        path: PathBuf,
    },
    /// A corpus differs from the one the run was trained on.
    #[error("the {part} differs from the run's: its fingerprint is {found}, expected {expected}")]
    OtherCorpus {
        /// `vocabulary`, `training text`, …
        part: &'static str,
        /// The fingerprint of the corpus that was read.
        found: String,
        /// The fingerprint of the run's corpus.
        expected: String,
    },
    /// A metrics file has no records.
    #[cfg(feature = "plot")]
    #[error("`{}` has no records yet", path.display())]
    NoRecords {
        /// The file.
        path: PathBuf,
    },
    /// A run lacks the values that the axis of a plot needs.
    #[cfg(feature = "plot")]
    #[error("`{run}` cannot be plotted over {axis}: {reason}")]
    Axis {
        /// The name of the run.
        run: String,
        /// The axis.
        axis: crate::plot::Axis,
        /// What is missing.
        reason: &'static str,
    },
    /// A plot could not be drawn.
    #[cfg(feature = "plot")]
    #[error("could not draw the plot: {reason}")]
    Curve {
        /// The error message of the drawing library.
        reason: String,
    },
}

fn numbered(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process id {pid})")).unwrap_or_default()
}

impl RunsError {
    /// Makes the error of a file operation, for `map_err`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| RunsError::Io { action, path, source }
    }
}
