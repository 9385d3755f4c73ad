//! Notes for the user before a run begins.

use std::fmt;
use std::path::Path;

use rondo_data::DataError;
use rondo_kernels::{DeviceError, Precision};
use rondo_runs::Change;

use crate::TrainError;
use crate::error::or_unset;

/// Something the user should know before a run begins. It is displayed as one line without a final period.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Note<'a> {
    /// The resumed run has no checkpoint and starts from the beginning.
    NoCheckpoint,
    /// A checkpoint is damaged, and the previous one is used.
    DamagedCheckpoint(&'a TrainError),
    /// A setting of the resumed run has changed.
    Changed(&'a Change),
    /// The plan is that of a run whose settings changed while it was trained.
    FinalPlan {
        /// The folder of that run.
        run: &'a Path,
        /// The number of steps before the first change.
        step: u64,
    },
    /// Files have the names of a published corpus but other content, and are read as the user's own text.
    OwnText(&'a DataError),
    /// The device does not support matrix multiplication in the requested precision.
    Precision {
        /// What the device does not support.
        error: &'a DeviceError,
        /// The precision that is used.
        used: Precision,
    },
}

impl fmt::Display for Note<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::NoCheckpoint => write!(f, "the run has no checkpoint yet; starting from the beginning"),
            Note::DamagedCheckpoint(error) => write!(f, "{error}; using the previous checkpoint"),
            Note::Changed(Change { setting, before, now }) => {
                write!(f, "`{setting}` changes from {} to {}", or_unset(before), or_unset(now))
            }
            Note::FinalPlan { run, step } => {
                let run = run.display();
                write!(f, "the settings of `{run}` changed at step {step}; ")?;
                write!(f, "the new run has its final settings from the start")
            }
            Note::OwnText(error) => write!(f, "{error}; reading it as your own text"),
            Note::Precision { error, used } => write!(f, "{error}; computing with {used}"),
        }
    }
}
