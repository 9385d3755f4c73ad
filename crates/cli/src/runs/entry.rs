//! A run with its settings under the names of this version.

use std::collections::{BTreeMap, BTreeSet};

use rondo_runs::{Compact, ListedRun};
use rondo_train::Settings;
use rondo_train::settings::{FIELDS, Field};
use serde_json::Value;

/// A run, and which of its settings make a difference.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) run: ListedRun,
    /// All settings under their present paths; those of another version under the paths in the file.
    pub(crate) settings: BTreeMap<String, Value>,
    /// The paths of the settings that are neither defaults nor follow from others.
    pub(crate) essential: BTreeSet<String>,
}

impl Entry {
    pub(crate) fn new(run: ListedRun) -> Entry {
        let mut settings = BTreeMap::new();
        let (mut known, mut essential) = (Settings::default(), BTreeSet::new());
        for (path, value) in &run.settings {
            let field = field(path);
            let path = field.map_or_else(|| path.clone(), Field::path);
            let texts = texts(value);
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            // What this version cannot read may make any difference.
            if field.is_none_or(|field| known.set(field, &texts).is_err()) {
                essential.insert(path.clone());
            }
            settings.insert(path, value.clone());
        }
        let minimal = known.minimal(&Settings::default());
        essential.extend(minimal.given().map(|(field, _)| field.path()));
        for (path, value) in minimal.values().unwrap_or_default() {
            settings.entry(path).or_insert(value);
        }
        Entry { run, settings, essential }
    }

    /// Gives runs with the same name their paths as names.
    pub(crate) fn tell_apart(entries: &mut [Entry]) {
        let names: Vec<String> = entries.iter().map(|entry| entry.run.name.clone()).collect();
        for entry in entries {
            if names.iter().filter(|name| **name == entry.run.name).count() > 1 {
                entry.run.name = entry.run.folder.path().display().to_string();
            }
        }
    }

    /// The paths of the settings that differ between runs, in the order of [`FIELDS`] and then those of other versions.
    /// Those that follow from others in every run are left out.
    pub(crate) fn differing(entries: &[&Entry]) -> Vec<String> {
        let essential: BTreeSet<&String> = entries.iter().flat_map(|entry| &entry.essential).collect();
        let differs = |path: &&String| {
            let mut values = entries.iter().map(|entry| entry.settings.get(*path));
            let first = values.next();
            values.any(|value| Some(value) != first)
        };
        let mut paths: Vec<String> = essential.into_iter().filter(differs).cloned().collect();
        paths.sort_by_key(|path| FIELDS.iter().position(|field| field.path() == *path).unwrap_or(usize::MAX));
        paths
    }
}

/// The setting at this path, which may be the one of an earlier version.
fn field(path: &str) -> Option<&'static Field> {
    let (section, key) = path.split_once('.')?;
    FIELDS.iter().find(|field| field.section == section && (field.key == key || field.alias == Some(key)))
}

/// A value in the form that [`Settings::set`] takes.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        value => vec![text(value)],
    }
}

/// A value as people write it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match (number.is_f64(), number.as_f64()) {
            (true, Some(number)) => Compact(number).to_string(),
            _ => number.to_string(),
        },
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(" "),
        value => value.to_string(),
    }
}

/// The name of a setting in tables: that of its flag with underscores, such as `learning_rate`.
pub(crate) fn setting_name(path: &str) -> String {
    field(path).map_or_else(|| path.to_owned(), |field| field.flag().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn entries(plans: &[&str]) -> Vec<Entry> {
        let parent = tempfile::tempdir().unwrap();
        let entry = |(plan, number): (&&str, usize)| {
            let path = parent.path().join(number.to_string());
            fs::create_dir(&path).unwrap();
            fs::write(path.join("plan.toml"), plan).unwrap();
            Entry::new(ListedRun::read(number.to_string(), &path).unwrap())
        };
        plans.iter().zip(1..).map(entry).collect()
    }

    fn differing(plans: &[&str]) -> Vec<String> {
        let entries = entries(plans);
        Entry::differing(&entries.iter().collect::<Vec<_>>())
    }

    #[test]
    fn settings_that_follow_from_others_do_not_differ() {
        let size = |size: u32| format!("[model]\nembedding_size = {size}\nhidden_size = {size}\n");
        assert_eq!(differing(&[&size(32), &size(64)]), ["model.hidden_size"]);
        let dropout =
            |p: f64| format!("[model]\ndropout_input = {p}\ndropout_between = {p}\ndropout_output = {p}\n");
        assert_eq!(differing(&[&dropout(0.2), &dropout(0.5)]), ["model.dropout"]);
        assert_eq!(differing(&[&size(32), &size(32)]), [""; 0]);
        // A default is a value like any other.
        assert_eq!(differing(&["", "[model]\ncell = 'gru'\n"]), ["model.cell"]);
    }

    #[test]
    fn settings_of_other_versions_are_settings() {
        let plans = ["[training]\nlast_chunk = 'keep'\n", "[training]\nlast_batch = 'discard'\n"];
        assert_eq!(differing(&plans), ["training.last_batch"]);
        let plans = ["[model]\nflavor = 'a'\n", "[model]\nflavor = 'b'\ncell = 'gru'\n"];
        assert_eq!(differing(&plans), ["model.cell", "model.flavor"]);
        let plans = ["[model]\ncell = 'quantum'\n", "[model]\ncell = 'gru'\n"];
        assert_eq!(differing(&plans), ["model.cell"]);
    }

    #[test]
    fn values_are_texts() {
        let all = serde_json::json!([20.0, 1e-8, 3, "a", true, [1, 2]]);
        let texts: Vec<String> = all.as_array().unwrap().iter().map(text).collect();
        assert_eq!(texts, ["20", "1e-8", "3", "a", "true", "1 2"]);
        assert_eq!(setting_name("optimization.learning_rate"), "learning_rate");
        assert_eq!(setting_name("evaluation.batch_size"), "evaluation_batch_size");
        assert_eq!(setting_name("model.flavor"), "model.flavor");
    }
}
