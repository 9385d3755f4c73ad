//! Warns, once in a run, if an epoch will take more than a day.
//!
//! The estimate is made after the first few batches, whose number is the same for a fast and a slow machine only by
//! chance, so it is reported but changes nothing.

use std::time::Duration;

use super::run::Run;
use crate::Note;
use crate::observer::Event;

/// The batches that are measured at least: the first one allocates memory.
const FEWEST_BATCHES: usize = 4;
/// The time that is measured at least, in seconds.
const LEAST_SECONDS: f64 = 10.0;
/// An epoch that takes longer is reported, in seconds.
const DAY: f64 = 24.0 * 60.0 * 60.0;

/// How fast the run is, until an estimate has been made.
#[derive(Debug, Default)]
pub(super) struct Pace {
    batches: usize,
    seconds: f64,
    is_done: bool,
}

impl Pace {
    /// Adds a batch, and returns the seconds of an epoch of `batches` if they are known now and more than a day.
    fn add(&mut self, time: Duration, batches: usize) -> Option<f64> {
        if self.is_done {
            return None;
        }
        self.batches += 1;
        self.seconds += time.as_secs_f64();
        if self.batches < FEWEST_BATCHES || self.seconds < LEAST_SECONDS {
            return None;
        }
        self.is_done = true;
        Some(self.seconds / self.batches as f64 * batches as f64).filter(|&seconds| seconds > DAY)
    }
}

impl Run<'_> {
    /// Measures a batch, and warns if the epoch of `batches` is long.
    pub(super) fn warn_of_long_epoch(&mut self, time: Duration, batches: usize) {
        if let Some(seconds) = self.pace.add(time, batches) {
            let vocab_size = self.texts.corpus.vocab().len();
            self.watch.notify(Event::Note(Note::LongEpoch { seconds, batches, vocab_size }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The estimates after each of `count` batches of `seconds` each.
    fn estimates(seconds: f64, count: usize, batches: usize) -> Vec<f64> {
        let mut pace = Pace::default();
        (0..count).filter_map(|_| pace.add(Duration::from_secs_f64(seconds), batches)).collect()
    }

    #[test]
    fn a_long_epoch_is_estimated_once() {
        assert_eq!(estimates(20.0, 10, 5000), [100_000.0]);
        assert_eq!(estimates(0.5, 100, 200_000), [100_000.0]);
    }

    #[test]
    fn short_epochs_and_the_first_batches_are_not_reported() {
        assert_eq!(estimates(20.0, 3, 5000), [0.0; 0]);
        assert_eq!(estimates(0.5, 19, 200_000), [0.0; 0]);
        assert_eq!(estimates(0.5, 100, 100_000), [0.0; 0]);
    }
}
