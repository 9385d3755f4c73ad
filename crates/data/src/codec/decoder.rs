//! Decodes ids to text, one at a time.

use super::TextCodec;
use crate::tokenize::Joiner;
use crate::{DataError, Result, Tokenizer};

/// How word tokens are joined to text. Characters and bytes are always joined exactly as they were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spacing {
    /// As the tokenizer reads text: words that were split at whitespace are joined by single spaces, running text is
    /// detokenized.
    #[default]
    AsRead,
    /// As people write text: no space before punctuation, `@-@` joined, and so on.
    Natural,
    /// A single space between tokens.
    Tokens,
}

/// Decodes ids to text one at a time, for streaming output.
///
/// ```
/// use rondo_data::{Spacing, TextCodec, Tokenizer, Vocab};
///
/// let vocab = Vocab::from_tokens("example", ["<eos>", "Hello", ",", "world", "!"], None)?;
/// let codec = TextCodec::new(Tokenizer::default(), vocab);
/// let (mut decoder, mut text) = (codec.decoder(Spacing::Natural), Vec::new());
/// for id in [1, 2, 3, 4, 0] {
///     decoder.push(id, &mut text)?;
/// }
/// assert_eq!(text, b"Hello, world!\n");
/// assert_eq!(codec.decode(&[1, 2, 3])?, "Hello , world"); // spaced as this tokenizer reads text
/// # Ok::<(), rondo_data::DataError>(())
/// ```
#[derive(Debug)]
pub struct TextDecoder {
    codec: TextCodec,
    joiner: Box<dyn Joiner>,
}

impl TextDecoder {
    pub(super) fn new(codec: TextCodec, spacing: Spacing) -> Self {
        let eos = codec.tokenizer().eos();
        let joiner = match spacing {
            Spacing::Natural if codec.is_of_words() => Tokenizer::moses().with_eos(eos).joiner(),
            Spacing::Tokens if codec.is_of_words() => Tokenizer::words().with_eos(eos).joiner(),
            _ => codec.tokenizer().joiner(),
        };
        Self { codec, joiner }
    }

    /// Appends the text of the token with this id to `text`. For words this includes the space before the word;
    /// for bytes it can be part of a character. A special token such as `<unk>` is written as it is.
    ///
    /// # Errors
    /// [`DataError::IdOutOfRange`] if the id is not in the vocabulary.
    pub fn push(&mut self, id: u32, text: &mut Vec<u8>) -> Result<()> {
        let vocab = self.codec.vocab();
        let token = vocab.token(id).ok_or(DataError::IdOutOfRange { id, vocab_size: vocab.len() })?;
        self.joiner.push(token, text);
        Ok(())
    }

    /// Like [`push`](Self::push), for a token, which does not have to be in the vocabulary.
    pub fn push_token(&mut self, token: &str, text: &mut Vec<u8>) {
        self.joiner.push(token, text);
    }
}
