//! The accuracies that `rondo pairs` prints.

use rondo_infer::pairs::{Accuracy, Scope, Tests, accuracies};
use serde_json::{Value, json};

use super::Results;
use crate::{describe, output};

/// The results of all models on a file.
pub(super) struct Report<'a> {
    pub(super) origin: &'a str,
    pub(super) scope: Scope,
    pub(super) tests: &'a Tests,
    pub(super) results: &'a [(String, Results)],
    /// How exact each model was, if it is approximate.
    pub(super) checks: Vec<Option<Value>>,
}

/// The accuracies of a model: on all pairs, if these are pairs, and on each group or prediction.
struct Accuracies {
    all: Option<Accuracy>,
    groups: Vec<(String, Accuracy)>,
}

impl Report<'_> {
    fn accuracies(&self) -> Vec<Accuracies> {
        let of_model = |(_, results): &(String, Results)| match (self.tests, results) {
            (Tests::Pairs(pairs), Results::Pairs(scores)) => {
                let (all, groups) = accuracies(pairs, scores);
                Accuracies { all: Some(all), groups }
            }
            (Tests::Suite(suite), Results::Suite(items)) => {
                let texts = suite.predictions().iter().map(|prediction| prediction.text.clone());
                Accuracies { all: None, groups: texts.zip(suite.accuracies(items)).collect() }
            }
            _ => unreachable!("results are those of the tests"),
        };
        self.results.iter().map(of_model).collect()
    }

    /// A row for each group or prediction and a column for each model, and what was counted apart.
    pub(super) fn in_columns(&self) -> String {
        let models = self.accuracies();
        let [name, tests] = match self.tests {
            Tests::Pairs(_) => ["group", "pairs"],
            Tests::Suite(_) => ["prediction", "items"],
        };
        let mut rows = vec![vec![name.to_owned(), tests.to_owned()]];
        rows[0].extend(self.results.iter().map(|(model, _)| model.clone()));
        let row = |name: &str, accuracies: Vec<&Accuracy>| {
            let tests = accuracies.first().map_or(0, |accuracy| accuracy.tests());
            let cells = accuracies.into_iter().map(cell);
            [name.to_owned(), describe::count(tests)].into_iter().chain(cells).collect()
        };
        let Some(first) = models.first() else { return String::new() };
        for (place, (name, _)) in first.groups.iter().enumerate() {
            rows.push(row(name, models.iter().map(|model| &model.groups[place].1).collect()));
        }
        rows.extend(
            first
                .all
                .is_some()
                .then(|| row("all", models.iter().filter_map(|model| model.all.as_ref()).collect())),
        );
        // The predictions of a suite have the same items apart.
        let whole = |model: &Accuracies| {
            model.all.or(model.groups.first().map(|(_, accuracy)| *accuracy)).unwrap_or_default()
        };
        let wholes: Vec<_> = models.iter().map(|model| apart(&whole(model))).collect();
        for (place, name) in APART.into_iter().enumerate() {
            if wholes.iter().any(|counts| counts[place] > 0) {
                let counts = wholes.iter().map(|counts| describe::count(counts[place]));
                rows.push([name.to_owned(), String::new()].into_iter().chain(counts).collect());
            }
        }
        output::columns(&rows, &[1])
    }

    pub(super) fn in_json(&self) -> Value {
        let models = self.results.iter().zip(self.accuracies()).zip(&self.checks).map(
            |(((path, _), accuracies), check)| {
                let key = if accuracies.all.is_some() { "group" } else { "prediction" };
                let mut object = accuracies.all.as_ref().map_or_else(|| json!({}), numbers);
                object["model"] = path.as_str().into();
                if let Some(check) = check {
                    object["approximate"] = check.clone();
                }
                let group = |(name, accuracy): &(String, Accuracy)| {
                    let mut object = numbers(accuracy);
                    object[key] = name.as_str().into();
                    object
                };
                object[format!("{key}s")] = accuracies.groups.iter().map(group).collect();
                object
            },
        );
        let models: Value = models.collect();
        match self.tests {
            Tests::Pairs(pairs) => {
                let scope = if self.scope == Scope::Region { "region" } else { "sentence" };
                json!({ "file": self.origin, "pairs": pairs.len(), "scope": scope, "models": models })
            }
            Tests::Suite(suite) => {
                json!({ "file": self.origin, "suite": suite.name(), "items": suite.len(), "models": models })
            }
        }
    }
}

/// What is counted in addition to the accuracy.
const APART: [&str; 4] = [
    "equal scores, half right",
    "same tokens, left out",
    "unknown characters, left out",
    "with unknown words",
];

/// The counts of [`APART`].
fn apart(accuracy: &Accuracy) -> [usize; 4] {
    [accuracy.equal, accuracy.same_tokens, accuracy.impossible, accuracy.with_unknown_tokens]
}

/// An accuracy and its interval, in percent.
fn cell(accuracy: &Accuracy) -> String {
    match (accuracy.value(), accuracy.interval()) {
        (Some(value), Some((low, high))) => {
            format!("{:.1} % ({:.1} to {:.1})", 100.0 * value, 100.0 * low, 100.0 * high)
        }
        _ => "-".to_owned(),
    }
}

fn numbers(accuracy: &Accuracy) -> Value {
    let number = |value: Option<f64>| value.map_or(Value::Null, output::number);
    json!({
        "accuracy": number(accuracy.value()),
        "interval": accuracy.interval().map(|(low, high)| [low, high]),
        "tests": accuracy.tests(),
        "right": accuracy.right,
        "wrong": accuracy.wrong,
        "equal": accuracy.equal,
        "same_tokens": accuracy.same_tokens,
        "unknown_characters": accuracy.impossible,
        "with_unknown_tokens": accuracy.with_unknown_tokens,
    })
}
