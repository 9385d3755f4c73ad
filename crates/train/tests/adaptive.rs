//! Training with an adaptive softmax.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use rondo_kernels::Device;
use rondo_nn::RnnLmConfig;
use rondo_train::{Plan, Trainer};
use tiny::{corpus, plan, run};

mod tiny;

#[test]
fn a_text_is_learned_as_with_the_full_softmax() {
    let parent = tempfile::tempdir().unwrap();
    let losses = ["full", "adaptive:4"].map(|softmax| {
        let plan = plan(&format!("[model]\nsoftmax = '{softmax}'\ntied = false\n[training]\nepochs = 20"));
        run(&plan, &parent.path().join(softmax)).unwrap().best_valid.unwrap()
    });
    // A uniform guess has a loss of 2.4.
    assert!(losses[0] < 0.1 && losses[1] < 0.2, "{losses:?}");
}

/// The configuration of a new model, and its plan.
fn config(settings: &str) -> (Plan, RnnLmConfig) {
    let plan = plan(&format!("[model]\nsoftmax = 'adaptive:5,8'\n{settings}"));
    let trainer = Trainer::new(plan.clone(), corpus(&plan, 200), &Device::cpu(1).unwrap()).unwrap();
    let config = serde_json::from_str(&trainer.model().description()).unwrap();
    (plan, config)
}

#[test]
fn frequent_tokens_are_in_the_head_whatever_their_ids() {
    // Special tokens first, then by frequency: as they are.
    let (plan, found) = config("");
    assert_eq!(found, plan.model.config(11));
    let (plan, found) = config("[text]\nvocab_order = 'first-appearance'");
    let vocab = corpus(&plan, 200).vocab().clone();
    let order = found.adaptive_softmax.as_ref().unwrap().order().unwrap();
    let mut head: Vec<&str> = order[..5].iter().map(|&id| vocab.token(id).unwrap()).collect();
    head.sort_unstable();
    assert_eq!(head, ["<eos>", "<unk>", "after", "comes", "tuesday"]);
}
