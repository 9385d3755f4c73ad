//! Corpora, vocabularies, tokenisers and BPTT batches: everything between a text and a model's input.
//!
//! ```text
//! files, folder, memory        one pass, streamed            truncated BPTT
//! ┌────────────────────┐      ┌───────────────────┐      ┌────────────────────┐
//! │ corpus::TextSource │ ───▶ │ tokenize          │      │ batches::Batches   │
//! │  train valid test  │      │  words chars bytes│      │  columns, chunks   │
//! └────────────────────┘      └─────────┬─────────┘      └─────────▲──────────┘
//!                                tokens │                          │ &[u32]
//!                             ┌─────────▼─────────┐      ┌─────────┴──────────┐
//!                             │ counter ─▶ vocab  │ ───▶ │ corpus::Corpus     │
//!                             │  token ◀──▶ id    │ ids  │  4 bytes a token   │
//!                             └───────────────────┘      └────────────────────┘
//! ```
//!
//! Promises: text is never held whole, a token costs four bytes, and whatever is wrong with a text is one
//! [`DataError`] that names the file and, where there is one, the line.
//! Not here: floats, devices, models.

pub mod batches;
pub mod corpus;
pub mod counter;
pub mod encode;
mod error;
mod hex;
pub mod tokenize;
pub mod vocab;

pub use batches::{Batches, Chunk, ChunkOrder, LastChunk};
pub use corpus::{
    Corpus, CorpusOptions, CorpusTexts, SourceReport, Split, TextSource, VocabSource, VocabSplits,
};
pub use counter::Counter;
pub use encode::{Encoded, EncodedLine, Encoder, Lines, TextReport};
pub use error::{DataError, Result};
pub use tokenize::{BlankLines, Detokenizer, TextStats, Tokenizer};
pub use vocab::{Vocab, VocabOptions, VocabOrder};
