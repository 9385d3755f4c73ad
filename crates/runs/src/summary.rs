//! `summary.json`: the results of a run and what they belong to, in one object for programs and tables.
//!
//! ```text
//! start ─▶ settings, model, seed ─▶ end of each epoch: results so far ─▶ end: status
//! ```
//!
//! Written when the run starts, after each epoch and when it ends, so that a killed run has one, too. Runs of version
//! 0.1.0 have none: [`ListedRun`](crate::ListedRun) derives theirs from the plan and the metrics.
//! Not here: what the settings mean and how large the model is (the trainer knows).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::metrics::{Record, RecordKind};
use crate::{Perplexity, Result, RunFolder, RunsError, write_atomically};

/// Whether a run has reached its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A process is training in the folder. A file that says so may be from a process that was killed.
    Running,
    /// The plan is completed.
    Finished,
    /// Stopped or killed before the end of the plan; can be resumed.
    #[default]
    Interrupted,
    /// Stopped by an error, such as a loss that is not finite.
    Failed,
}

impl Status {
    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Finished => "finished",
            Status::Interrupted => "interrupted",
            Status::Failed => "failed",
        }
    }
}

/// The losses at the end of an epoch, in nats per token, and their perplexities. Values that are missing or not finite
/// are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EpochResult {
    /// The epoch, from 1; 0 is the model that the run continued from.
    pub epoch: usize,
    /// The number of optimizer steps since the start of the run.
    pub step: u64,
    /// Mean loss over the batches of the epoch.
    pub train_loss: Option<f64>,
    /// The exponential of `train_loss`.
    pub train_perplexity: Option<f64>,
    /// Mean loss on the validation text.
    pub valid_loss: Option<f64>,
    /// The exponential of `valid_loss`.
    pub valid_perplexity: Option<f64>,
    /// Mean loss on the test text; evaluated only if the epoch was the best so far.
    pub test_loss: Option<f64>,
    /// The exponential of `test_loss`.
    pub test_perplexity: Option<f64>,
}

impl EpochResult {
    /// The result with these training, validation and test losses.
    pub fn new(epoch: usize, step: u64, losses: [Option<f64>; 3]) -> EpochResult {
        let [train_loss, valid_loss, test_loss] = losses.map(|loss| loss.filter(|loss| loss.is_finite()));
        let perplexity = |loss: Option<f64>| {
            loss.map(|loss| Perplexity::from_nll_mean(loss).value()).filter(|value| value.is_finite())
        };
        EpochResult {
            epoch,
            step,
            train_loss,
            train_perplexity: perplexity(train_loss),
            valid_loss,
            valid_perplexity: perplexity(valid_loss),
            test_loss,
            test_perplexity: perplexity(test_loss),
        }
    }

    /// The results in the records at the end of epochs, in order.
    pub fn of_records(records: &[Record]) -> Vec<EpochResult> {
        let ends = records.iter().filter(|record| record.kind == RecordKind::Epoch);
        ends.map(|record| {
            let losses = [record.epoch_loss, record.valid_loss, record.test_loss];
            EpochResult::new(record.epoch, record.step, losses)
        })
        .collect()
    }

    /// The result with the lowest validation loss, the first of equals; the last one if no validation loss was recorded.
    pub fn best(results: &[EpochResult]) -> Option<EpochResult> {
        let validated = results.iter().filter_map(|result| Some((result.valid_loss?, result)));
        let lowest = validated.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, result)| *result);
        lowest.or_else(|| results.last().copied())
    }
}

/// The results of a run and what they belong to. Keys that are missing in a file have their default; unknown ones are
/// ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSummary {
    /// The version of Rondo.
    pub rondo: String,
    /// Whether the run has reached its end.
    pub status: Status,
    /// The error that stopped it, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The built-in recipe that it started from, if any.
    pub recipe: Option<String>,
    /// The settings that differ from the recipe, or from the defaults without a recipe, each under its path, such as
    /// `model.cell`. A setting that follows from another one is left out.
    pub changed: BTreeMap<String, Value>,
    /// The random seed.
    pub seed: u64,
    /// The cell and the sizes of the model, under the keys of its configuration.
    pub model: BTreeMap<String, Value>,
    /// The number of parameters.
    pub parameters: Option<u64>,
    /// The number of epochs that have ended.
    pub epochs: usize,
    /// The number of epochs in the plan.
    pub planned_epochs: Option<usize>,
    /// The number of optimizer steps.
    pub steps: u64,
    /// The number of training tokens.
    pub tokens: u64,
    /// The epoch with the best validation loss.
    pub best: Option<EpochResult>,
    /// The last epoch.
    pub last: Option<EpochResult>,
    /// When the run started, in seconds since 1970.
    pub started_unix_s: f64,
    /// Total time in seconds, excluding interruptions.
    pub elapsed_s: f64,
    /// Seconds spent on training steps, which excludes evaluation and saving.
    pub training_s: f64,
    /// Training tokens per second of `training_s`.
    pub training_tokens_per_s: Option<f64>,
    /// Training tokens per second of `elapsed_s`, which includes evaluation and saving.
    pub tokens_per_s: Option<f64>,
}

impl RunSummary {
    /// Reads the summary of the run in the folder; `None` if it has none.
    ///
    /// # Errors
    /// [`RunsError::Io`] if the file cannot be read, [`RunsError::Summary`] if it cannot be parsed.
    pub fn read(folder: &RunFolder) -> Result<Option<RunSummary>> {
        let path = folder.summary();
        match fs::read(&path) {
            Ok(text) => RunSummary::parse(&path, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RunsError::io("read", path)(source)),
        }
    }

    /// Reads a summary from the content of its file. `path` is the file to name in errors.
    ///
    /// # Errors
    /// [`RunsError::Summary`] if it cannot be parsed.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<RunSummary> {
        serde_json::from_slice(bytes).map_err(|source| RunsError::Summary { path: path.to_owned(), source })
    }

    /// Writes the summary into the folder of the run.
    ///
    /// # Errors
    /// [`RunsError::Io`] if the file cannot be written.
    pub fn write(&self, folder: &RunFolder) -> Result<()> {
        write_atomically(&folder.summary(), |to| {
            serde_json::to_writer_pretty(&mut *to, self)?;
            to.write_all(b"\n")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch_end(epoch: usize, valid_loss: Option<f64>) -> Record {
        let (kind, step, epoch_loss) = (RecordKind::Epoch, 10 * epoch as u64, Some(5.0));
        Record { kind, epoch, step, epoch_loss, valid_loss, ..Record::default() }
    }

    #[test]
    fn a_summary_is_read_as_it_was_written() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(parent.path().join("run"), "").unwrap();
        assert_eq!(RunSummary::read(&folder).unwrap(), None);
        let summary = RunSummary {
            status: Status::Finished,
            changed: BTreeMap::from([("model.cell".to_owned(), "gru".into())]),
            best: Some(EpochResult::new(2, 20, [Some(5.0), Some(4.5), None])),
            ..RunSummary::default()
        };
        summary.write(&folder).unwrap();
        assert_eq!(RunSummary::read(&folder).unwrap(), Some(summary));
    }

    #[test]
    fn keys_of_another_version_do_not_matter_but_a_damaged_file_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(parent.path().join("run"), "").unwrap();
        fs::write(folder.summary(), r#"{"seed": 3, "flavor": "plum", "best": {"epoch": 1, "loss": 2}}"#)
            .unwrap();
        let summary = RunSummary::read(&folder).unwrap().unwrap();
        assert_eq!((summary.seed, summary.best.unwrap().epoch), (3, 1));
        fs::write(folder.summary(), "nonsense").unwrap();
        let error = RunSummary::read(&folder).unwrap_err().to_string();
        assert_eq!(error, format!("`{}` is not a valid summary file", folder.summary().display()));
    }

    #[test]
    fn the_best_epoch_has_the_lowest_validation_loss() {
        let batch = Record { kind: RecordKind::Batch, ..epoch_end(1, None) };
        let losses = [Some(4.0), Some(3.0), Some(f64::NAN), Some(3.0), None];
        let ends = losses.iter().zip(1..).map(|(&loss, epoch)| epoch_end(epoch, loss));
        let records: Vec<Record> = std::iter::once(batch).chain(ends).collect();
        let results = EpochResult::of_records(&records);
        assert_eq!(results.len(), 5);
        let best = EpochResult::best(&results).unwrap();
        assert_eq!((best.epoch, best.valid_perplexity), (2, Some(3f64.exp())));
        assert_eq!(results[2].valid_loss, None);
        // Without a validation text, the last model is the best.
        let results = EpochResult::of_records(&[epoch_end(1, None), epoch_end(2, None)]);
        assert_eq!(EpochResult::best(&results).unwrap().epoch, 2);
        assert_eq!(EpochResult::best(&[]), None);
    }
}
