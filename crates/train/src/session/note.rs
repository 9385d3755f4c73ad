//! What a user should know before a run begins.

use std::fmt;

use rondo_data::DataError;
use rondo_kernels::{DeviceError, Precision};
use rondo_runs::Change;

use crate::TrainError;

/// Something that the user should know before a run begins. It is displayed as a sentence without full stop.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Note<'a> {
    /// The run to be resumed has no checkpoint and starts from the beginning.
    NoCheckpoint,
    /// A checkpoint is damaged, and the one before it is used.
    DamagedCheckpoint(&'a TrainError),
    /// A setting of the run to be resumed has another value than before.
    Changed(&'a Change),
    /// Files with the names of a published corpus are not its files, and are read as a text of one's own.
    OwnText(&'a DataError),
    /// The device has no matrix products of the precision asked for.
    Precision {
        /// What it lacks.
        error: &'a DeviceError,
        /// The precision that is used.
        used: Precision,
    },
}

impl fmt::Display for Note<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::NoCheckpoint => write!(f, "the run has no checkpoint yet: it begins anew"),
            Note::DamagedCheckpoint(error) => write!(f, "{error}: the one before it is used"),
            Note::Changed(Change { setting, before, now }) => {
                let or_nothing = |value| if str::is_empty(value) { "nothing" } else { value };
                write!(f, "`{setting}` was {} and is {} from here on", or_nothing(before), or_nothing(now))
            }
            Note::OwnText(error) => write!(f, "{error}: reading it as a text of your own"),
            Note::Precision { error, used } => write!(f, "{error}; computing with {used}"),
        }
    }
}
