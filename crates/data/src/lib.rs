//! Corpora, vocabularies, tokenizers and BPTT batches: everything between a text and a model's input.
//!
//! ```text
//! files, folder, memory        one pass, streamed            truncated BPTT
//! ┌────────────────────┐      ┌───────────────────┐      ┌────────────────────┐
//! │ corpus::TextSource │ ───▶ │ tokenize          │      │ batches::Batches   │
//! │  train valid test  │      │  words chars bytes│      │  columns, batches  │
//! └────────────────────┘      └─────────┬─────────┘      └─────────▲──────────┘
//!                                tokens │                          │ TokenIds
//!                             ┌─────────▼─────────┐      ┌─────────┴──────────┐
//!                             │ counter ─▶ vocab  │ ───▶ │ corpus::Corpus     │
//!                             │  token ◀──▶ id    │ ids  │ 4 bytes per token  │
//!                             └───────────────────┘      └────────────────────┘
//! ```
//!
//! Encoding and decoding: `codec`, a tokenizer and a vocabulary in one value, encodes new texts and decodes ids
//! to text.
//!
//! Running text: `sentences` splits it into sentences (Punkt); `moses` splits sentences into words and
//! punctuation, and joins them again.
//!
//! Sources of texts: `named` and `download` (published corpora), `tales` (the built-in corpus, whose entropy is
//! known), `generated` (corpora of any size for tests). Baselines for a model: `ngram`. N-gram models of other toolkits: `arpa`.
//!
//! Promises: a text is never in memory as a whole, a token takes four bytes in memory or in a file, and every problem with a text is a
//! [`DataError`] that names the file and, where possible, the line.
//! Not here: devices and models; floating-point numbers, except for statistics of texts.

mod arpa;
pub mod batches;
pub mod codec;
mod compressed;
pub mod corpus;
pub mod counter;
#[cfg(feature = "download")]
pub mod download;
mod error;
#[cfg(feature = "corpora")]
mod generated;
mod hash;
mod ids;
mod look;
pub mod moses;
pub mod named;
mod nearest;
pub mod ngram;
pub mod records;
pub mod sentences;
pub mod tales;
mod text_lines;
pub mod tokenize;
pub mod vocab;

pub use arpa::{Arpa, ArpaFault};
pub use batches::{Batch, BatchOrder, Batches, LastBatch, NO_TARGET, Unit, Units};
pub use codec::{
    Encoded, EncodedLine, LineEncoder, Lines, Spacing, TextCodec, TextDecoder, TextReport, Tokens,
};
pub use corpus::{
    Corpus, CorpusEvent, CorpusObserver, CorpusOptions, CorpusPart, CorpusReading, CorpusTexts, Division,
    IdStore, IdsFault, SourceReport, Split, TextSource, VocabSource, VocabSplits, readable,
};
pub use counter::Counter;
#[cfg(feature = "download")]
pub use download::{Downloader, Progress};
pub use error::{DataError, Result, read_error};
#[cfg(feature = "corpora")]
pub use generated::{GeneratedFiles, TokenProgress, ZipfText};
pub use ids::TokenIds;
pub use look::{TextLook, TextNote};
pub use moses::Joints;
pub use named::{Located, NAMED_CORPORA, NamedCorpus, NamedFile, Place, Places};
pub use nearest::{nearest, nearest_names, or_nearest};
pub use tales::Tales;
pub use text_lines::{TextLines, read_text};
pub use tokenize::{
    BlankLines, Normalization, Punctuation, TextStats, Tokenizer, TokenizerChoice, TokenizerKind,
    TokenizerOptions,
};
#[cfg(feature = "tokenizers")]
pub use tokenize::{BpeOptions, train_bpe};
pub use vocab::{Vocab, VocabOptions, VocabOrder};
