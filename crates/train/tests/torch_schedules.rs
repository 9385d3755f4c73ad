//! Ten steps with each schedule agree with PyTorch: learning rates, weights, and both kinds of averages.
//!
//! `golden/README.md` says what the file holds and how it was made. Not here: the optimizers themselves
//! (`crates/kernels`), and schedules that act on the validation loss (`schedule`).

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use rondo_kernels::optimizer::{self, Sgd};
use rondo_kernels::{Buffer, Device};
use rondo_nn::Parameters;
use rondo_train::{Averaging, AveragingProgress, AveragingRule, Schedule, ScheduleRule};
use safetensors::SafeTensors;

const STEPS: usize = 10;
const WARMUP: f64 = 3.0;
const RATE: f64 = 0.5;
const MINIMUM: f64 = 0.05;
const MOMENTUM: f64 = 0.9;
const TAIL: f64 = 4.0;
const DECAY: f64 = 0.8;
/// How far weights may lie from PyTorch's, computed in `f64`: measured 3e-7.
const TOLERANCE: f64 = 1e-6;

struct Golden(Vec<u8>);

impl Golden {
    fn open() -> Golden {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/torch_schedules.safetensors");
        Golden(std::fs::read(path).unwrap())
    }

    fn bytes(&self, name: &str) -> &[u8] {
        SafeTensors::deserialize(&self.0).unwrap().tensor(name).unwrap().data()
    }

    /// The rows of a tensor of float32.
    fn rows(&self, name: &str) -> Vec<Vec<f32>> {
        let values =
            self.bytes(name).chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        values.collect::<Vec<_>>().chunks(5).map(<[f32]>::to_vec).collect()
    }

    /// A tensor of float64.
    fn rates(&self, name: &str) -> Vec<f64> {
        let values = self.bytes(name).chunks_exact(8);
        values.map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
    }
}

#[track_caller]
fn assert_close(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        let error = f64::from((found - expected).abs()) / (1.0 + f64::from(expected.abs()));
        assert!(error < TOLERANCE, "{name}: {found}, expected {expected}");
    }
}

/// Weights in training, and their average.
struct Averaged {
    averaging: Averaging,
    progress: AveragingProgress,
}

impl Averaged {
    fn new(rule: AveragingRule, weights: &Parameters) -> Averaged {
        let mut progress = AveragingProgress::default();
        Averaged { averaging: Averaging::new(rule, &mut progress, weights), progress }
    }

    fn values(&self) -> Vec<f32> {
        values(self.averaging.average().filter(|_| self.progress.has_average()).unwrap())
    }
}

fn values(parameters: &Parameters) -> Vec<f32> {
    parameters.values(parameters.ids().next().unwrap()).read().unwrap().into_owned()
}

fn check(name: &str, schedule: ScheduleRule, warmup: f64) {
    let golden = Golden::open();
    let tensor = |kind: &str| format!("{name}.{kind}");
    let device = Device::cpu(1).unwrap();
    let mut weights = Parameters::new(&device);
    let id = weights.add("weight", &[5]);
    weights.values_mut(id).write_from(&golden.rows("init")[0]).unwrap();
    let [mut gradient, mut velocity] = [(); 2].map(|()| Buffer::zeros(&device, 5));
    let mut schedule = Schedule::new(schedule, RATE).with_warmup(warmup as u64);
    let fraction = TAIL / STEPS as f64;
    let [mut tail, mut moving] =
        [AveragingRule::Tail { fraction }, AveragingRule::Exponential { decay: DECAY }]
            .map(|rule| Averaged::new(rule, &weights));
    let (rates, moving_averages) = (golden.rates(&tensor("rates")), golden.rows(&tensor("ema")));
    let (expected, gradients) = (golden.rows(&tensor("weights")), golden.rows("grads"));
    for step in 0..STEPS {
        let position = step as f64 / STEPS as f64;
        let rate = schedule.before_step(step as u64, position);
        assert!((rate - rates[step]).abs() < 1e-12, "{name}, step {step}: {rate}, expected {}", rates[step]);

        gradient.slice_mut().write_from(&gradients[step]).unwrap();
        for of in [&mut tail, &mut moving] {
            of.averaging.before_step(&mut of.progress, position, &weights);
        }
        let options = Sgd { learning_rate: rate, momentum: MOMENTUM, weight_decay: 0.0 };
        let (weight, velocity) = (weights.values_mut(id), Some(velocity.slice_mut()));
        optimizer::sgd(&device, &options, 1.0.into(), gradient.slice(), weight, velocity);
        for of in [&mut tail, &mut moving] {
            of.averaging.after_step(&mut of.progress, &weights);
        }

        assert_close(&tensor("weights"), &values(&weights), &expected[step]);
        // PyTorch's average starts from the first weights, whose share is dⁿ larger than without bias.
        let bias = DECAY.powi(step as i32 + 1) as f32;
        let with_bias = |(average, first): (f32, &f32)| (1.0 - bias) * average + bias * first;
        let found: Vec<f32> = moving.values().into_iter().zip(&expected[0]).map(with_bias).collect();
        assert_close(&tensor("ema"), &found, &moving_averages[step]);
        assert_eq!(tail.progress.has_average(), step >= STEPS - TAIL as usize, "{name}, step {step}");
    }
    assert_close(&tensor("tail"), &tail.values(), &golden.rows(&tensor("tail"))[0]);
}

const LINEAR: ScheduleRule = ScheduleRule::Linear { min_learning_rate: MINIMUM };
const COSINE: ScheduleRule = ScheduleRule::Cosine { min_learning_rate: MINIMUM };

#[test]
fn linear_decay() {
    check("linear", LINEAR, 0.0);
}

#[test]
fn cosine_decay() {
    check("cosine", COSINE, 0.0);
}

#[test]
fn warmup_then_a_constant_rate() {
    check("warmup_constant", ScheduleRule::Constant, WARMUP);
    // Without an evaluation, a plateau is constant too.
    let plateau = ScheduleRule::Plateau { decay_factor: 0.25, patience: 1, reload_best: false };
    check("warmup_constant", plateau, WARMUP);
}

#[test]
fn warmup_then_linear_decay() {
    check("warmup_linear", LINEAR, WARMUP);
}

#[test]
fn warmup_then_cosine_decay() {
    check("warmup_cosine", COSINE, WARMUP);
}

#[test]
fn the_file_is_made_with_these_numbers() {
    let golden = Golden::open();
    let (_, metadata) = SafeTensors::read_metadata(&golden.0).unwrap();
    for (key, expected) in [
        ("steps", STEPS as f64),
        ("warmup", WARMUP),
        ("learning_rate", RATE),
        ("min_learning_rate", MINIMUM),
        ("momentum", MOMENTUM),
        ("tail_steps", TAIL),
        ("ema_decay", DECAY),
    ] {
        let found = &metadata.metadata().as_ref().unwrap()[key];
        assert_eq!(found.parse(), Ok(expected), "{key}");
    }
}
