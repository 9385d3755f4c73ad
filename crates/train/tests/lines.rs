//! Training on independent lines: agrees with PyTorch on padded sentences, and with evaluation and scoring.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::ops::ControlFlow;
use std::path::Path;

use rondo_data::{Corpus, CorpusTexts, TextSource, TokenIds, Unit, Vocab, VocabSource};
use rondo_infer::LanguageModel;
use rondo_kernels::{Buffer, Device};
use rondo_nn::tensor_file::TensorFile;
use rondo_nn::{Biases, Cell, CellOptions, Dropout, Input, Model, RnnLm, RnnLmConfig};
use rondo_runs::RunFolder;
use rondo_train::{Event, Plan, Settings, TrainError, Trainer};

use tiny::{corpus, plan, run};

mod tiny;

/// `golden/README.md` says what the files hold. The lines are read in three columns, in one batch or in several.
#[test]
fn training_losses_equal_those_of_pytorch_on_padded_sentences() {
    // Those that PyTorch has as a layer.
    for cell in [Cell::Lstm, Cell::Gru, Cell::RnnTanh, Cell::RnnRelu] {
        let path = format!("{}/../../golden/torch_lines_{cell}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap();
        let golden = TensorFile::from_bytes(&bytes, Path::new(&path)).unwrap();
        let device = Device::cpu(2).unwrap();
        let mut losses = Buffer::zeros(&device, 6);
        golden.numbers("losses", &[6]).unwrap().copy_to(losses.slice_mut()).unwrap();
        let losses = losses.read().unwrap().to_vec();
        let tokens = golden.bytes("tokens").unwrap();
        let text: String =
            tokens.iter().map(|&id| if id == 0 { "\n".to_owned() } else { format!("w{id} ") }).collect();
        let vocab = std::iter::once("<eos>".to_owned()).chain((1..11).map(|id| format!("w{id}")));

        let settings = Settings::parse(
            "test",
            "[training]\nreset_state = 'line'\nepochs = 6\nbatch_size = 3\nbptt = 200\nthreads = 2\n\
             [optimization]\nlearning_rate = 0.5\nschedule = 'constant'\nclip_norm = 0\n",
        );
        let plan = Plan::new(&settings.unwrap()).unwrap();
        let mut options = plan.text.options.clone();
        options.vocab = VocabSource::Given(Vocab::from_tokens("test", vocab, None).unwrap());
        (options.valid_fraction, options.test_fraction) = (0.0, 0.0);
        let texts = CorpusTexts::Whole(vec![TextSource::Memory { name: "lines".to_owned(), text }]);
        let corpus = Corpus::read(&texts, &options).unwrap();
        assert_eq!(corpus.train, TokenIds::from(tokens.iter().map(|&id| u32::from(id)).collect::<Vec<_>>()));

        let config = RnnLmConfig {
            vocab_size: 11,
            input: Input::Embedding(5),
            cell,
            hidden_sizes: vec![6, 6],
            biases: Biases::Two,
            tied: false,
            dropout: Dropout::default(),
            adaptive_softmax: None,
            cell_options: CellOptions::default(),
        };
        let mut model = RnnLm::new(config, &device).unwrap();
        let parameters = model.parameters_mut();
        for id in parameters.ids() {
            let name = format!("init.{}", parameters.name(id));
            let numbers = golden.numbers(&name, parameters.shape(id)).unwrap();
            numbers.copy_to(parameters.values_mut(id)).unwrap();
        }
        let mut found = vec![];
        let mut observer = |event: Event<'_>| {
            if let Event::EpochFinished(report) = event {
                found.push(report.train_loss);
            }
            ControlFlow::Continue(())
        };
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::create(folder.path().join("run"), &plan.to_toml().unwrap()).unwrap();
        Trainer::with_model(plan, corpus, model).unwrap().run(&run, &mut observer).unwrap();
        for (found, expected) in found.iter().zip(&losses) {
            assert!((found - f64::from(*expected)).abs() < 2e-6, "{cell}: {found}, PyTorch {expected}");
        }
        assert_eq!(found.len(), losses.len());
    }
}

#[test]
fn a_model_of_lines_is_evaluated_and_scored_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    for (name, settings) in [
        ("lines", "reset_state = 'line'"),
        ("shuffled", "reset_state = 'line'\nshuffle_lines = true\nvariable_bptt = true"),
        ("paragraphs", "reset_state = 'paragraph'\nshuffle_lines = true"),
    ] {
        let plan = plan(&format!("[training]\nepochs = 2\n{settings}"));
        let path = folder.path().join(name);
        let outcome = run(&plan, &path).unwrap();
        // A file says how its model is to be used.
        let model = LanguageModel::open(&path, &Device::cpu(1).unwrap()).unwrap();
        let unit = if name == "paragraphs" { Unit::Paragraph } else { Unit::Line };
        assert_eq!(model.handle().resets().unwrap().unit, unit);
        let ids = corpus(&plan, 200).valid.unwrap();
        let text = model.codec().decode(&ids.read(0..ids.len()).unwrap()).unwrap();
        let evaluation = model.evaluate(&text).unwrap();
        assert_eq!(evaluation.tokens, ids.len() as u64);
        assert!((evaluation.nll_mean() - outcome.best_valid.unwrap()).abs() < 1e-5, "{name}");
        if unit == Unit::Line {
            let lines: Vec<&str> = text.lines().collect();
            let scores = model.score(&lines).unwrap();
            let sum: f64 = scores.iter().map(|line| line.score.log_prob_sum).sum();
            assert!((evaluation.nll_sum + sum).abs() < 1e-3, "{name}: {} {sum}", evaluation.nll_sum);
        }
        let saved = path.join("copy.safetensors");
        model.save(&saved).unwrap();
        let copy = LanguageModel::open(&saved, &Device::cpu(1).unwrap()).unwrap();
        assert_eq!(copy.handle().resets(), model.handle().resets());
    }
}

#[test]
fn each_epoch_reads_the_lines_in_another_order_and_all_of_them() {
    let orders = |seed: u64| {
        let plan = plan(&format!(
            "[training]\nreset_state = 'line'\nshuffle_lines = true\nepochs = 2\nlog_every = 1\nseed = {seed}"
        ));
        let folder = tempfile::tempdir().unwrap();
        let mut losses = vec![vec![]; 2];
        let mut tokens = 0;
        let mut observer = |event: Event<'_>| {
            if let Event::Batch(report) = event {
                losses[report.epoch - 1].push(report.nll_mean.to_bits());
            }
            ControlFlow::Continue(())
        };
        let outcome = tiny::run_with(&plan, &folder.path().join("run"), &mut observer).unwrap();
        tokens += outcome.tokens;
        assert_eq!(tokens, 2 * corpus(&plan, 200).train.len() as u64);
        losses
    };
    assert_eq!(orders(1), orders(1));
    assert_ne!(orders(1)[0], orders(2)[0]);
}

#[test]
fn what_does_not_go_together_with_lines_is_refused() {
    let refused = |settings: &str| {
        let settings = Settings::parse("test", &format!("[training]\n{settings}")).unwrap();
        Plan::new(&settings).unwrap_err().to_string()
    };
    assert_eq!(
        refused("reset_state = 'line'\nbatch_order = 'shuffled'"),
        "`training.batch_order` has no effect unless `training.reset_state` is `never` or `batch`"
    );
    assert_eq!(
        refused("shuffle_lines = true"),
        "`training.shuffle_lines` has no effect unless `training.reset_state` is `line` or `paragraph`"
    );
    assert_eq!(
        refused("reset_state = 'batch'\ncarry_state = true"),
        "`training.carry_state` has no effect unless `training.reset_state` is not given"
    );
    let plan = plan("[text]\ntokenizer = 'chars'\n[training]\nreset_state = 'line'");
    let text = TextSource::Memory { name: "one line".to_owned(), text: "abcabcabc".repeat(30) };
    let corpus = Corpus::read(&CorpusTexts::Whole(vec![text]), &plan.text.options).unwrap();
    let error = Trainer::new(plan, corpus, &Device::cpu(1).unwrap()).unwrap_err();
    assert!(matches!(error, TrainError::NoLineEnds { .. }), "{error}");
}
