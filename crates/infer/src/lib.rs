//! Evaluation, scoring and sampling of recurrent language models.
//!
//! ```text
//!                    ┌ evaluate ── ids ───────────► nll_sum, tokens: the one perplexity
//!   RnnLm, Workspace ┤
//!                    └ …
//! ```
//!
//! Everything runs the model's own lines with [`Mode::Evaluate`](rondo_nn::Mode::Evaluate): no gradient, no dropout.
//! The workspace is the caller's, so that the weights laid out for one use serve the next; it should be one of the
//! model's device.
//! Not here: optimisers, training checkpoints, clocks, printing.

mod error;
mod evaluate;

pub use error::{InferError, Result};
pub use evaluate::{Evaluation, column_count, evaluate, evaluate_with, target_count};
