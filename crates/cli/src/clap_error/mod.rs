//! Says what is wrong with the arguments, in the words of the argument parser and the form of all other errors.

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::console;

mod other_tools;

/// Prints a help text that was asked for, or what is wrong with the arguments.
pub(crate) fn report(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Whoever closes the pipe has read enough.
            let _ = std::io::stdout().write_all(error.render().to_string().as_bytes());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            console::error_text(error.render().to_string().trim_end());
            ExitCode::from(2)
        }
        _ => {
            let elsewhere = known_elsewhere(error);
            let Message { error, hint } = message(&error.render().to_string());
            let hint = elsewhere.or(hint);
            console::error_text(&format!("error: {error}"));
            if let Some(hint) = hint {
                console::error_text(&format!("   hint: {hint}"));
            }
            ExitCode::from(2)
        }
    }
}

/// What to write instead of a flag that other tools have.
fn known_elsewhere(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let command = crate::Cli::command();
    let name = std::env::args().nth(1)?;
    let ours = other_tools::ours(flag, command.find_subcommand(name)?)?;
    Some(format!("Rondo calls it `--{ours}`"))
}

/// An error in the form of all others.
#[derive(Debug, PartialEq)]
struct Message {
    error: String,
    hint: Option<String>,
}

/// Takes the parser's message apart: paragraphs, the first of which is the error; those of `tip:` are hints, and
/// the usage that follows is what `--help` is for.
fn message(rendered: &str) -> Message {
    let mut paragraphs = rendered.split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let error = first.trim_start_matches("error: ").lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let tips: Vec<String> = paragraphs
        .flat_map(str::lines)
        .filter_map(|line| line.trim().strip_prefix("tip: "))
        .map(in_backticks)
        .collect();
    let hint = (!tips.is_empty()).then(|| tips.join("; "));
    Message { error: in_backticks(error.trim()), hint }
}

/// Puts what is quoted into backticks. An apostrophe within a word is none of a pair of quotes.
fn in_backticks(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let within_word = |index: usize| {
        let letter = |at: Option<&char>| at.is_some_and(|char| char.is_alphanumeric());
        index > 0 && letter(chars.get(index - 1)) && letter(chars.get(index + 1))
    };
    let replaced = |(index, &char)| if char == '\'' && !within_word(index) { '`' } else { char };
    chars.iter().enumerate().map(replaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tip_becomes_a_hint_and_the_usage_is_left_out() {
        let rendered = "error: unexpected argument '--hiden-size' found\n\n  tip: a similar argument exists: \
                        '--hidden-size'\n\nUsage: rondo train --hidden-size <WIDTH>\n\nFor more information, try \
                        '--help'.\n";
        let expected = Message {
            error: "unexpected argument `--hiden-size` found".to_owned(),
            hint: Some("a similar argument exists: `--hidden-size`".to_owned()),
        };
        assert_eq!(message(rendered), expected);
    }

    #[test]
    fn lists_are_put_on_the_line_of_their_error() {
        let rendered =
            "error: invalid value 'don't' for '--cell <CELL>'\n  [possible values: lstm, gru]\n\nUsage: x\n";
        assert_eq!(
            message(rendered).error,
            "invalid value `don't` for `--cell <CELL>` [possible values: lstm, gru]"
        );
        assert_eq!(message(rendered).hint, None);
    }
}
