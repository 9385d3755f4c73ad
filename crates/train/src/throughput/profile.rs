//! Profiles the time of a phase by operation.
//!
//! ```text
//! begin ─ operation ─ operation ─ … ─ rest ─ keep       one unit of work: a step, a batch, a token
//!       lap         lap           lap      lap          each lap names the time since the previous lap
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rondo_nn::{OperationObserver, Pass};

use super::Phase;

/// The profile of a phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The measured phase.
    pub phase: Phase,
    /// The parts, longest first.
    pub parts: Vec<ProfilePart>,
}

/// A part of a phase's time.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfilePart {
    /// An operation and its direction, such as `decoder backward`; or other work: `optimizer` (norm, clip and
    /// update), `sample` (drawing a token), `rest`.
    pub name: String,
    /// Mean milliseconds per training step, per evaluation batch, or per generation step (one token for
    /// each stream).
    pub unit_ms: f64,
    /// Its fraction of the phase's time.
    pub share: f64,
}

/// An operation and its direction, or other work without a direction.
type Name = (&'static str, Option<Pass>);

/// Records what each interval of time was spent on. Clones share the same stopwatch.
#[derive(Clone, Debug)]
pub(super) struct Stopwatch(Arc<Mutex<Laps>>);

#[derive(Debug)]
struct Laps {
    last: Instant,
    /// The laps of the current unit of work.
    current: Vec<(Name, Duration)>,
    kept: BTreeMap<Phase, Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    units: u32,
    parts: Vec<(Name, Duration)>,
}

impl Stopwatch {
    pub(super) fn new() -> Stopwatch {
        let laps = Laps { last: Instant::now(), current: Vec::new(), kept: BTreeMap::new() };
        Stopwatch(Arc::new(Mutex::new(laps)))
    }

    /// An observer that records a workspace's operations.
    pub(super) fn observer(&self) -> OperationObserver {
        let watch = self.clone();
        Box::new(move |operation, pass| watch.laps().lap((operation, Some(pass))))
    }

    /// Begins a unit of work, and discards laps that were not kept.
    pub(super) fn begin(&self) {
        let mut laps = self.laps();
        laps.current.clear();
        laps.last = Instant::now();
    }

    /// Ends a unit of work and keeps its laps; the time since the last lap is recorded as `name`.
    pub(super) fn keep(&self, phase: Phase, name: &'static str) {
        let mut laps = self.laps();
        laps.lap((name, None));
        let Laps { current, kept, .. } = &mut *laps;
        let kept = kept.entry(phase).or_default();
        kept.units += 1;
        for (name, time) in current.drain(..) {
            add(&mut kept.parts, name, time);
        }
    }

    /// Discards everything.
    pub(super) fn clear(&self) {
        self.laps().kept.clear();
    }

    /// The profiles of all units that were kept.
    pub(super) fn profiles(&self) -> Vec<Profile> {
        self.laps().kept.iter().map(|(&phase, kept)| kept.profile(phase)).collect()
    }

    fn laps(&self) -> MutexGuard<'_, Laps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Laps {
    fn lap(&mut self, name: Name) {
        let now = Instant::now();
        add(&mut self.current, name, now - self.last);
        self.last = now;
    }
}

impl Kept {
    fn profile(&self, phase: Phase) -> Profile {
        let whole: Duration = self.parts.iter().map(|(_, time)| *time).sum();
        let part = |&((name, pass), time): &(Name, Duration)| ProfilePart {
            name: match pass {
                Some(Pass::Forward) => format!("{name} forward"),
                Some(Pass::Backward) => format!("{name} backward"),
                None => name.to_owned(),
            },
            unit_ms: 1e3 * time.as_secs_f64() / f64::from(self.units),
            share: time.as_secs_f64() / whole.as_secs_f64(),
        };
        let mut parts: Vec<_> = self.parts.iter().map(part).collect();
        parts.sort_by(|a, b| b.unit_ms.total_cmp(&a.unit_ms));
        Profile { phase, parts }
    }
}

/// Adds a time to that of its name; there are at most a dozen names.
fn add(parts: &mut Vec<(Name, Duration)>, name: Name, time: Duration) {
    match parts.iter_mut().find(|(other, _)| *other == name) {
        Some((_, sum)) => *sum += time,
        None => parts.push((name, time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_time_of_the_units_kept_has_a_name() {
        let watch = Stopwatch::new();
        let mut observe = watch.observer();
        for unit in 0..3 {
            // Laps that are not kept are discarded.
            observe("product", Pass::Forward);
            watch.begin();
            observe("linear", Pass::Forward);
            observe("decoder", Pass::Forward);
            observe("linear", Pass::Forward);
            observe("linear", Pass::Backward);
            if unit > 0 {
                watch.keep(Phase::Train, "optimizer");
            }
        }
        let profiles = watch.profiles();
        let [Profile { phase: Phase::Train, parts }] = profiles.as_slice() else { panic!("{profiles:?}") };
        let mut names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["decoder forward", "linear backward", "linear forward", "optimizer"]);
        assert!((parts.iter().map(|part| part.share).sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(parts.is_sorted_by(|a, b| a.unit_ms >= b.unit_ms));
        watch.clear();
        assert_eq!(watch.profiles(), []);
    }
}
