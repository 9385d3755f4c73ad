//! How a given text is read: what becomes of bytes that are no characters, and how it is cut into the model's words,
//! where that is not as the model's own texts were.

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_data::{TextCodec, Tokenizer};

use crate::error::CliError;
use crate::model_args::Loaded;

/// What becomes of text that is none.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LossyArgs {
    /// Take invalid UTF-8 and NUL bytes for U+FFFD, a sign for each sequence, instead of refusing the text
    #[arg(long, help_heading = "Text")]
    pub(crate) lossy: bool,
}

/// How the text is read.
#[derive(Args, Debug)]
pub(crate) struct ReadingArgs {
    /// Read the text as running text: its punctuation parted as the model's words have it, by the rules of Moses; eval
    /// also splits it into sentences [default: read it as the model's own texts were]
    #[arg(long, value_name = "TOKENS", help_heading = "Text")]
    tokenizer: Option<TextTokens>,
    #[command(flatten)]
    lossy: LossyArgs,
}

/// What a text can be cut into for a model of words.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TextTokens {
    Moses,
}

impl ReadingArgs {
    /// The codec to read the given text with; `sentences` says whether running text is split into sentences, or each of
    /// its lines is one.
    pub(crate) fn codec(&self, loaded: &Loaded, sentences: bool) -> Result<TextCodec> {
        let codec = loaded.codec().clone().lossy(self.lossy.lossy);
        let Some(TextTokens::Moses) = self.tokenizer else {
            return Ok(codec);
        };
        let tokenizer = codec.tokenizer();
        if !codec.is_of_words() {
            let error = CliError::NotOfWords { model: loaded.path.clone(), tokens: tokenizer.to_string() };
            return Err(error.into());
        }
        Ok(codec.with_tokenizer(Tokenizer::moses_for(codec.vocab(), tokenizer.eos(), sentences)))
    }

    /// Whether what is no text is taken for U+FFFD.
    pub(crate) fn is_lossy(&self) -> bool {
        self.lossy.lossy
    }
}
