//! Corpora, vocabularies, tokenizers and BPTT batches: everything between a text and a model's input.
//!
//! ```text
//! files, folder, memory        one pass, streamed            truncated BPTT
//! ┌────────────────────┐      ┌───────────────────┐      ┌────────────────────┐
//! │ corpus::TextSource │ ───▶ │ tokenize          │      │ batches::Batches   │
//! │  train valid test  │      │  words chars bytes│      │  columns, batches   │
//! └────────────────────┘      └─────────┬─────────┘      └─────────▲──────────┘
//!                                tokens │                          │ TokenIds
//!                             ┌─────────▼─────────┐      ┌─────────┴──────────┐
//!                             │ counter ─▶ vocab  │ ───▶ │ corpus::Corpus     │
//!                             │  token ◀──▶ id    │ ids  │  4 bytes a token   │
//!                             └───────────────────┘      └────────────────────┘
//! ```
//!
//! Texts that come after training, and the way back to text: `codec`, a tokenizer and a vocabulary in one value.
//!
//! What running text is cut by: `sentences` (Punkt) and `moses` (words and punctuation, and the way back).
//!
//! Where texts come from: `named` and `download` (published corpora), `tales` (the built-in one, whose entropy is
//! known). What to compare a model with: `ngram`.
//!
//! Promises: text is never held whole, a token costs four bytes, and whatever is wrong with a text is one
//! [`DataError`] that names the file and, where there is one, the line.
//! Not here: devices, models, and floats but for statistics of a text.

pub mod batches;
pub mod codec;
pub mod corpus;
pub mod counter;
pub mod download;
mod error;
mod hex;
mod ids;
pub mod moses;
pub mod named;
pub mod ngram;
pub mod sentences;
pub mod tales;
mod text_lines;
pub mod tokenize;
pub mod vocab;

pub use batches::{Batch, BatchOrder, Batches, LastBatch};
pub use codec::{Encoded, EncodedLine, Lines, Spacing, TextCodec, TextDecoder, TextReport};
pub use corpus::{
    Corpus, CorpusOptions, CorpusTexts, SourceReport, Split, TextSource, VocabSource, VocabSplits,
};
pub use counter::Counter;
pub use download::{Downloader, Progress};
pub use error::{DataError, Result};
pub use ids::TokenIds;
pub use moses::Joints;
pub use named::{Located, NAMED_CORPORA, NamedCorpus, NamedFile, Place, Places};
pub use tales::Tales;
pub use text_lines::{TextLines, read_text};
pub use tokenize::{BlankLines, TextStats, Tokenizer, TokenizerKind, TokenizerOptions};
pub use vocab::{Vocab, VocabOptions, VocabOrder};
