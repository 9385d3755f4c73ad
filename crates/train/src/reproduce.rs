//! Compares two runs to see whether one reproduces the other.
//!
//! Not here: running the second one (the command does that).

use std::fs;

use rondo_runs::metrics::{self, Record, RecordKind};
use rondo_runs::{Change, Provenance, RunFolder};
use serde_json::Value;

use crate::resume::has_effect;
use crate::{Checkpoint, Plan, Result, RunEnd, Settings, TrainError};

/// The comparison of two runs of the same plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The number of metrics records of the first run.
    pub records: usize,
    /// The first record that differs, ignoring times.
    pub difference: Option<Difference>,
    /// The models, by the names of their files, and whether they are bitwise identical.
    pub models: Vec<(&'static str, bool)>,
    /// Differences in the circumstances of the runs, which may explain different results: what differs, and
    /// its values for the first and the second run.
    pub circumstances: Vec<(&'static str, String, String)>,
}

/// Two records that differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The line in the metrics files, from 1.
    pub line: usize,
    /// The measurement that differs.
    pub what: String,
    /// Its value in the first run; null if there is none.
    pub first: Value,
    /// Its value in the second run; null if there is none.
    pub second: Value,
}

impl Comparison {
    /// Compares two finished runs.
    ///
    /// # Errors
    /// [`TrainError::Unfinished`] if the first one is not finished; those of reading their files.
    pub fn of(first: &RunFolder, second: &RunFolder) -> Result<Comparison> {
        require_finished(first)?;
        let [ours, theirs] = [first, second].map(|folder| metrics::read(&folder.metrics()));
        let (ours, theirs) = (ours?, theirs?);
        let mut models = vec![];
        for (name, path) in
            [("best", RunFolder::best_model as fn(&RunFolder) -> _), ("last", RunFolder::last_model)]
        {
            let [one, other] = [first, second].map(|folder| fs::read(path(folder)).ok());
            models.push((name, one == other));
        }
        Ok(Comparison {
            records: ours.len(),
            difference: difference(&ours, &theirs),
            models,
            circumstances: circumstances(&Provenance::read(first)?, &Provenance::read(second)?),
        })
    }

    /// Whether all records (ignoring times) and models are the same.
    pub fn is_same(&self) -> bool {
        self.difference.is_none() && self.models.iter().all(|(_, same)| *same)
    }
}

/// Refuses a run that is not finished, because it cannot be compared.
///
/// # Errors
/// [`TrainError::Unfinished`]; those of reading its files.
pub fn require_finished(folder: &RunFolder) -> Result<()> {
    let path = folder.plan();
    let text = fs::read_to_string(&path).map_err(TrainError::io("read", &path))?;
    let plan = Plan::new(&Settings::parse(&path.display().to_string(), &text)?)?;
    let wanted = plan.training.epochs;
    let records = metrics::read(&folder.metrics())?;
    let ended = records.iter().filter(|record| record.kind == RecordKind::Epoch);
    let epochs = ended.map(|record| record.epoch).max().unwrap_or(0);
    if epochs < wanted && !has_ended(folder, &plan)? {
        return Err(TrainError::Unfinished { path: folder.path().to_owned(), epochs, wanted });
    }
    Ok(())
}

/// Whether the run has ended, possibly before its last epoch, as its plan says.
pub(crate) fn has_ended(folder: &RunFolder, plan: &Plan) -> Result<bool> {
    let latest = Checkpoint::latest(folder)?;
    let end = latest.and_then(|(checkpoint, _)| RunEnd::of(plan, &checkpoint.progress));
    Ok(end.is_some())
}

fn difference(ours: &[Record], theirs: &[Record]) -> Option<Difference> {
    let old = ours.iter().chain(theirs).any(Record::is_of_0_1_0);
    let measurements = |record: Option<&Record>| {
        let timeless = record.map(|record| match old {
            // Version 0.1.0 did not correct the bias of the moving average, also after its run was resumed.
            true => Record { moving_loss: None, ..record.without_times() },
            false => record.without_times(),
        });
        timeless.map_or(Value::Null, |record| serde_json::to_value(record).unwrap_or(Value::Null))
    };
    (0..ours.len().max(theirs.len())).find_map(|index| {
        let both = [ours.get(index), theirs.get(index)];
        let (first, second) = (measurements(both[0]), measurements(both[1]));
        // A record of version 0.1.0 has fewer measurements: only those of both can differ.
        let shared_only =
            both.iter().all(Option::is_some) && both.into_iter().flatten().any(Record::is_of_0_1_0);
        let is_shared = |key: &str| !shared_only || first.get(key).is_some() && second.get(key).is_some();
        let keys =
            [&first, &second].into_iter().filter_map(Value::as_object).flat_map(|object| object.keys());
        let what = keys.into_iter().find(|&key| is_shared(key) && first.get(key) != second.get(key))?.clone();
        let value = |of: &Value| of.get(&what).cloned().unwrap_or(Value::Null);
        Some(Difference { line: index + 1, first: value(&first), second: value(&second), what })
    })
}

fn circumstances(first: &Provenance, second: &Provenance) -> Vec<(&'static str, String, String)> {
    let changed = |provenance: &Provenance| {
        let of = |step: u64, changes: &[Change]| -> Vec<String> {
            let with_effect = changes.iter().filter(|change| has_effect(&change.setting));
            with_effect.map(|change| format!("{} = {} at step {step}", change.setting, change.now)).collect()
        };
        // Version 0.1.0 recorded changes only with the resumptions.
        let changes: Vec<String> = if provenance.changes.is_empty() {
            provenance.resumptions.iter().flat_map(|resumed| of(resumed.step, &resumed.changes)).collect()
        } else {
            provenance.changes.iter().flat_map(|change| of(change.step, &change.settings)).collect()
        };
        changes.join(", ")
    };
    let all = [
        ("Rondo version", first.rondo.clone(), second.rondo.clone()),
        ("system", first.system.clone(), second.system.clone()),
        ("device", first.device.clone(), second.device.clone()),
        ("threads", first.threads.to_string(), second.threads.to_string()),
        ("changed settings", changed(first), changed(second)),
    ];
    all.into_iter().filter(|(_, first, second)| first != second).collect()
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn record(step: u64, loss: f64) -> Record {
        Record {
            epoch: 1,
            step,
            tokens: Some(35 * step),
            interval_loss: Some(loss),
            elapsed_s: Some(loss),
            ..Record::default()
        }
    }

    #[test]
    fn the_first_difference_is_named_and_times_are_none() {
        let ours = [record(1, 5.0), record(2, 4.0)];
        let mut theirs = ours.clone();
        theirs[1].elapsed_s = Some(99.0);
        assert_eq!(difference(&ours, &theirs), None);
        theirs[1].interval_loss = Some(4.5);
        let expected =
            Difference { line: 2, what: "interval_loss".to_owned(), first: 4.0.into(), second: 4.5.into() };
        assert_eq!(difference(&ours, &theirs), Some(expected));
        let missing = difference(&ours, &ours[..1]).unwrap();
        assert_eq!((missing.line, missing.what.as_str(), missing.second), (2, "epoch", Value::Null));
    }

    #[test]
    fn a_record_of_0_1_0_is_compared_by_what_it_has() {
        let now = Record { moving_loss: Some(4.5), epoch_loss_so_far: Some(5.0), ..record(2, 4.0) };
        let old = Record { tokens: None, moving_loss: Some(4.75), ..record(2, 4.0) };
        assert_eq!(difference(from_ref(&old), from_ref(&now)), None);
        // A run that was resumed by this version continues with the average of 0.1.0.
        let resumed = Record { moving_loss: Some(4.75), ..now.clone() };
        assert_eq!(difference(&[old.clone(), resumed], &[now.clone(), now.clone()]), None);
        let other = Record { interval_loss: Some(3.0), ..now.clone() };
        let found = difference(from_ref(&old), &[other]).unwrap();
        assert_eq!((found.line, found.what.as_str()), (1, "interval_loss"));
        assert_eq!(difference(&[old], &[now.clone(), now]).unwrap().line, 2);
    }
}
