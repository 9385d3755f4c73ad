//! The columns of a table of runs.

use std::collections::BTreeSet;
use std::time::Duration;

use rondo_runs::EpochResult;
use rondo_train::settings::FIELDS;
use serde_json::{Value, json};

use super::entry::{self, Entry, setting_name};
use super::table::{Cell, Column, Columns};
use crate::{console, describe, output};

/// How a value is printed.
#[derive(Clone, Copy)]
enum Form {
    Text,
    /// With separated thousands.
    Count,
    /// With this number of decimals.
    Decimals(usize),
    /// With two decimals, or in exponent notation.
    Perplexity,
    /// A time in seconds, as on a clock, under this heading.
    Clock(&'static str),
}

/// A result: its name, its form and its value.
type ResultColumn = (&'static str, Form, fn(&Entry) -> Value);

/// A number, or null if it is missing or not finite.
fn number(value: Option<f64>) -> Value {
    value.map_or(Value::Null, output::number)
}

/// A value of the best epoch.
fn best(entry: &Entry, value: fn(&EpochResult) -> Option<f64>) -> Value {
    number(entry.run.summary.best.as_ref().and_then(value))
}

/// A value of the last epoch.
fn last(entry: &Entry, value: fn(&EpochResult) -> Option<f64>) -> Value {
    number(entry.run.summary.last.as_ref().and_then(value))
}

/// A value that is zero if it is not known.
fn known(value: f64) -> Value {
    number(Some(value).filter(|&value| value > 0.0))
}

const RESULTS: &[ResultColumn] = &[
    ("name", Form::Text, |entry| entry.run.name.clone().into()),
    ("folder", Form::Text, |entry| entry.run.folder.path().display().to_string().into()),
    ("status", Form::Text, |entry| entry.run.summary.status.name().into()),
    ("recipe", Form::Text, |entry| entry.run.summary.recipe.clone().into()),
    ("epochs", Form::Count, |entry| entry.run.summary.epochs.into()),
    ("planned_epochs", Form::Count, |entry| entry.run.summary.planned_epochs.into()),
    ("best_epoch", Form::Count, |entry| entry.run.summary.best.map(|best| best.epoch).into()),
    ("train_loss", Form::Decimals(4), |entry| best(entry, |epoch| epoch.train_loss)),
    ("train_perplexity", Form::Perplexity, |entry| best(entry, |epoch| epoch.train_perplexity)),
    ("valid_loss", Form::Decimals(4), |entry| best(entry, |epoch| epoch.valid_loss)),
    ("valid_perplexity", Form::Perplexity, |entry| best(entry, |epoch| epoch.valid_perplexity)),
    ("test_loss", Form::Decimals(4), |entry| best(entry, |epoch| epoch.test_loss)),
    ("test_perplexity", Form::Perplexity, |entry| best(entry, |epoch| epoch.test_perplexity)),
    ("last_train_loss", Form::Decimals(4), |entry| last(entry, |epoch| epoch.train_loss)),
    ("last_train_perplexity", Form::Perplexity, |entry| last(entry, |epoch| epoch.train_perplexity)),
    ("last_valid_loss", Form::Decimals(4), |entry| last(entry, |epoch| epoch.valid_loss)),
    ("last_valid_perplexity", Form::Perplexity, |entry| last(entry, |epoch| epoch.valid_perplexity)),
    ("last_test_loss", Form::Decimals(4), |entry| last(entry, |epoch| epoch.test_loss)),
    ("last_test_perplexity", Form::Perplexity, |entry| last(entry, |epoch| epoch.test_perplexity)),
    ("parameters", Form::Count, |entry| entry.run.summary.parameters.into()),
    ("vocab_size", Form::Count, |entry| entry.run.summary.model.get("vocab_size").cloned().into()),
    ("steps", Form::Count, |entry| entry.run.summary.steps.into()),
    ("tokens", Form::Count, |entry| Some(entry.run.summary.tokens).filter(|&tokens| tokens > 0).into()),
    ("training_tokens_per_s", Form::Count, |entry| number(entry.run.summary.training_tokens_per_s)),
    ("tokens_per_s", Form::Count, |entry| number(entry.run.summary.tokens_per_s)),
    ("elapsed_s", Form::Clock("time"), |entry| known(entry.run.summary.elapsed_s)),
    ("training_s", Form::Clock("training_time"), |entry| known(entry.run.summary.training_s)),
    ("started_unix_s", Form::Decimals(0), |entry| known(entry.run.summary.started_unix_s)),
    ("error", Form::Text, |entry| entry.run.summary.error.clone().into()),
];

/// The results shown by default, before and after the settings that differ.
const FIRST: [&str; 3] = ["name", "status", "epochs"];
const LAST: [&str; 4] = ["valid_perplexity", "test_perplexity", "parameters", "elapsed_s"];

/// A perplexity with two decimals. Only a model that has diverged has one that needs exponent notation.
pub(super) fn perplexity(value: f64) -> String {
    if value.abs() < 1e5 { format!("{value:.2}") } else { format!("{value:.2e}") }
}

/// A cell with the text of its value in this form.
fn cell(value: Value, form: Form) -> Cell {
    let text = match (form, value.as_f64()) {
        (Form::Count, Some(count)) => describe::count(count as usize),
        (Form::Decimals(decimals), Some(number)) => format!("{number:.decimals$}"),
        (Form::Perplexity, Some(number)) => perplexity(number),
        (Form::Clock(_), Some(seconds)) => {
            console::clock(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        }
        _ => entry::text(&value),
    };
    Cell { value, text }
}

/// The columns of settings, for rows that have an entry each.
pub(super) fn settings<'a, R: 'a>(
    entries: impl Iterator<Item = &'a Entry>,
    of: fn(&R) -> &Entry,
) -> impl Iterator<Item = Column<'a, R>> {
    let of_runs: BTreeSet<String> = entries.flat_map(|entry| entry.settings.keys()).cloned().collect();
    let known: Vec<String> = FIELDS.iter().map(|field| field.path()).collect();
    let unknown: Vec<String> = of_runs.into_iter().filter(|path| !known.contains(path)).collect();
    known.into_iter().chain(unknown).map(move |path| {
        let name = heading(&path);
        let alias = Some(path.clone());
        let value = move |row: &R| of(row).settings.get(&path).cloned().unwrap_or(Value::Null);
        Column { name, heading: None, alias, cell: Box::new(move |row| cell(value(row), Form::Text)) }
    })
}

/// The name of a setting's column: its path if a result has its name.
pub(super) fn heading(path: &str) -> String {
    let name = setting_name(path);
    if RESULTS.iter().any(|result| result.0 == name) { path.to_owned() } else { name }
}

/// All columns: results and settings.
pub(super) fn columns(entries: &[Entry]) -> Columns<'_, Entry> {
    let result = |&(name, form, value): &ResultColumn| Column {
        name: name.to_owned(),
        heading: match form {
            Form::Clock(heading) => Some(heading),
            _ => None,
        },
        alias: None,
        cell: Box::new(move |entry: &Entry| match (name, entry.run.summary.planned_epochs) {
            ("epochs", Some(planned)) => {
                Cell { value: value(entry), text: format!("{}/{planned}", entry.run.summary.epochs) }
            }
            _ => cell(value(entry), form),
        }),
    };
    Columns(RESULTS.iter().map(result).chain(settings(entries.iter(), |entry| entry)).collect())
}

/// The columns shown by default.
pub(super) fn default(entries: &[Entry]) -> Vec<String> {
    let differing = Entry::differing(&entries.iter().collect::<Vec<_>>());
    // The column of epochs shows the planned ones.
    let differing = differing.iter().filter(|path| *path != "training.epochs").map(|path| heading(path));
    let [first, last] = [&FIRST[..], &LAST[..]].map(|names| names.iter().map(|&name| name.to_owned()));
    first.chain(differing).chain(last).collect()
}

/// All that is known about a run.
pub(super) fn json(entry: &Entry) -> Value {
    let Entry { run, settings, .. } = entry;
    let mut object = json!({
        "name": run.name,
        "folder": run.folder.path().display().to_string(),
        "settings": settings,
    });
    if let (Value::Object(object), Ok(Value::Object(summary))) =
        (&mut object, serde_json::to_value(&run.summary))
    {
        object.extend(summary);
    }
    object
}
