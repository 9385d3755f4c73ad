//! Inference with language models: open, evaluate, score, generate, complete, rescore.
//!
//! ```text
//!  LanguageModel ─ open, score, evaluate, complete, rescore, stream        text in, scores and text out
//!        │
//!        ├ TextCodec                          text to ids and back
//!        └ ModelHandle ─┬ evaluate            ids of a text       ──► nll_sum, tokens: perplexity
//!          (a shared    │  …_with_cache       and a Cache         ──► the same, with a neural cache
//!           model and   ├ Scorer              ids of sentences    ──► log-probabilities of sentences and tokens
//!           memory to   ├ Streams             prompts, Sampling   ──► tokens, one per stream and step
//!           run it in)  ├ BeamSearch          prefix              ──► the most likely continuations
//!                       ├ Predictor           ids of a text       ──► the next token's Distribution at each position
//!                       ├ Surprisals          texts               ──► surprisal, entropy and rank of their words
//!                       ├ Filter              texts               ──► perplexity per word, kept or dropped, bucket
//!                       └ Decoder             states, tokens      ──► states, log-probabilities of all tokens
//! ```
//!
//! Everything runs the model's forward pass with [`Mode::Evaluate`](rondo_nn::Mode::Evaluate): no gradients,
//! no dropout. All types own their data and are `Send`; [`LanguageModel`] and [`ModelHandle`] are also
//! `Sync`. [`rescore`] combines the scores of another system with those of a model; [`pairs`] tests models on minimal
//! pairs and test suites, and [`compare`] compares the losses of two models.
//! Not here: optimizers, training checkpoints, clocks, printing.

mod baseline;
mod beam;
mod cache;
pub mod compare;
mod complete;
mod decoder;
mod distribution;
mod error;
mod evaluate;
mod filter;
mod handle;
mod keystrokes;
mod language_model;
pub mod lattice;
mod logit_blocks;
mod measures;
mod memory;
mod mixture;
mod neighbors;
mod ngram;
mod normalizer;
pub mod pairs;
mod predictions;
mod predictor;
mod ranking;
pub mod rescore;
mod resets;
mod sample;
mod score;
mod streams;
mod surprisal;
mod text_stream;

pub use baseline::evaluate_baseline;
pub use beam::{BeamSearch, Hypothesis};
pub use cache::{
    Cache, CacheEvaluation, CachePoint, CacheReader, CacheTuning, evaluate_with_cache, tune_cache,
};
pub use complete::{Completer, Completing, Completion, Preferences, Suggester, UserWords};
pub use decoder::{Decoder, DecoderState, LogProbs};
pub use distribution::{Candidate, Distribution};
pub use error::{InferError, Result};
pub use evaluate::{
    Evaluation, EvaluationPart, check_text, column_count, evaluate, evaluate_part, evaluate_with,
    evaluation_batch, target_count, warm_state,
};
pub use filter::{Buckets, Filter, FilterSummary, FilterUnit, Filtering, TextSample, Verdict};
pub use handle::ModelHandle;
pub use keystrokes::{Keystrokes, TypedText, Typing};
pub use language_model::{LanguageModel, ModelParts, OpenOptions, model_context};
pub use measures::{Measures, TextCounts};
pub use memory::check_memory;
pub use neighbors::Neighbor;
pub use ngram::{Interpolation, NgramEvaluation, evaluate_with_ngram, tune_ngram};
pub use normalizer::{CHECK_EVERY, Normalizer, NormalizerCheck, NormalizerSamples, NormalizerStatistics};
pub use predictor::Predictor;
pub use ranking::{RankSums, Ranking, Ranks};
pub use resets::Resets;
pub use sample::{Sampler, Sampling};
pub use score::{ScoredLine, ScoredLines, Scorer, Scoring, SentenceScore};
pub use streams::{StreamId, StreamToken, Streams};
pub use surprisal::{
    Passage, Region, RegionFault, RegionScore, RegionUnit, Start, SurprisalOptions, Surprisals, UnknownWords,
};
pub use text_stream::{Piece, StopReason, StopRule, StreamOptions, TextAssembler, TextStream};
