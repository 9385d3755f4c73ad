//! When the next checkpoint is.

use std::time::Instant;

use crate::settings::CheckpointEvery;

/// Knows when the next checkpoint is. Time is counted by a clock that cannot be set.
#[derive(Debug)]
pub(super) struct CheckpointTimer {
    every: CheckpointEvery,
    written: Instant,
    written_at_step: u64,
}

impl CheckpointTimer {
    /// Before the first step.
    pub(super) fn new(every: CheckpointEvery) -> CheckpointTimer {
        CheckpointTimer { every, written: Instant::now(), written_at_step: 0 }
    }

    /// Whether it is now, after so many steps.
    pub(super) fn is_now(&self, steps: u64) -> bool {
        match self.every {
            CheckpointEvery::Epoch => false,
            CheckpointEvery::Time(time) => self.written.elapsed() >= time,
            CheckpointEvery::Steps(count) => steps >= self.written_at_step + count,
        }
    }

    /// One has been written, or gone on from, after so many steps.
    pub(super) fn written(&mut self, steps: u64) {
        self.written = Instant::now();
        self.written_at_step = steps;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn steps_and_time_are_counted_from_the_last() {
        let mut due = CheckpointTimer::new(CheckpointEvery::Steps(5));
        assert!(!due.is_now(4) && due.is_now(5));
        due.written(7);
        assert!(!due.is_now(11) && due.is_now(12));
        assert!(!CheckpointTimer::new(CheckpointEvery::Time(Duration::from_secs(1000))).is_now(9999));
        assert!(CheckpointTimer::new(CheckpointEvery::Time(Duration::ZERO)).is_now(0));
        assert!(!CheckpointTimer::new(CheckpointEvery::Epoch).is_now(u64::MAX));
    }
}
