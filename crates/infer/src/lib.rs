//! Whole language models: open, evaluate, score, stream, complete, rescore.
//!
//! ```text
//!  LanguageModel ─ open, score, evaluate, complete, rescore, stream        texts in, numbers and texts out
//!        │
//!        ├ TextCodec                          text to ids and back
//!        └ ModelHandle ─┬ evaluate            ids of a text       ──► nll_sum, tokens: the one perplexity
//!          (a shared    │  …_with_cache       and a Cache         ──► the same, helped by the words just seen
//!           model and   ├ Scorer              ids of sentences    ──► log-probability of each, of each token
//!           memory to   ├ Streams             prompts, Sampling   ──► tokens, one of each stream in a step
//!           run it in)  ├ BeamSearch          prefix              ──► the likeliest continuations
//!                       ├ Predictor           ids of a text       ──► what may come after each: Distribution
//!                       └ Decoder             states, tokens      ──► states, log-probabilities of all tokens
//! ```
//!
//! Everything runs the model's own lines with [`Mode::Evaluate`](rondo_nn::Mode::Evaluate): no gradient, no dropout.
//! All types own what they need and are `Send`; [`LanguageModel`] and [`ModelHandle`] are also `Sync`.
//! What another system says is weighed with a model's scores in [`rescore`].
//! Not here: optimizers, training checkpoints, clocks, printing.

mod beam;
mod cache;
mod complete;
mod decoder;
mod distribution;
mod error;
mod evaluate;
mod handle;
mod language_model;
mod logit_blocks;
mod predictor;
pub mod rescore;
mod sample;
mod score;
mod streams;
mod text_stream;

pub use beam::{BeamSearch, Hypothesis};
pub use cache::{Cache, CacheEvaluation, CachePoint, CacheTuning, evaluate_with_cache, tune_cache};
pub use complete::{Completer, Completing, Completion};
pub use decoder::{Decoder, DecoderState, LogProbs};
pub use distribution::{Candidate, Distribution};
pub use error::{InferError, Result};
pub use evaluate::{Evaluation, check_text, column_count, evaluate, evaluate_with, target_count, warm_state};
pub use handle::ModelHandle;
pub use language_model::{LanguageModel, ModelParts, model_context};
pub use predictor::Predictor;
pub use sample::{Sampler, Sampling};
pub use score::{ScoredLine, ScoredLines, Scorer, Scoring, SentenceScore};
pub use streams::{StreamId, StreamToken, Streams};
pub use text_stream::{Piece, StopReason, StopRule, StreamOptions, TextAssembler, TextStream};
