//! Settings that change while a run is trained: recorded with their place, and repeated bit for bit.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rondo_runs::metrics::{self, Record, RecordKind};
use rondo_runs::{Provenance, RunFolder};
use rondo_train::{
    Comparison, Event, Observer, Outcome, Result, Session, SessionOptions, Settings, SettingsChange,
    SettingsSource, TrainError,
};

const BASE: &str = "
    [model]
    hidden_size = 12
    layers = 2
    dropout = 0.1
    [training]
    epochs = 4
    batch_size = 4
    bptt = 6
    log_every = 5
    threads = 1
    [optimization]
    optimizer = 'adam'
    learning_rate = 0.02
";

fn settings(text: &str) -> Settings {
    Settings::parse("test", text).unwrap()
}

/// A folder with a text, and the settings of a run on it.
fn with_text(with: &str) -> (tempfile::TempDir, Settings) {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.txt");
    let lines = ["the cat sat on the mat .", "a dog saw the cat .", "a cat saw a dog on the mat ."];
    let lines: String = lines.iter().cycle().take(90).map(|line| format!("{line}\n")).collect();
    fs::write(&text, lines).unwrap();
    let mut settings = settings(BASE).overlaid_with(settings(with));
    settings.text.data = Some(vec![text]);
    (folder, settings)
}

fn start(settings: &Settings, out: &Path, observer: &mut dyn Observer) -> Result<Outcome> {
    let options = SessionOptions { out: Some(out.to_owned()), ..SessionOptions::default() };
    Ok(Session::start(settings.clone(), options)?.run(observer)?.outcome)
}

fn resume(run: &Path, with: &str, observer: &mut dyn Observer) -> Result<Outcome> {
    Ok(Session::resume(run, settings(with), SessionOptions::default())?.run(observer)?.outcome)
}

/// Where to ask a run to stop.
#[derive(Clone, Copy)]
enum Stop {
    /// After this step.
    Step(u64),
    /// In the evaluation at the end of this epoch, which is then repeated.
    Evaluation(usize),
    /// After this epoch and its evaluation.
    Epoch(usize),
    /// Not before its end.
    End,
}

struct StopAt {
    stop: Stop,
    epoch: usize,
}

impl From<Stop> for StopAt {
    fn from(stop: Stop) -> StopAt {
        StopAt { stop, epoch: 0 }
    }
}

impl Observer for StopAt {
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        if let Event::EpochStarted { epoch, .. } = event {
            self.epoch = epoch;
        }
        let is_here = match (self.stop, event) {
            (Stop::Step(step), Event::Batch(report)) => report.step == step,
            (Stop::Evaluation(epoch), Event::Evaluating { .. }) => self.epoch == epoch,
            (Stop::Epoch(epoch), Event::EpochFinished(report)) => report.epoch == epoch,
            _ => false,
        };
        if is_here { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn provenance(run: &Path) -> Provenance {
    Provenance::read(&RunFolder::open(run).unwrap()).unwrap()
}

/// The changes of a run: epoch, batch, step, and `setting now` of each.
fn changes(run: &Path) -> Vec<(usize, usize, u64, Vec<String>)> {
    let of = |change: SettingsChange| {
        let settings = change.settings.iter().map(|change| format!("{} {}", change.setting, change.now));
        (change.epoch, change.batch, change.step, settings.collect())
    };
    provenance(run).changes.into_iter().map(of).collect()
}

/// Fails unless repeating the run gives the same records, models and final plan.
#[track_caller]
fn assert_repeats(name: &str, run: &Path) {
    let out = run.with_extension("again");
    let options = SessionOptions { out: Some(out.clone()), ..SessionOptions::default() };
    let outcome = Session::repeat(run, options).unwrap().run(&mut ()).unwrap().outcome;
    assert!(!outcome.interrupted, "{name}");
    let [first, second] = [run, &out].map(|path| RunFolder::open(path).unwrap());
    let comparison = Comparison::of(&first, &second).unwrap();
    assert!(comparison.is_same(), "{name}: {comparison:?}");
    assert_eq!(comparison.circumstances, [], "{name}");
    for file in ["plan.toml", "vocab.json"] {
        let [first, second] = [run, &out].map(|run| fs::read_to_string(run.join(file)).unwrap());
        assert_eq!(first, second, "{name}: {file}");
    }
    assert_eq!(provenance(&out).changes, provenance(run).changes, "{name}");
    assert!(provenance(&out).resumptions.is_empty(), "{name}");
}

/// Settings, and the changes made where the run stops.
struct Case {
    name: &'static str,
    settings: &'static str,
    changes: &'static [(Stop, &'static str)],
}

const CASES: &[Case] = &[
    Case {
        name: "learning rate, twice",
        settings: "",
        changes: &[
            (Stop::Step(7), "[optimization]\nlearning_rate = 0.005"),
            (Stop::Epoch(2), "[optimization]\nlearning_rate = 0.05"),
        ],
    },
    Case {
        name: "plateau: options, then the best weights",
        settings: "[optimization]\noptimizer = 'sgd'\nlearning_rate = 20",
        changes: &[
            (Stop::Evaluation(1), "[optimization]\npatience = 2\ndecay_factor = 0.5"),
            (Stop::Epoch(2), "[optimization]\npatience = 1\nreload_best = true\nlearning_rate = 30"),
        ],
    },
    Case {
        name: "schedules",
        settings: "[optimization]\nreload_best = true",
        changes: &[
            (Stop::Step(20), "[optimization]\nschedule = 'step'\ndecay_every = 1"),
            (Stop::Epoch(3), "[optimization]\nschedule = 'constant'"),
        ],
    },
    Case {
        name: "momentum on and off, clipping",
        settings: "[optimization]\noptimizer = 'sgd'\nlearning_rate = 1",
        changes: &[
            (Stop::Step(10), "[optimization]\nmomentum = 0.9\nclip_norm = 1"),
            (
                Stop::Step(31),
                "[optimization]\nmomentum = 0\nclip_norm = 0\nclip_value = 0.01\nweight_decay = 1e-4",
            ),
        ],
    },
    Case {
        name: "Adam's options, penalties",
        settings: "",
        changes: &[
            (Stop::Step(10), "[optimization]\nbeta1 = 0.8\nbeta2 = 0.9\nepsilon = 1e-6"),
            (
                Stop::Step(33),
                "[optimization]\nactivation_penalty = 2\ntemporal_penalty = 1\nclip_norm_unit = 'batch'",
            ),
        ],
    },
    Case {
        name: "dropout",
        settings: "",
        changes: &[
            (Stop::Step(10), "[model]\ndropout = 0.5\nlocked_dropout = ['input', 'output']"),
            (Stop::Epoch(1), "[model]\ndropout_between = 0\ndropout_words = 0.1\ndropout_weights = 0.2"),
        ],
    },
    Case {
        name: "averaging on, then off",
        settings: "",
        changes: &[
            (Stop::Step(10), "[optimization]\naveraging = 'asgd'\naveraging_after = 0"),
            (Stop::Epoch(2), "[optimization]\naveraging = 'off'"),
        ],
    },
    Case {
        name: "decay over the run after another schedule, then a lower minimum",
        settings: "[optimization]\nwarmup = 15",
        changes: &[
            (
                Stop::Step(20),
                "[training]\nepochs = 5\n[optimization]\nschedule = 'cosine'\nmin_learning_rate = 0.005",
            ),
            (Stop::Step(40), "[optimization]\nmin_learning_rate = 0"),
        ],
    },
    Case {
        name: "another rate in a decay, then a longer run at a constant rate",
        settings: "[optimization]\nwarmup = 3\nschedule = 'linear'\nmin_learning_rate = 0.001",
        changes: &[
            (Stop::Step(9), "[optimization]\nlearning_rate = 0.05"),
            (Stop::End, "[training]\nepochs = 5\n[optimization]\nschedule = 'constant'"),
        ],
    },
    Case {
        name: "moving average, then the tail of a longer run",
        settings: "[optimization]\naveraging = 'ema:0.9'",
        changes: &[
            (Stop::Step(10), "[optimization]\naveraging = 'ema:0.8'"),
            (Stop::Epoch(3), "[training]\nepochs = 5\n[optimization]\naveraging = 'tail:0.3'"),
        ],
    },
    Case {
        name: "more epochs after the end, and other intervals",
        settings: "[training]\nepochs = 2\n[evaluation]\nevery = 3",
        changes: &[
            (Stop::Step(8), "[training]\nlog_every = 3\n[evaluation]\nevery = 2\nbptt = 9"),
            (Stop::End, "[training]\nepochs = 4\nlog_every = 0"),
        ],
    },
    Case {
        name: "fewer epochs, then none left",
        settings: "[training]\nbatch_order = 'shuffled'",
        changes: &[(Stop::Step(9), "[training]\nepochs = 3"), (Stop::Epoch(2), "[training]\nepochs = 2")],
    },
    Case {
        name: "threads, what to do with NaN",
        settings: "[training]\nvariable_bptt = true",
        changes: &[
            (Stop::Step(9), "[training]\nthreads = 2\non_nan = 'rollback'\ncheckpoint_every = '5steps'"),
            (Stop::Epoch(2), "[training]\nthreads = 1\non_nan = 'skip'"),
        ],
    },
];

#[test]
fn a_run_whose_settings_changed_twice_is_repeated_bit_for_bit() {
    for Case { name, settings, changes: made } in CASES {
        let (folder, settings) = with_text(settings);
        let run = folder.path().join("run");
        let [(first, _), (second, _)] = made else { panic!("two changes") };
        start(&settings, &run, &mut StopAt::from(*first)).unwrap();
        resume(&run, made[0].1, &mut StopAt::from(*second)).unwrap();
        let end = resume(&run, made[1].1, &mut ()).unwrap();
        assert!(!end.interrupted, "{name}");
        assert_eq!(changes(&run).len(), 2, "{name}");
        assert_repeats(name, &run);
    }
}

#[test]
fn changes_make_a_difference_from_their_step_on_and_are_recorded_there() {
    let (folder, settings) = with_text("[optimization]\nschedule = 'constant'");
    let [whole, run] = ["whole", "run"].map(|name| folder.path().join(name));
    start(&settings, &whole, &mut ()).unwrap();
    start(&settings, &run, &mut StopAt::from(Stop::Step(12))).unwrap();
    resume(&run, "[optimization]\nlearning_rate = 0.001\n[sample]\nlength = 3", &mut ()).unwrap();

    let records = |run: &PathBuf| {
        let records = metrics::read(&run.join("metrics.jsonl")).unwrap().into_iter();
        records.map(|record| record.without_times()).collect::<Vec<Record>>()
    };
    let (whole, changed) = (records(&whole), records(&run));
    assert_eq!(whole.len(), changed.len());
    for (before, after) in whole.iter().zip(&changed) {
        assert_eq!(before == after, after.step <= 12, "step {}", after.step);
        let rate = if after.step <= 12 { 0.02 } else { 0.001 };
        assert_eq!(after.learning_rate, Some(rate), "step {}", after.step);
    }
    assert_eq!(changes(&run), [(1, 12, 12, vec!["optimization.learning_rate 0.001".to_owned()])]);
    let plan = |file: &str| Settings::parse(file, &fs::read_to_string(run.join(file)).unwrap()).unwrap();
    let (original, last) = (plan("plan-original.toml"), plan("plan.toml"));
    assert_eq!(original.optimization.learning_rate, Some(0.02));
    assert_eq!((last.optimization.learning_rate, last.sample.length), (Some(0.001), Some(3)));
}

#[test]
fn a_given_learning_rate_becomes_the_current_one_and_the_schedule_counts_from_there() {
    // The rate is halved after every epoch.
    let step = "[optimization]\nschedule = 'step'\ndecay_every = 1";
    let (folder, settings) = with_text(step);
    let run = folder.path().join("run");
    start(&settings, &run, &mut StopAt::from(Stop::Epoch(2))).unwrap();
    // It is 0.005 now, a quarter of the one in the plan.
    let session = Session::resume(&run, settings_of_rate("0.005"), SessionOptions::default()).unwrap();
    assert_eq!(session.changes(), []);
    drop(session);
    resume(&run, "[optimization]\nlearning_rate = 0.02\ndecay_every = 2", &mut ()).unwrap();
    let records = metrics::read(&run.join("metrics.jsonl")).unwrap();
    let rates: Vec<f64> = records
        .iter()
        .filter(|record| record.kind == RecordKind::Epoch)
        .map(|record| record.learning_rate.unwrap())
        .collect();
    assert_eq!(rates, [0.02, 0.01, 0.02, 0.02]);
    let change = &provenance(&run).changes[0].settings[0];
    assert_eq!((&*change.before, &*change.now), ("0.005", "0.02"));
    assert_repeats("rate", &run);
}

fn settings_of_rate(rate: &str) -> Settings {
    settings(&format!("[optimization]\nlearning_rate = {rate}"))
}

#[test]
fn a_change_after_the_checkpoint_that_a_killed_run_resumes_from_does_not_count() {
    let (folder, settings) = with_text("");
    let run = folder.path().join("run");
    start(&settings, &run, &mut StopAt::from(Stop::Step(10))).unwrap();
    let checkpoints = || RunFolder::open(&run).unwrap().checkpoints().unwrap();
    let latest = checkpoints().pop().unwrap();
    let kept = fs::read(&latest).unwrap();
    resume(&run, "[optimization]\nlearning_rate = 0.5", &mut StopAt::from(Stop::Step(15))).unwrap();
    resume(&run, "[model]\ndropout = 0.4", &mut StopAt::from(Stop::Step(18))).unwrap();
    assert_eq!(changes(&run).len(), 2);
    // As if the later checkpoints were damaged: back to step 10, with the settings given last and one more.
    checkpoints().iter().for_each(|path| fs::remove_file(path).unwrap());
    fs::write(&latest, kept).unwrap();
    resume(&run, "[optimization]\nlearning_rate = 0.01", &mut ()).unwrap();
    let [(1, 10, 10, made)] = &changes(&run)[..] else { panic!("{:?}", changes(&run)) };
    assert_eq!(made.len(), 4, "{made:?}");
    assert!(made.contains(&"optimization.learning_rate 0.01".to_owned()), "{made:?}");
    assert_repeats("killed", &run);
}

#[test]
fn a_run_that_continued_from_a_model_changes_and_is_repeated() {
    let (folder, settings_of_text) = with_text("[training]\nepochs = 2");
    let [model, run] = ["model", "run"].map(|name| folder.path().join(name));
    start(&settings_of_text, &model, &mut ()).unwrap();
    let options = || SessionOptions { out: Some(run.clone()), ..SessionOptions::default() };
    let mut session = Session::continue_from(&model, settings("[training]\nepochs = 3"), options()).unwrap();
    session.run(&mut StopAt::from(Stop::Step(9))).unwrap();
    drop(session);
    resume(&run, "[model]\ndropout = 0.4\n[optimization]\nlearning_rate = 0.001", &mut ()).unwrap();
    assert_eq!(changes(&run).len(), 1);
    assert_repeats("continued", &run);
}

#[test]
fn a_repetition_that_is_interrupted_continues_in_the_same_session() {
    let (folder, settings) = with_text("");
    let run = folder.path().join("run");
    start(&settings, &run, &mut StopAt::from(Stop::Step(10))).unwrap();
    resume(&run, "[optimization]\nlearning_rate = 0.001", &mut StopAt::from(Stop::Epoch(2))).unwrap();
    resume(&run, "[optimization]\nlearning_rate = 0.1", &mut ()).unwrap();
    let again = folder.path().join("again");
    let options = SessionOptions { out: Some(again.clone()), ..SessionOptions::default() };
    let mut session = Session::repeat(&run, options).unwrap();
    for step in [4, 10, 14] {
        assert!(session.run(&mut StopAt::from(Stop::Step(step))).unwrap().outcome.interrupted);
    }
    session.run(&mut ()).unwrap();
    let [first, second] = [&run, &again].map(|path| RunFolder::open(path).unwrap());
    let comparison = Comparison::of(&first, &second).unwrap();
    assert!(comparison.is_same(), "{comparison:?}");
}

#[test]
fn a_refused_change_leaves_the_run_as_it_is() {
    let (folder, settings) = with_text("");
    let run = folder.path().join("run");
    start(&settings, &run, &mut StopAt::from(Stop::Epoch(3))).unwrap();
    let files = || ["plan.toml", "provenance.json"].map(|file| fs::read(run.join(file)).unwrap());
    let before = files();
    let error = resume(&run, "[training]\nepochs = 2", &mut ()).unwrap_err();
    assert!(
        matches!(error, TrainError::FewerEpochs { wanted: 2, fewest: 3, has_begun: false, .. }),
        "{error}"
    );
    let error = resume(&run, "[training]\nbatch_size = 2", &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Fixed { .. }), "{error}");
    // The best weights are only in the model file.
    fs::rename(run.join("best.safetensors"), folder.path().join("elsewhere")).unwrap();
    let error = resume(&run, "[optimization]\nreload_best = true", &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::NoBestWeights { .. }), "{error}");
    assert!(files() == before && !run.join("plan-original.toml").exists());
    fs::rename(folder.path().join("elsewhere"), run.join("best.safetensors")).unwrap();
    resume(&run, "", &mut ()).unwrap();
    assert_repeats("refused", &run);
}

#[test]
fn the_best_model_may_be_from_before_a_change_of_dropout() {
    let (folder, settings) = with_text("[training]\nepochs = 2");
    let run = folder.path().join("run");
    start(&settings, &run, &mut StopAt::from(Stop::Epoch(1))).unwrap();
    let best = fs::read(run.join("best.safetensors")).unwrap();
    // Such a rate ruins the model, so no later epoch is better.
    let with = "[model]\ndropout = 0.5\n[optimization]\nlearning_rate = 50";
    let mut session = Session::resume(&run, self::settings(with), SessionOptions::default()).unwrap();
    let trained = session.run(&mut ()).unwrap();
    assert_eq!((trained.outcome.best_epoch, trained.model.is_some()), (Some(1), true));
    assert!(fs::read(run.join("best.safetensors")).unwrap() == best);
}

#[test]
fn the_plan_of_a_changed_run_is_used_with_a_note() {
    let (folder, settings) = with_text("[training]\nepochs = 1");
    let run = folder.path().join("run");
    start(&settings, &run, &mut StopAt::from(Stop::Step(5))).unwrap();
    resume(&run, "[optimization]\nlearning_rate = 0.001", &mut ()).unwrap();
    let mut notes: Vec<String> = vec![];
    let mut started = |plan: PathBuf, name: &str| {
        let mut observer = |event: Event<'_>| {
            if let Event::Note(note) = event {
                notes.push(note.to_string());
            }
            ControlFlow::Continue(())
        };
        let options = SessionOptions {
            source: SettingsSource::Plan(plan),
            out: Some(folder.path().join(name)),
            observer: Some(&mut observer),
            ..SessionOptions::default()
        };
        let session = Session::start(Settings::default(), options).unwrap();
        session.plan().optimization.learning_rate
    };
    assert_eq!(started(run.clone(), "a"), 0.001);
    assert_eq!(started(run.join("plan.toml"), "b"), 0.001);
    assert_eq!(started(run.join("plan-original.toml"), "c"), 0.02);
    let note = format!(
        "the settings of `{}` changed at step 5; the new run has its final settings from the start",
        run.display()
    );
    assert_eq!(notes, [note.clone(), note]);
}

#[test]
fn a_run_of_limited_time_plans_its_steps_and_is_repeated_without_a_clock() {
    let with = "[training]\ntime = '3s'\nepochs = 1\n[optimization]\nschedule = 'linear'";
    let (folder, settings) = with_text(with);
    for (name, stop) in [("whole", Stop::End), ("interrupted", Stop::Step(60))] {
        let run = folder.path().join(name);
        let begun = std::time::Instant::now();
        let mut outcome = start(&settings, &run, &mut StopAt::from(stop)).unwrap();
        if outcome.interrupted {
            outcome = resume(&run, "", &mut ()).unwrap();
        }
        // How close to three seconds it comes depends on what else the machine does.
        assert!((1.0..20.0).contains(&begun.elapsed().as_secs_f64()), "{name}: {:?}", begun.elapsed());
        let changes = changes(&run);
        let (last, steps) = (changes.last().unwrap(), outcome.steps);
        assert!(last.3.contains(&format!("training.max_steps {steps}")), "{name}: {steps}, {changes:?}");
        assert!(steps > 100, "{name}: {steps}");
        let records = metrics::read(&run.join("metrics.jsonl")).unwrap();
        let evaluated = records.iter().filter(|record| record.valid_loss.is_some()).count();
        // Only the end is evaluated, and an interruption before it.
        assert_eq!(evaluated, 1, "{name}");
        // The learning rate has decreased to zero over the steps that were planned.
        assert!(records.last().unwrap().learning_rate.unwrap() < 0.02 * 0.05, "{name}");
        if !matches!(stop, Stop::Step(_)) {
            assert_repeats(name, &run);
        }
    }
}
