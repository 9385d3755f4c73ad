//! Files that PyTorch and MXNet have written (`golden/make_convert_*.py`): the same log-probabilities, or an error that
//! says why.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::fs;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo_convert::{
    ConvertError, ImportOptions, Imported, Storage, Target, VocabularySource, Weights, export,
};
use rondo_data::TextCodec;
use rondo_kernels::Device;
use rondo_nn::{
    Biases, Cell, CellOptions, Dropout, Initialization, Initializer, Input, Mode, Model, ModelFile, RnnLm,
    RnnLmConfig, Workspace,
};
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/convert").join(name)
}

fn device() -> Device {
    Device::cpu(1).unwrap()
}

fn cases(name: &str) -> (String, Vec<Value>) {
    let json: Value = serde_json::from_str(&fs::read_to_string(golden(name)).unwrap()).unwrap();
    (json["text"].as_str().unwrap().to_owned(), json["cases"].as_array().unwrap().clone())
}

fn options(list: &str, cell: Option<Cell>) -> ImportOptions {
    let vocabulary = Some(VocabularySource::List(golden(list)));
    ImportOptions { cell, vocabulary, tokenizer: "words".parse().ok() }
}

/// Fails unless each case gives its log-probabilities, or its error.
fn check(list: &str, vocab: &str) {
    let (text, cases) = cases(list);
    for case in &cases {
        let file = case["file"].as_str().unwrap();
        let Some(expected) = case["log_probs"].as_array() else {
            let error =
                Imported::read(&golden(file), &options(vocab, None), &device()).unwrap_err().to_string();
            assert!(error.contains(case["error"].as_str().unwrap()), "{file}: {error}");
            continue;
        };
        let cell: Cell = case["cell"].as_str().unwrap().parse().unwrap();
        let asks = case["ask_cell"] == true;
        if asks {
            let error = Imported::read(&golden(file), &options(vocab, None), &device()).unwrap_err();
            assert!(matches!(error, ConvertError::Nonlinearity { .. }), "{file}: {error}");
        }
        let imported = Imported::read(&golden(file), &options(vocab, asks.then_some(cell)), &device());
        let imported = imported.unwrap_or_else(|error| panic!("{file}: {error}"));
        let config = imported.weights.model.config();
        assert_eq!(imported.weights.scheme, case["scheme"], "{file}");
        assert_eq!((config.cell, config.tied), (cell, case["tied"] == true), "{file}");
        let scored = imported.into_language_model().unwrap().score(&[&text]).unwrap();
        let found = &scored[0].score.log_probs;
        assert_eq!(found.len(), expected.len(), "{file}");
        for (found, expected) in found.iter().zip(expected) {
            let expected = expected.as_f64().unwrap();
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{file}: {found}, not {expected}");
        }
    }
}

#[test]
fn models_of_pytorch_give_the_same_log_probabilities() {
    check("torch.json", "words.txt");
}

#[test]
fn models_of_mxnet_give_the_same_log_probabilities() {
    check("mxnet.json", "gluon.json");
}

#[test]
fn an_exported_state_dict_is_read_as_the_same_model() {
    let (_, cases) = cases("torch.json");
    for case in cases.iter().filter(|case| case["scheme"].is_string()) {
        let file = case["file"].as_str().unwrap();
        let cell = case["cell"].as_str().unwrap().parse().ok();
        let imported = Imported::read(&golden(file), &options("words.txt", cell), &device()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let model = &imported.weights.model;
        let paths = export(model, &imported.codec, Target::Torch, Storage::F32, folder.path()).unwrap();
        let again = Weights::read(&paths[0], cell, &device()).unwrap().model;
        assert_eq!(again.config(), model.config(), "{file}");
        for id in model.parameters().ids() {
            let [one, other] =
                [model, &again].map(|model| model.parameters().values(id).read().unwrap().to_vec());
            assert_eq!(one, other, "{file}: {}", model.parameters().name(id));
        }
        let error = export(model, &imported.codec, Target::Torch, Storage::F32, folder.path()).unwrap_err();
        assert!(matches!(error, ConvertError::Exists { .. }), "{error}");
    }
}

#[test]
fn a_converted_model_is_a_model_file_and_is_not_converted_again() {
    let folder = tempfile::tempdir().unwrap();
    let imported = Imported::read(&golden("awd.pt"), &options("words.txt", None), &device()).unwrap();
    let path = imported.save(&folder.path().join("new")).unwrap();
    assert_eq!(path.file_name().unwrap(), "best.safetensors");
    let file = ModelFile::read(&path, &device()).unwrap();
    assert_eq!(file.context.metadata["converted_from"], "PyTorch, AWD-LSTM");
    assert_eq!(file.model.config().hidden_sizes, [8, 7, 6]);
    let error = imported.save(&folder.path().join("new")).unwrap_err();
    assert!(matches!(error, ConvertError::Exists { .. }), "{error}");
    let error = Weights::read(&path, None, &device()).unwrap_err();
    assert!(matches!(error, ConvertError::AlreadyConverted { .. }), "{error}");
}

#[test]
fn what_is_missing_is_asked_for() {
    let read = |options: &ImportOptions| {
        Imported::read(&golden("wlm_lstm_tied.pt"), options, &device()).unwrap_err()
    };
    let none = ImportOptions::default();
    assert!(matches!(read(&none), ConvertError::NoVocabulary { tokens: 11, .. }));
    let list = ImportOptions { tokenizer: None, ..options("words.txt", None) };
    assert!(matches!(read(&list), ConvertError::NoTokenizer { .. }));
    let other = options("words.txt", Some(Cell::Gru));
    assert_eq!(
        read(&other).to_string(),
        format!("the model in `{}` has the cell `lstm`, not `gru`", golden("wlm_lstm_tied.pt").display())
    );
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("short.txt");
    fs::write(&short, "<eos>\nthe\n").unwrap();
    let error = read(&ImportOptions { vocabulary: Some(VocabularySource::List(short)), ..list });
    assert!(error.to_string().ends_with("has 2 tokens, but the model has 11"), "{error}");
}

/// A model with random parameters.
fn random_model(cell: Cell, cell_options: CellOptions) -> RnnLm {
    let config = RnnLmConfig {
        vocab_size: 11,
        input: Input::Embedding(6),
        cell,
        hidden_sizes: vec![7, 7],
        biases: Biases::One,
        tied: false,
        dropout: Dropout::default(),
        adaptive_softmax: None,
        cell_options,
    };
    let uniform = Initializer::Uniform(0.8);
    let all = Initialization { embedding: uniform, recurrent: uniform, decoder: uniform, bias: uniform };
    let mut model = RnnLm::new(config, &device()).unwrap();
    model.initialize(&all, &mut ChaCha8Rng::seed_from_u64(3)).unwrap();
    model
}

fn codec() -> TextCodec {
    let imported = Imported::read(&golden("wlm_lstm_tied.pt"), &options("words.txt", None), &device());
    imported.unwrap().codec
}

#[test]
fn a_cifg_is_written_as_the_lstm_that_computes_the_same() {
    for projection_size in [None, Some(4)] {
        let model = random_model(Cell::Cifg, CellOptions { projection_size, ..CellOptions::default() });
        let folder = tempfile::tempdir().unwrap();
        let paths = export(&model, &codec(), Target::Torch, Storage::F32, folder.path()).unwrap();
        let again = Weights::read(&paths[0], None, &device()).unwrap().model;
        assert_eq!(
            (again.config().cell, again.config().cell_options),
            (Cell::Lstm, model.config().cell_options)
        );
        let logits = |model: &RnnLm| {
            let mut workspace = Workspace::new(&device());
            let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
            let hidden = model.forward(&mut tape, &[1, 5, 2, 8, 0, 3], &mut model.zero_state(1));
            let logits = model.logits(&mut tape, hidden);
            tape.read(logits).unwrap().to_vec()
        };
        for (found, expected) in logits(&again).iter().zip(logits(&model)) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
    }
}

#[test]
fn what_other_tools_do_not_have_is_refused_by_its_name() {
    let default = CellOptions::default();
    let projected = random_model(Cell::Lstm, CellOptions { projection_size: Some(4), ..default });
    let clipped = random_model(Cell::Lstm, CellOptions { cell_clip: Some(1.0), ..default });
    let mogrifier = random_model(Cell::Mogrifier, default);
    for (model, target, expected) in [
        (&projected, Target::Onnx, "a model with a projection of the hidden state cannot be written as ONNX"),
        (&clipped, Target::Torch, "a model with a limit of the cell state cannot be written for PyTorch"),
        (&clipped, Target::Onnx, "a model with a limit of the cell state cannot be written as ONNX"),
        (&mogrifier, Target::Torch, "a model with the cell `mogrifier` cannot be written for PyTorch"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = export(model, &codec(), target, Storage::F32, folder.path()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
