//! Notes for the user, before a run begins or during it.

use std::fmt;
use std::path::Path;

use rondo_data::DataError;
use rondo_kernels::{DeviceError, Precision};
use rondo_runs::{Change, Compact, Loss};

use crate::TrainError;
use crate::error::or_unset;

/// A loss so close to that of a uniform guess, in nats per token, is that of a model without training.
const LEARNED_NOTHING: f64 = 0.1;

/// Something the user should know, before a run begins or during it. It is displayed as one line without a final
/// period.
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
    /// The training loss stays above that of a uniform guess over the vocabulary.
    WorseThanUniform {
        /// The mean training loss over at least a quarter of an epoch, in nats per token.
        loss: f64,
        /// The size of the vocabulary.
        vocab_size: usize,
        /// The learning rate.
        learning_rate: f64,
        /// The maximum gradient norm, if there is one.
        clip_norm: Option<f64>,
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
            &Note::WorseThanUniform { loss, vocab_size, learning_rate, clip_norm } => {
                let learning_rate = Compact(learning_rate);
                let uniform = (vocab_size as f64).ln();
                write!(
                    f,
                    "the training loss of {} stays above {}, the loss of a uniform guess among {vocab_size} tokens: ",
                    Loss(loss),
                    Loss(uniform)
                )?;
                if loss < uniform + LEARNED_NOTHING {
                    return write!(
                        f,
                        "nothing is learned, the learning rate of {learning_rate} is too low or too high"
                    );
                }
                let clip = match clip_norm {
                    Some(norm) => format!("the gradient clipping at norm {norm} too weak"),
                    None => "the gradient not clipped".to_owned(),
                };
                write!(
                    f,
                    "probably the learning rate of {learning_rate} is too high, {clip}, or the initialization too large"
                )
            }
        }
    }
}
