//! Benchmarks of training, evaluation and generation, compared with the limits of the machine at that time.
//!
//! ```text
//! warm-up ─▶ round: FMA peak, copy, train, evaluate, generate ─▶ round ─▶ … ─▶ Report: medians of the rounds
//! ```
//!
//! The speed of a machine changes over time, so each round measures everything once, including the limits,
//! and values that are compared were measured at about the same time. Each phase runs the same code as its
//! command: the trainer's step (forward, backward, clip, SGD), `infer`'s evaluation, `infer`'s generator. Not
//! here: how a report is printed.

mod measure;
mod profile;
mod report;
mod workloads;

use rondo_kernels::Device;
use rondo_nn::{ActivationPenalty, BatchSize, PassMemory};

pub use profile::{Profile, ProfilePart};
pub use report::{Report, Round};
pub use workloads::{Sizes, WORKLOADS, Workload};

use crate::memory::parameter_bytes;
use crate::{Result, TrainError};
use measure::Subject;

/// A phase of a workload to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Training steps.
    Train,
    /// Evaluation: the forward pass and the losses, batch by batch.
    Evaluate,
    /// Generation, token by token.
    Generate,
}

/// How long each phase runs in each round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// This many seconds.
    Seconds(f64),
    /// This many steps, batches or tokens.
    Repeats(usize),
}

/// What to measure, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Benchmark {
    /// The model and its training options.
    pub workload: Workload,
    /// The phases; empty means all phases of the workload.
    pub phases: Vec<Phase>,
    /// The number of rounds, at least 1.
    pub rounds: usize,
    /// How long each phase runs in a round. It runs at least one step, batch or token.
    pub budget: Budget,
    /// The number of texts generated in parallel, at least 1.
    pub streams: usize,
    /// Whether to profile the operations, too.
    pub profile: bool,
}

/// The progress of a benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Every phase has run once, so the model needs no more memory. The limits, which are measured next, need
    /// their own memory.
    WarmedUp,
    /// This many rounds are complete.
    Rounds(usize),
}

impl Benchmark {
    /// The phases that are measured, in order.
    ///
    /// # Errors
    /// [`TrainError::OutOfRange`] if a requested phase is not part of the workload.
    pub fn resolved_phases(&self) -> Result<Vec<Phase>> {
        let has = |phase: &Phase| *phase == Phase::Generate || !self.workload.generates_only;
        if let Some(other) = self.phases.iter().find(|phase| !has(phase)) {
            let found = if *other == Phase::Train { "`train`" } else { "`eval`" }.to_owned();
            let expected = "`generate` for this workload";
            return Err(TrainError::OutOfRange { setting: "phase", found, expected });
        }
        let wanted = |phase: &Phase| self.phases.is_empty() || self.phases.contains(phase);
        let all = [Phase::Train, Phase::Evaluate, Phase::Generate];
        Ok(all.into_iter().filter(has).filter(wanted).collect())
    }
}

/// Measures a workload on a device, and reports to `progress`.
///
/// # Errors
/// [`TrainError::OutOfRange`] if there are no rounds or no streams, or a requested phase is not part of the
/// workload; [`TrainError::Data`] if the sizes do not fit together; [`TrainError::NonFinite`] and
/// [`TrainError::Infer`] if training leads to values that are NaN or infinite.
pub fn measure(benchmark: &Benchmark, device: &Device, progress: &mut dyn FnMut(Progress)) -> Result<Report> {
    for (setting, count) in [("rounds", benchmark.rounds), ("streams", benchmark.streams)] {
        if count == 0 {
            return Err(TrainError::OutOfRange { setting, found: "0".to_owned(), expected: "at least 1" });
        }
    }
    let phases = benchmark.resolved_phases()?;
    check_memory(benchmark, &phases, device)?;
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

/// Returns an error if the phases do not fit in memory.
fn check_memory(benchmark: &Benchmark, phases: &[Phase], device: &Device) -> Result<()> {
    let Workload { ref config, batch_size, bptt, .. } = benchmark.workload;
    let batch = BatchSize { steps: bptt, columns: batch_size };
    let mut memory = PassMemory::new(config, device);
    for phase in phases {
        match phase {
            Phase::Train => {
                memory.train(batch, ActivationPenalty::default());
                memory.gradients(batch, false);
            }
            Phase::Evaluate => memory.evaluate(batch),
            Phase::Generate => memory.logits(benchmark.streams),
        }
    }
    let needed = memory.bytes().saturating_add(parameter_bytes(config));
    device.check_memory(needed).map_err(|available| TrainError::NotEnoughMemory {
        needed,
        available,
        reduce: "the sizes or the number of streams",
    })
}

#[cfg(test)]
mod tests;
