//! What produced the results of a run: versions, device, seed, corpus, and the changes made when it was resumed.
//!
//! A run is determined by its plan, its corpus, the seed, the kind of device and the number of threads.
//! `plan.toml` contains the settings and `provenance.json` the rest, so that a run can be repeated and compared.
//! Not here: how the values are determined (the trainer knows the corpus and the device).

use std::fs;

use serde::{Deserialize, Serialize};

use crate::{Result, RunFolder, RunsError, write_atomically};

/// Identifies the texts of a corpus: equal if the vocabularies and all token ids are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusFingerprint {
    /// The fingerprint of the vocabulary.
    pub vocabulary: String,
    /// The fingerprint of the training text.
    pub train: String,
    /// The fingerprint of the validation text, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<String>,
    /// The fingerprint of the test text, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
}

impl CorpusFingerprint {
    /// Checks that `found` is the same corpus.
    ///
    /// # Errors
    /// [`RunsError::OtherCorpus`] with the first part that differs.
    pub fn check(&self, found: &CorpusFingerprint) -> Result<()> {
        let none = || "none".to_owned();
        let parts = [
            ("vocabulary", Some(&self.vocabulary), Some(&found.vocabulary)),
            ("training text", Some(&self.train), Some(&found.train)),
            ("validation text", self.valid.as_ref(), found.valid.as_ref()),
            ("test text", self.test.as_ref(), found.test.as_ref()),
        ];
        match parts.into_iter().find(|(_, expected, found)| expected != found) {
            None => Ok(()),
            Some((part, expected, found)) => Err(RunsError::OtherCorpus {
                part,
                found: found.cloned().unwrap_or_else(none),
                expected: expected.cloned().unwrap_or_else(none),
            }),
        }
    }
}

/// What produced the results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The version of Rondo.
    pub rondo: String,
    /// The operating system and processor architecture of the build.
    pub system: String,
    /// The device and its instruction set.
    pub device: String,
    /// The random seed.
    pub seed: u64,
    /// The number of threads, of each process.
    pub threads: usize,
    /// The number of processes that trained together when the run began.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub processes: usize,
    /// The corpus.
    pub corpus: CorpusFingerprint,
    /// When the run began, in seconds since 1970.
    pub started_unix_s: f64,
    /// The resumptions of the run, in the order of time.
    #[serde(default)]
    pub resumptions: Vec<Resumption>,
    /// The changes of settings that led to the present state of the run, in the order of its steps. A change that
    /// was made after the checkpoint that the run was resumed from is not among them.
    ///
    /// The settings before the first change are in [`RunFolder::original_plan`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<SettingsChange>,
}

/// A change of settings that affects the results of a run, and the place in the run where it took effect: after
/// `batch` batches of `epoch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsChange {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The number of batches of the epoch before the change.
    pub batch: usize,
    /// The number of optimizer steps before the change.
    pub step: u64,
    /// The number of rollbacks to a checkpoint before the change.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rollbacks: usize,
    /// The settings that changed.
    pub settings: Vec<Change>,
}

fn one() -> usize {
    1
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// One resumption of a run after an interruption.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resumption {
    /// The time, in seconds since 1970.
    pub unix_s: f64,
    /// The version of Rondo.
    pub rondo: String,
    /// The device and its instruction set.
    pub device: String,
    /// The number of processes that trained together from then on.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub processes: usize,
    /// The epoch in which the run was resumed.
    pub epoch: usize,
    /// The number of steps before the resumption.
    pub step: u64,
    /// The settings that were changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// A setting that was changed when a run was resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its path, such as `training.epochs`.
    pub setting: String,
    /// The value before; empty if it was not set.
    pub before: String,
    /// The value now; empty if it is not set.
    pub now: String,
}

impl Provenance {
    /// Reads the provenance of the run in the folder.
    ///
    /// # Errors
    /// [`RunsError::Io`] if it cannot be read, [`RunsError::Provenance`] if it cannot be parsed.
    pub fn read(folder: &RunFolder) -> Result<Provenance> {
        let path = folder.provenance();
        let text = fs::read(&path).map_err(RunsError::io("read", &path))?;
        serde_json::from_slice(&text).map_err(|source| RunsError::Provenance { path, source })
    }

    /// Writes the provenance into the folder of the run.
    ///
    /// # Errors
    /// [`RunsError::Io`] if the file cannot be written.
    pub fn write(&self, folder: &RunFolder) -> Result<()> {
        let path = folder.provenance();
        write_atomically(&path, |to| {
            serde_json::to_writer_pretty(&mut *to, self)?;
            to.write_all(b"\n")
        })
    }
}
