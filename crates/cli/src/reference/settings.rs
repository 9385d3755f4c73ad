//! `settings.md`: the settings of a run.

use rondo_train::settings::{FIELDS, Field, Kind};

use super::{cell, heading};

/// The page.
pub(super) fn page() -> String {
    let introduction = "Each setting is a key of a TOML file, which `rondo train --recipe FILE` reads, and a flag of `rondo \
        train`, which takes precedence over the file: `hidden_size = 650` in the table `[model]` is `--hidden-size 650`. \
        `plan.toml` in the folder of a run has all of them. In Python, they are the arguments of `rondo.train`.";
    let mut page = heading("Settings", introduction);
    let mut section = "";
    for field in FIELDS {
        if field.section != section {
            section = field.section;
            page += &format!("\n## {}: `[{section}]`\n\n", field.heading);
            page += "| setting | flag | values | default | meaning |\n|---|---|---|---|---|\n";
        }
        page += &row(field);
    }
    page
}

fn row(field: &Field) -> String {
    let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let values = match field.kind {
        Kind::Switch => "`true`, `false`".to_owned(),
        Kind::OneOf(known) => words(known),
        Kind::ManyOf(known) => format!("any of {}", words(known)),
        Kind::Many => format!("{} …", field.value_name),
        _ => field.value_name.to_owned(),
    };
    let cells = [
        format!("`{}`", field.key),
        format!("`--{}`", field.flag()),
        values,
        field.default.to_owned(),
        field.help.to_owned(),
    ];
    format!("| {} |\n", cells.map(|text| cell(&text)).join(" | "))
}
