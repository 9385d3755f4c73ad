//! A model of one's own is trained, stopped and resumed like the toolkit's.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo::infer::evaluate;
use rondo::kernels::Device;
use rondo::nn::{ModelFile, Workspace};
use rondo::runs::RunFolder;
use rondo::train::{Checkpoint, Plan, TrainError, Trainer};

use from_scratch::Network;
use tiny::{StopAfter, corpus, plan, without_times};

#[path = "../examples/from_scratch.rs"]
#[allow(dead_code, unreachable_pub)] // Its `main`, and what only that uses.
mod from_scratch;
#[path = "../../train/tests/tiny/mod.rs"]
mod tiny;

fn network(plan: &Plan, hidden_size: usize) -> Network {
    let (device, mut rng) = (Device::cpu(2).unwrap(), ChaCha8Rng::seed_from_u64(1));
    Network::new(corpus(plan, 200).vocab().len(), hidden_size, &device, &mut rng).unwrap()
}

fn folder(plan: &Plan, path: &Path) -> RunFolder {
    RunFolder::create(path, &plan.to_toml().unwrap()).unwrap()
}

#[test]
fn it_learns_and_its_best_model_is_the_one_in_the_file() {
    let parent = tempfile::tempdir().unwrap();
    let plan = plan("[training]\nepochs = 14\n[optimization]\nlearning_rate = 0.03");
    let texts = corpus(&plan, 200);
    let mut trainer = Trainer::with_model(plan.clone(), texts.clone(), network(&plan, 12)).unwrap();
    assert!(trainer.best_model().unwrap().is_none());
    let run = folder(&plan, &parent.path().join("run"));
    let outcome = trainer.run(&run, &mut ()).unwrap();
    assert!(outcome.best_test.unwrap().exp() < 1.5, "{:?}", outcome.best_test);

    let best = trainer.best_model().unwrap().unwrap();
    let mut file = network(&plan, 12);
    ModelFile::read_into(&mut file, &run.best_model()).unwrap();
    let valid = texts.valid.as_ref().unwrap();
    for model in [best.model(), &file] {
        let mut workspace = Workspace::new(model.parameters().device());
        let evaluation = evaluate(model, &mut workspace, valid, 4, 7).unwrap();
        assert_eq!(Some(evaluation.nll_mean()), outcome.best_valid);
    }
}

#[test]
fn it_resumes_to_the_numbers_of_an_uninterrupted_run() {
    let parent = tempfile::tempdir().unwrap();
    let plan = plan("[optimization]\nreload_best = true");
    let texts = corpus(&plan, 200);
    let whole = folder(&plan, &parent.path().join("whole"));
    let mut trainer = Trainer::with_model(plan.clone(), texts.clone(), network(&plan, 12)).unwrap();
    trainer.run(&whole, &mut ()).unwrap();

    let stopped = folder(&plan, &parent.path().join("stopped"));
    let mut trainer = Trainer::with_model(plan.clone(), texts.clone(), network(&plan, 12)).unwrap();
    assert!(trainer.run(&stopped, &mut StopAfter(45)).unwrap().interrupted);

    let latest = || Checkpoint::latest(&stopped).unwrap().unwrap().0;
    assert!(latest().config().is_none());
    let resuming = |model| Trainer::resuming_with_model(plan.clone(), texts.clone(), model, latest(), vec![]);
    let error = resuming(network(&plan, 13)).unwrap_err();
    assert!(matches!(error, TrainError::NoCheckpoint { .. }), "{error}");
    let device = Device::cpu(2).unwrap();
    let error = Trainer::resuming(plan.clone(), texts.clone(), &device, latest(), vec![]).unwrap_err();
    assert!(matches!(error, TrainError::NoCheckpoint { .. }), "{error}");

    resuming(network(&plan, 12)).unwrap().run(&stopped, &mut ()).unwrap();
    assert_eq!(without_times(&stopped.metrics()), without_times(&whole.metrics()));
    assert!(std::fs::read(stopped.last_model()).unwrap() == std::fs::read(whole.last_model()).unwrap());
}
