//! Texts to use a model on: files, or stdin.

use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Result;
use rondo_data::TextSource;

use crate::console::Console;

/// What stands for stdin among files.
const STDIN: &str = "-";

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

    /// Opens the text. If it comes from a terminal, prints a note that input is expected.
    pub(crate) fn open(&self, console: Console) -> Result<Box<dyn BufRead + '_>> {
        match self {
            Input::Stdin => {
                let stdin = io::stdin();
                if stdin.is_terminal() {
                    console.say("reading from the terminal; end with Ctrl-D on an empty line");
                }
                Ok(Box::new(stdin.lock()))
            }
            Input::File(source) => Ok(source.open()?),
        }
    }
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
