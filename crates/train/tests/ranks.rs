//! Ranks that train together, here the threads of one process, and batches that are computed in parts: both give the
//! results of one process that computes whole batches.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use rondo_collective::{Collective, CollectiveError, Threads, alone};
use rondo_runs::{Provenance, metrics};
use rondo_train::{Event, Observer, Outcome, Result, Session, SessionOptions, Settings, TrainError};

use tiny::{StopAfter, corpus, plan};

mod tiny;

/// Models, optimizers and orders of the text whose sums, masks, samples or states could depend on how a batch is divided.
const KINDS: &[(&str, &str)] = &[
    ("one layer", "[model]\ndropout = 0.3"),
    (
        "two layers, locked dropout, weight and word dropout, untied, momentum",
        "[model]\nlayers = 2\ndropout = 0.3\ndropout_weights = 0.2\ndropout_words = 0.2\ntied = false\n\
         locked_dropout = ['input', 'between', 'output']\n\
         [optimization]\noptimizer = 'sgd'\nlearning_rate = 2\nmomentum = 0.5",
    ),
    (
        "sampled softmax, an average, lazy rows",
        "[model]\nsoftmax = 'sampled:5'\n[optimization]\naveraging = 'ema:0.9'",
    ),
    ("sampled softmax, untied, with a bias", "[model]\nsoftmax = 'sampled:4'\ntied = false\ncell = 'gru'"),
    ("adaptive softmax", "[model]\nsoftmax = 'adaptive:3,9'\ntied = false"),
    (
        "penalties, batches of random length, weight decay",
        "[training]\nvariable_bptt = true\n[optimization]\nactivation_penalty = 0.5\ntemporal_penalty = 0.5\n\
         weight_decay = 0.01",
    ),
    ("lines in random order", "[training]\nreset_state = 'line'\nshuffle_lines = true"),
    (
        "coupled gates, a projection",
        "[model]\ncell = 'cifg'\nprojection_size = 8\ncell_clip = 2\nlayers = 2\ntied = false",
    ),
    ("a Mogrifier", "[model]\ncell = 'mogrifier'\nmogrifier_rounds = 3\ndropout = 0.2"),
    ("a short last batch, clipping", "[training]\nbptt = 11\n[optimization]\nclip_norm = 0.1"),
];

/// The losses of all batches.
#[derive(Clone, Default)]
struct Losses(Arc<Mutex<Vec<f64>>>);

impl Observer for Losses {
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        if let Event::Batch(report) = event {
            self.0.lock().unwrap().push(report.nll_mean);
        }
        ControlFlow::Continue(())
    }
}

/// The settings of a test as settings of a session.
fn settings(kind: &str) -> Settings {
    Settings::parse("test", &plan("[training]\nbatch_size = 6\nthreads = 1\nepochs = 2").to_toml().unwrap())
        .unwrap()
        .overlaid_with(Settings::parse("test", kind).unwrap())
}

/// Trains on one rank.
fn on_rank(
    ranks: Arc<dyn Collective>,
    kind: &str,
    path: &Path,
    resumes: bool,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let plan = plan(kind);
    let options = SessionOptions {
        ranks,
        in_memory: Some(corpus(&plan, 160)),
        out: Some(path.to_owned()),
        ..Default::default()
    };
    let mut session = match resumes {
        true => Session::resume(path, Settings::default(), options)?,
        false => Session::start(settings(kind), options)?,
    };
    Ok(session.run(observer)?.outcome)
}

/// Trains on `size` ranks; the outcomes of all, and the losses that the first one reports.
fn on_ranks(
    size: usize,
    kind: &str,
    path: &Path,
    resumes: bool,
    observer: impl Fn() -> Box<dyn Observer> + Sync,
) -> (Vec<Result<Outcome>>, Vec<f64>) {
    let losses = Losses::default();
    let ranks: Vec<Arc<dyn Collective>> = match size {
        1 => vec![alone()],
        size => Threads::ranks(size).into_iter().map(|rank| Arc::new(rank) as Arc<dyn Collective>).collect(),
    };
    let run = |ranks: Arc<dyn Collective>| {
        let (mut losses, mut other) = (losses.clone(), observer());
        let leads = ranks.leads();
        let mut both = move |event: Event<'_>| {
            if leads {
                let _ = losses.observe(event);
            }
            other.observe(event)
        };
        on_rank(ranks, kind, path, resumes, &mut both)
    };
    let outcomes = thread::scope(|scope| {
        let running: Vec<_> = ranks.into_iter().map(|ranks| scope.spawn(|| run(ranks))).collect();
        running.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    let losses = losses.0.lock().unwrap().clone();
    (outcomes, losses)
}

fn silent() -> Box<dyn Observer> {
    Box::new(())
}

#[track_caller]
fn assert_close(name: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        // Small differences grow from step to step.
        let tolerance = 2e-5 * expected.abs().max(1.0) * (1.0 + at as f64 / 10.0);
        assert!((found - expected).abs() < tolerance, "{name}, {at}: {found}, expected {expected}");
    }
}

#[test]
fn a_divided_batch_has_the_losses_of_the_whole() {
    let parent = tempfile::tempdir().unwrap();
    for (name, kind) in KINDS {
        let whole = parent.path().join(format!("{name}-whole"));
        let (outcomes, expected) = on_ranks(1, kind, &whole, false, silent);
        let expected_outcome = outcomes.into_iter().next().unwrap().unwrap();
        assert!(expected.len() > 20, "{name}: {} steps", expected.len());
        for (size, accumulate) in [(1, 3), (2, 1), (3, 1), (2, 2)] {
            let kind = match kind.split_once("[training]\n") {
                Some((before, after)) => format!("{before}[training]\naccumulate = {accumulate}\n{after}"),
                None => format!("{kind}\n[training]\naccumulate = {accumulate}"),
            };
            let name = format!("{name}, {size} ranks, {accumulate} parts");
            let path = parent.path().join(&name);
            let (outcomes, found) = on_ranks(size, &kind, &path, false, silent);
            assert_close(&name, &found, &expected);
            for outcome in outcomes {
                let outcome = outcome.unwrap();
                assert_eq!(
                    (outcome.steps, outcome.tokens),
                    (expected_outcome.steps, expected_outcome.tokens)
                );
                let of_outcome =
                    |outcome: &Outcome| [outcome.best_valid.unwrap(), outcome.best_test.unwrap()];
                for (found, expected) in of_outcome(&outcome).iter().zip(of_outcome(&expected_outcome)) {
                    assert!((found - expected).abs() < 1e-3, "{name}: {found}, expected {expected}");
                }
            }
        }
    }
}

/// Stopped by a signal that only one rank receives, a run continues with another number of ranks.
#[test]
fn a_run_continues_with_another_number_of_ranks() {
    let parent = tempfile::tempdir().unwrap();
    let kind = KINDS[1].1;
    let (_, expected) = on_ranks(1, kind, &parent.path().join("whole"), false, silent);
    for (first, second) in [(3, 2), (2, 1), (1, 3)] {
        let path = parent.path().join(format!("{first} and {second}"));
        let (outcomes, mut found) = on_ranks(first, kind, &path, false, || Box::new(StopAfter(20)));
        assert!(outcomes.into_iter().all(|outcome| outcome.unwrap().interrupted));
        assert_eq!(found.len(), 20);
        let (outcomes, rest) = on_ranks(second, kind, &path, true, silent);
        outcomes.into_iter().for_each(|outcome| assert!(!outcome.unwrap().interrupted));
        found.extend(rest);
        assert_close(&format!("{first} and {second}"), &found, &expected);
        let folder = rondo_runs::RunFolder::open(&path).unwrap();
        let provenance = Provenance::read(&folder).unwrap();
        assert_eq!((provenance.processes, provenance.resumptions[0].processes), (first, second));
        assert_eq!(
            metrics::read(&folder.metrics()).unwrap().iter().filter(|r| r.valid_loss.is_some()).count(),
            2
        );
    }
}

#[test]
fn the_same_ranks_resume_exactly() {
    let parent = tempfile::tempdir().unwrap();
    let kind = KINDS[2].1;
    let (whole, path) = (parent.path().join("whole"), parent.path().join("resumed"));
    let (_, expected) = on_ranks(2, kind, &whole, false, silent);
    let (_, mut found) = on_ranks(2, kind, &path, false, || Box::new(StopAfter(25)));
    found.extend(on_ranks(2, kind, &path, true, silent).1);
    assert_eq!(found, expected);
    for file in ["best.safetensors", "last.safetensors"] {
        assert!(
            std::fs::read(path.join(file)).unwrap() == std::fs::read(whole.join(file)).unwrap(),
            "{file}"
        );
    }
}

/// Panics in one rank after some batches.
struct Fails(u64);

impl Observer for Fails {
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Batch(report) if report.step == self.0 => panic!("a rank ends"),
            _ => ControlFlow::Continue(()),
        }
    }
}

#[test]
fn when_a_rank_ends_the_others_say_so() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    thread::scope(|scope| {
        let mut ranks = Threads::ranks(3).into_iter();
        let mut spawn = |steps: u64| {
            let (rank, path): (Arc<dyn Collective>, _) = (Arc::new(ranks.next().unwrap()), &path);
            scope.spawn(move || on_rank(rank, "", path, false, &mut Fails(steps)))
        };
        let running = [spawn(u64::MAX), spawn(7), spawn(u64::MAX)];
        let [first, failing, last] = running.map(|rank| rank.join());
        assert!(failing.is_err());
        for result in [first, last] {
            let error = result.unwrap().unwrap_err();
            assert!(
                matches!(error, TrainError::Collective(CollectiveError::RankEnded { size: 3 })),
                "{error}"
            );
        }
    });
}

#[test]
fn a_batch_with_fewer_columns_than_ranks_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let kind = "[training]\naccumulate = 4";
    let (outcomes, _) = on_ranks(2, kind, &parent.path().join("run"), false, silent);
    let expected = "a batch of 6 sequences cannot be divided among 2 processes in 4 parts each: increase \
                    `training.batch_size`, or reduce `training.accumulate` or the number of processes";
    assert_eq!(outcomes[0].as_ref().unwrap_err().to_string(), expected);
    assert!(!parent.path().join("run").exists());
}
