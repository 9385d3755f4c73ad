//! Texts to use a model on: files, or stdin.

use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Result;
use rondo_data::{TextCodec, TextLook, TextSource, Tokenizer, readable};

use crate::console::Console;
use crate::error::CliError;

/// What stands for stdin among files.
pub(crate) const STDIN: &str = "-";

/// A text to use a model on.
#[derive(Debug, PartialEq)]
pub(crate) enum Input {
    /// What is piped or typed in.
    Stdin,
    /// A file.
    File(TextSource),
}

impl Input {
    /// The inputs that are meant by the paths; stdin if there are none.
    pub(crate) fn all(paths: &[PathBuf]) -> Vec<Input> {
        if paths.is_empty() {
            return vec![Input::Stdin];
        }
        let input = |path: &PathBuf| match path {
            path if path == Path::new(STDIN) => Input::Stdin,
            path => Input::File(TextSource::File(path.clone())),
        };
        paths.iter().map(input).collect()
    }

    /// Its name in messages.
    pub(crate) fn origin(&self) -> String {
        match self {
            Input::Stdin => "stdin".to_owned(),
            Input::File(source) => source.origin(),
        }
    }

    /// Opens the text, decompressed if it is compressed. If it comes from a terminal, prints a note that input is
    /// expected.
    pub(crate) fn open(&self, console: Console) -> Result<Box<dyn BufRead + '_>> {
        self.open_field(None, console)
    }

    /// Opens the text. With `field`, it is this field of the records of a JSON Lines or CSV file.
    pub(crate) fn open_field(&self, field: Option<&str>, console: Console) -> Result<Box<dyn BufRead + '_>> {
        match self {
            Input::Stdin => {
                invite(console);
                Ok(readable(io::stdin().lock(), &self.origin(), field)?)
            }
            Input::File(source) => Ok(source.open_field(field)?),
        }
    }

    /// Opens the text to be read by this codec, as [`open_field`](Self::open_field), and prints notes on what looks
    /// unintended in it.
    pub(crate) fn open_noted(
        &self,
        field: Option<&str>,
        codec: &TextCodec,
        console: Console,
    ) -> Result<Box<dyn BufRead + '_>> {
        let mut reader = self.open_field(field, console)?;
        say_notes(&mut reader, &self.origin(), codec.tokenizer(), console)?;
        Ok(reader)
    }
}

/// Fails unless a text on this line is one that models can read, of which some take any bytes.
pub(crate) fn check_text(text: &[u8], takes_bytes: bool, origin: &str, line: u64) -> Result<()> {
    if takes_bytes || (!text.contains(&0) && std::str::from_utf8(text).is_ok()) {
        return Ok(());
    }
    Err(CliError::NotText { origin: origin.to_owned(), line }.into())
}

/// Prints a note that input is expected, if stdin is a terminal.
pub(crate) fn invite(console: Console) {
    if io::stdin().is_terminal() {
        console.say("reading from the terminal; end with Ctrl-D on an empty line");
    }
}

/// Prints notes on what looks unintended at the start of a text.
pub(crate) fn say_notes(
    reader: &mut dyn BufRead,
    origin: &str,
    tokenizer: &Tokenizer,
    console: Console,
) -> rondo_data::Result<()> {
    for note in TextLook::at(reader, origin)?.notes(tokenizer) {
        console.say(&format!("note: `{origin}` {note}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_or_nothing_is_stdin() {
        assert_eq!(Input::all(&[]), [Input::Stdin]);
        let inputs = Input::all(&["a.txt".into(), "-".into()]);
        assert_eq!(inputs, [Input::File(TextSource::File("a.txt".into())), Input::Stdin]);
        assert_eq!(inputs[0].origin(), "a.txt");
    }
}
