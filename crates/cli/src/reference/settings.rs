//! `settings.md`: the settings of a run.

use rondo_train::settings::{FIELDS, Field, Kind};

use super::{heading, plain};

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
        }
        page += &item(field);
    }
    page
}

/// The line of a setting: its key, its flag, what it does, its values and its default.
fn item(field: &Field) -> String {
    let (value, values) = match field.kind {
        Kind::Switch => (format!("[{}]", field.value_name), vec![]),
        Kind::Many => (format!("{} …", field.value_name), vec![]),
        Kind::OneOf(words) => (field.value_name.to_owned(), words.to_vec()),
        Kind::ManyOf(words) => (format!("{} …", field.value_name), words.to_vec()),
        _ => (field.value_name.to_owned(), vec![]),
    };
    let mut line = format!("- **{}**, `--{} {value}`: {}", field.key, field.flag(), plain(field.help));
    if !values.is_empty() {
        line += &format!(" [possible values: {}]", values.join(", "));
    }
    if !field.default.is_empty() {
        line += &format!(" [default: {}]", plain(field.default));
    }
    line + "\n"
}
