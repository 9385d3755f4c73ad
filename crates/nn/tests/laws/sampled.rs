//! A sampled softmax: the loss, its gradients, and the rows they are for.

use rondo_nn::{Candidates, Cell, Gradient, Gradients, Input, Mode, Model, RnnLm, RnnLmConfig, Workspace};

use crate::check::{TRAIN, VOCAB, assert_close, config, dense, device, gradient, model, run, tokens};

const BATCH: usize = 3;
const STEPS: usize = 4;
/// The rest of the vocabulary is not sampled.
const SAMPLED: [u32; 6] = [7, 2, 5, 2, 0, 7];

fn tied(is_tied: bool) -> RnnLm {
    let input = if is_tied { Input::Embedding(5) } else { Input::Embedding(6) };
    model(RnnLmConfig { input, tied: is_tied, ..config(Cell::Lstm) })
}

fn log_inclusion(id: u32) -> f32 {
    -0.3 * id as f32
}

/// The losses of a batch over candidates, the output of the last layer, and the gradients.
fn run_sampled(model: &RnnLm, candidates: &Candidates, mode: Mode) -> (Vec<f32>, Vec<f32>, Gradients) {
    let (inputs, mut workspace) = (tokens(STEPS * BATCH, 1), Workspace::new(&device()));
    let mut gradients = Gradients::new(model.parameters());
    let mut tape = workspace.tape(model.parameters(), mode);
    let hidden = model.forward(&mut tape, &inputs, &mut model.zero_state(BATCH));
    let loss = tape.sampled_decoder(hidden.dropped, model.decoder().unwrap(), candidates);
    let nll = tape.read_nll(loss).unwrap().to_vec();
    let h = tape.read(hidden.dropped).unwrap().to_vec();
    if mode != Mode::Evaluate {
        tape.backward(loss, 1.0, &mut gradients).unwrap();
    }
    (nll, h, gradients)
}

fn candidates(targets: &[u32]) -> Candidates {
    let mut candidates = Candidates::default();
    candidates.fill(&SAMPLED, targets, log_inclusion);
    candidates
}

#[test]
fn with_all_tokens_it_is_the_softmax() {
    let targets = tokens(STEPS * BATCH, 2);
    for is_tied in [false, true] {
        let model = tied(is_tied);
        let mut all = Candidates::default();
        all.fill(&(0..VOCAB as u32).collect::<Vec<_>>(), &targets, |_| 0.0);
        let (nll, _, gradients) = run_sampled(&model, &all, TRAIN);
        let (inputs, mut state) = (tokens(STEPS * BATCH, 1), model.zero_state(BATCH));
        let (want, want_gradients) = run(&model, &inputs, &targets, &mut state);
        assert_close("nll", &nll, &want);
        let parameters = model.parameters();
        for id in parameters.ids() {
            let [got, want] = [&gradients, &want_gradients].map(|all| dense(parameters, all, id));
            assert_close(parameters.name(id), &got, &want);
        }
    }
}

/// `Σ_r nll(r)` and the gradients of `W` and `b`, by plain loops over the definition.
fn reference(h: &[f32], weight: &[f32], bias: &[f32], targets: &[u32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let width = h.len() / targets.len();
    let (mut nll, mut d_weight, mut d_bias) = (vec![], vec![0.0; weight.len()], vec![0.0; bias.len()]);
    for (h, &target) in h.chunks(width).zip(targets) {
        let mut of_row = SAMPLED.to_vec();
        of_row.push(target);
        of_row.sort_unstable();
        of_row.dedup();
        let logit = |&id: &u32| {
            let row = &weight[id as usize * width..][..width];
            let product: f64 = h.iter().zip(row).map(|(h, w)| f64::from(*h) * f64::from(*w)).sum();
            product + f64::from(bias[id as usize]) - f64::from(log_inclusion(id))
        };
        let log_sum = of_row.iter().map(|id| logit(id).exp()).sum::<f64>().ln();
        nll.push((log_sum - logit(&target)) as f32);
        for id in of_row {
            let d = (logit(&id) - log_sum).exp() - f64::from(u8::from(id == target));
            d_bias[id as usize] += d as f32;
            for (j, h) in h.iter().enumerate() {
                d_weight[id as usize * width + j] += (d * f64::from(*h)) as f32;
            }
        }
    }
    (nll, d_weight, d_bias)
}

#[test]
fn candidates_are_the_sampled_tokens_and_the_target() {
    let (targets, model) = (tokens(STEPS * BATCH, 2), tied(false));
    let (nll, h, gradients) = run_sampled(&model, &candidates(&targets), TRAIN);
    let read = |name| {
        let parameters = model.parameters();
        parameters.values(parameters.find(name).unwrap()).read().unwrap().to_vec()
    };
    let (want, d_weight, d_bias) = reference(&h, &read("decoder.weight"), &read("decoder.bias"), &targets);
    assert_close("nll", &nll, &want);
    assert_close("weight", &gradient(&model, &gradients, "decoder.weight"), &d_weight);
    assert_close("bias", &gradient(&model, &gradients, "decoder.bias"), &d_bias);
    let (evaluated, _, _) = run_sampled(&model, &candidates(&targets), Mode::Evaluate);
    assert_close("evaluated", &evaluated, &want);
}

#[test]
fn the_gradient_of_a_tied_matrix_is_the_sum_of_both() {
    let (targets, inputs) = (tokens(STEPS * BATCH, 2), tokens(STEPS * BATCH, 1));
    let (tied, mut untied) =
        (tied(true), model(RnnLmConfig { input: Input::Embedding(5), ..config(Cell::Lstm) }));
    let of_tied = |name: &str| {
        let parameters = tied.parameters();
        let name = if name == "decoder.weight" { "embedding.weight" } else { name };
        parameters.values(parameters.find(name).unwrap()).read().unwrap().to_vec()
    };
    for id in untied.parameters().ids() {
        let values = of_tied(untied.parameters().name(id));
        untied.parameters_mut().values_mut(id).write_from(&values).unwrap();
    }
    let [of_tied, of_untied] =
        [&tied, &untied].map(|model| run_sampled(model, &candidates(&targets), TRAIN).2);
    let both = ["embedding.weight", "decoder.weight"].map(|name| gradient(&untied, &of_untied, name));
    let sum: Vec<f32> = both[0].iter().zip(&both[1]).map(|(a, b)| a + b).collect();
    assert_close("sum", &gradient(&tied, &of_tied, "embedding.weight"), &sum);

    let embedding = tied.parameters().find("embedding.weight").unwrap();
    let Gradient::Rows { rows, .. } = of_tied.get(embedding) else { panic!("not sparse") };
    let mut touched: Vec<u32> = SAMPLED.iter().chain(&targets).chain(&inputs).copied().collect();
    touched.sort_unstable();
    touched.dedup();
    assert_eq!(*rows.read().unwrap(), touched);
}

#[test]
fn memory_is_reused_while_the_number_of_candidates_changes() {
    let model = tied(true);
    let (inputs, mut workspace) = (tokens(STEPS * BATCH, 1), Workspace::new(&device()));
    let mut gradients = Gradients::new(model.parameters());
    let mut kept: Vec<Vec<f32>> = vec![];
    for repetition in 0..2 {
        for seed in 3..6 {
            let mut candidates = Candidates::default();
            let sampled = tokens(SAMPLED.len(), 10 + seed);
            candidates.fill(&sampled, &tokens(STEPS * BATCH, seed), log_inclusion);
            gradients.clear();
            let mut tape = workspace.tape(model.parameters(), TRAIN);
            let hidden = model.forward(&mut tape, &inputs, &mut model.zero_state(BATCH));
            let loss = tape.sampled_decoder(hidden.dropped, model.decoder().unwrap(), &candidates);
            tape.backward(loss, 1.0, &mut gradients).unwrap();
            drop(tape);
            let all: Vec<f32> =
                model.parameters().ids().flat_map(|id| dense(model.parameters(), &gradients, id)).collect();
            // The memory of other batches leaves no trace.
            match repetition {
                0 => kept.push(all),
                _ => assert_eq!(kept[seed as usize - 3], all),
            }
        }
    }
}
