//! The vocabulary file: JSON with one token per line, so that two vocabularies can be compared line by line.
//!
//! ```json
//! {
//!   "format": "rondo-vocab",
//!   "version": 1,
//!   "unknown": "<unk>",
//!   "tokens": [
//!     "<unk>",
//!     "<eos>"
//!   ],
//!   "counts": [12, 345]
//! }
//! ```
//!
//! `counts` says how often each token occurs in the training text. It is optional: version 0.1.0 did not write it.

use std::{fs, path::Path};

use rondo_runs::write_atomically;
use serde::Deserialize;

use super::Vocab;
use crate::{DataError, Result};

/// The value of `format` in a vocabulary file.
pub(crate) const FORMAT: &str = "rondo-vocab";
/// The format version that is written, and the only version that can be read.
pub(crate) const VERSION: u32 = 1;

/// The first fields of every JSON format of this crate: the vocabulary file and the text codec.
#[derive(Deserialize)]
pub(crate) struct Header {
    pub(crate) format: String,
    pub(crate) version: u32,
}

/// The contents of a vocabulary file, and of the vocabulary in a text codec.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VocabFile {
    format: String,
    version: u32,
    unknown: Option<String>,
    tokens: Vec<String>,
    counts: Option<Vec<u64>>,
}

impl VocabFile {
    /// Converts to a vocabulary; `origin` is the name of the file in errors.
    pub(crate) fn into_vocab(self, origin: &str) -> Result<Vocab> {
        check_version(origin, self.format, self.version)?;
        let vocab = Vocab::from_tokens(origin, self.tokens, self.unknown.as_deref())?;
        vocab.with_counts_from(&format!("`{origin}`"), self.counts)
    }
}

fn check_version(origin: &str, format: String, version: u32) -> Result<()> {
    if format == FORMAT && version == VERSION {
        return Ok(());
    }
    Err(DataError::VocabVersion { origin: origin.to_owned(), format, version })
}

impl Vocab {
    /// Formats this vocabulary as the text of a vocabulary file.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Written by hand because a serializer can fail, and this cannot.
        let unknown = serde_json::Value::from(self.unknown_token());
        let tokens: Vec<_> =
            self.tokens().map(|token| format!("    {}", serde_json::Value::from(token))).collect();
        // In one line, so that the lines are those of the tokens.
        let counts = self.counts().map(|counts| {
            let counts: Vec<_> = counts.iter().map(u64::to_string).collect();
            format!(",\n  \"counts\": [{}]", counts.join(", "))
        });
        format!(
            "{{\n  \"format\": \"{FORMAT}\",\n  \"version\": {VERSION},\n  \"unknown\": {unknown},\n  \
             \"tokens\": [\n{}\n  ]{}\n}}\n",
            tokens.join(",\n"),
            counts.unwrap_or_default()
        )
    }

    /// Parses the text of a vocabulary file; `origin` is its name in errors.
    ///
    /// # Errors
    /// If it is not JSON of this format and version, lists a token twice, has no tokens, does not list its own unknown
    /// token, or has counts, but not one for each token.
    pub fn from_json(origin: &str, json: &str) -> Result<Self> {
        let syntax = |source| DataError::VocabSyntax { origin: origin.to_owned(), source };
        // The header is parsed separately first, since a later version may have fields that this version rejects.
        let Header { format, version } = serde_json::from_str(json).map_err(syntax)?;
        check_version(origin, format, version)?;
        let file: VocabFile = serde_json::from_str(json).map_err(syntax)?;
        file.into_vocab(origin)
    }

    /// Writes a vocabulary file atomically ([`write_atomically`]).
    ///
    /// # Errors
    /// [`DataError::Runs`] if the folder is missing, not writable or full.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(write_atomically(path.as_ref(), |to| to.write_all(self.to_json().as_bytes()))?)
    }

    /// Reads a vocabulary file.
    ///
    /// # Errors
    /// [`DataError::Read`] if it cannot be read, and the errors of [`from_json`](Self::from_json).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let origin = path.as_ref().display().to_string();
        match fs::read_to_string(path) {
            Ok(json) => Self::from_json(&origin, &json),
            Err(source) => Err(DataError::Read { origin, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vocab {
        Vocab::from_tokens("test", ["<unk>", "<eos>", "\"", "\n", "é", "😀"], Some("<unk>")).unwrap()
    }

    fn counted() -> Vocab {
        sample().with_counts(vec![0, 20, 3, 1, u64::MAX, 5]).unwrap()
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vocab.json");
        for vocab in [sample(), counted(), Vocab::from_tokens("test", ["a"], None).unwrap()] {
            vocab.save(&path).unwrap();
            let loaded = Vocab::load(&path).unwrap();
            assert_eq!((&loaded, loaded.counts()), (&vocab, vocab.counts()));
            assert_eq!(loaded.fingerprint(), vocab.fingerprint());
        }
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["vocab.json"], "no other file may be left behind");
    }

    #[test]
    fn a_failed_save_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vocab.json");
        // A folder that is not empty cannot be replaced by a file.
        fs::create_dir_all(path.join("inner")).unwrap();
        sample().save(&path).unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_file_has_a_token_a_line() {
        let json = Vocab::from_tokens("test", ["a", "b"], Some("b")).unwrap().to_json();
        let expected = "{\n  \"format\": \"rondo-vocab\",\n  \"version\": 1,\n  \"unknown\": \"b\",\n  \"tokens\": [\n    \"a\",\n    \"b\"\n  ]\n}\n";
        assert_eq!(json, expected);
    }

    /// So that files of two vocabularies can be compared line by line, and those without counts stay as they were.
    #[test]
    fn counts_are_one_line_after_the_tokens() {
        let vocab = Vocab::from_tokens("test", ["a", "b"], None).unwrap();
        let json = vocab.clone().with_counts(vec![3, 10]).unwrap().to_json();
        assert_eq!(json, vocab.to_json().replace("\n  ]\n", "\n  ],\n  \"counts\": [3, 10]\n"));
    }

    #[test]
    fn lying_files_are_refused() {
        let error = |json: &str| Vocab::from_json("v.json", json).unwrap_err().to_string();
        let file = |version, unknown, tokens| {
            format!(r#"{{"format":"rondo-vocab","version":{version},"unknown":{unknown},"tokens":{tokens}}}"#)
        };
        assert!(Vocab::from_json("v.json", &file(1, "null", r#"["a"]"#)).is_ok());
        assert_eq!(
            error(&file(2, "null", r#"["a"]"#)),
            "`v.json` has format `rondo-vocab` version 2, expected `rondo-vocab` version 1"
        );
        assert_eq!(
            error(&file(1, "null", r#"["a","a"]"#)),
            "`v.json` lists token `a` twice, with ids 0 and 1"
        );
        assert_eq!(error(&file(1, r#""u""#, r#"["a"]"#)), "`v.json` does not list its unknown token `u`");
        assert_eq!(error(&file(1, "null", "[]")), "a vocabulary needs at least one token");
        assert_eq!(
            error(&file(1, "null", r#"["a"],"counts":[1,2]"#)),
            "`v.json` has a different number of counts (2) than of tokens (1)"
        );
        let syntax = "`v.json` is not a valid vocabulary file";
        for json in ["", "[", "[]", "{}", "\u{0}", r#"{"format":"rondo-vocab","version":-1}"#] {
            assert_eq!(error(json), syntax, "{json:?}");
        }
        assert_eq!(error(&file(1, "null", r#"["a",3]"#)), syntax);
        assert_eq!(error(&file(1, "null", r#"["a"],"extra":1"#)), syntax);
        for tokens in [
            r#"["a"],"counts":[-1]"#,
            r#"["a"],"counts":[1.5]"#,
            r#"["a"],"counts":[18446744073709551616]"#,
            r#"["a"],"counts":1"#,
            r#"["a"],"counts":[null]"#,
        ] {
            assert_eq!(error(&file(1, "null", tokens)), syntax, "{tokens}");
        }
    }

    #[test]
    fn truncation_anywhere_is_an_error_and_never_a_panic() {
        let json = counted().to_json();
        for end in (0..json.trim_end().len()).filter(|&end| json.is_char_boundary(end)) {
            assert!(Vocab::from_json("v.json", &json[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn missing_places_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no").join("vocab.json");
        let shown = path.display();
        assert_eq!(Vocab::load(&path).unwrap_err().to_string(), format!("could not read `{shown}`"));
        assert_eq!(sample().save(&path).unwrap_err().to_string(), format!("could not write `{shown}`"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_vocabulary_or_an_error(text in any::<String>()) {
            let _ = Vocab::from_json("v.json", &text);
        }

        #[test]
        fn a_damaged_file_is_a_vocabulary_that_is_read_back_the_same_or_an_error(
            place in any::<prop::sample::Index>(),
            char in any::<char>(),
        ) {
            let mut chars: Vec<char> = counted().to_json().chars().collect();
            let place = place.index(chars.len());
            chars[place] = char;
            let json: String = chars.into_iter().collect();
            if let Ok(vocab) = Vocab::from_json("v.json", &json) {
                let again = Vocab::from_json("v.json", &vocab.to_json()).unwrap();
                prop_assert_eq!((&again, again.counts()), (&vocab, vocab.counts()));
            }
        }
    }
}
