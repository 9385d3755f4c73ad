//! Says what is wrong with the arguments, in the form of all other errors.
//!
//! The argument parser gives the kind of an error and its parts, such as the argument and its value; the sentence is
//! made here. Not here: errors of the command itself (`error`).

use std::error::Error as StdError;
use std::num::{IntErrorKind, ParseIntError};
use std::process::ExitCode;
use std::slice;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::terminal::shown;
use crate::{console, error, output};

mod other_tools;

/// The part of an error that says why a value is refused, where no other error does.
pub(crate) const REASON: ContextKind = ContextKind::Custom;

/// Prints a help text that was asked for, or what is wrong with the arguments.
pub(crate) fn report(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => printed(&error.render().to_string()),
        ErrorKind::UnknownArgument if is_version(error) => printed(&crate::Cli::command().render_version()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            console::error_text(error.render().to_string().trim_end());
            ExitCode::from(2)
        }
        _ => {
            console::error_text(&shown(&format!("error: {}", message(error))));
            if let Some(hint) = known_elsewhere(error).or_else(|| left_out(error)).or_else(|| hint(error)) {
                console::error_text(&format!("   hint: {hint}"));
            }
            ExitCode::from(2)
        }
    }
}

fn printed(text: &str) -> ExitCode {
    match output::text(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error::report(&error),
    }
}

/// Whether the version is asked for after a subcommand. Subcommands do not list the flag: they have no versions of their
/// own.
fn is_version(error: &clap::Error) -> bool {
    matches!(parts(error, ContextKind::InvalidArg), [flag] if flag == "--version" || flag == "-V")
}

/// What to write instead of a flag that other tools have.
fn known_elsewhere(error: &clap::Error) -> Option<String> {
    let [flag] = parts(error, ContextKind::InvalidArg) else { return None };
    let command = crate::Cli::command();
    let name = std::env::args().nth(1)?;
    let ours = other_tools::ours(flag, command.find_subcommand(name)?)?;
    Some(format!("Rondo calls it `--{ours}`"))
}

/// How to get a subcommand that this build leaves out.
fn left_out(error: &clap::Error) -> Option<String> {
    let is_left_out = parts(error, ContextKind::InvalidSubcommand) == ["tokenizer"];
    let command = "`cargo install --locked --path crates/cli --features tokenizers`";
    is_left_out.then(|| format!("{command} builds a command that has it"))
}

/// What is wrong, on one line.
fn message(error: &clap::Error) -> String {
    // What lacks the parts of its kind is still of that kind.
    described(error).unwrap_or_else(|| error.kind().to_string())
}

fn described(error: &clap::Error) -> Option<String> {
    let quoted = |kind| quoted(parts(error, kind));
    let number = |kind| match error.get(kind) {
        Some(ContextValue::Number(number)) => Some(*number),
        _ => None,
    };
    let argument = quoted(ContextKind::InvalidArg);
    let value = quoted(ContextKind::InvalidValue);
    Some(match error.kind() {
        ErrorKind::UnknownArgument => format!("unexpected argument {} found", argument?),
        ErrorKind::InvalidSubcommand => {
            format!("unrecognized subcommand {}", quoted(ContextKind::InvalidSubcommand)?)
        }
        ErrorKind::MissingRequiredArgument => {
            format!("the following required arguments were not provided: {}", argument?)
        }
        ErrorKind::ArgumentConflict => conflict(error)?,
        ErrorKind::InvalidValue if parts(error, ContextKind::InvalidValue) == [""] => {
            let values = possible_values(error);
            format!("a value is required for {} but none was supplied{values}", argument?)
        }
        ErrorKind::InvalidValue => {
            format!("invalid value {} for {}{}", value?, argument?, possible_values(error))
        }
        ErrorKind::ValueValidation => {
            let own_reason = parts(error, REASON).first().cloned();
            let reason = own_reason.or_else(|| error.source().map(reason_of));
            let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
            format!("invalid value {} for {}{reason}", value?, argument?)
        }
        ErrorKind::TooManyValues => {
            format!("unexpected value {} for {} found; no more were expected", value?, argument?)
        }
        ErrorKind::TooFewValues => {
            let (found, least) = (number(ContextKind::ActualNumValues)?, number(ContextKind::MinValues)?);
            format!("{} takes at least {least} values, but {found} were given", argument?)
        }
        ErrorKind::WrongNumberOfValues => {
            let kinds = [ContextKind::ActualNumValues, ContextKind::ExpectedNumValues];
            let [found, expected] = kinds.map(number);
            format!("{} takes {} values, but {} were given", argument?, expected?, found?)
        }
        _ => return None,
    })
}

/// Why a value cannot be read. That of a zero where a positive number is expected would speak of a type of Rust.
fn reason_of(source: &(dyn StdError + 'static)) -> String {
    match source.downcast_ref::<ParseIntError>().map(ParseIntError::kind) {
        Some(IntErrorKind::Zero) => "expected at least 1".to_owned(),
        _ => source.to_string(),
    }
}

/// What cannot be used together.
fn conflict(error: &clap::Error) -> Option<String> {
    let argument = parts(error, ContextKind::InvalidArg);
    let others = parts(error, ContextKind::PriorArg);
    let subject = match quoted(argument) {
        Some(argument) => format!("the argument {argument}"),
        None => format!("the subcommand {}", quoted(parts(error, ContextKind::InvalidSubcommand))?),
    };
    Some(match quoted(others) {
        Some(_) if argument == others => format!("{subject} cannot be used multiple times"),
        Some(others) => format!("{subject} cannot be used with {others}"),
        None => format!("{subject} cannot be used with one or more of the other arguments"),
    })
}

fn possible_values(error: &clap::Error) -> String {
    match parts(error, ContextKind::ValidValue) {
        [] => String::new(),
        values => format!(" [possible values: {}]", values.join(", ")),
    }
}

/// What may have been meant.
fn hint(error: &clap::Error) -> Option<String> {
    let similar = [
        ("subcommand", ContextKind::SuggestedSubcommand),
        ("argument", ContextKind::SuggestedArg),
        ("value", ContextKind::SuggestedValue),
    ];
    let similar = similar.into_iter().filter_map(|(what, kind)| match parts(error, kind) {
        [] => None,
        [one] => Some(format!("a similar {what} exists: `{one}`")),
        several => Some(format!("some similar {what}s exist: {}", quoted(several)?)),
    });
    // These are sentences already.
    let others = match error.get(ContextKind::Suggested) {
        Some(ContextValue::StyledStrs(tips)) => tips.as_slice(),
        _ => &[],
    };
    let hints: Vec<String> = similar.chain(others.iter().map(|tip| in_backticks(&tip.to_string()))).collect();
    (!hints.is_empty()).then(|| hints.join("; "))
}

/// The texts of a part of an error: none, one or several.
fn parts(error: &clap::Error, kind: ContextKind) -> &[String] {
    match error.get(kind) {
        Some(ContextValue::String(text)) => slice::from_ref(text),
        Some(ContextValue::Strings(texts)) => texts,
        _ => &[],
    }
}

fn quoted(texts: &[String]) -> Option<String> {
    let quoted: Vec<String> = texts.iter().map(|text| format!("`{text}`")).collect();
    (!quoted.is_empty()).then(|| quoted.join(", "))
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
    use clap::Parser;

    use super::*;

    /// Fails unless these arguments are refused with this message and this hint.
    #[track_caller]
    fn check(arguments: &[&str], expected: &str, expected_hint: Option<&str>) {
        let arguments = [&["rondo"], arguments].concat();
        let error = crate::Cli::try_parse_from(arguments).unwrap_err();
        assert_eq!((message(&error).as_str(), hint(&error).as_deref()), (expected, expected_hint));
    }

    #[test]
    fn what_is_unknown_is_named_with_what_is_similar() {
        check(
            &["train", "--hiden-size", "3"],
            "unexpected argument `--hiden-size` found",
            Some("a similar argument exists: `--hidden-size`"),
        );
        check(&["trian"], "unrecognized subcommand `trian`", Some("a similar subcommand exists: `train`"));
        check(
            &["train", "--cell", "don't"],
            "invalid value `don't` for `--cell <CELL>` [possible values: rnn_tanh, rnn_relu, lstm, mogrifier, cifg, gru]",
            None,
        );
        check(
            &["train", "--cell", "grw"],
            "invalid value `grw` for `--cell <CELL>` [possible values: rnn_tanh, rnn_relu, lstm, mogrifier, cifg, gru]",
            Some("a similar value exists: `gru`"),
        );
        check(
            &["score", "--model", "m", "--hiden"],
            "unexpected argument `--hiden` found",
            Some("to pass `--hiden` as a value, use `-- --hiden`"),
        );
    }

    #[test]
    fn what_does_not_go_together_or_is_missing_is_named() {
        check(
            &["train", "--recipe", "a", "--plan", "b"],
            "the argument `--recipe <NAME|FILE>` cannot be used with `--plan <FILE|DIR>`",
            None,
        );
        check(
            &["train", "--resume"],
            "the following required arguments were not provided: `--out <DIR>`",
            None,
        );
    }

    #[test]
    fn values_that_cannot_be_read_say_why() {
        check(
            &["train", "--layers", "two"],
            "invalid value `two` for `--layers <LAYERS>`: expected a non-negative integer",
            None,
        );
        check(
            &["eval", "--model", "m", "--bptt", "0"],
            "invalid value `0` for `--bptt <STEPS>`: expected at least 1",
            None,
        );
        check(
            &["bench", "--seconds", "x"],
            "invalid value `x` for `--seconds <SECONDS>`: expected seconds from 0 to 86,400",
            None,
        );
        check(&["train", "--out"], "a value is required for `--out <DIR>` but none was supplied", None);
    }
}
