//! The flags that say how to read a text: how to handle invalid bytes, and how to tokenize it if not as in training.

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_data::{TextCodec, Tokenizer};

use crate::error::CliError;
use crate::model_args::Loaded;

/// How to handle invalid text.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LossyArgs {
    /// Replace invalid UTF-8 sequences and NUL bytes by U+FFFD instead of refusing the text
    #[arg(long, help_heading = "Text")]
    pub(crate) lossy: bool,
}

impl LossyArgs {
    /// Makes models read text in this way.
    pub(crate) fn apply(self, loaded: &mut [Loaded]) -> Result<()> {
        for loaded in loaded {
            loaded.model = loaded.model.with_codec(loaded.codec().clone().lossy(self.lossy))?;
        }
        Ok(())
    }
}

/// How to read the text.
#[derive(Args, Debug)]
pub(crate) struct ReadingArgs {
    /// Tokenize the text as running text with the Moses rules, matching the model's vocabulary; eval also splits it into
    /// sentences [default: the model's own tokenizer]
    #[arg(long, value_name = "TOKENS", help_heading = "Text")]
    tokenizer: Option<TextTokens>,
    #[command(flatten)]
    lossy: LossyArgs,
}

/// Where the text is in a file of records.
#[derive(Args, Clone, Debug)]
pub(crate) struct FieldArgs {
    /// Field of JSON Lines, or column of CSV or TSV, that contains the text; each record is a line [default: the files
    /// are plain text]
    #[arg(long, value_name = "NAME", help_heading = "Text")]
    pub(crate) text_field: Option<String>,
}

/// The tokenizers for a word model.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TextTokens {
    Moses,
}

impl ReadingArgs {
    /// The codec to read the text with; `sentences` says whether to split running text into sentences or to treat each
    /// line as one.
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

    /// Whether invalid sequences are replaced by U+FFFD.
    pub(crate) fn is_lossy(&self) -> bool {
        self.lossy.lossy
    }
}
