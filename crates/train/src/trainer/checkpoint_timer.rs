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

    /// Whether a checkpoint is due because of the time since the last one.
    pub(super) fn time_is_up(&self) -> bool {
        matches!(self.every, CheckpointEvery::Time(time) if self.last_time.elapsed() >= time)
    }

    /// Whether a checkpoint is due after this many steps, at any time.
    pub(super) fn is_due_after(&self, steps: u64) -> bool {
        matches!(self.every, CheckpointEvery::Steps(count) if steps >= self.last_step.saturating_add(count))
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
        assert!(!timer.is_due_after(4) && timer.is_due_after(5) && !timer.time_is_up());
        timer.restart(7);
        assert!(!timer.is_due_after(11) && timer.is_due_after(12));
        let timed = CheckpointTimer::new(CheckpointEvery::Time(Duration::from_secs(1000)));
        assert!(!timed.is_due_after(9999) && !timed.time_is_up());
        assert!(CheckpointTimer::new(CheckpointEvery::Time(Duration::ZERO)).time_is_up());
        timer.every = CheckpointEvery::Steps(u64::MAX);
        assert!(!timer.is_due_after(1000));
        let never = CheckpointTimer::new(CheckpointEvery::Epoch);
        assert!(!never.is_due_after(u64::MAX) && !never.time_is_up());
    }
}
