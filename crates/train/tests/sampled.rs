//! Training with a sampled softmax: agreement with PyTorch, averages of rows that lag behind, and whole runs.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::slice::from_mut;

use rondo_kernels::Device;
use rondo_nn::{Candidates, Decoder, Gradients, Mode, Model, Parameters, RnnLm, Workspace};
use rondo_train::settings::SamplerKind;
use rondo_train::{
    Averaging, AveragingProgress, AveragingRule, Optimizer, OptimizerOptions, OptimizerPlan, Part,
    SampledSoftmax, Sampler, Settings, StepTerms, Tokens, TrainingStep,
};
use safetensors::SafeTensors;
use tiny::{plan, run};

mod tiny;

const VOCAB: usize = 23;
const WIDTH: usize = 6;
const ROWS: usize = 12;
const DRAWS: usize = 7;
const STEPS: usize = 5;
/// How far a number may lie from PyTorch's, relative to `1 + |expected|`: measured 4e-7.
const TOLERANCE: f32 = 2e-6;

/// Looks up its inputs in the decoder's weight and predicts the targets, for some steps with each optimizer.
#[test]
fn steps_agree_with_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/torch_sampled.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let words = |name: &str| -> Vec<[u8; 4]> {
        tensors.tensor(name).unwrap().data().chunks_exact(4).map(|word| word.try_into().unwrap()).collect()
    };
    let numbers = |name: &str| words(name).into_iter().map(f32::from_le_bytes).collect::<Vec<_>>();
    let ids = |name: &str| words(name).into_iter().map(u32::from_le_bytes).collect::<Vec<_>>();
    let (inputs, targets, drawn) = (ids("inputs"), ids("targets"), ids("drawn"));
    let log_inclusion = numbers("log_inclusion");
    let adam = OptimizerPlan::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-16, decoupled: false };
    for (name, rule, rate) in [("sgd", OptimizerPlan::Sgd { momentum: 0.0 }, 0.5), ("adam", adam, 0.01)] {
        let device = Device::cpu(2).unwrap();
        let mut parameters = Parameters::new(&device);
        let weight = parameters.add("weight", &[VOCAB, WIDTH]);
        let bias = parameters.add("bias", &[VOCAB]);
        parameters.values_mut(weight).write_from(&numbers("init.weight")).unwrap();
        parameters.values_mut(bias).write_from(&numbers("init.bias")).unwrap();
        let options = OptimizerOptions { lazy_rows: true, ..OptimizerOptions::new(rule) };
        let mut optimizer = Optimizer::new(options, &parameters);
        let (mut workspace, mut gradients) = (Workspace::new(&device), Gradients::new(&parameters));
        let mut candidates = Candidates::default();
        let expected = ["losses", "weight", "bias"].map(|kind| numbers(&format!("{name}.{kind}")));
        for step in 0..STEPS {
            let of_step =
                |ids: &[u32]| ids[step * ids.len() / STEPS..(step + 1) * ids.len() / STEPS].to_vec();
            candidates.fill(&of_step(&drawn), &of_step(&targets), |id| log_inclusion[id as usize]);
            gradients.clear();
            let mut tape = workspace.tape(&parameters, Mode::Train { seed: 1, step: 0 });
            let hidden = tape.embedding(weight, &of_step(&inputs), 1, ROWS);
            let loss = tape.sampled_decoder(hidden, Decoder { weight, bias: Some(bias) }, &candidates);
            let losses = tape.read_nll(loss).unwrap().to_vec();
            tape.backward(loss, 1.0 / ROWS as f32, &mut gradients).unwrap();
            drop(tape);
            let clip = optimizer.clip(&mut gradients, &parameters).unwrap();
            optimizer.update(rate, clip, &mut gradients, &mut parameters);
            let values = |id| parameters.values(id).read().unwrap().to_vec();
            for (found, expected) in [losses, values(weight), values(bias)].iter().zip(&expected) {
                let len = found.len();
                for (found, expected) in found.iter().zip(&expected[step * len..]) {
                    let error = (found - expected).abs() / (1.0 + expected.abs());
                    assert!(error < TOLERANCE, "{name}, step {step}: {found}, expected {expected}");
                }
            }
        }
    }
}

/// A step of a small model with a sampled softmax, and its texts.
fn small(tied: bool) -> (RnnLm, TrainingStep, Tokens) {
    let settings = format!("[model]\nhidden_size = 8\nlayers = 1\ndropout = 0\ntied = {tied}");
    let plan = rondo_train::Plan::new(&Settings::parse("test", &settings).unwrap()).unwrap();
    let mut model = RnnLm::new(plan.model.config(VOCAB), &Device::cpu(1).unwrap()).unwrap();
    let mut number = 0u32;
    for id in model.parameters().ids() {
        let len = model.parameters().values(id).len();
        let values: Vec<f32> = (0..len)
            .map(|_| {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (number >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect();
        model.parameters_mut().values_mut(id).write_from(&values).unwrap();
    }
    let options = OptimizerOptions::new(OptimizerPlan::Sgd { momentum: 0.0 });
    let optimizer = Optimizer::new(options, model.parameters());
    let sampler =
        Sampler::new(SampledSoftmax { draws: DRAWS, sampler: SamplerKind::LogUniform }, &[1; VOCAB]);
    let step = TrainingStep::new(&model, optimizer).with_sampler(Some(sampler));
    let tokens = Tokens {
        inputs: (0..ROWS as u32).map(|i| i % 5).collect(),
        targets: (0..ROWS as u32).map(|i| (i + 1) % 5).collect(),
        ..Tokens::default()
    };
    (model, step, tokens)
}

#[test]
fn an_average_whose_rows_catch_up_is_the_average_of_all_steps() {
    const STEPS: u64 = 40;
    for rule in [AveragingRule::Tail { fraction: 0.6 }, AveragingRule::Exponential { decay: 0.9 }] {
        for tied in [true, false] {
            let averages = [true, false].map(|catches_up| {
                let (mut model, mut step, tokens) = small(tied);
                let mut progress = AveragingProgress::default();
                let mut averaging = Averaging::new(rule, &mut progress, model.parameters());
                let mut part = Part::whole(model.zero_state(3));
                part.tokens = tokens;
                for number in 0..STEPS {
                    averaging.before_step(&mut progress, number as f64 / STEPS as f64, model.parameters());
                    let mode = Mode::Train { seed: 1, step: number };
                    let terms = StepTerms { mode, gradient_scale: 0.1, penalty: Default::default() };
                    let (_, clip) = step.gradients(&model, from_mut(&mut part), terms).unwrap().unwrap();
                    if catches_up {
                        averaging.before_update(&progress, step.gradients_mut(), model.parameters()).unwrap();
                    }
                    step.update(&mut model, clip, 0.5);
                    averaging.after_step(&mut progress, model.parameters());
                    if number == STEPS - 7 {
                        // An evaluation in between.
                        averaging.swap(&progress, model.parameters_mut()).unwrap();
                        averaging.swap(&progress, model.parameters_mut()).unwrap();
                    }
                }
                averaging.swap(&progress, model.parameters_mut()).unwrap();
                let parameters = model.parameters();
                let values = |id| parameters.values(id).read().unwrap().to_vec();
                parameters.ids().flat_map(values).collect::<Vec<f32>>()
            });
            let [found, expected] = averages;
            assert_ne!(found, expected, "nothing lagged behind");
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 2e-6, "{found}, expected {expected}");
            }
        }
    }
}

#[test]
fn a_text_is_learned_as_with_the_full_softmax() {
    let parent = tempfile::tempdir().unwrap();
    let losses = ["full", "sampled:5"].map(|softmax| {
        let plan = plan(&format!("[model]\nsoftmax = '{softmax}'\n[training]\nepochs = 20"));
        run(&plan, &parent.path().join(softmax)).unwrap().best_valid.unwrap()
    });
    // Evaluations are exact, so both are comparable. A uniform guess has a loss of 2.8.
    assert!(losses[0] < 0.1 && losses[1] < 0.3, "{losses:?}");
}
