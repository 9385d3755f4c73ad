//! `commands.md`: each command, its arguments and its flags.

use clap::{Arg, Command, CommandFactory};
use rondo_train::settings::FIELDS;

use super::{heading, plain};
use crate::Cli;

/// The page.
pub(super) fn page() -> String {
    let introduction = "`rondo COMMAND --help` prints the same, for `rondo train` with the common settings only. Settings, \
        which are flags of `rondo train` too, have [a page of their own](settings.md).";
    let mut page = heading("Commands", introduction);
    let mut root = Cli::command();
    root.build();
    for command in root.get_subcommands() {
        add(&mut page, command, "##");
    }
    page
}

/// Adds a command and those below it.
fn add(page: &mut String, command: &Command, level: &str) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let about = command.get_long_about().or(command.get_about());
    let about = about.map_or(String::new(), |about| format!("{}.\n\n", plain(&about.to_string())));
    *page += &format!("\n{level} {name}\n\n{about}```text\n{usage}\n```\n");
    let arguments: Vec<&Arg> = command.get_arguments().filter(|arg| is_listed(arg)).collect();
    // Arguments without a heading come first.
    let mut groups: Vec<Option<&str>> = vec![None];
    for group in arguments.iter().map(|arg| arg.get_help_heading()) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    for group in groups {
        if !arguments.iter().any(|arg| arg.get_help_heading() == group) {
            continue;
        }
        *page += &group.map_or("\n".to_owned(), |group| format!("\n**{group}**\n\n"));
        for arg in arguments.iter().filter(|arg| arg.get_help_heading() == group) {
            *page += &item(arg);
        }
    }
    if command.get_arguments().any(is_setting) {
        *page += "\nAll [settings](settings.md) are flags, too.\n";
    }
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        *page += &format!("\n```text\n{}\n```\n", after.to_string().trim());
    }
    for below in command.get_subcommands() {
        add(page, below, &format!("{level}#"));
    }
}

/// Whether an argument belongs to this page: not the help of every command, and not the settings.
fn is_listed(arg: &Arg) -> bool {
    !arg.is_hide_set()
        && !["help", "help_all", "version"].contains(&arg.get_id().as_str())
        && !is_setting(arg)
}

fn is_setting(arg: &Arg) -> bool {
    FIELDS.iter().any(|field| field.flag() == arg.get_id().as_str())
}

/// The line of an argument: how it is written, what it does, its values and its default.
fn item(arg: &Arg) -> String {
    let mut written = arg.to_string();
    if let Some(short) = arg.get_short() {
        written = format!("-{short}, {written}");
    }
    let help = arg.get_long_help().or(arg.get_help()).map_or(String::new(), ToString::to_string);
    let mut line =
        format!("- `{written}`: {}", plain(&help.split_whitespace().collect::<Vec<_>>().join(" ")));
    let values = arg.get_possible_values();
    let values: Vec<_> =
        values.iter().filter(|value| !value.is_hide_set()).map(|value| value.get_name()).collect();
    if !values.is_empty() && arg.get_action().takes_values() && values != ["true", "false"] {
        line += &format!(" [possible values: {}]", values.join(", "));
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && arg.get_action().takes_values() && !arg.is_hide_default_value_set() {
        line += &format!(" [default: {}]", defaults.join(" "));
    }
    line + "\n"
}
