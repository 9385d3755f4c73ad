//! `recipes.md`: the recipes with their settings and results.

use rondo_train::recipes::{self, Band, Measured, Published, Verify};
use rondo_train::{Recipe, Settings};

use super::{cell, heading};

/// The page.
pub(super) fn page() -> String {
    let introduction = "What each embedded recipe sets, and its results as perplexities. [Recipes and their numbers]\
        (../recipes.md) compares and explains them; `rondo recipes show NAME` prints the file, with its comments.";
    let mut page = heading("Recipe files", introduction);
    for recipe in recipes::all().unwrap() {
        page += &section(&recipe);
    }
    page
}

fn section(Recipe { about, settings }: &Recipe) -> String {
    let summary = about.summary.trim();
    let mut text =
        format!("\n## {}\n\n**{}.** {summary}\n\nSource: {}.\n", about.name, about.title, about.source);
    text += &format!("\n```sh\n{}\n```\n", about.command);
    let mut rows = vec![];
    for Published { with, after_epoch, valid, test, note } in &about.published {
        rows.push(row(
            "published",
            Some(*after_epoch),
            band(*valid),
            band(*test),
            [flags(with), note.clone()],
        ));
    }
    for Measured { with, after_epoch, valid, test, note, .. } in &about.measured {
        let number = |value: &Option<f64>| value.map_or(String::new(), |value| format!("{value:.2}"));
        rows.push(row(
            "measured",
            Some(*after_epoch),
            number(valid),
            number(test),
            [flags(with), note.clone()],
        ));
    }
    for Verify { name, with, after_epoch, valid, test } in &about.verify {
        let name = name.as_ref().map(|name| format!("`{name}`"));
        rows.push(row("band", *after_epoch, band(*valid), band(*test), [name, flags(with)]));
    }
    if !rows.is_empty() {
        text += "\n| | after epoch | validation | test | |\n|---|---|---|---|---|\n";
        text += &rows.concat();
    }
    text + &format!("\n```toml\n{}\n```\n", settings.to_toml().unwrap().trim())
}

fn band(band: Option<Band>) -> String {
    band.map_or(String::new(), |band| band.to_string())
}

/// Settings as flags, if there are any.
fn flags(with: &Settings) -> Option<String> {
    let flags = crate::recipes::flags(with);
    (!flags.is_empty()).then(|| format!("`{flags}`"))
}

fn row(kind: &str, epoch: Option<usize>, valid: String, test: String, notes: [Option<String>; 2]) -> String {
    let epoch = epoch.map_or("last".to_owned(), |epoch| epoch.to_string());
    let notes = cell(&notes.into_iter().flatten().collect::<Vec<_>>().join("; "));
    format!("| {kind} | {epoch} | {valid} | {test} | {notes} |\n")
}
