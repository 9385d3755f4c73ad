//! The example's network, written out from the primitives, learns what the fused model learns.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::ops::ControlFlow;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo::data::{Corpus, CorpusTexts, Tales, TextSource};
use rondo::infer::{LanguageModel, ModelHandle, Sampling, StreamOptions};
use rondo::kernels::Device;
use rondo::nn::{Biases, Cell, CellOptions, Dropout, Input, Model, RnnLm, RnnLmConfig};
use rondo::runs::RunFolder;
use rondo::train::{Event, Plan, Settings, Trainer, recipes};

use from_scratch::Network;

#[path = "../examples/from_scratch.rs"]
#[allow(dead_code, unreachable_pub)] // Its `main`, and what only that uses.
mod from_scratch;

const HIDDEN: usize = 24;

/// The recipe of the example, for a small network and a short text.
fn plan() -> Plan {
    let small = "[text]\ndrop_tail_chars = 0\n[model]\nhidden_size = 24\n\
                 [training]\nepochs = 2\nbatch_size = 4\nbptt = 16\nthreads = 2\n[sample]\nprefix = [\"\"]\n";
    let recipe = recipes::find("time-machine-char").unwrap().settings;
    Plan::new(&recipe.overlaid_with(Settings::parse("test", small).unwrap())).unwrap()
}

fn corpus(plan: &Plan) -> Corpus {
    let text = Tales::new().sentences(1, 0).take(40).map(|sentence| sentence + "\n").collect();
    let texts = CorpusTexts::Whole(vec![TextSource::Memory { name: "tales".into(), text }]);
    Corpus::read(&texts, &plan.text.options).unwrap()
}

/// The loss of each batch, what the model wrote, and how well the best model predicts a text.
fn train(model: impl Model + 'static) -> (Vec<f64>, Vec<String>, f64) {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan();
    let folder = RunFolder::create(folder.path().join("run"), &plan.to_toml().unwrap()).unwrap();
    let corpus = corpus(&plan);
    let mut trainer = Trainer::with_model(plan, corpus, model).unwrap();
    let (mut losses, mut samples) = (Vec::new(), Vec::new());
    let mut observer = |event: Event<'_>| {
        match event {
            Event::Batch(batch) => losses.push(batch.nll_mean),
            Event::Sample { text, .. } => samples.push(text.to_owned()),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    trainer.run(&folder, &mut observer).unwrap();
    let best = trainer.best_model().unwrap().unwrap();
    (losses, samples, best.evaluate("the king is old .").unwrap().nll_mean())
}

#[test]
fn the_example_and_the_fused_model_have_the_same_losses() {
    let device = Device::cpu(2).unwrap();
    let vocab_size = corpus(&plan()).vocab().len();
    let network = Network::new(vocab_size, HIDDEN, &device, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    let (fused_losses, fused_samples, fused_text_loss) = train(fused(&network));
    let (losses, samples, text_loss) = train(network);

    assert!(losses.len() > 20, "{losses:?}");
    for (batch, (loss, fused)) in losses.iter().zip(&fused_losses).enumerate() {
        // Both in `f32`, in other orders. Measured: 1e-7.
        assert!((loss - fused).abs() < 1e-6, "batch {batch}: {loss} and {fused}");
    }
    assert!((text_loss - fused_text_loss).abs() < 1e-6, "{text_loss} and {fused_text_loss}");
    assert_eq!(samples, fused_samples);
    // The same network in Python has these losses, too: `python/tests/test_nn.py`.
    for (batch, expected) in [(0, 3.370055), (10, 3.203741), (99, 2.947618)] {
        assert!((losses[batch] - expected).abs() < 1e-5, "batch {batch}: {}", losses[batch]);
    }
    // From an even guess on, it learns.
    assert!((losses[0] - (vocab_size as f64).ln()).abs() < 0.01, "{losses:?}");
    assert!(losses[losses.len() - 1] < losses[0] - 0.3, "{losses:?}");
}

#[test]
fn the_network_is_sampled_at_a_temperature_and_opened_from_its_file() {
    let device = Device::cpu(1).unwrap();
    let codec = corpus(&plan()).codec;
    let new = || {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        Network::new(codec.vocab().len(), HIDDEN, &device, rng).unwrap()
    };
    let mut network = new();
    // The output bias alone decides: `k` is most likely.
    let by = network.parameters().find("by").unwrap();
    let mut values = vec![0.0; codec.vocab().len()];
    values[codec.vocab().id("k").unwrap() as usize] = 1.0;
    network.parameters_mut().values_mut(by).write_from(&values).unwrap();
    let model = LanguageModel::new(ModelHandle::new(network), codec.clone()).unwrap();
    let at = |temperature| {
        let sampling = Sampling { temperature, ..Sampling::default() };
        model.generate("a", StreamOptions { sampling, ..StreamOptions::default() }).unwrap()
    };
    assert_eq!(at(0.05), "k".repeat(100));
    let even = at(1000.0);
    assert!(even.matches('k').count() < 20, "{even}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    model.save(&file).unwrap();
    let opened = LanguageModel::open_into(new(), &file).unwrap();
    assert_eq!(opened.evaluate("the king").unwrap(), model.evaluate("the king").unwrap());
    // A file says what is in it: the network is no `RnnLm`.
    assert!(LanguageModel::open(&file, &device).is_err());
}

/// The fused model with the network's values.
fn fused(network: &Network) -> RnnLm {
    let config = RnnLmConfig {
        vocab_size: network.vocab_size(),
        input: Input::OneHot,
        cell: Cell::RnnTanh,
        hidden_sizes: vec![HIDDEN],
        biases: Biases::One,
        tied: false,
        dropout: Dropout::default(),
        adaptive_softmax: None,
        cell_options: CellOptions::default(),
    };
    let mut model = RnnLm::new(config, network.parameters().device()).unwrap();
    let names = [
        ("wxh", "input.weight"),
        ("whh", "rnn.0.weight_hh"),
        ("bh", "rnn.0.bias_ih"),
        ("why", "decoder.weight"),
        ("by", "decoder.bias"),
    ];
    for (ours, theirs) in names {
        let ours = network.parameters().find(ours).unwrap();
        let theirs = model.parameters().find(theirs).unwrap();
        let values = network.parameters().values(ours).read().unwrap();
        let columns = network.parameters().shape(ours)[1];
        // One writes `h·W`, the other `h·Wᵀ`; a table with a row per token is the same in both.
        let values = match model.parameters().name(theirs) {
            "rnn.0.weight_hh" | "decoder.weight" => transposed(&values, columns),
            _ => values.to_vec(),
        };
        model.parameters_mut().values_mut(theirs).write_from(&values).unwrap();
    }
    model
}

fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect()
}
