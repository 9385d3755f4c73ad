//! The folder of a training run: file names, metrics, provenance, and atomic writes.
//!
//! - [`RunFolder`]: the file names of a run; creates, opens and locks runs.
//! - [`CheckpointWriter`]: numbers checkpoint files and keeps the last two.
//! - [`metrics`]: records of measurements, in `metrics.jsonl` and for TensorBoard.
//! - [`Provenance`]: what produced the results of a run.
//! - [`RunSummary`]: the results of a run and what they belong to; [`ListedRun`] finds and reads runs for a table.
//! - [`Interval`]: means over several runs, with confidence intervals.
//! - [`Perplexity`]: its value and how it is printed.
//! - `plot`: plots of one or more runs as SVG, with the feature `plot`.
//! - [`write_atomically`]: how Rondo writes every whole file.
//!
//! Metrics, summaries and tables of runs need the feature `records`; programs that only open models do without.
//!
//! Not here: models, training, the contents of checkpoints.

mod atomic;
mod checkpoints;
mod error;
mod folder;
mod interval;
#[cfg(feature = "records")]
mod listing;
mod lock;
#[cfg(feature = "records")]
pub mod metrics;
mod perplexity;
#[cfg(feature = "plot")]
pub mod plot;
mod provenance;
#[cfg(feature = "records")]
mod summary;

pub use atomic::{move_into_place, write_atomically};
pub use checkpoints::CheckpointWriter;
pub use error::{Result, RunsError};
pub use folder::RunFolder;
pub use interval::{Interval, proportion_interval};
#[cfg(feature = "records")]
pub use listing::{ListedRun, natural_order, parse_settings};
pub use lock::RunLock;
pub use perplexity::{Compact, Loss, Perplexity};
pub use provenance::{Change, CorpusFingerprint, Provenance, Resumption, SettingsChange};
#[cfg(feature = "records")]
pub use summary::{EpochResult, RunSummary, Status};
