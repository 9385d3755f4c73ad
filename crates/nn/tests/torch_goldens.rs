//! The models agree with PyTorch: values, every gradient, and ten losses of training, for each cell.
//!
//! `golden/README.md` says what the files hold and how they were made. PyTorch's numbers are those of its
//! `f64`, so a difference is this crate's rounding alone. Each case runs with every instruction set of this
//! machine, on one thread and on two.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::collections::HashMap;
use std::fmt::Debug;
use std::str::FromStr;

use rondo_kernels::cpu::InstructionSet;
use rondo_kernels::optimizer::{self, GLUON_EPSILON, Scale, Sgd, clip_scale};
use rondo_kernels::{Device, Precision};
use rondo_nn::{
    ActivationPenalty, AdaptiveSoftmax, Biases, Cell, CellOptions, Dropout, Gradient, Gradients, Input, Mode,
    Model, MogrifierOptions, Parameters, RnnLm, RnnLmConfig, State, Workspace,
};
use safetensors::{Dtype, SafeTensors};

#[test]
fn lstm() {
    check("lstm");
}

#[test]
fn lstm_untied() {
    check("lstm_untied");
}

/// Layers of three widths, and penalties on what the last of them does.
#[test]
fn awd_lstm() {
    check("awd_lstm");
}

#[test]
fn lstm_adaptive() {
    check("lstm_adaptive");
}

#[test]
fn lstm_projected() {
    check("lstm_projected");
}

#[test]
fn lstm_clipped() {
    check("lstm_clipped");
}

#[test]
fn cifg() {
    check("cifg");
}

/// With a limit of the cell state, too.
#[test]
fn cifg_projected() {
    check("cifg_projected");
}

#[test]
fn mogrifier() {
    check("mogrifier");
}

#[test]
fn mogrifier_factored() {
    check("mogrifier_factored");
}

#[test]
fn gru() {
    check("gru");
}

#[test]
fn rnn_tanh() {
    check("rnn_tanh");
}

#[test]
fn rnn_relu() {
    check("rnn_relu");
}

#[test]
fn rnn_tanh_one_hot() {
    check("rnn_tanh_one_hot");
}

/// How far a number may lie from PyTorch's, relative to `1 + |expected|`.
///
/// The largest error of all cases and devices, when measured, was a third to a tenth of it.
mod tolerance {
    /// Logits, losses and states of the first batch: measured 2e-7.
    pub(crate) const VALUE: f64 = 1e-6;
    /// Gradients of the first batch's mean loss, all below 0.3: measured 3e-8.
    pub(crate) const GRADIENT: f64 = 1e-7;
    /// Losses, norms and parameters of ten steps, each of which carries on the error of those before:
    /// measured 7e-7.
    pub(crate) const TRAINING: f64 = 2e-6;
    /// Losses of ten steps with products of numbers rounded to bf16: measured 2e-5 to 6e-4.
    pub(crate) const ROUNDED: f64 = 2e-3;
}

fn check(name: &str) {
    let golden = Golden::open(name);
    for instructions in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
        for threads in [1, 2] {
            let device = Device::cpu_with(threads, instructions).unwrap();
            first_batch(&golden, &device);
            ten_steps(&golden, &device);
        }
    }
    #[cfg(feature = "gpu")]
    if !["adaptive", "projected", "mogrifier"].iter().any(|part| name.contains(part)) {
        on_gpu(&golden);
    }
    rounded_products(&golden);
}

/// The same on a GPU, if there is one; where `RONDO_TEST_GPU` is set, there must be one.
#[cfg(feature = "gpu")]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn on_gpu(golden: &Golden) {
    match Device::gpu(0) {
        Ok(device) => {
            first_batch(golden, &device);
            ten_steps(golden, &device);
        }
        Err(error) if std::env::var_os("RONDO_TEST_GPU").is_some() => panic!("{error}"),
        Err(error) => eprintln!("skipped on a GPU: {error}"),
    }
}

/// Ten steps with products of bf16, where the processor has them; where `RONDO_TEST_BF16` is set, it must.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn rounded_products(golden: &Golden) {
    let Ok(device) = Device::cpu(2).unwrap().with_precision(Precision::Bf16) else {
        assert!(std::env::var_os("RONDO_TEST_BF16").is_none(), "this processor does not support bf16");
        return eprintln!("skipped: this processor does not support bf16");
    };
    let losses = train(golden, &device).losses;
    assert_close("losses", &losses, &golden.doubles("losses"), tolerance::ROUNDED);
    assert_ne!(losses, train(golden, &Device::cpu(2).unwrap()).losses, "nothing was rounded");
}

/// One forward and backward from the initial parameters.
fn first_batch(golden: &Golden, device: &Device) {
    let model = golden.model(device);
    let (inputs, targets) = golden.batch(0);
    let mut workspace = Workspace::new(device);
    let mut state = model.zero_state(golden.value("batch_size"));
    {
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        let hidden = model.forward(&mut tape, &inputs, &mut state);
        let logits = model.logits(&mut tape, hidden);
        assert_close("logits", &tape.read(logits).unwrap(), &golden.floats("first.logits"), tolerance::VALUE);
    }
    state.clear();
    let mut gradients = Gradients::new(model.parameters());
    let mut tape = workspace.tape(model.parameters(), TRAIN);
    let hidden = model.forward(&mut tape, &inputs, &mut state);
    let loss = model.loss(&mut tape, hidden, &targets);
    assert_close("nll", &tape.read_nll(loss).unwrap(), &golden.floats("first.nll"), tolerance::VALUE);
    let mean = tape.nll_sum(loss).unwrap() / targets.len() as f64;
    assert_close("loss", &[mean], &golden.doubles("first.loss"), tolerance::VALUE);
    let last = joined(&state, "hidden");
    assert_close("h", &last, &golden.floats("first.h"), tolerance::VALUE);
    if model.config().cell.has_cell_state() {
        let cell_state = joined(&state, "cell");
        assert_close("c", &cell_state, &golden.floats("first.c"), tolerance::VALUE);
    }

    if let Some((penalty, expected)) = golden.penalty() {
        let value = penalty.value(&tape, hidden).unwrap();
        penalty.add_to(&mut tape, hidden);
        assert_close("penalty", &[value], &expected[..1], tolerance::VALUE);
    }
    tape.backward(loss, 1.0 / targets.len() as f32, &mut gradients).unwrap();
    for id in model.parameters().ids() {
        let name = format!("grad.{}", model.parameters().name(id));
        let gradient = dense(model.parameters(), id, gradients.get(id));
        assert_close(&name, &gradient, &golden.floats(&name), tolerance::GRADIENT);
    }
}

/// Ten batches of training: the state is carried, the gradient cut, its norm clipped.
fn ten_steps(golden: &Golden, device: &Device) {
    let Training { model, losses, norms, penalties } = train(golden, device);
    assert_close("losses", &losses, &golden.doubles("losses"), tolerance::TRAINING);
    if let Some((_, expected)) = golden.penalty() {
        assert_close("penalties", &penalties, &expected, tolerance::TRAINING);
    }
    assert_close("norms", &norms, &golden.doubles("norms"), tolerance::TRAINING);
    for id in model.parameters().ids() {
        let name = format!("final.{}", model.parameters().name(id));
        let values = model.parameters().values(id).read().unwrap();
        assert_close(&name, &values, &golden.floats(&name), tolerance::TRAINING);
    }
}

/// What ten batches of training leave: one loss and norm a step, one penalty where there is one.
struct Training {
    model: RnnLm,
    losses: Vec<f64>,
    norms: Vec<f64>,
    penalties: Vec<f64>,
}

fn train(golden: &Golden, device: &Device) -> Training {
    let mut model = golden.model(device);
    let mut workspace = Workspace::new(device);
    let mut state = model.zero_state(golden.value("batch_size"));
    let mut gradients = Gradients::new(model.parameters());
    let (mut losses, mut norms, mut penalties) = (Vec::new(), Vec::new(), Vec::new());
    let penalty = golden.penalty();
    for batch in 0..golden.value("batches") {
        let (inputs, targets) = golden.batch(batch);
        gradients.clear();
        let mut tape = workspace.tape(model.parameters(), TRAIN);
        let hidden = model.forward(&mut tape, &inputs, &mut state);
        let loss = model.loss(&mut tape, hidden, &targets);
        losses.push(tape.nll_sum(loss).unwrap() / targets.len() as f64);
        if let &Some((penalty, _)) = &penalty {
            penalties.push(penalty.value(&tape, hidden).unwrap());
            penalty.add_to(&mut tape, hidden);
        }
        tape.backward(loss, 1.0 / targets.len() as f32, &mut gradients).unwrap();
        drop(tape);

        let squared = model.parameters().ids().map(|id| match gradients.get(id) {
            Gradient::Zero => 0.0,
            Gradient::Dense(values) | Gradient::Rows { values, .. } => {
                optimizer::squared_norm(device, values).unwrap()
            }
        });
        let norm = squared.sum::<f64>().sqrt();
        norms.push(norm);
        let scale = clip_scale(norm, golden.value("clip_norm"), GLUON_EPSILON);
        descend(model.parameters_mut(), &gradients, golden.value("learning_rate"), scale.into());
    }
    Training { model, losses, norms, penalties }
}

/// Nothing is dropped, so neither seed nor step matters.
const TRAIN: Mode = Mode::Train { seed: 0, step: 0 };

/// One step of plain gradient descent.
fn descend(parameters: &mut Parameters, gradients: &Gradients, learning_rate: f64, scale: Scale<'_>) {
    let device = parameters.device().clone();
    for id in parameters.ids() {
        match gradients.get(id) {
            Gradient::Zero => {}
            Gradient::Dense(gradient) => {
                let options = Sgd { learning_rate, momentum: 0.0, weight_decay: 0.0 };
                optimizer::sgd(&device, &options, scale, gradient, parameters.values_mut(id), None);
            }
            Gradient::Rows { rows, values, .. } => {
                let gradient = optimizer::Rows { rows, values, width: parameters.row_width(id) };
                let options = Sgd { learning_rate, momentum: 0.0, weight_decay: 0.0 };
                optimizer::sgd_rows(&device, &options, scale, gradient, parameters.values_mut(id), None);
            }
        }
    }
}

/// A gradient in its parameter's layout.
fn dense(parameters: &Parameters, id: rondo_nn::ParameterId, gradient: Gradient<'_>) -> Vec<f32> {
    let mut dense = vec![0.0; parameters.values(id).len()];
    match gradient {
        Gradient::Zero => {}
        Gradient::Dense(values) => values.read_into(&mut dense).unwrap(),
        Gradient::Rows { rows, values, .. } => {
            let width = parameters.shape(id)[1];
            for (&row, values) in rows.read().unwrap().iter().zip(values.read().unwrap().chunks_exact(width))
            {
                dense[row as usize * width..][..width].copy_from_slice(values);
            }
        }
    }
    dense
}

/// One part of each layer's state, the first layer's first.
fn joined(state: &State, name: &str) -> Vec<f32> {
    let parts = state.parts().iter().filter(|part| part.name().starts_with(name));
    parts.flat_map(|part| part.values().read().unwrap().into_owned()).collect()
}

/// Fails unless each number of `got` is within the tolerance of its partner in `want`.
#[track_caller]
fn assert_close<T: Into<f64> + Copy>(name: &str, got: &[T], want: &[T], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{name}: length");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let (got, want) = (got.into(), want.into());
        let error = (got - want).abs() / (1.0 + want.abs());
        assert!(error <= tolerance, "{name}[{i}]: {got:.9} instead of {want:.9}, error {error:.2e}");
    }
}

/// A golden file of one training case.
struct Golden {
    bytes: Vec<u8>,
    metadata: HashMap<String, String>,
}

impl Golden {
    fn open(name: &str) -> Golden {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden");
        let bytes = std::fs::read(format!("{folder}/torch_{name}.safetensors")).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap();
        Golden { bytes, metadata }
    }

    /// The model that the file's metadata describes, with its initial parameters.
    fn model(&self, device: &Device) -> RnnLm {
        let config = RnnLmConfig {
            vocab_size: self.value("vocab_size"),
            input: match self.metadata["input"].as_str() {
                "one_hot" => Input::OneHot,
                _ => Input::Embedding(self.value("embedding_size")),
            },
            cell: self.value::<Cell>("cell"),
            hidden_sizes: self.hidden_sizes(),
            biases: if self.value::<u8>("num_biases") == 1 { Biases::One } else { Biases::Two },
            tied: self.value("tied"),
            dropout: Dropout::default(),
            adaptive_softmax: self
                .metadata
                .get("cutoffs")
                .map(|_| AdaptiveSoftmax::new(self.numbers("cutoffs"))),
            cell_options: CellOptions {
                projection_size: self.optional("projection_size"),
                cell_clip: self.optional("cell_clip"),
                mogrifier: self.optional("mogrifier_rounds").map_or(MogrifierOptions::default(), |rounds| {
                    MogrifierOptions { rounds, rank: self.optional("mogrifier_rank") }
                }),
            },
        };
        let mut model = RnnLm::new(config, device).unwrap();
        for id in model.parameters().ids() {
            let values = self.floats(&format!("init.{}", model.parameters().name(id)));
            model.parameters_mut().values_mut(id).write_from(&values).unwrap();
        }
        model
    }

    /// One a layer; where the file names one alone, it is that of all layers.
    fn hidden_sizes(&self) -> Vec<usize> {
        match self.metadata["hidden_size"].split_once(',') {
            None => vec![self.value("hidden_size"); self.value("num_layers")],
            Some(_) => self.numbers("hidden_size"),
        }
    }

    /// The penalty in each batch, and what makes it; nothing where the file has none.
    fn penalty(&self) -> Option<(ActivationPenalty, Vec<f64>)> {
        self.metadata.contains_key("activation").then(|| {
            let (activation, temporal) = (self.value("activation"), self.value("temporal"));
            (ActivationPenalty { activation, temporal }, self.doubles("penalties"))
        })
    }

    /// Inputs and targets of one batch.
    fn batch(&self, batch: usize) -> (Vec<u32>, Vec<u32>) {
        let len = self.value::<usize>("steps") * self.value::<usize>("batch_size");
        let part = |name| self.tensor(name, Dtype::U32, u32::from_le_bytes)[batch * len..][..len].to_vec();
        (part("inputs"), part("targets"))
    }

    /// Numbers of the metadata, separated by commas.
    fn numbers(&self, key: &str) -> Vec<usize> {
        self.metadata[key].split(',').map(|number| number.parse().unwrap()).collect()
    }

    /// A value of the metadata.
    fn value<T: FromStr<Err: Debug>>(&self, key: &str) -> T {
        self.metadata[key].parse().unwrap()
    }

    /// A value of the metadata, if the file has it.
    fn optional<T: FromStr<Err: Debug>>(&self, key: &str) -> Option<T> {
        self.metadata.get(key).map(|value| value.parse().unwrap())
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.tensor(name, Dtype::F32, f32::from_le_bytes)
    }

    fn doubles(&self, name: &str) -> Vec<f64> {
        self.tensor(name, Dtype::F64, f64::from_le_bytes)
    }

    fn tensor<T, const BYTES: usize>(&self, name: &str, dtype: Dtype, read: fn([u8; BYTES]) -> T) -> Vec<T> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(name).unwrap();
        assert_eq!(view.dtype(), dtype, "{name}");
        view.data().as_chunks().0.iter().map(|&bytes| read(bytes)).collect()
    }
}
