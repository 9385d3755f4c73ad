//! Whole runs on a tiny text.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::ops::ControlFlow;
use std::path::Path;

use rondo_data::{Corpus, CorpusTexts, TextSource, Vocab};
use rondo_infer::{LanguageModel, evaluate};
use rondo_kernels::Device;
use rondo_nn::{Model, ModelFile, Workspace};
use rondo_runs::metrics::{self, Record, RecordKind};
use rondo_runs::{RunFolder, RunsError};
use rondo_train::{
    Checkpoint, EpochReport, Event, Observer, Outcome, Plan, RunEnd, Settings, TrainError, Trainer, recipes,
};

use tiny::{StopAfter, corpus, device, plan, run, run_with, waiting, without_times};

mod tiny;

#[test]
fn a_tiny_text_is_memorized() {
    let folder = tempfile::tempdir().unwrap();
    for cell in ["lstm", "mogrifier", "cifg", "gru", "rnn_tanh", "rnn_relu"] {
        if cell == "mogrifier" && device(1).works_ahead() {
            continue; // Refused on a GPU.
        }
        // The gates of a Mogrifier multiply its input and state by about 1 at first, and take longer to matter.
        let epochs = if cell == "mogrifier" { 20 } else { 12 };
        let plan = plan(&format!("[model]\ncell = '{cell}'\ndropout = 0\n[training]\nepochs = {epochs}"));
        let outcome = run(&plan, &folder.path().join(cell)).unwrap();
        // Of the five tokens of a line, only the first day of the text cannot be known.
        let perplexity = outcome.best_test.unwrap().exp();
        assert!(perplexity < 1.1, "{cell}: {perplexity}");
    }
}

#[test]
fn a_run_leaves_what_it_promises_and_the_best_model_evaluates_to_what_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let plan = plan("[sample]\nprefix = ['after', '']\nlength = 5");
    let mut samples = Samples::default();
    let outcome = run_with(&plan, &path, &mut samples).unwrap();
    let run = RunFolder::open(&path).unwrap();
    for file in [run.plan(), run.vocab(), run.metrics(), run.best_model(), run.last_model()] {
        assert!(file.is_file(), "{}", file.display());
    }
    assert_eq!(run.curve().is_file(), cfg!(feature = "plot"));
    assert_eq!(samples.0.len(), 2 * plan.training.epochs);
    assert!(samples.0.iter().all(|text| text.split_whitespace().count() <= 5), "{:?}", samples.0);

    let corpus = corpus(&plan, 200);
    let device = device(2);
    let file = ModelFile::read(&run.best_model(), &device).unwrap();
    assert_eq!(file.context.vocab_fingerprint, corpus.vocab().fingerprint());
    // How often each token occurs is known wherever the vocabulary is.
    let opened = LanguageModel::open(run.best_model(), &device).unwrap();
    let counts = corpus.vocab().counts().unwrap();
    assert_eq!(counts.iter().sum::<u64>(), corpus.train.len() as u64);
    assert_eq!(opened.codec().vocab().counts(), Some(counts));
    assert_eq!(Vocab::load(run.vocab()).unwrap().counts(), Some(counts));
    let (checkpoint, _) = Checkpoint::latest(&run).unwrap().unwrap();
    assert_eq!(checkpoint.codec().unwrap().unwrap().vocab().counts(), Some(counts));
    let mut workspace = Workspace::new(&device);
    let valid = corpus.valid.as_ref().unwrap();
    let evaluation = evaluate(&file.model, &mut workspace, valid, 4, 7).unwrap();
    assert_eq!(Some(evaluation.nll_mean()), outcome.best_valid);

    let records = metrics::read(&run.metrics()).unwrap();
    let epochs: Vec<&Record> = records.iter().filter(|record| record.valid_loss.is_some()).collect();
    assert_eq!(epochs.len(), plan.training.epochs);
    let best = epochs.iter().filter_map(|record| record.valid_loss).fold(f64::INFINITY, f64::min);
    assert_eq!(Some(best), outcome.best_valid);
}

#[test]
fn a_record_says_what_it_measures() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan("[training]\nepochs = 2\nlog_every = 1");
    let (path, mut batches) = (folder.path().join("run"), Vec::new());
    let mut observer = |event: Event<'_>| {
        if let Event::Batch(report) = event {
            batches.push(*report);
        }
        ControlFlow::Continue(())
    };
    let outcome = run_with(&plan, &path, &mut observer).unwrap();
    let all = metrics::read(&path.join("metrics.jsonl")).unwrap();

    // The same run with longer intervals, which do not divide the epoch.
    let plan = self::plan("[training]\nepochs = 2\nlog_every = 7");
    let path = folder.path().join("sevens");
    run(&plan, &path).unwrap();
    let sevens = metrics::read(&path.join("metrics.jsonl")).unwrap();

    let of = |records: &[Record], kind| -> Vec<Record> {
        records.iter().filter(|record| record.kind == kind).cloned().collect()
    };
    let (single, epochs) = (of(&all, RecordKind::Batch), of(&all, RecordKind::Epoch));
    let (seven, same) = (of(&sevens, RecordKind::Batch), of(&sevens, RecordKind::Epoch));
    assert_eq!((single.len(), epochs.len()), (batches.len(), 2));
    let close = |found: Option<f64>, expected: f64| (found.unwrap() / expected - 1.0).abs() < 1e-9;
    let tokens = plan.training.batch_size * plan.training.bptt;
    for (record, batch) in single.iter().zip(&batches) {
        assert!(close(record.interval_loss, batch.nll_mean));
        assert!(close(record.unclipped_gradient_norm_mean, batch.gradient_norm));
        assert_eq!(record.unclipped_gradient_norm_last, Some(batch.gradient_norm));
        assert_eq!((record.step_learning_rate, record.epoch_loss), (None, None));
    }
    let mean = |records: &[Record], value: fn(&Record) -> Option<f64>| {
        records.iter().map(|record| value(record).unwrap()).sum::<f64>() / records.len() as f64
    };
    let in_epoch = batches.iter().filter(|batch| batch.epoch == 1).count();
    for record in seven.iter().filter(|record| record.epoch == 1) {
        let (step, interval) =
            (record.step as usize, &single[record.step as usize - 7..record.step as usize]);
        assert!(close(record.interval_loss, mean(interval, |record| record.interval_loss)));
        let norm = mean(interval, |record| record.unclipped_gradient_norm_last);
        assert!(close(record.unclipped_gradient_norm_mean, norm));
        assert_eq!(record.unclipped_gradient_norm_last, interval[6].unclipped_gradient_norm_last);
        assert!(close(record.epoch_loss_so_far, mean(&single[..step], |record| record.interval_loss)));
        assert_eq!(record.moving_loss, interval[6].moving_loss);
        assert_eq!(record.tokens, Some((step * tokens) as u64));
    }
    for (epoch, same) in epochs.iter().zip(&same) {
        assert_eq!((epoch.epoch_loss, epoch.interval_loss), (same.epoch_loss, None));
        let [with, without] = [epoch.epoch_tokens_per_s, epoch.epoch_training_tokens_per_s];
        assert!(with.unwrap() < without.unwrap(), "{epoch:?}");
        assert!(epoch.training_s.unwrap() < epoch.elapsed_s.unwrap());
    }
    // The second epoch starts a new interval and a new mean.
    let second = seven.iter().find(|record| record.epoch == 2).unwrap();
    assert!(close(
        second.interval_loss,
        mean(&single[in_epoch..in_epoch + 7], |record| record.interval_loss)
    ));
    assert!(close(second.epoch_loss_so_far, second.interval_loss.unwrap()));

    let last = epochs.last().unwrap();
    assert_eq!(
        (last.tokens, last.step, last.training_s),
        (Some(outcome.tokens), outcome.steps, Some(outcome.training_s))
    );
    assert_eq!(outcome.training_tokens_per_s(), Some(outcome.tokens as f64 / outcome.training_s));
    assert_eq!(outcome.tokens_per_s(), Some(outcome.tokens as f64 / outcome.elapsed_s));
    assert_eq!((Outcome::default().tokens_per_s(), Outcome::default().training_tokens_per_s()), (None, None));
}

/// Collects samples.
#[derive(Default)]
struct Samples(Vec<String>);

impl Observer for Samples {
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        if let Event::Sample { text, .. } = event {
            self.0.push(text.to_owned());
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn the_same_plan_gives_the_same_numbers_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan("[training]\nbatch_order = 'shuffled'\nmax_batches = 20");
    let paths = ["first", "second"].map(|name| folder.path().join(name));
    for path in &paths {
        run(&plan, path).unwrap();
    }
    let [first, second] = paths.map(|path| RunFolder::open(path).unwrap());
    assert_eq!(without_times(&first.metrics()), without_times(&second.metrics()));
    let bytes = |path| std::fs::read(path).unwrap();
    assert_eq!(bytes(first.last_model()), bytes(second.last_model()));

    let other = folder.path().join("other");
    let seeded = self::plan("[training]\nbatch_order = 'shuffled'\nmax_batches = 20\nseed = 2");
    run(&seeded, &other).unwrap();
    assert_ne!(bytes(first.last_model()), bytes(RunFolder::open(&other).unwrap().last_model()));
}

#[test]
fn a_run_ends_at_its_last_step_and_is_evaluated_there() {
    let folder = tempfile::tempdir().unwrap();
    let schedule = "[optimization]\nschedule = 'linear'\naveraging = 'tail:0.5'";
    let run = |name: &str, training: &str| {
        let path = folder.path().join(name);
        let outcome = run(&plan(&format!("[training]\n{training}\n{schedule}")), &path).unwrap();
        (path, outcome)
    };
    let (whole, expected) = run("whole", "epochs = 2");
    let epoch = expected.steps / 2;
    // The same length, given by steps: the same run.
    let (steps, found) = run("steps", &format!("epochs = 5\nmax_steps = {}", 2 * epoch));
    assert_eq!(found.end, Some(RunEnd::Steps { steps: 2 * epoch }));
    assert_eq!((found.steps, found.best_valid), (expected.steps, expected.best_valid));
    let bytes = |path: &Path| std::fs::read(path.join("last.safetensors")).unwrap();
    assert_eq!(bytes(&steps), bytes(&whole));

    let most = epoch + epoch / 3;
    let (path, found) = run("within", &format!("max_steps = {most}\n[evaluation]\nevery = 9"));
    assert_eq!((found.steps, found.best_epoch), (most, Some(2)));
    let records = metrics::read(&path.join("metrics.jsonl")).unwrap();
    let last = records.last().unwrap();
    assert!(last.kind == RecordKind::Epoch && last.step == most && last.valid_loss.is_some(), "{last:?}");
    assert!(last.learning_rate.unwrap() < 0.02 * 2.0 / most as f64);
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_keeps_the_best_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("diverges");
    // A ReLU network with a learning rate this large diverges within the first two epochs.
    let plan = plan(
        "[model]\ncell = 'rnn_relu'\n[training]\nepochs = 50\n\
         [optimization]\noptimizer = 'sgd'\nlearning_rate = 1e9\nclip_norm = 0",
    );
    let error = run(&plan, &path).unwrap_err();
    let TrainError::NonFinite { step, best, .. } = &error else { panic!("{error}") };
    assert!(*step >= 1);
    assert_eq!(best.is_some(), path.join("best.safetensors").is_file());
    assert!(error.to_string().contains(&format!("at step {step}")), "{error}");
    assert!(RunFolder::open(&path).unwrap().metrics().is_file());
}

#[test]
fn a_run_that_is_asked_to_stop_saves_and_evaluates_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let plan = waiting(plan(""));
    // In the first epoch there is no best model yet, in the second there is.
    for (name, steps, best_epoch) in [("first", 9, None), ("second", 45, Some(1))] {
        let path = folder.path().join(name);
        let outcome = run_with(&plan, &path, &mut StopAfter(steps)).unwrap();
        assert!(outcome.interrupted);
        assert_eq!((outcome.steps, outcome.best_epoch), (steps, best_epoch), "{name}");
        assert_eq!(outcome.partial_epoch.is_some(), best_epoch.is_none(), "{name}");
        assert!(outcome.best_valid.is_some() && outcome.best_test.is_some());
        let run = RunFolder::open(&path).unwrap();
        assert!(run.best_model().is_file() && run.last_model().is_file());
    }
}

#[test]
fn a_text_shorter_than_a_batch_is_refused_with_the_sizes_that_fit() {
    let plan = plan("[training]\nbatch_size = 100\nbptt = 35");
    let corpus = corpus(&plan, 200);
    let error = Trainer::new(plan, corpus, &Device::cpu(1).unwrap()).unwrap_err().to_string();
    for expected in ["1000", "100", "35", "27", "9"] {
        assert!(error.contains(expected), "{expected} in: {error}");
    }
}

#[test]
fn a_folder_that_holds_a_run_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let plan = plan("[training]\nepochs = 1");
    run(&plan, &path).unwrap();
    let before = std::fs::read(path.join("best.safetensors")).unwrap();
    assert!(matches!(run(&plan, &path), Err(TrainError::Runs(RunsError::RunExists { .. }))));
    assert_eq!(std::fs::read(path.join("best.safetensors")).unwrap(), before);
}

#[test]
fn every_recipe_runs_two_steps() {
    let folder = tempfile::tempdir().unwrap();
    for name in recipes::names() {
        let small = "
            [model]
            hidden_size = 16
            [training]
            epochs = 1
            batch_size = 2
            bptt = 5
            max_batches = 2
            threads = 1
            [evaluation]
            batch_size = 2
            [sample]
            prefix = ['']
            length = 3
        ";
        let settings = recipes::find(name).unwrap().settings;
        let mut plan = Plan::new(&settings.overlaid_with(Settings::parse("small", small).unwrap())).unwrap();
        plan.text.options.drop_tail_chars = 0; // The stand-in has no license at its end.
        let outcome = run(&plan, &folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((outcome.steps, outcome.best_epoch), (2, Some(1)), "{name}");
    }
}

/// Collects the results of epochs.
#[derive(Default)]
struct Epochs(Vec<EpochReport>);

impl Observer for Epochs {
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        if let Event::EpochFinished(report) = event {
            self.0.push(*report);
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn averaged_weights_are_judged_and_saved_while_training_goes_on_with_the_weights_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let [with, without] = ["averaging = 'asgd'\naveraging_after = 1", ""].map(|averaging| {
        let plan =
            plan(&format!("[training]\nepochs = 4\n[optimization]\nschedule = 'constant'\n{averaging}"));
        let path = folder.path().join(averaging.len().to_string());
        let mut epochs = Epochs::default();
        run_with(&plan, &path, &mut epochs).unwrap();
        (path, epochs.0)
    });
    let begins: Vec<bool> = with.1.iter().map(|epoch| epoch.averaging_begins).collect();
    assert_eq!(begins, [true, false, false, false]);
    for (with, without) in with.1.iter().zip(&without.1) {
        // The average does not affect training.
        assert_eq!(with.train_loss, without.train_loss);
        match with.epoch {
            1 => assert_eq!((with.valid_loss, with.unaveraged_valid_loss), (without.valid_loss, None)),
            _ => assert_eq!(with.unaveraged_valid_loss, without.valid_loss),
        }
        assert!(with.epoch == 1 || with.valid_loss != without.valid_loss);
    }
    let [last_with, last_without] =
        [&with, &without].map(|run| std::fs::read(run.0.join("last.safetensors")).unwrap());
    assert!(last_with == last_without, "the latest weights are kept as they are");

    let best = with.1.iter().rfind(|epoch| epoch.is_best).unwrap();
    let plan = plan("");
    let corpus = corpus(&plan, 200);
    let device = device(2);
    let file = ModelFile::read(&with.0.join("best.safetensors"), &device).unwrap();
    let valid = corpus.valid.as_ref().unwrap();
    let evaluation = evaluate(&file.model, &mut Workspace::new(&device), valid, 4, 7).unwrap();
    assert_eq!(Some(evaluation.nll_mean()), best.valid_loss);
}

#[test]
fn batches_of_random_length_cover_the_text_and_scale_the_learning_rate() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan("[training]\nepochs = 2\nbptt = 20\nvariable_bptt = true\nlog_every = 1");
    let path = folder.path().join("run");
    let outcome = run(&plan, &path).unwrap();
    let corpus = corpus(&plan, 200);
    let column = corpus.train.len() / plan.training.batch_size;
    assert_eq!(outcome.tokens as usize, 2 * (column - 1) * plan.training.batch_size);
    let records = metrics::read(&RunFolder::open(&path).unwrap().metrics()).unwrap();
    let rates: Vec<f64> = records.iter().filter_map(|r| r.step_learning_rate).collect();
    let steps = rates.iter().map(|rate| rate / plan.optimization.learning_rate * 20.0);
    let total: f64 = steps.clone().sum();
    assert!((total - 2.0 * (column - 1) as f64).abs() < 1e-6, "{total} steps");
    assert!(steps.clone().any(|steps| steps != rates[0] / plan.optimization.learning_rate * 20.0));
}

#[test]
fn going_on_begins_where_the_model_was_and_keeps_it_until_an_epoch_is_better() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan("[training]\nepochs = 2");
    let first = folder.path().join("first");
    let trained = run(&plan, &first).unwrap();
    let device = device(2);
    let load = |path: &Path| ModelFile::read(&path.join("best.safetensors"), &device).unwrap().model;
    let continued = |optimization: &str, name: &str| {
        let mut settings = plan.settings();
        settings.training.from = Some(first.clone());
        let settings = settings.overlaid_with(Settings::parse("test", optimization).unwrap());
        let model = load(&first);
        let corpus = corpus(&plan, 200);
        let plan =
            Plan::continuing(&settings, model.config(), corpus.tokenizer(), corpus.vocab().clone()).unwrap();
        let path = folder.path().join(name);
        let run = RunFolder::create(&path, &plan.to_toml().unwrap()).unwrap();
        let mut trainer = Trainer::continuing(plan, corpus, model).unwrap();
        let outcome = trainer.run(&run, &mut ()).unwrap();
        (outcome, metrics::read(&run.metrics()).unwrap(), path)
    };

    let (better, records, _) = continued("", "better");
    assert_eq!((records[0].epoch, records[0].valid_loss), (0, trained.best_valid));
    assert!(better.best_valid < trained.best_valid && better.best_epoch > Some(0));

    // Steps as large as these ruin the model.
    let (worse, _, path) = continued("[optimization]\nlearning_rate = 5", "worse");
    assert_eq!((worse.best_epoch, worse.best_valid), (Some(0), trained.best_valid));
    let [kept, original] = [&path, &first].map(|path| load(path));
    for id in original.parameters().ids() {
        let [kept, original] = [&kept, &original].map(|model| model.parameters().values(id).read().unwrap());
        assert!(kept == original);
    }
}

#[test]
fn new_words_are_learnt_while_old_ones_keep_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan("");
    let first = folder.path().join("first");
    run(&plan, &first).unwrap();
    let device = device(2);
    let file = ModelFile::read(&first.join("best.safetensors"), &device).unwrap();
    let vocab = Vocab::load(first.join("vocab.json")).unwrap();

    let text = |name: &str, lines: usize| TextSource::Memory {
        name: name.to_owned(),
        text: (0..lines)
            .map(|i| ["after spring comes summer\n", "after autumn comes winter\n"][i % 2])
            .collect(),
    };
    let texts = CorpusTexts::Splits { train: text("train", 200), valid: Some(text("valid", 40)), test: None };
    let mut settings = plan.settings();
    settings.training.from = Some(first.clone());
    settings.training.extend_vocab = Some(true);
    settings.training.epochs = Some(10);
    let plan = Plan::continuing(&settings, file.model.config(), &plan.text.options.tokenizer, vocab.clone())
        .unwrap();
    let corpus = Corpus::read(&texts, &plan.text.options).unwrap();
    assert_eq!(corpus.vocab().len(), vocab.len() + 4);
    assert!(vocab.tokens().eq(corpus.vocab().tokens().take(vocab.len())));
    let path = folder.path().join("second");
    let run = RunFolder::create(&path, &plan.to_toml().unwrap()).unwrap();
    let mut trainer = Trainer::continuing(plan, corpus.clone(), file.model).unwrap();
    let outcome = trainer.run(&run, &mut ()).unwrap();
    assert!(outcome.best_valid.unwrap().exp() < 1.2, "{:?}", outcome.best_valid);
    assert_eq!(&Vocab::load(run.vocab()).unwrap(), corpus.vocab());
}
