//! Subwords: tokenizers that others have trained, read from their files.
//!
//! ```text
//! tokenizer.json (Hugging Face: BPE, WordPiece, unigram)  ─▶ hugging_face  ┐
//! *.model (SentencePiece: unigram, BPE)                   ─▶ sentence_piece ┴▶ engine ─▶ Subwords
//!
//! "Hello world\n"      Hello Ġworld Ċ        byte-level BPE
//!                      ▁Hello ▁world </s>    SentencePiece
//! ```
//!
//! Each line is tokenized without its line ending, and followed by the token for a line ending: the tokenizer's own token
//! for a line feed, if it is a single one, else its token for the end of a sentence, else `<eos>`, which is added after its
//! tokens. A line of more than [`MOST_BYTES`](cutter::MOST_BYTES) is tokenized in parts.
//!
//! The file is part of the model: a codec contains it.
//!
//! Promises: the ids are those of the tokenizer's own program; the result does not depend on how a text is split into
//! pieces; a damaged file is an error. Not here: training (`train_bpe`).

use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::Error;
use serde_json::{Map, Value};

use super::TokenizerOptions;
use super::kind::{Alignment, AnyKind, Cutter, DEFAULT_EOS, Entry, Joiner, Kind, Span};
use super::tokenizer::SUBWORDS;
use super::words::{read_eos, write_eos};
use crate::{DataError, Result, Vocab};

mod cutter;
mod engine;
mod hugging_face;
mod joiner;
mod sentence_piece;
mod train;

use engine::{Engine, Failure};
pub use train::{BpeOptions, train_bpe};

/// The entry of this kind.
pub(super) const ENTRY: &Entry = &Entry { name: SUBWORDS, read, alignment: Alignment::Own };

/// The names of the token that ends a text, the most common first.
const SENTENCE_ENDS: [&str; 6] = ["</s>", "<eos>", "<|endoftext|>", "[SEP]", "[EOS]", "<sos/eos>"];

/// A tokenizer that was read from a file.
#[derive(Debug, Clone)]
struct Subwords {
    engine: Arc<dyn Engine>,
    file: Arc<File>,
    eos: Option<String>,
}

/// The file, as it is kept with a model.
#[derive(Debug, PartialEq)]
enum File {
    /// JSON of Hugging Face's library.
    Json(String),
    /// A model of SentencePiece.
    SentencePiece(Vec<u8>),
}

/// A tokenizer in the JSON of a codec.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(deserialize_with = "read_eos")]
    eos: Option<String>,
    #[serde(default)]
    json: Option<String>,
    #[serde(default)]
    sentencepiece: Option<String>,
}

/// Reads the file of a tokenizer; `origin` is its name in errors.
pub(super) fn open(origin: &str, bytes: Vec<u8>) -> Result<AnyKind> {
    let file = match String::from_utf8(bytes) {
        Ok(text) if text.trim_start_matches('\u{feff}').trim_start().starts_with('{') => File::Json(text),
        Ok(text) => File::SentencePiece(text.into_bytes()),
        Err(error) => File::SentencePiece(error.into_bytes()),
    };
    let invalid =
        |failure: Failure| DataError::TokenizerFile { origin: origin.to_owned(), reason: failure.0 };
    let engine = file.engine().map_err(invalid)?;
    let eos = Some(line_end(&*engine));
    let subwords = Subwords { engine, file: Arc::new(file), eos };
    subwords.vocab_named(origin)?;
    Ok(Arc::new(subwords))
}

/// The entry's `read`.
fn read(fields: Map<String, Value>) -> serde_json::Result<AnyKind> {
    let Fields { eos, json, sentencepiece } = serde_json::from_value(Value::Object(fields))?;
    let file = match (json, sentencepiece) {
        (Some(json), None) => File::Json(json),
        (None, Some(text)) => {
            let bytes = BASE64_STANDARD.decode(text);
            File::SentencePiece(bytes.map_err(|error| {
                serde_json::Error::custom(format!("`sentencepiece` is not valid Base64: {error}"))
            })?)
        }
        _ => return Err(serde_json::Error::custom("expected either `json` or `sentencepiece`")),
    };
    let engine = file.engine().map_err(|failure| serde_json::Error::custom(failure.0))?;
    Ok(Arc::new(Subwords { engine, file: Arc::new(file), eos }))
}

/// The token for a line ending.
fn line_end(engine: &dyn Engine) -> String {
    let mut ids = Vec::new();
    if engine.encode("\n", &mut ids).is_ok()
        && let [id] = ids[..]
        && let Some(token) = engine.tokens().get(id as usize)
        && engine.decode(std::slice::from_ref(token)) == "\n"
    {
        return token.clone();
    }
    let has = |name: &&&str| engine.tokens().iter().any(|token| token == **name);
    SENTENCE_ENDS.iter().find(has).copied().unwrap_or(DEFAULT_EOS).to_owned()
}

impl File {
    fn engine(&self) -> std::result::Result<Arc<dyn Engine>, Failure> {
        Ok(match self {
            Self::Json(text) => Arc::new(hugging_face::HuggingFace::read(text)?),
            Self::SentencePiece(bytes) => Arc::new(sentence_piece::SentencePiece::read(bytes)?),
        })
    }
}

impl Subwords {
    /// The tokenizer's tokens, and that for a line ending, if it is not one of them.
    fn vocab_named(&self, origin: &str) -> Result<Vocab> {
        let tokens = self.engine.tokens();
        let added = self.eos.as_ref().filter(|eos| !tokens.contains(eos));
        Vocab::from_tokens(origin, tokens.iter().chain(added).cloned(), self.engine.unknown())
    }
}

impl Kind for Subwords {
    fn entry(&self) -> &'static Entry {
        ENTRY
    }

    fn with(&self, eos: Option<&str>, _options: &TokenizerOptions) -> AnyKind {
        Arc::new(Self { eos: eos.map(str::to_owned), ..self.clone() })
    }

    fn is_normalizable(&self) -> bool {
        false
    }

    fn eos(&self) -> Option<&str> {
        self.eos.as_deref()
    }

    fn vocab(&self) -> Result<Option<Vocab>> {
        self.vocab_named("the tokenizer").map(Some)
    }

    fn file(&self) -> Option<(&'static str, &[u8])> {
        Some(match &*self.file {
            File::Json(text) => ("tokenizer.json", text.as_bytes()),
            File::SentencePiece(bytes) => ("tokenizer.model", bytes),
        })
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        let file = match &*self.file {
            File::Json(text) => ("json", Value::from(text.as_str())),
            File::SentencePiece(bytes) => ("sentencepiece", Value::from(BASE64_STANDARD.encode(bytes))),
        };
        vec![("eos", write_eos(self.eos())), file]
    }

    fn cutter(&self) -> Cutter {
        Cutter::Text(Box::new(cutter::LineCutter::new(Arc::clone(&self.engine), self.eos.clone())))
    }

    fn joiner(&self) -> Box<dyn Joiner> {
        Box::new(joiner::SubwordJoiner::new(Arc::clone(&self.engine), self.eos.clone()))
    }

    fn spans(&self, line: &str) -> Option<Vec<Span>> {
        let mut spans = Vec::new();
        for (start, part) in cutter::parts(line) {
            let tokens = self.engine.tokens();
            for (id, range) in self.engine.spans(part)? {
                let text = part.get(range.clone())?;
                // The space before a word is not a part of it.
                let rest = text.trim_start();
                let skipped = if rest.is_empty() { 0 } else { text.len() - rest.len() };
                let range = Range { start: start + range.start + skipped, end: start + range.end };
                spans.push((tokens.get(id as usize)?.clone(), range));
            }
        }
        Some(spans)
    }
}

#[cfg(test)]
mod tests;
