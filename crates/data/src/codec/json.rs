//! The JSON form of a codec, which a model file can contain: everything needed to use the model on texts.
//!
//! ```json
//! {
//!   "format": "rondo-codec",
//!   "version": 1,
//!   "tokenizer": {"kind": "words", "eos": "<eos>", "blank_lines": "keep"},
//!   "vocabulary": {"format": "rondo-vocab", "version": 1, "unknown": "<unk>", "tokens": ["<unk>", "<eos>"],
//!                  "counts": [12, 345]}
//! }
//! ```

use serde::Deserialize;

use super::TextCodec;
use crate::error::NO_TOKENIZERS;
use crate::vocab::{Header, VocabFile};
use crate::{DataError, Result, Tokenizer, hash::Sha256};

/// The value of `format` in a codec's JSON.
pub(crate) const FORMAT: &str = "rondo-codec";
/// The format version that is written, and the only version that can be read.
pub(crate) const VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodecFile {
    #[serde(rename = "format")]
    _format: String,
    #[serde(rename = "version")]
    _version: u32,
    tokenizer: Tokenizer,
    vocabulary: VocabFile,
}

impl TextCodec {
    /// Formats this codec as JSON. Whether it is [lossy](Self::lossy) is an option for reading and is not included.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (tokenizer, vocabulary) = (self.tokenizer.to_json(), self.vocab.to_json());
        format!(
            "{{\n\"format\": \"{FORMAT}\",\n\"version\": {VERSION},\n\"tokenizer\": {tokenizer},\n\
             \"vocabulary\": {}\n}}\n",
            vocabulary.trim_end()
        )
    }

    /// Parses a codec's JSON; `origin` is its name in errors.
    ///
    /// # Errors
    /// [`DataError::CodecSyntax`] if it is not valid codec JSON, [`DataError::CodecVersion`] if its format or
    /// version is not supported, [`DataError::NoTokenizers`] if its tokenizer needs the feature `tokenizers`, and the errors of [`Vocab::from_json`](crate::Vocab::from_json) if its
    /// vocabulary is invalid.
    pub fn from_json(origin: &str, json: &str) -> Result<Self> {
        let syntax = |source| DataError::CodecSyntax { origin: origin.to_owned(), source };
        // The header is parsed separately first, since a later version may have fields that this version rejects.
        let Header { format, version } = serde_json::from_str(json).map_err(syntax)?;
        if format != FORMAT || version != VERSION {
            return Err(DataError::CodecVersion { origin: origin.to_owned(), format, version });
        }
        let CodecFile { tokenizer, vocabulary, .. } = match serde_json::from_str(json) {
            Ok(file) => file,
            Err(error) if error.to_string().contains(NO_TOKENIZERS) => {
                return Err(DataError::NoTokenizers { origin: origin.to_owned() });
            }
            Err(error) => return Err(syntax(error)),
        };
        Ok(Self::new(tokenizer, vocabulary.into_vocab(origin)?))
    }

    /// Identifies this codec: equal if the tokenizers and the vocabularies are equal.
    ///
    /// It is the SHA-256, as 64 hexadecimal digits, of the tokenizer's [JSON](Tokenizer::to_json), a line feed,
    /// and the vocabulary's [fingerprint](crate::Vocab::fingerprint).
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::default();
        hasher.update(self.tokenizer.to_json());
        hasher.update("\n");
        hasher.update(self.vocab.fingerprint());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlankLines, Normalization, Vocab};

    fn codec(tokenizer: Tokenizer) -> TextCodec {
        let tokens = ["<unk>", "<eos>", "\"", "\n", "\u{e9}"];
        TextCodec::new(tokenizer, Vocab::from_tokens("test", tokens, Some("<unk>")).unwrap())
    }

    #[test]
    fn written_and_read_back_it_is_the_same() {
        for tokenizer in [
            Tokenizer::words().with_eos(None).with_blank_lines(BlankLines::Skip),
            Tokenizer::moses().with_lowercase(true),
            Tokenizer::chars(),
            Tokenizer::bytes(),
            Tokenizer::words().with_normalization(Normalization::Nfc),
            Tokenizer::chars().with_normalization(Normalization::Nfkc),
        ] {
            let codec = codec(tokenizer);
            let read = TextCodec::from_json("model", &codec.to_json()).unwrap();
            assert_eq!(read, codec);
            assert_eq!(read.fingerprint(), codec.fingerprint());
        }
        let counted = codec(Tokenizer::words()).counted_from(0, &vec![2, 4, 4, 1].into()).unwrap();
        let read = TextCodec::from_json("model", &counted.to_json()).unwrap();
        assert_eq!(read.vocab().counts(), Some(&[0, 1, 1, 0, 2][..]));
        assert_eq!((read.fingerprint(), &read), (codec(Tokenizer::words()).fingerprint(), &counted));
        let lossy = codec(Tokenizer::words()).lossy(true);
        assert!(!TextCodec::from_json("model", &lossy.to_json()).unwrap().is_lossy());
    }

    #[test]
    fn the_fingerprint_depends_on_tokenizer_and_vocabulary() {
        let words = codec(Tokenizer::words());
        let other = TextCodec::new(Tokenizer::words(), Vocab::from_tokens("test", ["a"], None).unwrap());
        let prints =
            [words.clone(), codec(Tokenizer::words().with_eos(None)), codec(Tokenizer::chars()), other];
        let prints: std::collections::HashSet<String> = prints.iter().map(TextCodec::fingerprint).collect();
        assert_eq!(prints.len(), 4);
        // Pinned: files can contain it, so it must never change for the same codec.
        let pinned = "5995aa30b8641e7bae70ce29ad2fc6e25b4d41d1df9293658310a8d9283a3a31";
        assert_eq!(words.fingerprint(), pinned);
    }

    #[test]
    fn normalization_is_kept_and_its_absence_is_none() {
        let nfc = codec(Tokenizer::words().with_normalization(Normalization::Nfc));
        assert!(nfc.to_json().contains(r#","normalization":"nfc"}"#), "{}", nfc.to_json());
        assert_eq!(nfc.encode("e\u{301}\n").unwrap().ids, nfc.encode("\u{e9}\n").unwrap().ids);
        let prefix = nfc.encode_prefix("e\u{301}").unwrap();
        assert_eq!(prefix, [4]);
        let lines: Vec<_> =
            nfc.lines("e\u{301}\ne\u{301}".as_bytes(), "l").map(|line| line.unwrap().ids).collect();
        assert_eq!(lines, [[4, 1], [4, 1]]);
        // Lines of characters that are answered one by one, without a line end in the vocabulary.
        let vocab = Vocab::from_tokens("test", ["\u{e9}"], None).unwrap();
        let chars = TextCodec::new(Tokenizer::chars().with_normalization(Normalization::Nfc), vocab);
        let mut encoder = chars.line_encoder("l");
        for line in ["e\u{301}\n", "e\u{301}e\u{301}\n", "\n", "\u{e9}"] {
            let expected = vec![0; line.chars().filter(|char| "e\u{e9}".contains(*char)).count()];
            assert_eq!(encoder.encode(line.as_bytes()).unwrap().ids, expected, "{line:?}");
        }
        let plain = codec(Tokenizer::words());
        assert!(!plain.to_json().contains("normalization"));
        assert_ne!(nfc.fingerprint(), plain.fingerprint());
        assert_ne!(nfc, plain);
        // A different way to split the text keeps it; bytes have none.
        assert_eq!(nfc.with_tokenizer(Tokenizer::moses()).tokenizer().normalization(), Normalization::Nfc);
        let bytes = Tokenizer::bytes().with_normalization(Normalization::Nfc);
        assert_eq!((bytes.normalization(), bytes.options().normalization), (Normalization::None, None));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let error = |json: &str| TextCodec::from_json("m", json).unwrap_err();
        let good = codec(Tokenizer::words()).to_json();
        let with = |from: &str, to: &str| {
            assert!(good.contains(from), "{good}");
            error(&good.replacen(from, to, 1)).to_string()
        };
        assert_eq!(
            with("\"version\": 1", "\"version\": 2, \"merges\": []"),
            "`m` has format `rondo-codec` version 2, expected `rondo-codec` version 1"
        );
        assert_eq!(
            with("rondo-codec", "rondo-vocab"),
            "`m` has format `rondo-vocab` version 1, expected `rondo-codec` version 1"
        );
        let version = "  \"version\": 1";
        assert_eq!(
            with(version, "  \"version\": 3"),
            "`m` has format `rondo-vocab` version 3, expected `rondo-vocab` version 1"
        );
        assert_eq!(with("\"<eos>\",\n", "\"<unk>\",\n"), "`m` lists token `<unk>` twice, with ids 0 and 1");
        let syntax = "`m` is not a valid text codec";
        assert_eq!(with("\"tokenizer\"", "\"x\": 1, \"tokenizer\""), syntax);
        assert_eq!(with("\"kind\":\"words\"", "\"kind\":\"word\""), syntax);
        let source = error(&good.replace("words", "word"));
        let source = std::error::Error::source(&source).unwrap().to_string();
        assert!(source.starts_with("unknown variant `word`, expected one of `words`"), "{source}");
        for end in (0..good.trim_end().len()).filter(|&end| good.is_char_boundary(end)) {
            assert!(TextCodec::from_json("m", &good[..end]).is_err(), "cut at {end}");
        }
    }
}
