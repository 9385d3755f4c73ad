//! Decides when to write the next checkpoint.

use std::time::Instant;

use crate::settings::CheckpointEvery;

/// Decides when the next checkpoint is due. Time is measured by a monotonic clock.
#[derive(Debug)]
pub(super) struct CheckpointTimer {
    every: CheckpointEvery,
    last_time: Instant,
    last_step: u64,
}

impl CheckpointTimer {
    /// A timer that starts now, before the first step.
    pub(super) fn new(every: CheckpointEvery) -> CheckpointTimer {
        CheckpointTimer { every, last_time: Instant::now(), last_step: 0 }
    }

    /// Whether a checkpoint is due after this many steps.
    pub(super) fn is_due(&self, steps: u64) -> bool {
        match self.every {
            CheckpointEvery::Epoch => false,
            CheckpointEvery::Time(time) => self.last_time.elapsed() >= time,
            CheckpointEvery::Steps(count) => steps >= self.last_step.saturating_add(count),
        }
    }

    /// Restarts the timer, after a checkpoint at this many steps was written or restored.
    pub(super) fn restart(&mut self, steps: u64) {
        self.last_time = Instant::now();
        self.last_step = steps;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn steps_and_time_are_counted_from_the_last() {
        let mut timer = CheckpointTimer::new(CheckpointEvery::Steps(5));
        assert!(!timer.is_due(4) && timer.is_due(5));
        timer.restart(7);
        assert!(!timer.is_due(11) && timer.is_due(12));
        assert!(!CheckpointTimer::new(CheckpointEvery::Time(Duration::from_secs(1000))).is_due(9999));
        assert!(CheckpointTimer::new(CheckpointEvery::Time(Duration::ZERO)).is_due(0));
        timer.every = CheckpointEvery::Steps(u64::MAX);
        assert!(!timer.is_due(1000));
        assert!(!CheckpointTimer::new(CheckpointEvery::Epoch).is_due(u64::MAX));
    }
}
