//! Groups of runs for a plot: their mean, and the confidence interval around it.
//!
//! ```text
//! run, seed 1  ─┐
//! run, seed 2  ─┼─▶ records at the same step ─▶ mean: a line     mean ± half the interval: a band
//! run, seed 3  ─┘
//! ```
//!
//! Each measurement has its mean over the records. A record that is not in all runs, and a measurement that is not
//! finite in all of them, are left out, so that a line does not jump where a run ends. Records at the ends of epochs
//! belong together even if the number of steps differs, as it does with variable BPTT.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::panel::{Band, Line};
use super::{Axis, Run, overlay};
use crate::metrics::{Record, RecordKind};
use crate::{Interval, Result};

/// Runs that are drawn as one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name in the legend.
    pub name: String,
    /// Its runs, such as those that differ only in their seeds.
    pub runs: Vec<Run>,
}

/// Draws groups of runs as SVG: the same as [`compare`](super::compare), with the means of groups as lines and their
/// 95 % confidence intervals as bands. The panel of perplexities shows the exponentials of the losses and their
/// intervals.
///
/// # Errors
/// As [`compare`](super::compare).
pub fn compare_groups(groups: &[Group], axis: Axis) -> Result<String> {
    let [means, lows, highs] = [0, 1, 2].map(|part| {
        let runs = groups.iter().map(|group| {
            let records = averaged(&group.runs).into_iter().map(|parts| parts[part].clone()).collect();
            Run { name: group.name.clone(), records }
        });
        runs.collect::<Vec<Run>>()
    });
    let note = "thin lines: training, mean of each interval; lines with points: validation; bands: 95 % confidence \
                intervals of the means";
    overlay::draw(&means, Some([&lows, &highs]), axis, note)
}

/// The mean, the lower and the upper end of the interval, for each record that is in all runs.
fn averaged(runs: &[Run]) -> Vec<[Record; 3]> {
    let Some((first, others)) = runs.split_first() else { return vec![] };
    let others: Vec<BTreeMap<Place, &Record>> = others.iter().map(|run| placed(run).collect()).collect();
    let of_all = |(place, record)| {
        let same = others.iter().map(|run| run.get(&place).copied());
        let records = std::iter::once(Some(record)).chain(same).collect::<Option<Vec<&Record>>>()?;
        interval(&records)
    };
    placed(first).filter_map(of_all).collect()
}

/// Where a record belongs: whether it is one of an epoch, the epoch and, within an epoch, the step.
type Place = (bool, usize, u64);

fn placed(run: &Run) -> impl Iterator<Item = (Place, &Record)> {
    run.records.iter().map(|record| match record.kind {
        RecordKind::Start | RecordKind::Epoch => ((true, record.epoch, 0), record),
        RecordKind::Batch | RecordKind::Other => ((false, record.epoch, record.step), record),
    })
}

/// The mean, lower and upper end of the measurements.
fn interval(records: &[&Record]) -> Option<[Record; 3]> {
    let objects: Vec<Map<String, Value>> = records
        .iter()
        .map(|record| match serde_json::to_value(record) {
            Ok(Value::Object(object)) => Some(object),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let mut ends = [Map::new(), Map::new(), Map::new()];
    for (key, value) in &objects[0] {
        let values = objects.iter().map(|object| object.get(key).and_then(Value::as_f64));
        // What is the same in all runs places the record, or names its kind.
        let parts = if objects.iter().all(|object| object.get(key) == Some(value)) && !value.is_f64() {
            [Some(value.clone()), Some(value.clone()), Some(value.clone())]
        } else if key == "step" {
            let steps = records.iter().map(|record| record.step as f64).sum::<f64>() / records.len() as f64;
            let step = Value::from(steps.round() as u64);
            [Some(step.clone()), Some(step.clone()), Some(step)]
        } else if let Some(Interval { mean, half_width, .. }) =
            values.collect::<Option<Vec<f64>>>().and_then(|values| Interval::of(&values))
        {
            let half_width = if key == "elapsed_s" { Some(0.0) } else { half_width };
            let end = |half: Option<f64>| half.map(|half| Value::from(mean + half));
            [Some(mean.into()), end(half_width.map(|half| -half)), end(half_width)]
        } else {
            continue;
        };
        for (end, part) in ends.iter_mut().zip(parts) {
            end.extend(part.map(|part| (key.clone(), part)));
        }
    }
    let [mean, low, high] = ends.map(|end| serde_json::from_value(Value::Object(end)).ok());
    Some([mean?, low?, high?])
}

/// The areas between lines of lower and of upper ends.
pub(super) fn bands(lows: &[Line], highs: &[Line]) -> Vec<Band> {
    let band = |low: &Line| {
        let high = highs.iter().find(|high| high.look == low.look && high.kind == low.kind)?;
        let upper = |x: f64| high.points.iter().find(|point| point.0 == x).map(|point| point.1);
        let points = low.points.iter().filter_map(|&(x, low)| Some((x, low, upper(x)?)));
        Some(Band { look: low.look, kind: low.kind, points: points.collect() })
    };
    lows.iter().filter_map(band).filter(|band| !band.points.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, losses: &[f64]) -> Run {
        let record = |(&loss, step): (&f64, u64)| Record {
            epoch: 1,
            step: 10 * step,
            interval_loss: Some(loss),
            elapsed_s: Some(loss),
            ..Record::default()
        };
        let mut records: Vec<Record> = losses.iter().zip(1..).map(record).collect();
        let last = records.last().unwrap().clone();
        let kind = RecordKind::Epoch;
        records.push(Record { kind, valid_loss: last.interval_loss, interval_loss: None, ..last });
        Run { name: name.to_owned(), records }
    }

    #[test]
    fn records_at_the_same_place_are_averaged() {
        let records = averaged(&[run("a", &[5.0, 3.0]), run("b", &[7.0, 3.0])]);
        let losses: Vec<_> =
            records.iter().map(|parts| parts.clone().map(|part| part.interval_loss)).collect();
        // The half width for two values: 12.7062 · s / √2, s = √2.
        let [mean, low, high] = losses[0].map(Option::unwrap);
        assert!((mean - 6.0).abs() + (high - 18.7062).abs() + (low + 6.7062).abs() < 1e-3);
        assert_eq!(losses[1..], [[Some(3.0); 3], [None; 3]]);
        assert_eq!(records[2][0].valid_loss, Some(3.0));
        assert_eq!(records[0].clone().map(|part| (part.step, part.elapsed_s)), [(10, Some(6.0)); 3]);
    }

    #[test]
    fn what_is_not_in_all_runs_is_left_out() {
        let records = averaged(&[run("a", &[5.0, f64::NAN, 4.0]), run("b", &[5.0, 3.0])]);
        // Two batches, and the end of the epoch.
        assert_eq!(records.len(), 3);
        assert_eq!((records[0][0].interval_loss, records[1][0].interval_loss), (Some(5.0), None));
        // A single run has a mean, but no interval.
        let [mean, low, _] = averaged(&[run("a", &[5.0])]).swap_remove(0);
        assert_eq!((mean.interval_loss, low.interval_loss, low.step), (Some(5.0), None, 10));
        assert!(averaged(&[]).is_empty());
    }

    #[test]
    fn epochs_of_different_lengths_belong_together() {
        let with_steps = |step: u64| {
            let mut run = run("a", &[5.0, 3.0]);
            for record in &mut run.records[1..] {
                record.step = step;
            }
            run
        };
        let records = averaged(&[with_steps(20), with_steps(25)]);
        let steps: Vec<_> = records.iter().map(|[mean, _, _]| (mean.kind, mean.step)).collect();
        assert_eq!(steps, [(RecordKind::Batch, 10), (RecordKind::Epoch, 23)]);
    }

    #[test]
    fn groups_are_lines_with_bands() {
        let group = |name: &str, offset: f64| Group {
            name: name.to_owned(),
            runs: vec![run("a", &[offset + 5.0, offset + 3.0]), run("b", &[offset + 5.1, offset + 3.1])],
        };
        let svg =
            compare_groups(&[group("cell lstm: 2 runs", 0.0), group("cell gru: 2 runs", 0.5)], Axis::Steps);
        let svg = svg.unwrap();
        for text in ["cell lstm: 2 runs", "cell gru: 2 runs", "95 % confidence intervals"] {
            assert!(svg.contains(text), "{text} is missing");
        }
        // In the panels of losses and perplexities: a band of each group's training loss, and a bar at its validation loss.
        assert_eq!(svg.matches("<polygon").count(), 4, "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        let alone = Group { runs: vec![run("a", &[5.0, 3.0])], ..group("alone", 0.0) };
        assert_eq!(compare_groups(&[alone], Axis::Steps).unwrap().matches("<polygon").count(), 0);
    }
}
