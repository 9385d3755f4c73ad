//! The columns of a table of groups.

use rondo_runs::Interval;
use serde_json::{Value, json};

use super::group::{Group, naming};
use super::run_columns::{heading, perplexity, settings};
use super::table::{Cell, Column, Columns};
use crate::output;

/// A number with two decimals.
fn cell(value: Option<f64>, text: impl Fn(f64) -> String) -> Cell {
    Cell { value: value.map_or(Value::Null, output::number), text: value.map(text).unwrap_or_default() }
}

/// The mean and half the width of an interval, as columns.
fn interval<'a>(what: &str, of: fn(&Group) -> Option<Interval>) -> [Column<'a, Group>; 2] {
    let mean = move |group: &Group| of(group).map(|interval| interval.mean);
    let half_width = move |group: &Group| of(group).and_then(|interval| interval.half_width);
    [
        Column {
            name: format!("{what}_perplexity"),
            heading: None,
            alias: None,
            cell: Box::new(move |group| cell(mean(group), perplexity)),
        },
        Column {
            name: format!("{what}_ci95"),
            heading: None,
            alias: None,
            cell: Box::new(move |group| cell(half_width(group), |half| format!("± {}", perplexity(half)))),
        },
    ]
}

/// All columns: results and settings.
pub(super) fn columns(groups: &[Group]) -> Columns<'_, Group> {
    let names = |group: &Group| group.runs.iter().map(|entry| entry.run.name.clone()).collect::<Vec<_>>();
    let count = Column {
        name: "runs".to_owned(),
        heading: None,
        alias: None,
        cell: Box::new(|group: &Group| Cell {
            value: group.runs.len().into(),
            text: group.runs.len().to_string(),
        }),
    };
    let names = Column {
        name: "names".to_owned(),
        heading: None,
        alias: None,
        cell: Box::new(move |group: &Group| Cell {
            value: names(group).into(),
            text: names(group).join(" "),
        }),
    };
    let results =
        interval("valid", |group| group.valid).into_iter().chain(interval("test", |group| group.test));
    let settings = settings(groups.iter().map(Group::first), Group::first);
    Columns([count, names].into_iter().chain(results).chain(settings).collect())
}

/// The columns shown by default: the key, other settings that differ, and the results.
pub(super) fn default(key: &str, groups: &[Group]) -> Vec<String> {
    let settings = naming(key, groups).into_iter().map(|path| heading(&path));
    let results = ["runs", "valid_perplexity", "valid_ci95", "test_perplexity", "test_ci95"];
    settings.chain(results.map(str::to_owned)).collect()
}

/// All that is known about a group.
pub(super) fn json(key: &str, group: &Group) -> Value {
    let interval = |interval: Option<Interval>| {
        interval.map(|Interval { count, mean, half_width }| {
            json!({
                "runs": count,
                "mean": output::number(mean),
                "ci95": half_width.map(output::number),
                "low": half_width.map(|half| output::number(mean - half)),
                "high": half_width.map(|half| output::number(mean + half)),
            })
        })
    };
    json!({
        "group_by": key,
        "value": group.setting(key),
        "runs": group.runs.iter().map(|entry| &entry.run.name).collect::<Vec<_>>(),
        "valid_perplexity": interval(group.valid),
        "test_perplexity": interval(group.test),
        "settings": group.first().settings,
    })
}
