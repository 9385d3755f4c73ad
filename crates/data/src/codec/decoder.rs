//! Ids to text, one at a time.

use super::TextCodec;
use crate::tokenize::Joiner;
use crate::{DataError, Result, Tokenizer};

/// How tokens that are words are joined to text. Characters and bytes are always joined as they were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spacing {
    /// By the tokenizer's own way back: words that were split at white space have single spaces between them, running
    /// text has those that people write.
    #[default]
    AsRead,
    /// As people write text: no space before punctuation, `@-@` joined, and so on.
    Natural,
    /// A single space between each two tokens.
    Tokens,
}

/// Decodes ids to text as they come, for output that streams.
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
/// assert_eq!(codec.decode(&[1, 2, 3])?, "Hello , world"); // as this tokenizer reads it
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

    /// Appends to `text` what the token with this id adds to it: for words that includes the space before it, for
    /// bytes it may be a part of a character. A token that stands for no text, such as `<unk>`, is written out.
    ///
    /// # Errors
    /// [`DataError::IdOutOfRange`] if the id is not in the vocabulary.
    pub fn push(&mut self, id: u32, text: &mut Vec<u8>) -> Result<()> {
        let vocab = self.codec.vocab();
        let token = vocab.token(id).ok_or(DataError::IdOutOfRange { id, vocab_size: vocab.len() })?;
        self.joiner.push(token, text);
        Ok(())
    }

    /// As [`push`](Self::push), for a token, which need not be in the vocabulary.
    pub fn push_token(&mut self, token: &str, text: &mut Vec<u8>) {
        self.joiner.push(token, text);
    }
}
