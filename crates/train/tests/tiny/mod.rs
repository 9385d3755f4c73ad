//! Runs on a tiny text, for tests of whole runs.

#![allow(dead_code)] // Each test takes what it needs.

use std::ops::ControlFlow;
use std::path::Path;

use rondo_data::{Corpus, CorpusTexts, TextSource};
use rondo_kernels::cpu::InstructionSet;
use rondo_kernels::{Device, DeviceChoice};
use rondo_runs::RunFolder;
use rondo_runs::metrics;
use rondo_train::{Event, Observer, Outcome, Plan, Result, Settings, Trainer};

/// A text that can be memorized: each line determines the next one.
pub(crate) fn corpus(plan: &Plan, lines: usize) -> Corpus {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let line = |i: usize| format!("after {} comes {}\n", days[i % 7], days[(i + 1) % 7]);
    let text = |name: &str, lines: usize| TextSource::Memory {
        name: name.to_owned(),
        text: (0..lines).map(line).collect(),
    };
    let texts = CorpusTexts::Splits {
        train: text("train", lines),
        valid: Some(text("valid", lines / 4)),
        test: Some(text("test", lines / 5)),
    };
    Corpus::read(&texts, &plan.text.options).unwrap()
}

pub(crate) fn plan(settings: &str) -> Plan {
    let base = "
        [model]
        hidden_size = 24
        layers = 1
        dropout = 0.1
        [training]
        epochs = 3
        batch_size = 4
        bptt = 7
        log_every = 5
        threads = 2
        [optimization]
        optimizer = 'adam'
        learning_rate = 0.02
    ";
    let settings = Settings::parse("test", settings).unwrap();
    Plan::new(&Settings::parse("base", base).unwrap().overlaid_with(settings)).unwrap()
}

/// The same plan, in which the outcome of each step is known before the next one: a GPU works ahead otherwise.
pub(crate) fn waiting(mut plan: Plan) -> Plan {
    if device(1).works_ahead() {
        plan.training.log_every = Some(1);
    }
    plan
}

/// The device of the tests: that of `RONDO_TEST_DEVICE`, such as `gpu`, or the CPU.
pub(crate) fn device(threads: usize) -> Device {
    let choice = std::env::var("RONDO_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    let choice: DeviceChoice = choice.parse().unwrap();
    choice.open(threads, InstructionSet::detect()).unwrap().0
}

pub(crate) fn run_with(plan: &Plan, path: &Path, observer: &mut dyn Observer) -> Result<Outcome> {
    let device = device(plan.training.threads);
    let mut trainer = Trainer::new(plan.clone(), corpus(plan, 200), &device)?;
    trainer.run(&RunFolder::create(path, &plan.to_toml()?)?, observer)
}

pub(crate) fn run(plan: &Plan, path: &Path) -> Result<Outcome> {
    run_with(plan, path, &mut ())
}

/// The records as JSON, without times.
pub(crate) fn without_times(path: &Path) -> Vec<String> {
    let records = metrics::read(path).unwrap().into_iter();
    records.map(|record| serde_json::to_string(&record.without_times()).unwrap()).collect()
}

/// Asks a run to stop after some batches.
pub(crate) struct StopAfter(pub(crate) u64);

impl Observer for StopAfter {
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Batch(report) if report.step == self.0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}
