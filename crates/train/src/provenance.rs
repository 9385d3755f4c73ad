//! Creates the provenance records of a run from its corpus and device; [`rondo_runs`] defines and stores them.

use std::time::{SystemTime, UNIX_EPOCH};

use rondo_data::{Corpus, Split};
use rondo_kernels::Device;
use rondo_runs::{Change, CorpusFingerprint, Provenance, Resumption};

use crate::Result;

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The fingerprints of a corpus: of its vocabulary, and of the token ids of each split.
///
/// # Errors
/// [`TrainError::Data`](crate::TrainError::Data) if its ids cannot be read.
pub fn fingerprint(corpus: &Corpus) -> Result<CorpusFingerprint> {
    Ok(CorpusFingerprint {
        vocabulary: corpus.vocab().fingerprint(),
        train: corpus.train.fingerprint()?,
        valid: corpus.fingerprint(Split::Valid)?,
        test: corpus.fingerprint(Split::Test)?,
    })
}

/// The provenance of a run that starts now.
pub(crate) fn of_new_run(
    (device, processes): (&Device, usize),
    seed: u64,
    corpus: CorpusFingerprint,
) -> Provenance {
    Provenance {
        rondo: VERSION.to_owned(),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        device: device.to_string(),
        seed,
        threads: device.threads(),
        processes,
        corpus,
        started_unix_s: unix_seconds(),
        resumptions: vec![],
        changes: vec![],
    }
}

/// The record of a run resumed now, in `epoch` after `step` steps.
pub(crate) fn resumption(
    (device, processes): (&Device, usize),
    (epoch, step): (usize, u64),
    changes: Vec<Change>,
) -> Resumption {
    let (rondo, device) = (VERSION.to_owned(), device.to_string());
    Resumption { unix_s: unix_seconds(), rondo, device, processes, epoch, step, changes }
}

/// Seconds since 1970 (Unix time); 0 if the clock is set to an earlier time.
fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
