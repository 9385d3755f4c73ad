//! Generates one text piece by piece, and decides when it ends.
//!
//! ```text
//! prompt ─ TextCodec::prompt ─▶ Streams ─ token ─▶ TextAssembler ─▶ Piece { text, token, log_prob, stop }
//!                                                  └ holds back incomplete characters and possible
//!                                                    beginnings of a stop string
//! ```
//!
//! Promises: the concatenated pieces are the text up to, and excluding, the stop string or the stop token;
//! each token yields one piece, whose text may be empty.

use rondo_data::{Spacing, TextCodec, TextDecoder};

use crate::{InferError, ModelHandle, Result, Sampling, StreamToken, Streams};

/// How a text is generated, and when it stops.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamOptions {
    /// How tokens are sampled.
    pub sampling: Sampling,
    /// The random seed: the same seed gives the same text.
    pub seed: u64,
    /// When the text stops.
    pub stop: StopRule,
    /// How tokens are joined.
    pub spacing: Spacing,
}

/// When a generated text stops: at whichever condition is met first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopRule {
    /// Tokens that end it, such as [`line_end`](TextCodec::line_end).
    pub tokens: Vec<u32>,
    /// Strings that end it.
    pub strings: Vec<String>,
    /// The maximum number of tokens; `None` is no limit.
    pub max_tokens: Option<usize>,
}

/// Why a generated text has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// This token was generated.
    Token(u32),
    /// This string was generated.
    String(String),
    /// The maximum number of tokens was reached.
    Length,
}

/// A piece of a generated text: what one token adds.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The text that is certain now.
    pub text: String,
    /// The token.
    pub token: u32,
    /// The model's log-probability of the token (natural logarithm); for a first token that was drawn by its frequency,
    /// the logarithm of that.
    pub log_prob: f64,
    /// Why the text ends here, if it does.
    pub stop: Option<StopReason>,
}

/// Turns the tokens of a stream into pieces of text, and decides when to stop.
#[derive(Debug)]
pub struct TextAssembler {
    decoder: TextDecoder,
    stop: StopRule,
    tokens: usize,
    /// Bytes not yet returned.
    held: Vec<u8>,
}

/// An iterator over the pieces of a text that a model generates: see
/// [`LanguageModel::stream`](crate::LanguageModel::stream).
#[derive(Debug)]
pub struct TextStream {
    streams: Streams,
    assembler: TextAssembler,
    /// The first token, if it does not come from the model.
    first: Option<StreamToken>,
    done: bool,
}

impl Default for StreamOptions {
    /// The model's own distribution, 100 tokens, random seed 1, natural spacing.
    fn default() -> Self {
        StreamOptions {
            sampling: Sampling::default(),
            seed: 1,
            stop: StopRule { max_tokens: Some(100), ..StopRule::default() },
            spacing: Spacing::Natural,
        }
    }
}

impl TextAssembler {
    /// An assembler for a text that continues `prompt`, which is not part of the output.
    ///
    /// # Errors
    /// [`InferError::EmptyStopString`]; [`InferError::Data`] if the prompt has an out-of-vocabulary token.
    pub fn new(codec: &TextCodec, prompt: &str, spacing: Spacing, stop: StopRule) -> Result<TextAssembler> {
        if stop.strings.iter().any(String::is_empty) {
            return Err(InferError::EmptyStopString);
        }
        let mut decoder = codec.decoder(spacing);
        let mut shown = Vec::new();
        // The line end before a prompt is not part of what the reader sees.
        codec.encode_prefix(prompt)?.into_iter().try_for_each(|id| decoder.push(id, &mut shown))?;
        Ok(TextAssembler { decoder, stop, tokens: 0, held: Vec::new() })
    }

    /// Takes the next token. After a piece with a stop reason, do not push any more.
    ///
    /// # Errors
    /// [`InferError::Data`] if the token is outside the codec's vocabulary.
    pub fn push(&mut self, StreamToken { token, log_prob, .. }: StreamToken) -> Result<Piece> {
        self.tokens += 1;
        let piece = |text, stop| Piece { text, token, log_prob, stop };
        if self.stop.tokens.contains(&token) {
            return Ok(piece(self.rest(), Some(StopReason::Token(token))));
        }
        self.decoder.push(token, &mut self.held)?;
        if let Some((at, string)) = self.stop_string() {
            self.held.truncate(at);
            return Ok(piece(self.rest(), Some(StopReason::String(string))));
        }
        if self.stop.max_tokens.is_some_and(|most| self.tokens >= most) {
            return Ok(piece(self.rest(), Some(StopReason::Length)));
        }
        let certain = self.certain_len();
        let text = String::from_utf8_lossy(&self.held[..certain]).into_owned();
        self.held.drain(..certain);
        Ok(piece(text, None))
    }

    /// Takes everything that is held back.
    fn rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }

    /// The stop string that begins first in the held bytes, and its position.
    fn stop_string(&self) -> Option<(usize, String)> {
        let found = self.stop.strings.iter().filter_map(|string| {
            let at = self.held.windows(string.len()).position(|window| window == string.as_bytes())?;
            Some((at, string.clone()))
        });
        found.min_by_key(|(at, string)| (*at, std::cmp::Reverse(string.len())))
    }

    /// How many of the held bytes cannot become part of a stop string or a character with later tokens.
    fn certain_len(&self) -> usize {
        let begins = |string: &String| {
            let longest = self.held.len().min(string.len() - 1);
            (1..=longest).rev().find(|&len| self.held.ends_with(&string.as_bytes()[..len])).unwrap_or(0)
        };
        let held_back = self.stop.strings.iter().map(begins).max().unwrap_or(0);
        let certain = self.held.len() - held_back;
        certain - unfinished_len(&self.held[..certain])
    }
}

/// The number of bytes at the end that begin an incomplete character.
fn unfinished_len(mut bytes: &[u8]) -> usize {
    while let Err(error) = std::str::from_utf8(bytes) {
        let rest = &bytes[error.valid_up_to()..];
        match error.error_len() {
            None => return rest.len(),
            Some(invalid) => bytes = &rest[invalid..],
        }
    }
    0
}

impl TextStream {
    /// A text generated by this model that continues `prompt`.
    pub(crate) fn new(
        model: &ModelHandle,
        codec: &TextCodec,
        prompt: &str,
        options: StreamOptions,
    ) -> Result<TextStream> {
        let StreamOptions { sampling, seed, stop, spacing } = options;
        let done = stop.max_tokens == Some(0);
        let assembler = TextAssembler::new(codec, prompt, spacing, stop)?;
        let mut streams = Streams::new(model);
        let (prompt, counts) = (codec.prompt(prompt)?, codec.vocab().counts());
        let first = match counts.filter(|_| prompt.is_empty()) {
            Some(counts) => streams.admit_first(counts, 0..1, &sampling, seed)?.pop(),
            None => {
                streams.admit(&prompt, &sampling, seed)?;
                None
            }
        };
        Ok(TextStream { streams, assembler, first, done })
    }

    fn next_piece(&mut self) -> Result<Piece> {
        if let Some(first) = self.first.take() {
            return self.assembler.push(first);
        }
        match *self.streams.step()? {
            [token] => self.assembler.push(token),
            ref tokens => unreachable!("one stream returned {} tokens", tokens.len()),
        }
    }
}

impl Iterator for TextStream {
    type Item = Result<Piece>;

    /// The next piece. Ends after a piece with a stop reason, or after an error.
    fn next(&mut self) -> Option<Result<Piece>> {
        if self.done {
            return None;
        }
        let piece = self.next_piece();
        self.done = piece.as_ref().map_or(true, |piece| piece.stop.is_some());
        Some(piece)
    }
}
