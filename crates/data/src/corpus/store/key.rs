//! What identifies the ids of a corpus: the texts, how they are read, and the vocabulary.

use std::fs;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::reading::Sources;
use super::super::{CorpusOptions, CorpusTexts, TextSource, VocabSource};
use super::VERSION;
use crate::{Result, hash::sha256};

/// The size of a file, and when it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) bytes: u64,
    /// Nanoseconds since 1970, if the file system knows.
    pub(super) modified_ns: Option<u64>,
}

impl Stamp {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified_ns = since.and_then(|since| u64::try_from(since.as_nanos()).ok());
        Self { bytes: metadata.len(), modified_ns }
    }

    /// The stamp of a text.
    pub(super) fn of_source(source: &TextSource) -> Result<Self> {
        match source {
            TextSource::File(path) => Ok(Self::of(&fs::metadata(path).map_err(source.failed())?)),
            TextSource::Memory { text, .. } => Ok(Self { bytes: text.len() as u64, modified_ns: None }),
        }
    }

    /// Whether the file is unchanged for sure.
    pub(super) fn is_same(&self, other: &Self, source: &TextSource) -> bool {
        self == other && (self.modified_ns.is_some() || matches!(source, TextSource::Memory { .. }))
    }
}

/// A description of how these texts become ids, in JSON. Sizes and contents of files are not a part of it, so that ids of
/// texts that have changed are replaced.
pub(super) fn key(texts: &CorpusTexts, sources: &Sources<'_>, options: &CorpusOptions) -> Result<String> {
    let CorpusOptions {
        tokenizer,
        vocab,
        drop_tail_chars,
        lossy,
        text_field,
        valid_fraction,
        test_fraction,
        division,
        count_memory,
    } = options;
    let sources: Vec<_> = sources
        .iter()
        .map(|(split, source)| {
            let split = split.map(|split| split.to_string());
            match source {
                TextSource::File(path) => json!([split, std::path::absolute(path).unwrap_or(path.clone())]),
                TextSource::Memory { name, text } => json!([split, name, sha256(text.as_bytes())]),
            }
        })
        .collect();
    let vocab = match vocab {
        VocabSource::Build { options, splits } => json!({"build": format!("{options:?}"), "from": splits}),
        VocabSource::List { list, options } => {
            json!({"list": sha256_of_file(list)?, "special": format!("{options:?}")})
        }
        VocabSource::TokenizerFile(file) => json!({"tokenizer": sha256_of_file(file)?}),
        VocabSource::Given(vocab) => json!({"given": vocab.fingerprint()}),
        VocabSource::Extend { vocab, min_freq, max_size, splits } => {
            let vocab = sha256(vocab.to_json().as_bytes());
            json!({"extended": vocab, "min_freq": min_freq, "max_size": max_size, "from": splits})
        }
    };
    let is_whole = matches!(texts, CorpusTexts::Whole(_));
    let division = is_whole.then(|| json!([valid_fraction, test_fraction, division]));
    let key = json!({
        "version": VERSION,
        "rondo": env!("CARGO_PKG_VERSION"),
        "texts": sources,
        "tokenizer": tokenizer.to_json(),
        "vocabulary": vocab,
        "drop_tail_chars": drop_tail_chars,
        "lossy": lossy,
        "text_field": text_field,
        "division": division,
        "count_memory": count_memory,
    });
    Ok(key.to_string())
}

fn sha256_of_file(path: &PathBuf) -> Result<String> {
    let source = TextSource::File(path.clone());
    Ok(sha256(fs::read(path).map_err(source.failed())?))
}
