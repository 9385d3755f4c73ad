//! A run that was interrupted and resumed is bitwise identical to one that was not.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rondo_data::{Corpus, CorpusTexts, TextSource};
use rondo_kernels::Device;
use rondo_runs::metrics;
use rondo_runs::{Provenance, RunFolder, RunsError};
use rondo_train::{
    Checkpoint, Event, Observer, Outcome, PartialEpoch, Plan, Result, RunEnd, Settings, TrainError, Trainer,
    resumed_plan,
};

use tiny::{StopAfter, corpus, device, plan, run, run_with, waiting, without_times};

mod tiny;

/// Resumes the run in `path` with its plan and some changes.
fn resume(path: &Path, with: &str, observer: &mut dyn Observer) -> Result<Outcome> {
    let folder = RunFolder::open(path)?;
    let checkpoint = Checkpoint::latest(&folder)?.map(|(checkpoint, _)| checkpoint);
    let flags = Settings::parse("test", with)?;
    let (plan, changes) = resumed_plan(&folder, checkpoint.as_ref(), flags, Plan::new)?;
    let corpus = corpus(&plan, 200);
    let device = device(plan.training.threads);
    let mut trainer = match checkpoint {
        Some(checkpoint) => Trainer::resuming(plan, corpus, &device, checkpoint, changes)?,
        None => Trainer::new(plan, corpus, &device)?,
    };
    trainer.run(&folder, observer)
}

fn resume_to_the_end(path: &Path) -> Outcome {
    resume(path, "", &mut ()).unwrap()
}

fn checkpoints(path: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let is = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("checkpoint-");
    let mut found: Vec<_> = names.filter(is).collect();
    found.sort();
    found
}

/// Fails unless the results of two runs are the same, except times.
#[track_caller]
fn assert_same(name: &str, (whole, expected): (&Path, &Outcome), (path, found): (&Path, &Outcome)) {
    let timeless =
        |outcome: &Outcome| Outcome { training_s: 0.0, waiting_s: 0.0, elapsed_s: 0.0, ..*outcome };
    assert_eq!(timeless(found), timeless(expected), "{name}");
    assert_eq!(
        without_times(&path.join("metrics.jsonl")),
        without_times(&whole.join("metrics.jsonl")),
        "{name}"
    );
    for file in ["best.safetensors", "last.safetensors", "vocab.json"] {
        let [found, expected] = [path, whole].map(|path| fs::read(path.join(file)).ok());
        assert!(found == expected, "{name}: {file}");
    }
}

#[test]
fn an_interruption_in_the_first_epoch_leaves_its_metrics_and_says_where_it_was() {
    let parent = tempfile::tempdir().unwrap();
    let plan = plan("[training]\nlog_every = 4");
    if device(1).works_ahead() {
        return; // It stops after steps whose outcome is known, here at a multiple of 4.
    }
    let whole = parent.path().join("whole");
    let expected = run(&plan, &whole).unwrap();
    let path = parent.path().join("interrupted");
    let outcome = run_with(&plan, &path, &mut StopAfter(6)).unwrap();
    let batches = (expected.steps / 3) as usize;
    assert_eq!(outcome.partial_epoch, Some(PartialEpoch { epoch: 1, batch: 6, batches }));
    assert_eq!((outcome.best_epoch, outcome.interrupted), (None, true));
    let [first, last] = &metrics::read(&path.join("metrics.jsonl")).unwrap()[..] else {
        panic!("two records")
    };
    assert_eq!((first.step, first.valid_loss), (4, None));
    assert_eq!((last.epoch, last.step), (1, 6));
    assert!(last.interval_loss.is_some() && last.unclipped_gradient_norm_last.is_some());
    assert_eq!((last.valid_loss, last.test_loss), (outcome.best_valid, outcome.best_test));
    assert!(outcome.best_valid.is_some());

    // Interrupted again at once, with nothing new to measure.
    let outcome = resume(&path, "", &mut StopAtOnce).unwrap();
    assert_eq!(outcome.partial_epoch, Some(PartialEpoch { epoch: 1, batch: 6, batches }));
    assert_eq!(metrics::read(&path.join("metrics.jsonl")).unwrap().len(), 2);

    let found = resume_to_the_end(&path);
    assert_same("interrupted", (&whole, &expected), (&path, &found));
    assert_eq!(found.partial_epoch, None);
}

/// Asks a run to stop at the first event.
struct StopAtOnce;

impl Observer for StopAtOnce {
    fn observe(&mut self, _: Event<'_>) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

/// Settings that have their own state, or read the text in a special order.
const KINDS: &[(&str, &str)] = &[
    ("lstm, adam, plateau", ""),
    (
        "gru, sgd with momentum, step",
        "[model]\ncell = 'gru'\n[optimization]\noptimizer = 'sgd'\nlearning_rate = 1\nmomentum = 0.9\nschedule = 'step'\ndecay_every = 1",
    ),
    (
        "tanh, sgd, back to the best",
        "[model]\ncell = 'rnn_tanh'\nlayers = 2\n[optimization]\noptimizer = 'sgd'\nlearning_rate = 9\nreload_best = true",
    ),
    (
        "relu, adamw, constant",
        "[model]\ncell = 'rnn_relu'\n[optimization]\noptimizer = 'adamw'\nweight_decay = 0.01\nschedule = 'constant'\nlearning_rate = 0.01",
    ),
    ("mogrifier", "[model]\ncell = 'mogrifier'\nmogrifier_rounds = 3\nmogrifier_rank = 2"),
    (
        "cifg, projected and clipped",
        "[model]\ncell = 'cifg'\nhidden_size = 12\nprojection_size = 7\ncell_clip = 0.5\ndropout_weights = 0.1",
    ),
    ("one-hot, not carried", "[model]\ninput = 'one-hot'\n[training]\ncarry_state = false"),
    (
        "independent lines in random order",
        "[training]\nreset_state = 'line'\nshuffle_lines = true\nbptt = 5\n[model]\nlayers = 2",
    ),
    (
        "locked dropout, shuffled batches",
        "[model]\nlocked_dropout = ['input', 'output']\nlayers = 2\ntied = false\n[training]\nbatch_order = 'shuffled'",
    ),
    (
        "dropped words and weights, random batches, penalties",
        "[model]\ndropout_words = 0.1\ndropout_weights = 0.3\n[training]\nvariable_bptt = true\nbptt = 12\n[optimization]\nactivation_penalty = 2\ntemporal_penalty = 1",
    ),
    ("averaged from the second epoch", "[optimization]\naveraging = 'asgd'\naveraging_after = 1"),
    (
        "warm-up, linear decay, average of the tail",
        "[optimization]\nwarmup = 9\nschedule = 'linear'\nmin_learning_rate = 0.001\naveraging = 'tail:0.45'",
    ),
    (
        "warm-up, cosine decay, momentum, moving average",
        "[optimization]\noptimizer = 'sgd'\nlearning_rate = 1\nmomentum = 0.9\nwarmup = 100\nschedule = 'cosine'\naveraging = 'ema:0.9'",
    ),
    (
        "cosine decay over random batches, average of most steps",
        "[training]\nvariable_bptt = true\nbptt = 12\n[optimization]\noptimizer = 'adamw'\nwarmup = 4\nschedule = 'cosine'\naveraging = 'tail:0.8'",
    ),
    (
        "warm-up, plateau, moving average",
        "[optimization]\noptimizer = 'sgd'\nlearning_rate = 30\nwarmup = 70\nreload_best = true\naveraging = 'ema:0.5'",
    ),
    (
        "averaged after a stall, weight decay",
        "[optimization]\noptimizer = 'sgd'\nlearning_rate = 30\nweight_decay = 1e-6\nschedule = 'constant'\naveraging = 'nt-asgd'\naveraging_patience = 1",
    ),
    (
        "cosine decay to the last step, within an epoch",
        "[training]\nmax_steps = 71\n[optimization]\nschedule = 'cosine'\naveraging = 'tail:0.3'",
    ),
    (
        "sampled softmax, average of most steps",
        "[model]\nsoftmax = 'sampled:6'\n[optimization]\noptimizer = 'sgd'\nlearning_rate = 1\naveraging = 'tail:0.8'",
    ),
    (
        "sampled softmax, not tied, lazy adam, moving average",
        "[model]\ntied = false\nsoftmax = 'sampled:6'\nsampler = 'log-uniform'\n[optimization]\naveraging = 'ema:0.9'",
    ),
    (
        "sampled softmax of independent lines, lazy momentum and weight decay, averaged from the second epoch",
        "[model]\nsoftmax = 'sampled:3'\n[training]\nreset_state = 'line'\nshuffle_lines = true\n[optimization]\noptimizer = 'sgd'\nlearning_rate = 1\nmomentum = 0.9\nweight_decay = 1e-6\naveraging = 'asgd'\naveraging_after = 1",
    ),
    (
        "adaptive softmax of tokens in order of appearance",
        "[text]\nvocab_order = 'first-appearance'\n[model]\nsoftmax = 'adaptive:4,8'\nlayers = 2",
    ),
    (
        "every second epoch validated, short last batch",
        "[evaluation]\nevery = 2\n[training]\nlast_batch = 'keep'\nmax_batches = 30",
    ),
    (
        "steps left out",
        "[model]\ncell = 'rnn_relu'\ndropout = 0\n[init]\nrecurrent = 'normal:0.3'\n[training]\nbatch_size = 1\non_nan = 'skip'\n[optimization]\noptimizer = 'sgd'\nlearning_rate = 1e-6\nclip_norm = 1",
    ),
    ("one thread", "[training]\nthreads = 1"),
];

#[test]
fn a_resumed_run_equals_the_uninterrupted_one_bit_for_bit() {
    let parent = tempfile::tempdir().unwrap();
    for (number, (name, settings)) in KINDS.iter().enumerate() {
        let on_cpu_only = ["adaptive", "mogrifier", "projection"];
        if on_cpu_only.iter().any(|part| settings.contains(part)) && device(1).works_ahead() {
            continue; // Refused on a GPU.
        }
        let plan = waiting(plan(settings));
        let whole = parent.path().join(format!("whole-{number}"));
        let expected = run(&plan, &whole).unwrap();
        let in_epoch = expected.steps / plan.training.epochs as u64;
        // In the middle of each epoch, after the very first step, before and after the end of an epoch.
        let stops = [1, in_epoch / 2, in_epoch, in_epoch + 1, in_epoch + in_epoch / 3, 2 * in_epoch + 2];
        let path = parent.path().join(format!("resumed-{number}"));
        let mut outcome = run_with(&plan, &path, &mut StopAfter(stops[0])).unwrap();
        for at in &stops[1..] {
            assert!(outcome.interrupted && outcome.steps < expected.steps, "{name}");
            outcome = resume(&path, "", &mut StopAfter(*at)).unwrap();
        }
        let found = resume_to_the_end(&path);
        assert_same(name, (&whole, &expected), (&path, &found));
    }
}

#[test]
fn what_was_written_after_the_checkpoint_is_replaced() {
    let parent = tempfile::tempdir().unwrap();
    let plan =
        plan("[training]\ncheckpoint_every = '7steps'\nlog_every = 3\n[optimization]\nreload_best = true");
    let whole = parent.path().join("whole");
    let expected = run(&plan, &whole).unwrap();
    let in_epoch = expected.steps / 3;
    for at in [8, in_epoch - 1, in_epoch, in_epoch + 2, 2 * in_epoch + 9] {
        let path = parent.path().join(format!("killed-{at}"));
        run_with(&plan, &path, &mut StopAfter(at)).unwrap();
        // As if the process had been killed: the checkpoint saved on exit is missing, but records and models
        // are there.
        let [_, latest] = &checkpoints(&path)[..] else { panic!("two are kept") };
        fs::remove_file(latest).unwrap();
        fs::write(path.join(".abc.partial"), "half a file").unwrap();
        let found = resume_to_the_end(&path);
        assert_same(&at.to_string(), (&whole, &expected), (&path, &found));
        assert!(!path.join(".abc.partial").exists());
    }
}

/// Asks a run to stop at the `count`-th evaluation event.
struct StopInEvaluation {
    what: &'static str,
    count: usize,
}

impl Observer for StopInEvaluation {
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        if let Event::Evaluating { what, .. } = event
            && what == self.what
        {
            self.count = self.count.saturating_sub(1);
            if self.count == 0 {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn a_run_that_is_stopped_in_an_evaluation_does_it_again() {
    let parent = tempfile::tempdir().unwrap();
    let settings = "[evaluation]\nbptt = 5\n[optimization]\naveraging = 'asgd'\naveraging_after = 1";
    let plan = plan(settings);
    let whole = parent.path().join("whole");
    let expected = run(&plan, &whole).unwrap();
    for (what, count) in [("valid", 1), ("valid", 2), ("valid", 5), ("test", 1), ("test", 2)] {
        let path = parent.path().join(format!("{what}-{count}"));
        let mut observer = StopInEvaluation { what, count };
        let outcome = run_with(&plan, &path, &mut observer).unwrap();
        assert!(outcome.interrupted, "{what} {count}");
        let found = resume_to_the_end(&path);
        assert_same(&format!("{what} {count}"), (&whole, &expected), (&path, &found));
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_if_all_are_it_is_said() {
    let parent = tempfile::tempdir().unwrap();
    let plan = plan("[training]\ncheckpoint_every = '10steps'");
    let whole = parent.path().join("whole");
    let expected = run(&plan, &whole).unwrap();
    let path = parent.path().join("damaged");
    run_with(&plan, &path, &mut StopAfter(45)).unwrap();
    let [earlier, latest] = &checkpoints(&path)[..] else { panic!("two are kept") };
    let mut bytes = fs::read(latest).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 4;
    fs::write(latest, &bytes).unwrap();

    let folder = RunFolder::open(&path).unwrap();
    let (checkpoint, damaged) = Checkpoint::latest(&folder).unwrap().unwrap();
    assert_eq!(checkpoint.path(), earlier);
    assert!(
        damaged[0].to_string().starts_with(&format!("`{}` is damaged: ", latest.display())),
        "{damaged:?}"
    );
    let copy = fs::read(earlier).unwrap();
    fs::write(earlier, &copy[..copy.len() - 1]).unwrap();
    let error = Checkpoint::latest(&folder).unwrap_err();
    assert_eq!(error.to_string(), format!("all checkpoints in `{}` are damaged", path.display()));
    fs::write(earlier, &copy).unwrap();

    let found = resume_to_the_end(&path);
    assert_same("damaged", (&whole, &expected), (&path, &found));
}

#[test]
fn a_run_may_go_on_for_longer_and_that_is_recorded() {
    let parent = tempfile::tempdir().unwrap();
    let whole = parent.path().join("whole");
    let expected = run(&plan("[training]\nepochs = 4"), &whole).unwrap();
    let path = parent.path().join("longer");
    run(&plan("[training]\nepochs = 2"), &path).unwrap();
    // The run is finished, so there is nothing to do.
    let ended = resume_to_the_end(&path);
    assert_eq!((ended.steps, ended.interrupted), (expected.steps / 2, false));
    let found = resume(&path, "[training]\nepochs = 4", &mut ()).unwrap();
    assert_same("longer", (&whole, &expected), (&path, &found));
    let folder = RunFolder::open(&path).unwrap();
    assert!(fs::read_to_string(folder.plan()).unwrap().contains("epochs = 4"));
    let resumptions = Provenance::read(&folder).unwrap().resumptions;
    let told: Vec<_> = resumptions[1].changes.iter().map(|c| (&*c.setting, &*c.before, &*c.now)).collect();
    assert_eq!((resumptions.len(), told), (2, vec![("training.epochs", "2", "4")]));
    assert_eq!((resumptions[1].epoch, resumptions[1].step), (3, expected.steps / 2));
}

#[test]
fn the_learning_rate_of_each_step_is_recorded() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let plan = plan(
        "[training]\nepochs = 2\nmax_batches = 10\nlog_every = 1\n[optimization]\nlearning_rate = 0.04\nwarmup = 3\n\
         schedule = 'linear'\nmin_learning_rate = 0.006",
    );
    let mut reported = vec![];
    let mut observer = |event: Event<'_>| {
        if let Event::Batch(report) = event {
            reported.push(report.learning_rate);
        }
        ControlFlow::Continue(())
    };
    run_with(&plan, &path, &mut observer).unwrap();
    // 17 steps remain after the warm-up, each 0.002 below the one before.
    let expected = |step: usize| match step {
        0..3 => 0.01 * (step as f64 + 1.0),
        _ => 0.04 - 0.002 * (step as f64 - 3.0),
    };
    let records = metrics::read(&path.join("metrics.jsonl")).unwrap();
    let recorded: Vec<_> =
        records.iter().map(|record| (record.step, record.learning_rate.unwrap())).collect();
    // A record for each step and each epoch, which has the rate of its last step.
    assert_eq!((reported.len(), recorded.len()), (20, 22));
    for (step, rate) in recorded {
        let step = step as usize - 1;
        assert_eq!(rate, reported[step], "step {step}");
        assert!((rate - expected(step)).abs() < 1e-12, "step {step}: {rate}");
    }
}

#[test]
fn a_decaying_run_keeps_its_length() {
    let parent = tempfile::tempdir().unwrap();
    for schedule in ["linear", "cosine"] {
        let path = parent.path().join(schedule);
        let of = |schedule: &str| format!("[optimization]\nschedule = '{schedule}'");
        run_with(&plan(&of(schedule)), &path, &mut StopAfter(40)).unwrap();
        let error = resume(&path, "[training]\nepochs = 4", &mut ()).unwrap_err();
        let expected = "cannot change `training.epochs` from 3 to 4 when resuming a run: its learning rate decays over \
                        the whole run";
        assert_eq!(error.to_string(), expected);
        let error = resume(&path, "[training]\nmax_steps = 60", &mut ()).unwrap_err();
        assert!(error.to_string().starts_with("cannot change `training.max_steps` from 0 to 60"), "{error}");
        let error = resume(&path, "[training]\nmax_batches = 9", &mut ()).unwrap_err();
        assert!(matches!(error, TrainError::Fixed { .. }), "{error}");
        // It can be made longer if it no longer decays; then it can begin to decay over what is left.
        resume(&path, &("[training]\nepochs = 5\n".to_owned() + &of("constant")), &mut StopAfter(90))
            .unwrap();
        resume(&path, &("[training]\nepochs = 6\n".to_owned() + &of("cosine")), &mut ()).unwrap();
        let records = metrics::read(&path.join("metrics.jsonl")).unwrap();
        let rates: Vec<f64> = records.iter().map(|record| record.learning_rate.unwrap()).collect();
        assert!(
            rates.is_sorted_by(|before, after| before >= after) && rates.last().unwrap() < &1e-3,
            "{rates:?}"
        );
        let constant = records.iter().filter(|record| (40..=90).contains(&record.step));
        let constant: Vec<f64> = constant.map(|record| record.learning_rate.unwrap()).collect();
        assert!(constant.len() > 5 && constant[1..].iter().all(|&rate| rate == constant[1]), "{constant:?}");
    }
}

#[test]
fn another_model_or_text_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let plan = plan("[training]\nepochs = 1");
    run(&plan, &path).unwrap();
    let before = fs::read(path.join("plan.toml")).unwrap();
    let error = resume(&path, "[model]\nhidden_size = 32", &mut ()).unwrap_err();
    assert_eq!(error.to_string(), "cannot change `model.hidden_size` from `24` to `32` when resuming a run");

    let (checkpoint, _) = Checkpoint::latest(&RunFolder::open(&path).unwrap()).unwrap().unwrap();
    let text = |name: &str, text: &str| TextSource::Memory { name: name.into(), text: text.repeat(200) };
    let texts =
        CorpusTexts::Splits { train: text("train", "after monday comes tuesday\n"), valid: None, test: None };
    let other = Corpus::read(&texts, &plan.text.options).unwrap();
    let error = Trainer::resuming(plan, other, &Device::cpu(2).unwrap(), checkpoint, vec![]).unwrap_err();
    assert!(matches!(error, TrainError::Runs(RunsError::OtherCorpus { part: "vocabulary", .. })), "{error}");
    assert_eq!(fs::read(path.join("plan.toml")).unwrap(), before);
}

#[test]
fn a_run_without_a_checkpoint_begins_anew() {
    let parent = tempfile::tempdir().unwrap();
    let plan = plan("[training]\nepochs = 1");
    let whole = parent.path().join("whole");
    let expected = run(&plan, &whole).unwrap();
    let path = parent.path().join("killed");
    run_with(&plan, &path, &mut StopAfter(20)).unwrap();
    checkpoints(&path).iter().for_each(|path| fs::remove_file(path).unwrap());
    let found = resume_to_the_end(&path);
    assert_same("anew", (&whole, &expected), (&path, &found));
}

#[test]
fn two_processes_do_not_train_in_one_folder() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    run(&plan("[training]\nepochs = 1"), &path).unwrap();
    let folder = RunFolder::open(&path).unwrap();
    let _lock = folder.lock().unwrap();
    let error = resume(&path, "", &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Runs(RunsError::Locked { pid: Some(_), .. })), "{error}");
}

/// Steps this small change nothing, so no epoch after the first improves.
const NO_PROGRESS: &str = "[training]\nepochs = 9\n{training}\n[optimization]\nlearning_rate = 1e-30\n";

fn no_progress(training: &str, optimization: &str) -> Plan {
    plan(&(NO_PROGRESS.replace("{training}", training) + optimization))
}

#[test]
fn a_run_that_ends_early_is_the_same_if_it_is_interrupted() {
    let evaluations = RunEnd::EarlyStopping { evaluations: 2 };
    let rate = RunEnd::MinLearningRate { learning_rate: 1e-30 * 0.25 * 0.25, minimum: 1e-31 };
    let parent = tempfile::tempdir().unwrap();
    for (name, plan, end) in [
        ("evaluations", no_progress("early_stopping = 2", ""), evaluations),
        ("rate", no_progress("", "min_learning_rate = 1e-31"), rate),
    ] {
        let whole = parent.path().join(name);
        let mut told = vec![];
        let mut observer = |event: Event<'_>| {
            if let Event::EndsEarly { epoch, end } = event {
                told.push((epoch, end));
            }
            ControlFlow::Continue(())
        };
        let expected = run_with(&plan, &whole, &mut observer).unwrap();
        assert_eq!((told, expected.end, expected.best_epoch), (vec![(3, end)], Some(end), Some(1)), "{name}");
        let (checkpoint, _) = Checkpoint::latest(&RunFolder::open(&whole).unwrap()).unwrap().unwrap();
        assert_eq!((checkpoint.end(), checkpoint.epoch()), (Some(end), 4), "{name}");

        let in_epoch = expected.steps / 3;
        for stops in [[1, in_epoch], [in_epoch + 3, 2 * in_epoch + 1], [2 * in_epoch, 3 * in_epoch]] {
            let path = parent.path().join(format!("{name}-{stops:?}"));
            run_with(&plan, &path, &mut StopAfter(stops[0])).unwrap();
            let outcome = resume(&path, "", &mut StopAfter(stops[1])).unwrap();
            assert!(outcome.interrupted && outcome.end.is_none(), "{name} {stops:?}: {outcome:?}");
            assert_same(name, (&whole, &expected), (&path, &resume_to_the_end(&path)));
            // The run has ended, so there is nothing to do.
            assert_same(name, (&whole, &expected), (&path, &resume_to_the_end(&path)));
        }
    }
}

#[test]
fn a_run_that_has_ended_early_continues_if_it_is_told_to() {
    let parent = tempfile::tempdir().unwrap();
    let whole = parent.path().join("whole");
    let expected = run(&no_progress("", ""), &whole).unwrap();
    assert_eq!(expected.end, Some(RunEnd::Epochs));
    for (name, plan, with) in [
        ("evaluations", no_progress("early_stopping = 3", ""), "[training]\nearly_stopping = 0"),
        ("rate", no_progress("", "min_learning_rate = 1e-30"), "[optimization]\nmin_learning_rate = 0"),
    ] {
        let path = parent.path().join(name);
        assert!(run(&plan, &path).unwrap().steps < expected.steps, "{name}");
        let found = resume(&path, with, &mut ()).unwrap();
        assert_same(name, (&whole, &expected), (&path, &found));
    }
}

#[test]
fn the_epoch_after_which_a_run_ends_early_is_evaluated() {
    let parent = tempfile::tempdir().unwrap();
    let plan = plan(
        "[training]\nepochs = 6\n[evaluation]\nevery = 5\n\
         [optimization]\nschedule = 'step'\ndecay_every = 2\nmin_learning_rate = 0.015",
    );
    let outcome = run(&plan, &parent.path().join("run")).unwrap();
    let end = RunEnd::MinLearningRate { learning_rate: 0.01, minimum: 0.015 };
    assert_eq!((outcome.end, outcome.best_epoch), (Some(end), Some(2)));
}

#[test]
fn early_stopping_needs_a_validation_text() {
    let plan = plan("[training]\nearly_stopping = 1");
    let text = TextSource::Memory { name: "train".to_owned(), text: "one two three four\n".repeat(200) };
    let texts = CorpusTexts::Splits { train: text, valid: None, test: None };
    let corpus = Corpus::read(&texts, &plan.text.options).unwrap();
    let error = Trainer::new(plan, corpus, &Device::cpu(1).unwrap()).unwrap_err();
    let expected = "`training.early_stopping` has no effect unless there is a validation text";
    assert_eq!(error.to_string(), expected);
}
