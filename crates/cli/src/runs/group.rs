//! Groups of runs that differ only in the seed.

use std::collections::BTreeMap;

use rondo_data::nearest;
use rondo_runs::{Interval, Status};
use rondo_train::settings::FIELDS;
use serde_json::Value;

use super::entry::{self, Entry, setting_name};
use crate::error::CliError;

/// The setting that differs within a group.
const SEED: &str = "training.seed";

/// Settings that do not change results, or only in their last digits: what is reported and saved, and how the computer
/// is used. Runs in a group may differ in them.
const WITHOUT_EFFECT: &[&str] = &[
    "training.checkpoint_every",
    "training.log_every",
    "training.moving_loss_decay",
    "training.threads",
    "evaluation.bptt",
    "sample.prefix",
    "sample.length",
    "sample.temperature",
];

/// Finished runs that differ only in the seed, at least one.
pub(crate) struct Group {
    pub(crate) runs: Vec<Entry>,
    pub(crate) valid: Option<Interval>,
    pub(crate) test: Option<Interval>,
}

/// Runs in groups.
pub(crate) struct Groups {
    /// The path of the setting that groups are ordered by.
    pub(crate) key: String,
    /// The groups, ordered by that setting.
    pub(crate) groups: Vec<Group>,
    /// The runs in no group, because they are not finished or have no perplexity.
    pub(crate) ungrouped: Vec<Entry>,
}

impl Groups {
    /// Groups runs that differ only in the seed. `key` names the setting by which the groups are ordered.
    ///
    /// # Errors
    /// [`CliError::UnknownKey`] if there is no such setting, [`CliError::GroupBySeed`], and [`CliError::NoGroups`] if
    /// no run is finished.
    pub(crate) fn new(entries: &[Entry], key: &str) -> Result<Groups, CliError> {
        let key = path_of(entries, key)?;
        let has_result = |entry: &&Entry| {
            entry.run.summary.status == Status::Finished
                && entry.run.summary.best.is_some_and(|best| best.valid_loss.or(best.train_loss).is_some())
        };
        let (finished, ungrouped): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(has_result);
        if finished.is_empty() {
            return Err(CliError::NoGroups { runs: entries.len() });
        }
        let mut by_settings: Vec<(BTreeMap<&String, &Value>, Vec<Entry>)> = vec![];
        for entry in finished {
            let is_fixed = |path: &&String| *path != SEED && !WITHOUT_EFFECT.contains(&path.as_str());
            let settings = entry.settings.iter().filter(|(path, _)| is_fixed(path)).collect();
            match by_settings.iter_mut().find(|(other, _)| *other == settings) {
                Some((_, runs)) => runs.push(entry.clone()),
                None => by_settings.push((settings, vec![entry.clone()])),
            }
        }
        let mut groups: Vec<Group> = by_settings.into_iter().map(|(_, runs)| Group::new(runs)).collect();
        let differing = differing(&groups);
        let order = |group: &Group| -> Vec<super::table::Key> {
            let paths = std::iter::once(&key).chain(&differing);
            paths.map(|path| super::table::Key::ascending(group.setting(path))).collect()
        };
        groups.sort_by_cached_key(order);
        Ok(Groups { key, groups, ungrouped: ungrouped.into_iter().cloned().collect() })
    }
}

impl Group {
    fn new(runs: Vec<Entry>) -> Group {
        let perplexities = |of: fn(&rondo_runs::EpochResult) -> Option<f64>| -> Vec<f64> {
            runs.iter().filter_map(|entry| entry.run.summary.best.as_ref().and_then(of)).collect()
        };
        let valid = Interval::of(&perplexities(|best| best.valid_perplexity));
        let test = Interval::of(&perplexities(|best| best.test_perplexity));
        Group { runs, valid, test }
    }

    /// The first run, which has the settings of all.
    pub(crate) fn first(&self) -> &Entry {
        &self.runs[0]
    }

    pub(crate) fn setting(&self, path: &str) -> Value {
        self.first().settings.get(path).cloned().unwrap_or(Value::Null)
    }

    /// Its name in the legend of a plot, such as `cell gru, learning_rate 10: 3 runs`.
    pub(crate) fn name(&self, paths: &[String]) -> String {
        let settings =
            paths.iter().map(|path| format!("{} {}", setting_name(path), entry::text(&self.setting(path))));
        let count = self.runs.len();
        let runs = if count == 1 { "run" } else { "runs" };
        format!("{}: {count} {runs}", settings.collect::<Vec<_>>().join(", "))
    }
}

/// The settings that differ between groups.
pub(crate) fn differing(groups: &[Group]) -> Vec<String> {
    let mut paths = Entry::differing(&groups.iter().map(Group::first).collect::<Vec<_>>());
    paths.retain(|path| path != SEED && !WITHOUT_EFFECT.contains(&path.as_str()));
    paths
}

/// The settings that name a group: the key, and the others that differ between groups.
pub(crate) fn naming(key: &str, groups: &[Group]) -> Vec<String> {
    let others = differing(groups).into_iter().filter(|path| path != key);
    std::iter::once(key.to_owned()).chain(others).collect()
}

/// The path of the setting with this name.
fn path_of(entries: &[Entry], name: &str) -> Result<String, CliError> {
    let wanted = name.trim_start_matches("--").replace('-', "_");
    let of_runs = entries.iter().flat_map(|entry| entry.settings.keys().cloned());
    let paths: Vec<String> = FIELDS.iter().map(|field| field.path()).chain(of_runs).collect();
    let is_it = |path: &&String| setting_name(path) == wanted || **path == wanted;
    match paths.iter().find(is_it) {
        Some(path) if path == SEED => Err(CliError::GroupBySeed),
        Some(path) => Ok(path.clone()),
        None => {
            let names: Vec<String> =
                paths.iter().filter(|path| *path != SEED).map(|path| setting_name(path)).collect();
            let nearest = nearest(&wanted, names.iter().map(String::as_str)).map(str::to_owned);
            Err(CliError::UnknownKey { name: name.to_owned(), nearest })
        }
    }
}

/// A line about runs that are in no group.
pub(crate) fn ungrouped_note(ungrouped: &[Entry]) -> Option<String> {
    let described = |entry: &Entry| match entry.run.summary.status {
        Status::Finished => format!("{} (no perplexity)", entry.run.name),
        status => format!("{} ({})", entry.run.name, status.name()),
    };
    let names: Vec<String> = ungrouped.iter().map(described).collect();
    (!names.is_empty()).then(|| format!("note: only finished runs are grouped, not {}", names.join(", ")))
}
