//! Finding runs in folders, and reading what a table of runs shows.
//!
//! ```text
//! runs/                      sweep/lstm-1   a run
//!   sweep/lstm-1/plan.toml   sweep/lstm-2   damaged: an error, and the others are listed
//!   sweep/lstm-2/plan.toml
//! ```
//!
//! Settings are plain keys and values here, so a plan with keys of another version is read as well. Nothing is written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{EpochResult, Result, RunFolder, RunSummary, RunsError, Status, metrics};

/// Folders are searched for runs this deep.
const DEEPEST: usize = 8;

/// A run, as read from its folder.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedRun {
    /// The path of its folder below the folder that was searched; the name of the folder if it was given itself.
    pub name: String,
    /// Its folder.
    pub folder: RunFolder,
    /// The settings of its plan, each under its path, such as `model.cell`.
    pub settings: BTreeMap<String, Value>,
    /// Its summary, which is derived from the plan and the metrics if it has none. The status is up to date.
    pub summary: RunSummary,
}

impl ListedRun {
    /// Reads the run in the folder `path`.
    ///
    /// # Errors
    /// [`RunsError::NoRun`] if the folder has no plan, [`RunsError::Plan`], [`RunsError::Summary`] and
    /// [`RunsError::Metrics`] if a file is damaged, [`RunsError::Io`] if a file cannot be read.
    pub fn read(name: String, path: &Path) -> Result<ListedRun> {
        let folder = RunFolder::open(path)?;
        let settings = settings(&folder)?;
        // Whether a process is training is asked first: a run that ends meanwhile has its last summary then.
        let is_running = folder.is_locked();
        let mut summary = match RunSummary::read(&folder)? {
            Some(summary) => summary,
            None => derived(&folder, &settings)?,
        };
        summary.status = match summary.status {
            _ if is_running => Status::Running,
            // The process was killed before it could write another status.
            Status::Running => Status::Interrupted,
            status => status,
        };
        Ok(ListedRun { name, folder, settings, summary })
    }

    /// Finds and reads the run in the folder `path`, or all runs in folders below it, ordered by name. A run that
    /// cannot be read is an error in the list.
    ///
    /// # Errors
    /// [`RunsError::Io`] if the folder cannot be read, [`RunsError::NoRuns`] if it contains no runs.
    pub fn find(path: &Path) -> Result<Vec<Result<ListedRun>>> {
        let folders = find_folders(path)?;
        Ok(folders.into_iter().map(|(name, path)| ListedRun::read(name, &path)).collect())
    }
}

/// The folders of runs at or below `path`, with their names.
fn find_folders(path: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = vec![];
    if RunFolder::is_run(path) {
        // `.` and `..` are no names; the folder that they refer to has one.
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = whole.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        found.push((name, path.to_owned()));
        return Ok(found);
    }
    search(path, "", DEEPEST, &mut found)?;
    if found.is_empty() {
        return Err(RunsError::NoRuns { path: path.to_owned() });
    }
    found.sort_by(|a, b| natural_order(&a.0, &b.0));
    Ok(found)
}

fn search(path: &Path, name: &str, depth: usize, found: &mut Vec<(String, PathBuf)>) -> Result<()> {
    for entry in fs::read_dir(path).map_err(RunsError::io("read", path))? {
        let entry = entry.map_err(RunsError::io("read", path))?;
        let (path, below) = (entry.path(), entry.file_name());
        let below = format!("{name}{}", below.to_string_lossy());
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // A link is followed if it leads to a run: others may lead back to where the search came from.
        if (is_folder || path.is_dir()) && RunFolder::is_run(&path) {
            found.push((below, path));
        } else if is_folder && depth > 0 && !entry.file_name().to_string_lossy().starts_with('.') {
            // A folder that may not be read holds no runs of this user.
            let _ = search(&path, &format!("{below}/"), depth - 1, found);
        }
    }
    Ok(())
}

/// Compares names with numbers in them by the numbers: `lstm-2` is before `lstm-10`.
pub fn natural_order(a: &str, b: &str) -> std::cmp::Ordering {
    let (parts_a, parts_b) = (parts(a), parts(b));
    let compared = parts_a.iter().zip(&parts_b).map(|(a, b)| match (number(a), number(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.cmp(b),
    });
    let different = compared.into_iter().find(|order| order.is_ne());
    different.unwrap_or_else(|| parts_a.len().cmp(&parts_b.len()).then_with(|| a.cmp(b)))
}

/// What digits are compared by: how many there are without leading zeros, and which.
fn number(part: &str) -> Option<(usize, &str)> {
    let digits = part.trim_start_matches('0');
    part.starts_with(|char: char| char.is_ascii_digit()).then_some((digits.len(), digits))
}

/// The runs of digits in a text, and the texts between them.
fn parts(text: &str) -> Vec<&str> {
    text.as_bytes()
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
        .scan(0, |start, chunk| {
            let part = text.get(*start..*start + chunk.len());
            *start += chunk.len();
            part
        })
        .collect()
}

/// The settings of the plan, flattened.
fn settings(folder: &RunFolder) -> Result<BTreeMap<String, Value>> {
    let path = folder.plan();
    let text = fs::read_to_string(&path).map_err(RunsError::io("read", &path))?;
    parse_settings(&path, &text)
}

/// The settings in a TOML text as plain values, each under its path, such as `model.cell`, whether known or not. `path`
/// is the file to name in errors.
///
/// # Errors
/// [`RunsError::Plan`] if the text is not valid TOML.
pub fn parse_settings(path: &Path, text: &str) -> Result<BTreeMap<String, Value>> {
    let plan: toml::Table = toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        RunsError::Plan { path: path.to_owned(), line, reason: error.message().trim().replace('\n', ", ") }
    })?;
    let mut settings = BTreeMap::new();
    // The table `[recipe]` describes a recipe and has no settings.
    for (section, value) in plan.into_iter().filter(|(section, _)| section != "recipe") {
        match value {
            toml::Value::Table(table) => {
                settings
                    .extend(table.into_iter().map(|(key, value)| (format!("{section}.{key}"), json(value))));
            }
            value => {
                settings.insert(section, json(value));
            }
        }
    }
    Ok(settings)
}

fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(json).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, json(value))).collect(),
    }
}

/// The summary of a run without one: its metrics have the results, its plan and provenance some of the rest.
fn derived(folder: &RunFolder, settings: &BTreeMap<String, Value>) -> Result<RunSummary> {
    let path = folder.metrics();
    // A run that was stopped before its first record has no results, but it is not damaged.
    let records = if path.try_exists().unwrap_or(false) { metrics::read(&path)? } else { vec![] };
    let results = EpochResult::of_records(&records);
    let whole = |path: &str| settings.get(path).and_then(Value::as_u64);
    let planned_epochs = whole("training.epochs").and_then(|epochs| usize::try_from(epochs).ok());
    let epochs = results.iter().map(|result| result.epoch).max().unwrap_or(0);
    let is_finished = planned_epochs.is_some_and(|planned| epochs >= planned);
    let provenance = crate::Provenance::read(folder).ok();
    Ok(RunSummary {
        rondo: provenance.as_ref().map(|provenance| provenance.rondo.clone()).unwrap_or_default(),
        status: if is_finished { Status::Finished } else { Status::Interrupted },
        seed: whole("training.seed").unwrap_or_default(),
        model: settings
            .iter()
            .filter_map(|(path, value)| Some((path.strip_prefix("model.")?.to_owned(), value.clone())))
            .collect(),
        epochs,
        planned_epochs,
        steps: records.last().map_or(0, |record| record.step),
        best: EpochResult::best(&results),
        last: results.last().copied(),
        started_unix_s: provenance.map_or(0.0, |provenance| provenance.started_unix_s),
        elapsed_s: records.iter().rev().find_map(|record| record.elapsed_s).unwrap_or(0.0),
        ..RunSummary::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str =
        "[model]\ncell = 'gru'\nsizes = [1, 2]\n[training]\nepochs = 2\nseed = 7\n[future]\nkey = 1.5\n";
    const METRICS: &str = r#"{"epoch":1,"step":5,"train_loss":4.0,"gradient_norm":1.0}
{"epoch":1,"step":10,"train_loss":3.5,"valid_loss":3.0,"test_loss":3.1,"elapsed_s":1.5}
{"epoch":2,"step":20,"train_loss":3.0,"valid_loss":3.2,"elapsed_s":2.5}
"#;

    fn parent() -> tempfile::TempDir {
        let parent = tempfile::tempdir().unwrap();
        for (name, plan, metrics) in [
            ("b/run-10", PLAN, METRICS),
            ("b/run-2", PLAN, METRICS),
            ("early", PLAN, ""),
            ("bad plan", "[model\n", METRICS),
            ("bad metrics", PLAN, "nonsense\n"),
        ] {
            let path = parent.path().join(name);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("plan.toml"), plan).unwrap();
            if !metrics.is_empty() {
                fs::write(path.join("metrics.jsonl"), metrics).unwrap();
            }
        }
        fs::create_dir(parent.path().join("no plan")).unwrap();
        fs::write(parent.path().join("no plan/metrics.jsonl"), METRICS).unwrap();
        fs::create_dir(parent.path().join("notes")).unwrap();
        fs::write(parent.path().join("notes/notes.txt"), "").unwrap();
        parent
    }

    #[test]
    fn runs_are_found_at_any_depth_and_damaged_ones_are_errors() {
        let parent = parent();
        let shown = |error: RunsError| {
            error.to_string().replace(&parent.path().display().to_string(), "P").replace('\\', "/")
        };
        let listed = ListedRun::find(parent.path()).unwrap();
        let told: Vec<String> = listed
            .into_iter()
            .map(|run| match run {
                Ok(run) => run.name,
                Err(error) => shown(error),
            })
            .collect();
        assert_eq!(
            told,
            [
                "b/run-2",
                "b/run-10",
                "line 1 of `P/bad metrics/metrics.jsonl` is not a valid metrics record",
                "line 1 of `P/bad plan/plan.toml` is not valid TOML: unclosed table, expected `]`",
                "early",
                "`P/no plan` is not a run folder: `plan.toml` not found",
            ]
        );
        let names = |path: &str| -> Vec<String> {
            let found = ListedRun::find(&parent.path().join(path)).unwrap();
            found.into_iter().map(|run| run.unwrap().name).collect()
        };
        assert_eq!(names("b"), ["run-2", "run-10"]);
        assert_eq!(names("b/run-2/../run-2"), ["run-2"]);
        let error = |path: &str| shown(ListedRun::find(&parent.path().join(path)).unwrap_err());
        assert_eq!(error("notes"), "`P/notes` contains no runs");
        assert_eq!(error("nowhere"), "could not read `P/nowhere`");
    }

    #[test]
    fn a_run_without_a_summary_is_read_from_its_plan_and_metrics() {
        let parent = parent();
        let run = ListedRun::read("x".to_owned(), &parent.path().join("b/run-2")).unwrap();
        assert_eq!(run.settings["model.sizes"], serde_json::json!([1, 2]));
        assert_eq!(run.settings["future.key"], 1.5);
        let summary = run.summary;
        assert_eq!((summary.status, summary.epochs, summary.planned_epochs), (Status::Finished, 2, Some(2)));
        assert_eq!((summary.seed, summary.steps, summary.elapsed_s), (7, 20, 2.5));
        let (best, last) = (summary.best.unwrap(), summary.last.unwrap());
        assert_eq!((best.epoch, best.train_loss, best.test_loss), (1, Some(3.5), Some(3.1)));
        assert_eq!((last.epoch, last.valid_loss), (2, Some(3.2)));
        assert_eq!(summary.model["cell"], "gru");
        let early = ListedRun::read("x".to_owned(), &parent.path().join("early")).unwrap().summary;
        assert_eq!((early.status, early.epochs, early.best), (Status::Interrupted, 0, None));
    }

    #[test]
    fn a_run_is_running_while_its_folder_is_locked() {
        let parent = parent();
        let path = parent.path().join("b/run-2");
        let folder = RunFolder::open(&path).unwrap();
        RunSummary { status: Status::Running, ..RunSummary::default() }.write(&folder).unwrap();
        let status = || ListedRun::read("x".to_owned(), &path).unwrap().summary.status;
        assert_eq!(status(), Status::Interrupted);
        let lock = folder.lock().unwrap();
        assert_eq!(status(), Status::Running);
        drop(lock);
        assert_eq!(status(), Status::Interrupted);
        RunSummary { status: Status::Failed, ..RunSummary::default() }.write(&folder).unwrap();
        assert_eq!(status(), Status::Failed);
    }

    #[test]
    fn names_are_ordered_by_their_numbers() {
        let mut names = ["lr-10", "lr-9", "a", "lr-", "lr-09", "ä1", "lr-9-b"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["a", "lr-", "lr-09", "lr-9", "lr-9-b", "lr-10", "ä1"]);
    }
}
