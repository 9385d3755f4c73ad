//! Evaluation, scoring and sampling of recurrent language models.
//!
//! ```text
//!                    ┌ evaluate  ◄── ids of a text       ──► nll_sum, tokens: the one perplexity
//!                    │  …_with_cache ◄── and a Cache         ──► the same, helped by the words just seen
//!   RnnLm, Workspace ┼ Scorer    ◄── ids of sentences    ──► log-probability of each, of each token
//!                    ├ Generator ◄── prefix, Sampling    ──► ids, one after the other
//!                    ├ BeamSearch ◄─ prefix              ──► the likeliest continuations, with their scores
//!                    ├ Predictor ◄── ids of a text       ──► what may come after each: Distribution
//!                    └ Completer ◄── text being typed    ──► the words that may come, with their probabilities
//! ```
//!
//! Everything runs the model's own lines with [`Mode::Evaluate`](rondo_nn::Mode::Evaluate): no gradient, no dropout.
//! The workspace is the caller's, so that the weights laid out for one use serve the next; it should be one of the
//! model's device.
//! What another system says is weighed with a model's scores in [`rescore`].
//! Not here: optimisers, training checkpoints, clocks, printing.

mod beam;
mod blocks;
mod cache;
mod candidates;
mod complete;
mod distribution;
mod error;
mod evaluate;
mod generate;
pub mod rescore;
mod rows;
mod sample;
mod score;

pub use beam::{BeamSearch, Hypothesis};
pub use cache::{Cache, CacheEvaluation, CachePoint, CacheTuning, evaluate_with_cache, tune_cache};
pub use candidates::Predictor;
pub use complete::{Completer, Completing, Completion};
pub use distribution::{Candidate, Distribution};
pub use error::{InferError, Result};
pub use evaluate::{Evaluation, check_text, column_count, evaluate, evaluate_with, target_count, warm_state};
pub use generate::Generator;
pub use sample::{Sampler, Sampling};
pub use score::{ScoredLine, ScoredLines, Scorer, Scoring, SentenceScore};
