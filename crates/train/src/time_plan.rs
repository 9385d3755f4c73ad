//! Plans the number of steps of a run that has a limited time.
//!
//! ```text
//! 0 %      3 %           25 %         50 %     75 %    90 %      100 %
//!  measure  plan, train   plan again   again    again   again …   evaluated
//! ```
//!
//! At each of these times the run pauses, the speed since the last one is compared with the plan, and the maximum number of
//! steps is set so that the run ends on time, evaluations included. A run that is faster than planned pauses at the same
//! part of its planned steps. Each change is recorded like one that a user makes, so
//! that the run can be repeated without a clock. Not here: pausing, and changing settings (`session`).

use std::time::{Duration, Instant};

use crate::progress::Pause;

/// The parts of the time after which the number of steps is planned.
/// The last ones are close to each other: on a machine that is shared, half of the speed can be gone within seconds.
const PAUSES: [f64; 7] = [0.03, 0.25, 0.5, 0.75, 0.9, 0.96, 0.985];
/// The part of the time that is kept for writing files and for evaluations that are slower than expected.
const RESERVE: f64 = 0.01;
/// A plan is changed if its number of remaining steps is wrong by more than this.
const TOLERANCE: f64 = 0.01;

/// The time of a run, and what it has reached.
#[derive(Clone, Debug)]
pub(crate) struct TimePlan {
    /// When the run began, or would have begun had it not been interrupted.
    begun: Instant,
    limit_s: f64,
    /// The pauses that are left.
    pauses: &'static [f64],
    /// The seconds and the number of steps at the end of the last pause.
    last: (f64, u64),
}

impl TimePlan {
    /// The plan of a run with this time that began at `begun`.
    pub(crate) fn new(limit: Duration, begun: Instant) -> TimePlan {
        TimePlan { begun, limit_s: limit.as_secs_f64(), pauses: &PAUSES, last: (0.0, 0) }
    }

    /// The plan of a run that is resumed at `now`, after it has taken `elapsed_s` for `steps` of its `planned` steps, if they
    /// have been planned before.
    pub(crate) fn resumed(
        limit: Duration,
        (now, elapsed_s): (Instant, f64),
        steps: u64,
        planned: Option<u64>,
    ) -> TimePlan {
        let begun = now.checked_sub(Duration::from_secs_f64(elapsed_s)).unwrap_or(now);
        let mut plan = TimePlan { last: (elapsed_s, steps), ..TimePlan::new(limit, begun) };
        if let Some(planned) = planned {
            plan.skip_pauses(elapsed_s, steps, Some(planned));
        }
        plan
    }

    /// Leaves out the pauses whose time or number of steps is reached.
    fn skip_pauses(&mut self, elapsed_s: f64, steps: u64, planned: Option<u64>) {
        let is_done = |part: f64| {
            let of_steps = planned.is_some_and(|planned| steps >= part_of(part, planned));
            of_steps || elapsed_s >= part * self.limit_s
        };
        let done = self.pauses.iter().take_while(|part| is_done(**part)).count();
        self.pauses = &self.pauses[done..];
    }

    /// The seconds that the run has taken.
    pub(crate) fn elapsed_s(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// When the run pauses next, if its planned number of steps is `planned`.
    pub(crate) fn next_pause(&self, planned: Option<u64>) -> Option<Pause> {
        let part = self.pauses.first()?;
        let time = self.begun + Duration::from_secs_f64(part * self.limit_s);
        let steps = planned.map_or(u64::MAX, |planned| part_of(*part, planned));
        Some(Pause::After { time, steps })
    }

    /// The seconds that measuring the speed of evaluations may take.
    pub(crate) fn probe_s(&self) -> f64 {
        (RESERVE * self.limit_s).min(2.0)
    }

    /// The maximum number of steps of a run that reached `steps` steps after `elapsed_s` and paused until `now_s`, if it
    /// should differ from `planned`. Evaluations at its end take `evaluation_s`.
    pub(crate) fn replan(
        &mut self,
        (elapsed_s, now_s): (f64, f64),
        steps: u64,
        evaluation_s: f64,
        planned: Option<u64>,
    ) -> Option<u64> {
        self.skip_pauses(now_s, steps, planned);
        let (last_s, last_steps) = self.last;
        let step_s = (elapsed_s - last_s) / steps.saturating_sub(last_steps).max(1) as f64;
        self.last = (now_s, steps);
        let left_s = self.limit_s * (1.0 - RESERVE) - now_s - evaluation_s;
        // At least one more step, so that the run ends like any other.
        let left = ((left_s / step_s.max(f64::MIN_POSITIVE)).max(0.0) as u64).max(1);
        let is_close = |planned: u64| {
            let before = planned.saturating_sub(steps) as f64;
            (before - left as f64).abs() <= TOLERANCE * before
        };
        (!planned.is_some_and(is_close)).then_some(steps.saturating_add(left))
    }
}

fn part_of(part: f64, steps: u64) -> u64 {
    (part * steps as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(100);

    #[test]
    fn the_number_of_steps_follows_the_speed_of_the_machine() {
        let begun = Instant::now();
        let mut plan = TimePlan::new(LIMIT, begun);
        let pause = |seconds, steps| Some(Pause::After { time: begun + Duration::from_secs(seconds), steps });
        assert_eq!(plan.next_pause(None), pause(3, u64::MAX));
        // 10 steps a second, and a second of measuring; 99 − 4 − 5 seconds are left.
        assert_eq!(plan.replan((3.0, 4.0), 30, 5.0, None), Some(30 + 900));
        assert_eq!(plan.next_pause(Some(930)), pause(25, 232));
        // As fast as planned.
        assert_eq!(plan.replan((25.0, 25.0), 240, 5.0, Some(930)), None);
        // Half as fast since: 99 − 50 − 5 seconds at 5 steps a second.
        assert_eq!(plan.replan((50.0, 50.0), 365, 5.0, Some(930)), Some(365 + 220));
        assert_eq!(plan.next_pause(Some(400)), pause(75, 300));
        // There is no time left.
        assert_eq!(plan.replan((98.0, 99.0), 500, 5.0, Some(585)), Some(501));
        assert_eq!(plan.next_pause(Some(501)), None);
    }

    #[test]
    fn a_resumed_run_skips_the_pauses_that_it_has_made() {
        let now = Instant::now() + Duration::from_secs(1000);
        let pause = |elapsed_s: f64, planned| {
            let plan = TimePlan::resumed(LIMIT, (now, elapsed_s), 7, planned);
            plan.next_pause(None).map(|pause| match pause {
                Pause::After { time, .. } => (time - (now - Duration::from_secs_f64(elapsed_s))).as_secs(),
                Pause::At(place) => panic!("{place:?}"),
            })
        };
        assert_eq!(pause(30.0, Some(100)), Some(50));
        assert_eq!(pause(30.0, None), Some(3));
        assert_eq!(pause(95.0, Some(100)), Some(96));
        assert_eq!(pause(99.0, Some(100)), None);
        // Faster than planned.
        assert_eq!(pause(30.0, Some(9)), Some(90));
    }
}
