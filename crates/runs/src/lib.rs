//! The folder of a training run: file names, metrics, provenance, and files that are written atomically.
//!
//! - [`RunFolder`]: the names of a run's files; how a run is created, opened and locked.
//! - [`CheckpointWriter`]: numbers checkpoint files and keeps the last two.
//! - [`metrics`]: records of numbers, in `metrics.jsonl` and for TensorBoard.
//! - [`Provenance`]: what produced a run's numbers.
//! - [`Perplexity`]: the number and how it is printed.
//! - `plot`: plots of one run or of several as SVG, behind the feature `plot`.
//! - [`write_atomically`]: how Rondo writes every whole file.
//!
//! Not here: models, training, the content of checkpoints.

mod atomic;
mod checkpoints;
mod error;
mod folder;
mod lock;
pub mod metrics;
mod perplexity;
#[cfg(feature = "plot")]
pub mod plot;
mod provenance;

pub use atomic::{move_into_place, write_atomically};
pub use checkpoints::CheckpointWriter;
pub use error::{Result, RunsError};
pub use folder::RunFolder;
pub use lock::RunLock;
pub use perplexity::Perplexity;
pub use provenance::{Change, CorpusFingerprint, Provenance, Resumption};
