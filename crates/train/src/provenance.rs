//! Where a run's numbers come from: versions, device, seed, texts, and what was changed when it was resumed.
//!
//! A run is a function of its plan, its texts, the seed, the kind of device and the number of threads. `plan.toml` holds
//! what was asked for; `provenance.json` the rest, so that a run can be repeated and compared ([`Comparison`]).
//!
//! [`Comparison`]: crate::Comparison

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rondo_data::{Corpus, Split};
use rondo_kernels::Device;
use serde::{Deserialize, Serialize};

use crate::{Change, Result, RunFolder, TrainError, write_atomically};

/// Names the texts of a corpus: equal for equal ids of equal vocabularies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusFingerprint {
    /// [`Vocab::fingerprint`](rondo_data::Vocab::fingerprint).
    pub vocabulary: String,
    /// [`Corpus::fingerprint`] of the training text.
    pub train: String,
    /// That of the validation text, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<String>,
    /// That of the test text, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
}

impl CorpusFingerprint {
    /// That of a corpus.
    ///
    /// # Errors
    /// [`TrainError::Data`] if its ids cannot be read.
    pub fn of(corpus: &Corpus) -> Result<CorpusFingerprint> {
        Ok(CorpusFingerprint {
            vocabulary: corpus.vocab().fingerprint(),
            train: corpus.train.fingerprint()?,
            valid: corpus.fingerprint(Split::Valid)?,
            test: corpus.fingerprint(Split::Test)?,
        })
    }

    /// Refuses another corpus than this one.
    ///
    /// # Errors
    /// [`TrainError::OtherCorpus`] with the first part that differs.
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
            Some((part, expected, found)) => Err(TrainError::OtherCorpus {
                part,
                found: found.cloned().unwrap_or_else(none),
                expected: expected.cloned().unwrap_or_else(none),
            }),
        }
    }
}

/// Where a run's numbers come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The version of Rondo.
    pub rondo: String,
    /// The system and kind of processor it was built for.
    pub system: String,
    /// The device, with the instructions it was used with.
    pub device: String,
    /// The seed of everything random.
    pub seed: u64,
    /// The threads to compute with.
    pub threads: usize,
    /// The texts.
    pub corpus: CorpusFingerprint,
    /// When the run began, in seconds since 1970.
    pub started_unix_s: f64,
    /// When it was resumed, and how.
    #[serde(default)]
    pub resumptions: Vec<Resumption>,
}

/// A run was gone on with after an interruption.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resumption {
    /// When, in seconds since 1970.
    pub unix_s: f64,
    /// The version of Rondo.
    pub rondo: String,
    /// The device, with the instructions it was used with.
    pub device: String,
    /// The epoch that it went on in.
    pub epoch: usize,
    /// The steps there had been.
    pub step: u64,
    /// The settings that are others than before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

impl Provenance {
    /// That of a run that begins now.
    pub(crate) fn new(device: &Device, seed: u64, corpus: CorpusFingerprint) -> Provenance {
        Provenance {
            rondo: VERSION.to_owned(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            device: device.to_string(),
            seed,
            threads: device.threads(),
            corpus,
            started_unix_s: unix_seconds(),
            resumptions: vec![],
        }
    }

    /// That of the run in the folder.
    ///
    /// # Errors
    /// [`TrainError::Io`] if it cannot be read, [`TrainError::Provenance`] if it is none.
    pub fn read(folder: &RunFolder) -> Result<Provenance> {
        let path = folder.provenance();
        let text = fs::read(&path).map_err(TrainError::io("read", &path))?;
        serde_json::from_slice(&text).map_err(|source| TrainError::Provenance { path, source })
    }

    pub(crate) fn write(&self, folder: &RunFolder) -> Result<()> {
        let path = folder.provenance();
        write_atomically(&path, |to| {
            serde_json::to_writer_pretty(&mut *to, self)?;
            to.write_all(b"\n")
        })
    }

    /// Notes that the run goes on now.
    pub(crate) fn resume(&mut self, device: &Device, (epoch, step): (usize, u64), changes: Vec<Change>) {
        let (rondo, device) = (VERSION.to_owned(), device.to_string());
        self.resumptions.push(Resumption { unix_s: unix_seconds(), rondo, device, epoch, step, changes });
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Seconds since 1970; 0 on a machine that takes itself to be older.
pub(crate) fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
