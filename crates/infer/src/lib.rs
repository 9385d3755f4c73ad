//! Evaluation, scoring and sampling of recurrent language models.
//!
//! ```text
//!                    ┌ evaluate  ◄── ids of a text       ──► nll_sum, tokens: the one perplexity
//!   RnnLm, Workspace ┼ Scorer    ◄── ids of sentences    ──► log-probability of each, of each token
//!                    └ Generator ◄── prefix, Sampling    ──► ids, one after the other
//! ```
//!
//! Everything runs the model's own lines with [`Mode::Evaluate`](rondo_nn::Mode::Evaluate): no gradient, no dropout.
//! The workspace is the caller's, so that the weights laid out for one use serve the next; it should be one of the
//! model's device.
//! Not here: optimisers, training checkpoints, clocks, printing.

mod error;
mod evaluate;
mod generate;
mod sample;
mod score;

pub use error::{InferError, Result};
pub use evaluate::{Evaluation, column_count, evaluate, evaluate_with, target_count};
pub use generate::Generator;
pub use sample::{Sampler, Sampling};
pub use score::{ScoredLine, ScoredLines, Scorer, Scoring, SentenceScore, line_end};
