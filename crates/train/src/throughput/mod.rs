//! How fast training, evaluation and generation are, held against what the machine can do at that time.
//!
//! ```text
//! warm-up ─▶ round: FMA peak, copy, train, evaluate, generate ─▶ round ─▶ … ─▶ Report: medians of the rounds
//! ```
//!
//! The speed of a machine drifts, so each round measures everything once, limits included, and what is compared with
//! each other was measured side by side. Each phase is the very code of its command: the trainer's step
//! (forward, back, clip, SGD), `infer`'s evaluation, `infer`'s generator.
//! Not here: what a report looks like.

mod measure;
mod profile;
mod report;
mod workloads;

use rondo_kernels::Device;

pub use profile::{Profile, ProfilePart};
pub use report::{Report, Round};
pub use workloads::{Sizes, WORKLOADS, Workload};

use crate::{Result, TrainError};
use measure::Subject;

/// What is measured of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Training steps.
    Train,
    /// Evaluation: the forward pass with its losses, batch by batch.
    Evaluate,
    /// Generation, token by token.
    Generate,
}

/// How long a phase takes in each round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Until so many seconds have passed.
    Seconds(f64),
    /// So many steps, batches or tokens.
    Repeats(usize),
}

/// What to measure, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Benchmark {
    /// The model, and what it is trained with.
    pub workload: Workload,
    /// The phases; none means all that the workload has.
    pub phases: Vec<Phase>,
    /// How often everything is measured, at least once.
    pub rounds: usize,
    /// How long a phase takes in a round. Each takes one step, batch or token at least.
    pub budget: Budget,
    /// How many texts are generated side by side, at least one.
    pub streams: usize,
    /// Whether to find out where the time goes, too.
    pub profile: bool,
}

/// How far a measurement has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Every phase has run: from here on the model needs no more memory. What the limits need, which are measured next,
    /// is not the model's.
    WarmedUp,
    /// So many rounds are over.
    Rounds(usize),
}

impl Benchmark {
    /// The phases that are measured, in their order.
    ///
    /// # Errors
    /// [`TrainError::OutOfRange`] if one is asked for that the workload does not have.
    pub fn resolved_phases(&self) -> Result<Vec<Phase>> {
        let has = |phase: &Phase| *phase == Phase::Generate || !self.workload.generates_only;
        if !self.phases.iter().all(has) {
            let found = "none of this workload's".to_owned();
            return Err(TrainError::OutOfRange { setting: "phase", found, expected: "`generate`" });
        }
        let wanted = |phase: &Phase| self.phases.is_empty() || self.phases.contains(phase);
        let all = [Phase::Train, Phase::Evaluate, Phase::Generate];
        Ok(all.into_iter().filter(has).filter(wanted).collect())
    }
}

/// Measures a workload on a device, telling `progress` how far it has come.
///
/// # Errors
/// [`TrainError::OutOfRange`] if there are no rounds, no streams, or a phase is asked for that the workload does not
/// have; [`TrainError::Data`] if the sizes do not fit together; [`TrainError::NonFinite`] and
/// [`TrainError::Infer`] if training leads to numbers that are infinite or none at all.
pub fn measure(benchmark: &Benchmark, device: &Device, progress: &mut dyn FnMut(Progress)) -> Result<Report> {
    for (setting, count) in [("rounds", benchmark.rounds), ("streams", benchmark.streams)] {
        if count == 0 {
            return Err(TrainError::OutOfRange { setting, found: "0".to_owned(), expected: "at least 1" });
        }
    }
    let phases = benchmark.resolved_phases()?;
    let mut subject = Subject::new(benchmark, device)?;
    for &phase in &phases {
        subject.warm_up(phase)?;
    }
    progress(Progress::WarmedUp);
    let mut rounds = Vec::new();
    for done in 1..=benchmark.rounds {
        rounds.push(subject.round(&phases)?);
        progress(Progress::Rounds(done));
    }
    Ok(Report { workload: benchmark.workload.clone(), rounds, profiles: subject.profiles() })
}

#[cfg(test)]
mod tests;
