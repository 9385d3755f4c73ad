//! Notes for the user, before a run begins or during it.

use std::fmt;
use std::path::Path;

use rondo_data::{DataError, IdsFault, TextNote};
use rondo_kernels::{Bytes, Device, DeviceError, Precision};
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
    /// The sizes of a run of limited time follow from its text and its time.
    Sized {
        /// The units of each layer.
        hidden_sizes: &'a [usize],
        /// The dropout probability of the output.
        dropout: f32,
        /// How often the text will be read, as far as the peak of the machine tells.
        reads: f64,
    },
    /// Files have the names of a published corpus but other content, and are read as the user's own text.
    OwnText(&'a DataError),
    /// A resumed run was computed on another device until now.
    OtherDevice {
        /// The device until now, as it describes itself.
        before: &'a str,
        /// The device from now on.
        now: &'a Device,
    },
    /// The device does not support matrix multiplication in the requested precision, or is slower with it.
    Precision {
        /// What the device does not support.
        error: &'a DeviceError,
        /// The precision that is used.
        used: Precision,
    },
    /// There is no GPU, and the plan says to use one if there is.
    NoGpu {
        /// Why there is none.
        error: &'a DeviceError,
        /// The device that is used.
        used: &'a Device,
    },
    /// Something in a text looks unintended.
    Text {
        /// The text.
        origin: &'a str,
        /// What it looks like.
        note: &'a TextNote,
        /// The number of other texts that look the same.
        others: usize,
    },
    /// Another process is tokenizing the same texts, and its result will be used.
    WaitingForIds {
        /// The folder of the ids.
        path: &'a Path,
    },
    /// The texts have been tokenized before.
    KnownIds {
        /// The file of the ids.
        path: &'a Path,
    },
    /// The texts are tokenized again, because what is there cannot be used.
    IdsAgain {
        /// The file of the ids.
        path: &'a Path,
        /// What is wrong with it.
        fault: &'a IdsFault,
    },
    /// Tokenizing continues where it was interrupted.
    TokenizingContinued {
        /// The number of tokens that are already there.
        tokens: u64,
    },
    /// The memory for counting was not enough for all tokens.
    Undercount {
        /// The most that a count can be too low.
        undercount: u64,
    },
    /// The vocabulary is so large that training will be slow.
    LargeVocabulary {
        /// The size of the vocabulary.
        vocab_size: usize,
        /// The memory that the run needs, in bytes.
        bytes: u64,
        /// The fraction of the multiplications that the softmax over the vocabulary takes.
        softmax_fraction: f64,
    },
    /// An epoch will take more than a day.
    LongEpoch {
        /// The estimated time of an epoch in seconds.
        seconds: f64,
        /// The number of batches in an epoch.
        batches: usize,
        /// The size of the vocabulary.
        vocab_size: usize,
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
            Note::Sized { hidden_sizes, dropout, reads } => {
                let sizes: Vec<String> = hidden_sizes.iter().map(usize::to_string).collect();
                write!(
                    f,
                    "for this text and time: layers of {} units, dropout {dropout}; ",
                    sizes.join(" and ")
                )?;
                write!(f, "the text will be read about {} times", Compact(reads.max(1.0).round()))
            }
            Note::OwnText(error) => write!(f, "{error}; reading it as your own text"),
            Note::OtherDevice { before, now } => {
                write!(f, "the run was computed on {before} until now, and is continued on {now}: ")?;
                write!(f, "the last digits of its results depend on that")
            }
            Note::Precision { error, used } => write!(f, "{error}; computing with {used}"),
            Note::NoGpu { error, used } => write!(f, "{error}; computing on {used}"),
            Note::Text { origin, note, others: 0 } => write!(f, "`{origin}` {note}"),
            Note::Text { origin, note, others } => write!(f, "`{origin}` (and {others} more) {note}"),
            Note::WaitingForIds { path } => {
                write!(f, "another process tokenizes the same texts in `{}`; waiting for it", path.display())
            }
            Note::KnownIds { path } => {
                write!(f, "the texts are already tokenized, in `{}`", path.display())
            }
            Note::IdsAgain { path, fault } => {
                write!(f, "`{}` is made again: {fault}", path.display())
            }
            Note::TokenizingContinued { tokens } => {
                write!(f, "tokenizing continues after {tokens} tokens, where it was interrupted")
            }
            Note::Undercount { undercount } => {
                write!(
                    f,
                    "`--count-memory` was not enough for all tokens: tokens that occur at most {undercount} times "
                )?;
                write!(f, "may be missing from the vocabulary, and the text is read a second time")
            }
            Note::LargeVocabulary { vocab_size, bytes, softmax_fraction } => {
                let percent = (100.0 * softmax_fraction).floor();
                write!(
                    f,
                    "with a vocabulary of {vocab_size} tokens, the run needs about {} of memory, ",
                    Bytes(*bytes)
                )?;
                write!(
                    f,
                    "and the softmax takes {percent} % of the computation; `--softmax sampled:4096` trains "
                )?;
                write!(
                    f,
                    "with a sample of them, and `--min-frequency 2` or `--max-vocab-size 50000` replaces "
                )?;
                write!(f, "rare tokens by the unknown token")
            }
            Note::LongEpoch { seconds, batches, vocab_size } => {
                let days = seconds / (24.0 * 60.0 * 60.0);
                write!(f, "an epoch of {batches} batches will take about {days:.1} days at this speed; ")?;
                write!(f, "a smaller `--hidden-size`, a larger `--batch-size`, `--max-batches`, ")?;
                write!(f, "or `--max-vocab-size` below {vocab_size} shortens it")
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_say_what_to_change() {
        let note =
            Note::LargeVocabulary { vocab_size: 1_000_000, bytes: 4_000_000_000, softmax_fraction: 0.9984 };
        assert_eq!(
            note.to_string(),
            "with a vocabulary of 1000000 tokens, the run needs about 4.0 GB of memory, and the softmax takes 99 % of \
             the computation; `--softmax sampled:4096` trains with a sample of them, and `--min-frequency 2` or \
             `--max-vocab-size 50000` replaces rare tokens by the unknown token"
        );
        let note = Note::LongEpoch { seconds: 200_000.0, batches: 5000, vocab_size: 33_000 };
        assert!(
            note.to_string().starts_with("an epoch of 5000 batches will take about 2.3 days at this speed; ")
        );
    }
}
