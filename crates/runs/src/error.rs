//! Errors of a run's files.

use std::path::PathBuf;

/// The result of an operation in this crate.
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
        /// What the operating system reported.
        source: std::io::Error,
    },
    /// A new run was requested in a folder that already holds one.
    #[error("`{}` already holds a run: there is `{file}` in it", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
        /// A file that shows that there is a run.
        file: String,
    },
    /// A folder that should hold a run does not.
    #[error("`{}` holds no run: there is no `{file}` in it", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// The file that every run has.
        file: &'static str,
    },
    /// Another process holds the lock of the folder.
    #[error("`{}` is in use by another process{}", path.display(), numbered(*pid))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Its process id, if it left one.
        pid: Option<u32>,
    },
    /// A line of a metrics file is not a record.
    #[error("`{}`, line {line} is no record of metrics", path.display())]
    Metrics {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A provenance file cannot be parsed.
    #[error("`{}` does not say where the run's numbers come from", path.display())]
    Provenance {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A corpus differs from the one that the run was trained on.
    #[error("the {part} is another than the run's: its fingerprint is {found}, the run's is {expected}")]
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
    /// A run has no position on the axis of a plot.
    #[cfg(feature = "plot")]
    #[error("`{run}` cannot be drawn over {axis}: {reason}")]
    Axis {
        /// Its name.
        run: String,
        /// The axis.
        axis: crate::plot::Axis,
        /// What is missing.
        reason: &'static str,
    },
    /// A plot could not be drawn.
    #[cfg(feature = "plot")]
    #[error("could not draw the curve: {reason}")]
    Curve {
        /// What the drawing library reported.
        reason: String,
    },
}

fn numbered(pid: Option<u32>) -> String {
    pid.map(|pid| format!(", {pid}")).unwrap_or_default()
}

impl RunsError {
    /// The error of an operation on a file, for `map_err`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| RunsError::Io { action, path, source }
    }
}
