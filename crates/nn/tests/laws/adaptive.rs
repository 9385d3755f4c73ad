//! The adaptive softmax: its loss, its logits and its gradients are those of its definition, in any order of tokens.

use rondo_nn::{
    AdaptiveSoftmax, Cell, Gradients, Mode, Model, OperationObserver, Parameters, RnnLm, RnnLmConfig,
    Workspace,
};

use crate::check::{
    TRAIN, VOCAB, assert_close, config, dense, device, model, random_state, run, run_in, tokens,
};

const STEPS: usize = 6;
const BATCH: usize = 3;
const CUTOFFS: [usize; 2] = [4, 8];

/// An order in which no token keeps its place.
const ORDER: [u32; VOCAB] = [10, 3, 8, 6, 0, 9, 2, 5, 7, 4, 1];

fn adaptive(order: &[u32]) -> RnnLmConfig {
    let softmax = AdaptiveSoftmax::new(CUTOFFS.to_vec()).with_order(order.to_vec());
    RnnLmConfig { adaptive_softmax: Some(softmax), hidden_sizes: vec![7, 17], ..config(Cell::Lstm) }
}

fn models() -> [RnnLm; 2] {
    [&[][..], &ORDER].map(|order| model(adaptive(order)))
}

/// The logits of a batch, and the input of the decoder.
fn logits(model: &RnnLm, inputs: &[u32]) -> (Vec<f32>, Vec<f32>) {
    let mut workspace = Workspace::new(&device());
    let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
    let hidden = model.forward(&mut tape, inputs, &mut random_state(model, BATCH));
    let logits = model.logits(&mut tape, hidden);
    (tape.read(logits).unwrap().to_vec(), tape.read(hidden.dropped).unwrap().to_vec())
}

#[test]
fn logits_are_log_probabilities_and_the_loss_of_every_token_is_its_own() {
    for model in models() {
        let inputs = tokens(STEPS * BATCH, 1);
        let (logits, _) = logits(&model, &inputs);
        for row in logits.chunks_exact(VOCAB) {
            assert_close("sum", &[row.iter().map(|log_prob| log_prob.exp()).sum()], &[1.0]);
        }
        for token in 0..VOCAB as u32 {
            let targets = vec![token; STEPS * BATCH];
            let (nll, _) = run(&model, &inputs, &targets, &mut random_state(&model, BATCH));
            let want = logits.chunks_exact(VOCAB).map(|row| -row[token as usize]);
            assert_close("nll", &nll, &want.collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_gradients_of_the_loss_are_those_of_the_cross_entropy_of_the_logits() {
    for model in models() {
        let (inputs, targets) = (tokens(STEPS * BATCH, 1), tokens(STEPS * BATCH, 2));
        let (_, found) = run(&model, &inputs, &targets, &mut random_state(&model, BATCH));
        let (mut workspace, mut want) = (Workspace::new(&device()), Gradients::new(model.parameters()));
        let mut tape = workspace.tape(model.parameters(), TRAIN);
        let hidden = model.forward(&mut tape, &inputs, &mut random_state(&model, BATCH));
        let logits = model.logits(&mut tape, hidden);
        let loss = tape.cross_entropy(logits, &targets);
        tape.backward(loss, 1.0, &mut want).unwrap();
        for id in model.parameters().ids() {
            let [found, want] = [&found, &want].map(|gradients| dense(model.parameters(), gradients, id));
            assert_close(model.parameters().name(id), &found, &want);
            assert!(want.iter().any(|&value| value != 0.0), "{}", model.parameters().name(id));
        }
    }
}

/// The negative log-likelihood of the targets by plain loops, given the input of the decoder.
fn defined(values: &dyn Fn(&str) -> Vec<f64>, order: &[u32], hidden: &[f64], targets: &[u32]) -> f64 {
    let product = |weight: &[f64], x: &[f64]| -> Vec<f64> {
        weight.chunks_exact(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    };
    let nll = |logits: &[f64], target: usize| {
        logits.iter().map(|logit| logit.exp()).sum::<f64>().ln() - logits[target]
    };
    let head = values("decoder.head.weight");
    let width = hidden.len() / targets.len();
    let rows = hidden.chunks_exact(width).zip(targets);
    rows.map(|(x, target)| {
        let rank = order.iter().position(|id| id == target).unwrap();
        let Some(tail) = CUTOFFS.iter().rposition(|&cutoff| cutoff <= rank) else {
            return nll(&product(&head, x), rank);
        };
        let projected = product(&values(&format!("decoder.tails.{tail}.projection")), x);
        let words = product(&values(&format!("decoder.tails.{tail}.weight")), &projected);
        nll(&product(&head, x), CUTOFFS[0] + tail) + nll(&words, rank - CUTOFFS[tail])
    })
    .sum()
}

#[test]
fn loss_and_gradients_are_those_of_the_definition() {
    const STEP: f64 = 1e-5;
    let order: Vec<u32> = (0..VOCAB as u32).collect();
    for (model, order) in models().into_iter().zip([order, sorted_clusters(&ORDER)]) {
        let (inputs, targets) = (tokens(STEPS * BATCH, 1), tokens(STEPS * BATCH, 2));
        let (_, hidden) = logits(&model, &inputs);
        let hidden: Vec<f64> = hidden.iter().map(|&value| f64::from(value)).collect();
        let (nll, gradients) = run(&model, &inputs, &targets, &mut random_state(&model, BATCH));
        let stored = |name: &str| -> Vec<f64> { doubles(model.parameters(), name) };
        let want = defined(&stored, &order, &hidden, &targets);
        assert_close("loss", &[nll.iter().sum()], &[want as f32]);
        for id in model.parameters().ids() {
            let name = model.parameters().name(id);
            if !name.starts_with("decoder.") {
                continue;
            }
            let moved = |at: usize, by: f64| {
                let changed = |other: &str| {
                    let mut values = stored(other);
                    if other == name {
                        values[at] += by;
                    }
                    values
                };
                defined(&changed, &order, &hidden, &targets)
            };
            let slope = |at| ((moved(at, STEP) - moved(at, -STEP)) / (2.0 * STEP)) as f32;
            let want: Vec<f32> = (0..model.parameters().values(id).len()).map(slope).collect();
            assert_close(name, &dense(model.parameters(), &gradients, id), &want);
        }
    }
}

fn doubles(parameters: &Parameters, name: &str) -> Vec<f64> {
    let values = parameters.values(parameters.find(name).unwrap());
    values.read().unwrap().iter().map(|&value| f64::from(value)).collect()
}

/// The order in which a model keeps the tokens: by id within each cluster.
fn sorted_clusters(order: &[u32]) -> Vec<u32> {
    let softmax = AdaptiveSoftmax::new(CUTOFFS.to_vec()).with_order(order.to_vec());
    softmax.order().unwrap().to_vec()
}

#[test]
fn only_the_tails_of_the_targets_are_computed_and_get_a_gradient() {
    let [model, _] = models();
    let inputs = tokens(STEPS * BATCH, 1);
    for (targets, tails) in
        [([0, 1, 3], [false, false]), ([0, 4, 7], [true, false]), ([8, 9, 10], [false, true])]
    {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut workspace = Workspace::new(&device());
        let observer: OperationObserver = Box::new(move |operation, _| sender.send(operation).unwrap());
        workspace.observe(Some(observer));
        let mut state = random_state(&model, BATCH);
        let (_, gradients) =
            run_in(&mut workspace, TRAIN, &model, &inputs, &targets.repeat(STEPS), &mut state);
        workspace.observe(None);
        let decoders = receiver.iter().filter(|&operation| operation == "decoder").count();
        assert_eq!(decoders, 2 * (1 + tails.iter().filter(|&&used| used).count()));
        for (tail, used) in tails.into_iter().enumerate() {
            let id = model.parameters().find(&format!("decoder.tails.{tail}.weight")).unwrap();
            let gradient = dense(model.parameters(), &gradients, id);
            assert_eq!(gradient.iter().any(|&value| value != 0.0), used);
        }
    }
}

#[test]
fn a_model_with_another_order_of_tokens_is_the_same_model() {
    let ordered = model(adaptive(&[]));
    let mut other = model(adaptive(&ORDER));
    let order = sorted_clusters(&ORDER);
    // Token `order[r]` of the one model is token `r` of the other.
    let id = other.parameters().find("embedding.weight").unwrap();
    let table = ordered.parameters().values(id).read().unwrap().to_vec();
    let mut moved = table.clone();
    let width = table.len() / VOCAB;
    for (row, &id) in table.chunks_exact(width).zip(&order) {
        moved[id as usize * width..][..width].copy_from_slice(row);
    }
    other.parameters_mut().values_mut(id).write_from(&moved).unwrap();
    let (inputs, targets) = (tokens(STEPS * BATCH, 1), tokens(STEPS * BATCH, 2));
    let in_other = |ids: &[u32]| -> Vec<u32> { ids.iter().map(|&id| order[id as usize]).collect() };
    let (nll, _) = run(&ordered, &inputs, &targets, &mut random_state(&ordered, BATCH));
    let (found, _) = run(&other, &in_other(&inputs), &in_other(&targets), &mut random_state(&other, BATCH));
    assert_eq!(found, nll);
    let (want, _) = logits(&ordered, &inputs);
    let (found, _) = logits(&other, &in_other(&inputs));
    for (want, found) in want.chunks_exact(VOCAB).zip(found.chunks_exact(VOCAB)) {
        assert!((0..VOCAB).all(|rank| found[order[rank] as usize] == want[rank]));
    }
}

#[test]
fn a_loss_of_parts_is_differentiated_in_all_of_them_and_a_part_alone() {
    let model = model(config(Cell::Gru));
    let parameters = model.parameters();
    let (weight, bias) = (model.decoder().unwrap().weight, model.decoder().unwrap().bias);
    let inputs = tokens(BATCH, 1);
    // Row 2 counts twice: once with each target.
    let gradient = |targets: &[&[u32]], rows: &[u32], from_part: bool| {
        let (mut workspace, mut gradients) = (Workspace::new(&device()), Gradients::new(parameters));
        let mut tape = workspace.tape(parameters, TRAIN);
        let hidden = model.forward(&mut tape, &inputs, &mut random_state(&model, BATCH));
        let whole = tape.decoder(hidden.dropped, weight, bias, targets[0]);
        let alone = tape.read_nll(whole).unwrap().to_vec();
        let selected = tape.select_rows(hidden.dropped, rows);
        let part = tape.decoder(selected, weight, bias, targets[1]);
        tape.add_part(whole, part, rows);
        let mut want = alone;
        rows.iter()
            .zip(tape.read_nll(part).unwrap().iter())
            .for_each(|(&row, nll)| want[row as usize] += nll);
        assert_eq!(*tape.read_nll(whole).unwrap(), want);
        tape.backward(if from_part { part } else { whole }, 1.0, &mut gradients).unwrap();
        drop(tape);
        dense(parameters, &gradients, weight)
    };
    let both = gradient(&[&[1, 2, 3], &[5]], &[2], false);
    let part = gradient(&[&[1, 2, 3], &[5]], &[2], true);
    let (_, whole) = run(&model, &inputs, &[1, 2, 3], &mut random_state(&model, BATCH));
    let whole = dense(parameters, &whole, weight);
    let sum: Vec<f32> = whole.iter().zip(&part).map(|(whole, part)| whole + part).collect();
    assert_close("sum", &both, &sum);
}
