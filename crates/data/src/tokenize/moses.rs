//! Running text: splits it into sentences, and these into words and punctuation by the Moses rules.
//!
//! ```text
//! "It's a\ndog.\n\nGood."      It 's a dog . <eos> Good . <eos>
//! ```
//!
//! Sentences end where [`Punkt`](crate::sentences::Punkt) decides, or at a blank line. A paragraph of more than a
//! megabyte is processed in parts.
//! Not here: the current paragraph (`running`), the rules ([`moses`](crate::moses)).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::kind::{Alignment, AnyKind, Cutter, Entry, Joiner, Kind, Named};
use super::running::Running;
use super::words::{default_eos, read_eos, write_eos};
use super::{Tokenizer, TokenizerKind, TokenizerOptions};
use crate::Vocab;
use crate::moses::{Detokenized, Joints};

/// The entry of this kind.
pub(super) const ENTRY: &Entry = &Entry {
    name: "moses",
    read: |fields| Ok(Arc::new(serde_json::from_value::<RunningText>(Value::Object(fields))?)),
    alignment: Alignment::Letters,
};

/// How it is created.
pub(super) const NAMED: &Named = &Named {
    entry: ENTRY,
    make,
    fit: |vocab, eos, options| {
        let (joints, lowercase) = (Some(joints(vocab)), Some(is_lowercase(vocab)));
        make(eos, &TokenizerOptions { joints, lowercase, ..options.clone() })
    },
};

/// The tokenizer for running text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunningText {
    #[serde(default = "default_eos", deserialize_with = "read_eos")]
    pub(super) eos: Option<String>,
    /// Whether lines are joined and split into sentences; if not, each line is a sentence, except blank lines.
    #[serde(default = "yes")]
    pub(super) sentences: bool,
    #[serde(default)]
    pub(super) joints: Joints,
    #[serde(default)]
    pub(super) lowercase: bool,
}

fn yes() -> bool {
    true
}

fn make(eos: Option<&str>, options: &TokenizerOptions) -> AnyKind {
    Arc::new(RunningText {
        eos: eos.map(str::to_owned),
        sentences: options.sentences.unwrap_or(true),
        joints: options.joints.unwrap_or_default(),
        lowercase: options.lowercase.unwrap_or(false),
    })
}

impl Kind for RunningText {
    fn entry(&self) -> &'static Entry {
        ENTRY
    }

    fn with(&self, eos: Option<&str>, options: &TokenizerOptions) -> AnyKind {
        make(eos, options)
    }

    fn is_of_words(&self) -> bool {
        true
    }

    fn is_by_sentences(&self) -> bool {
        self.sentences
    }

    fn eos(&self) -> Option<&str> {
        self.eos.as_deref()
    }

    fn options(&self) -> TokenizerOptions {
        TokenizerOptions {
            sentences: Some(self.sentences),
            joints: Some(self.joints),
            lowercase: Some(self.lowercase),
            ..TokenizerOptions::default()
        }
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("eos", write_eos(self.eos())),
            ("sentences", self.sentences.into()),
            ("joints", self.joints.name().into()),
            ("lowercase", self.lowercase.into()),
        ]
    }

    fn cutter(&self) -> Cutter {
        Cutter::Text(Box::new(Running::new(self.clone())))
    }

    fn joiner(&self) -> Box<dyn Joiner> {
        Box::new(SentenceJoiner { eos: self.eos.clone(), sentence: Detokenized::default() })
    }
}

/// Joins tokens as people write text, with a line ending for each end-of-sentence token.
#[derive(Debug)]
struct SentenceJoiner {
    eos: Option<String>,
    sentence: Detokenized,
}

impl Joiner for SentenceJoiner {
    fn push(&mut self, token: &str, text: &mut Vec<u8>) {
        if self.eos.as_deref() == Some(token) {
            text.push(b'\n');
            self.sentence.restart();
        } else {
            self.sentence.push(token, text);
        }
    }
}

impl Tokenizer {
    /// Creates the running-text tokenizer whose tokens match the vocabulary: dashes become `@-@` if the
    /// vocabulary has that token, and the text is lowercased if the vocabulary has only lowercase words.
    ///
    /// `eos` is the token that ends a sentence. `sentences` says whether the text is split into sentences, or
    /// each line is a sentence.
    #[must_use]
    pub fn moses_for(vocab: &Vocab, eos: Option<&str>, sentences: bool) -> Self {
        let options = TokenizerOptions { sentences: Some(sentences), ..TokenizerOptions::default() };
        TokenizerKind(NAMED).fitted(vocab, eos, &options)
    }
}

fn joints(vocab: &Vocab) -> Joints {
    let has = |token| vocab.id(token).is_some();
    match (has("@-@"), has("@,@") || has("@.@")) {
        (_, true) => Joints::All,
        (true, false) => Joints::Dashes,
        (false, false) => Joints::Keep,
    }
}

/// Whether the words of the vocabulary are lowercase, except for a few symbols, such as `N` for numbers in PTB.
fn is_lowercase(vocab: &Vocab) -> bool {
    let with_capitals = vocab.tokens().filter(|token| token.contains(char::is_uppercase)).count();
    with_capitals * 100 < vocab.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocab(words: &str) -> Vocab {
        Vocab::from_tokens("test", words.split(' '), None).unwrap()
    }

    #[test]
    fn words_are_cut_as_the_vocabulary_has_them() {
        assert_eq!(joints(&vocab("a @-@ b")), Joints::Dashes);
        assert_eq!(joints(&vocab("a @-@ @,@")), Joints::All);
        assert_eq!(joints(&vocab("a b - ,")), Joints::Keep);
    }

    #[test]
    fn a_lowercase_vocabulary_may_have_a_sign() {
        assert!(!is_lowercase(&vocab("the cat The")));
        let words: Vec<String> = (0..200).map(|index| format!("w{index}")).collect();
        assert!(is_lowercase(&vocab(&format!("{} N", words.join(" ")))));
    }
}
