//! A flag for each setting, made from the list of settings.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use rondo_train::settings::{FIELDS, Field, Kind};
use rondo_train::{Settings, TrainError};

use crate::clap_error;

/// The settings that are given as flags.
#[derive(Clone, Debug)]
pub(super) struct SettingFlags(pub(super) Settings);

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        command.args(FIELDS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = SettingFlags(Settings::default());
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for field in FIELDS {
            let Some(values) = matches.get_many::<String>(&field.flag()) else { continue };
            let texts: Vec<&str> = values.map(String::as_str).collect();
            self.0.set(field, &texts).map_err(|error| refusal(field, &texts, error))?;
        }
        Ok(())
    }
}

/// The error of a flag's value, which names the flag as it was written and not the setting.
fn refusal(field: &Field, texts: &[&str], error: TrainError) -> clap::Error {
    let reason = match error {
        TrainError::Value { reason, .. } => reason,
        other => other.to_string(),
    };
    let mut refusal = clap::Error::new(ErrorKind::ValueValidation);
    for (part, text) in [
        (ContextKind::InvalidArg, format!("--{} <{}>", field.flag(), field.value_name)),
        (ContextKind::InvalidValue, texts.join(" ")),
        (clap_error::REASON, reason),
    ] {
        refusal.insert(part, ContextValue::String(text));
    }
    refusal
}

fn flag(field: &Field) -> Arg {
    let help = match field.default {
        "" => field.help.to_owned(),
        default => format!("{} [default: {default}]", field.help),
    };
    let arg = Arg::new(field.flag())
        .long(field.flag())
        .value_name(field.value_name)
        .help(help)
        .help_heading(field.heading)
        .hide_short_help(!field.is_common)
        .aliases(field.flag_alias())
        // A negative number is a wrong value, not an unknown flag.
        .allow_negative_numbers(true);
    match field.kind {
        Kind::Switch => arg.num_args(0..=1).default_missing_value("true"),
        Kind::OneOf(words) => arg.value_parser(PossibleValuesParser::new(words)),
        Kind::Many => arg.num_args(1..).action(ArgAction::Append),
        Kind::ManyOf(words) => {
            // A single empty text stands for none of them.
            let none = std::iter::once(PossibleValue::new("").hide(true));
            let values = words.iter().map(|&word| PossibleValue::new(word)).chain(none);
            arg.num_args(1..).action(ArgAction::Append).value_parser(PossibleValuesParser::new(values))
        }
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Settings, clap::Error> {
        let command =
            SettingFlags::augment_args(Command::new("test").no_binary_name(true).args_override_self(true));
        let matches = command.try_get_matches_from(arguments)?;
        Ok(SettingFlags::from_arg_matches(&matches)?.0)
    }

    #[test]
    fn every_setting_has_a_flag_that_sets_it() {
        let settings = parse(&[
            "--hidden-size",
            "64",
            "--tied",
            "--carry-state",
            "false",
            "--cell",
            "gru",
            "--data",
            "a.txt",
            "b.txt",
            "--locked-dropout",
            "input",
            "--locked-dropout",
            "output",
            "--sample-prefix",
            "The ",
            "--init-bias",
            "normal:0.1",
        ])
        .unwrap();
        let given: Vec<_> = settings.given().map(|(field, texts)| (field.path(), texts.join("|"))).collect();
        let expected = [
            ("text.data", "a.txt|b.txt"),
            ("model.cell", "gru"),
            ("model.hidden_size", "64"),
            ("model.tied", "true"),
            ("model.locked_dropout", "input|output"),
            ("init.bias", "normal:0.1"),
            ("training.carry_state", "false"),
            ("sample.prefix", "The "),
        ];
        assert_eq!(given, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    }

    #[test]
    fn the_last_of_repeated_flags_counts_and_lists_grow() {
        let settings = parse(&[
            "--cell",
            "gru",
            "--cell=lstm",
            "--seed",
            "1",
            "--seed",
            "2",
            "--tied",
            "--tied",
            "false",
            "--data",
            "a.txt",
            "--data",
            "b.txt",
            "c.txt",
            "--locked-dropout",
            "input",
            "--locked-dropout",
            "output",
        ])
        .unwrap();
        let given: Vec<_> =
            settings.given().map(|(field, texts)| format!("{} {}", field.key, texts.join("|"))).collect();
        assert_eq!(
            given,
            ["data a.txt|b.txt|c.txt", "cell lstm", "tied false", "locked_dropout input|output", "seed 2"]
        );
    }

    #[test]
    fn an_empty_text_is_none_of_the_words() {
        let settings = parse(&["--locked-dropout", "", "--sample-prefix", ""]).unwrap();
        assert_eq!(settings.model.locked_dropout, Some(vec![]));
        assert_eq!(settings.sample.prefix, Some(vec![]));
    }

    #[test]
    fn a_value_that_does_not_fit_names_its_flag() {
        let error = parse(&["--layers", "-1"]).unwrap_err();
        let part = |kind| error.get(kind).unwrap().to_string();
        assert_eq!(part(ContextKind::InvalidArg), "--layers <LAYERS>");
        assert_eq!(part(ContextKind::InvalidValue), "-1");
        assert_eq!(part(clap_error::REASON), "expected a non-negative integer");
    }

    #[test]
    fn the_flags_contradict_nothing() {
        SettingFlags::augment_args(Command::new("test")).debug_assert();
    }
}
