//! Training and evaluation, dropout, and what a workspace keeps from one tape to the next.

use rondo_kernels::Device;
use rondo_nn::{
    Cell, Dropout, DropoutSite, Gradient, Gradients, Input, Mode, Model, RnnLm, RnnLmConfig, Workspace,
};

use crate::check::{TRAIN, assert_close, config, configs, dense, device, model, run, run_in, tokens};

const STEPS: usize = 5;
const BATCH: usize = 4;

#[test]
fn evaluation_equals_training_without_dropout() {
    for config in configs() {
        let cell = config.cell;
        let dropping = model(RnnLmConfig { dropout: everywhere(0.5), ..config.clone() });
        let plain = model(config);
        let evaluated = nll(&dropping, Mode::Evaluate);
        assert_eq!(evaluated, nll(&plain, Mode::Evaluate), "{cell}");
        // In training the decoder keeps what backward will need, and sums in another order.
        assert_close(cell.name(), &evaluated, &nll(&plain, TRAIN));
    }
}

#[test]
fn adapting_is_training_without_dropout() {
    for config in configs() {
        let cell = config.cell;
        let dropping = model(RnnLmConfig { dropout: everywhere(0.5), ..config.clone() });
        let plain = model(config);
        let (inputs, targets) = batch();
        let run = |mode, model: &RnnLm| {
            let mut workspace = Workspace::new(&device());
            run_in(&mut workspace, mode, model, &inputs, &targets, &mut model.zero_state(BATCH))
        };
        let (adapted, trained) = (run(Mode::Dynamic, &dropping), run(TRAIN, &plain));
        assert_eq!(adapted.0, trained.0, "{cell}");
        for id in plain.parameters().ids() {
            let gradients = [&adapted.1, &trained.1].map(|all| dense(plain.parameters(), all, id));
            assert_eq!(gradients[0], gradients[1], "{cell}, {}", plain.parameters().name(id));
            assert!(gradients[0].iter().any(|&value| value != 0.0));
        }
    }
}

#[test]
fn logits_give_the_losses_that_the_fused_decoder_gives() {
    for config in configs() {
        let (cell, model) = (config.cell, model(config));
        let (inputs, targets) = batch();
        let mut workspace = Workspace::new(&device());
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        let hidden = model.forward(&mut tape, &inputs, &mut model.zero_state(BATCH));
        let logits = model.logits(&mut tape, hidden);
        let (from_logits, fused) =
            (tape.cross_entropy(logits, &targets), model.loss(&mut tape, hidden, &targets));
        let [from_logits, fused] = [from_logits, fused].map(|loss| tape.read_nll(loss).unwrap());
        assert_close(cell.name(), &from_logits, &fused);
    }
}

#[test]
#[should_panic(expected = "backward on a tape that does not record")]
fn evaluation_records_nothing() {
    let model = model(config(Cell::Lstm));
    let mut workspace = Workspace::new(&device());
    let mut gradients = Gradients::new(model.parameters());
    let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
    let hidden = model.forward(&mut tape, &tokens(BATCH, 1), &mut model.zero_state(BATCH));
    let loss = model.loss(&mut tape, hidden, &tokens(BATCH, 2));
    tape.backward(loss, 1.0, &mut gradients).unwrap();
}

#[test]
#[should_panic(expected = "backward on a tape whose backward pass has already been run")]
fn a_tape_runs_back_once() {
    let model = model(config(Cell::Lstm));
    let mut workspace = Workspace::new(&device());
    let mut gradients = Gradients::new(model.parameters());
    let mut tape = workspace.tape(model.parameters(), TRAIN);
    let hidden = model.forward(&mut tape, &tokens(BATCH, 1), &mut model.zero_state(BATCH));
    let loss = model.loss(&mut tape, hidden, &tokens(BATCH, 2));
    tape.backward(loss, 1.0, &mut gradients).unwrap();
    tape.backward(loss, 1.0, &mut gradients).unwrap();
}

#[test]
fn dropout_of_probability_0_is_the_identity() {
    let mut workspace = Workspace::new(&device());
    let model = model(config(Cell::Lstm));
    let mut tape = workspace.tape(model.parameters(), TRAIN);
    let x = tape.parameter(model.parameters().find("embedding.weight").unwrap());
    assert_eq!(tape.dropout(x, DropoutSite { probability: 0.0, locked: true }), x);
}

#[test]
fn every_dropout_acts_and_seed_and_step_decide() {
    let off = Dropout::default();
    let on = DropoutSite { probability: 0.5, locked: false };
    let locked = DropoutSite { probability: 0.5, locked: true };
    let sites = [
        Dropout { input: on, ..off },
        Dropout { between: on, ..off },
        Dropout { output: on, ..off },
        Dropout { input: locked, ..off },
        Dropout { between: locked, ..off },
        Dropout { output: locked, ..off },
        Dropout { words: 0.5, ..off },
        Dropout { weights: 0.5, ..off },
        everywhere(0.5),
    ];
    let mut seen = vec![nll(&model(config(Cell::Gru)), TRAIN)];
    for dropout in sites {
        let model = model(RnnLmConfig { dropout, ..config(Cell::Gru) });
        let here = nll(&model, Mode::Train { seed: 1, step: 0 });
        assert_eq!(here, nll(&model, Mode::Train { seed: 1, step: 0 }));
        assert_ne!(here, nll(&model, Mode::Train { seed: 1, step: 1 }));
        assert_ne!(here, nll(&model, Mode::Train { seed: 2, step: 0 }));
        assert!(!seen.contains(&here), "{dropout:?} does what another did");
        seen.push(here);
    }
}

/// A unit that a locked mask drops at one step is dropped at all.
#[test]
fn a_locked_mask_serves_all_steps() {
    let model = model(config(Cell::Lstm));
    let mut workspace = Workspace::new(&device());
    for locked in [false, true] {
        let mut tape = workspace.tape(model.parameters(), TRAIN);
        let table = model.parameters().find("embedding.weight").unwrap();
        let x = tape.embedding(table, &[3; STEPS * BATCH], STEPS, BATCH);
        let y = tape.dropout(x, DropoutSite { probability: 0.5, locked });
        let dropped: Vec<bool> = tape.read(y).unwrap().iter().map(|&value| value == 0.0).collect();
        assert!(dropped.contains(&true) && dropped.contains(&false));
        let mut steps = dropped.chunks_exact(dropped.len() / STEPS);
        let first = steps.next().unwrap();
        assert_eq!(steps.all(|step| step == first), locked);
    }
}

/// Weights are laid out anew when they change, and those of one model are never taken for another's.
#[test]
fn a_workspace_serves_any_model_at_any_time() {
    let mut workspace = Workspace::new(&device());
    let mut models: Vec<RnnLm> = configs().into_iter().map(model).collect();
    models.push(model(RnnLmConfig { hidden_sizes: vec![5, 7], ..config(Cell::Gru) }));
    // Its weights are other ones in each step, and the raw ones in evaluation.
    models.push(model(RnnLmConfig { dropout: everywhere(0.5), ..config(Cell::Lstm) }));
    for _ in 0..3 {
        for model in &mut models {
            for mode in [Mode::Evaluate, TRAIN, Mode::Train { seed: 0, step: 1 }, Mode::Evaluate] {
                let (inputs, targets) = batch();
                let shared =
                    run_in(&mut workspace, mode, model, &inputs, &targets, &mut model.zero_state(BATCH));
                let mut own = Workspace::new(&device());
                let fresh = run_in(&mut own, mode, model, &inputs, &targets, &mut model.zero_state(BATCH));
                assert_eq!(shared.0, fresh.0);
                for id in model.parameters().ids() {
                    let [shared, fresh] =
                        [&shared.1, &fresh.1].map(|gradients| dense(model.parameters(), gradients, id));
                    assert_eq!(shared, fresh, "{}", model.parameters().name(id));
                }
            }
            for id in model.parameters().ids() {
                let values = model.parameters().values(id).read().unwrap();
                let smaller: Vec<f32> = values.iter().map(|value| value * 0.9).collect();
                model.parameters_mut().values_mut(id).write_from(&smaller).unwrap();
            }
        }
    }
}

/// The product alone, with the rows of a tied table, and with another batch on top of it.
#[test]
fn a_gradient_kept_as_a_product_multiplied_out_is_the_gradient() {
    for (tied, batches) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
        let square = RnnLmConfig { input: Input::Embedding(5), tied, ..config(Cell::Lstm) };
        let model = model(square);
        let parameters = model.parameters();
        let (inputs, targets) = (tokens(3 * BATCH, 1), tokens(3 * BATCH, 2)); // few rows
        let mut workspace = Workspace::new(&device());
        let [plain, products] = [Gradients::new, Gradients::with_products].map(|make| {
            let mut gradients = make(parameters);
            for scale in [1.0, 0.5].into_iter().take(batches) {
                let mut tape = workspace.tape(parameters, TRAIN);
                let hidden = model.forward(&mut tape, &inputs, &mut model.zero_state(BATCH));
                let loss = model.loss(&mut tape, hidden, &targets);
                tape.backward(loss, scale, &mut gradients).unwrap();
            }
            gradients
        });
        let decoder = model.decoder().unwrap().weight;
        assert!(plain.product(decoder).is_none());
        if device().require_cpu("products").is_ok() {
            assert_eq!(products.product(decoder).is_some(), batches == 1, "a second batch multiplies it out");
        }
        let mut multiplied = products;
        for id in parameters.ids() {
            multiplied.densify(parameters, id);
            let name = format!("{}, tied {tied}, {batches} batches", parameters.name(id));
            assert_close(&name, &dense(parameters, &multiplied, id), &dense(parameters, &plain, id));
        }
        multiplied.clear();
        assert!(parameters.ids().all(|id| multiplied.product(id).is_none()));
    }
}

#[test]
fn gradients_accumulate_until_they_are_cleared() {
    let model = model(config(Cell::Lstm));
    let (inputs, targets) = batch();
    let mut workspace = Workspace::new(&device());
    let mut gradients = Gradients::new(model.parameters());
    let mut add = |gradients: &mut Gradients, scale: f32| {
        let mut tape = workspace.tape(model.parameters(), TRAIN);
        let hidden = model.forward(&mut tape, &inputs, &mut model.zero_state(BATCH));
        let loss = model.loss(&mut tape, hidden, &targets);
        tape.backward(loss, scale, gradients).unwrap();
    };
    add(&mut gradients, 0.25);
    add(&mut gradients, 0.5);
    let (_, whole) = run(&model, &inputs, &targets, &mut model.zero_state(BATCH));
    for id in model.parameters().ids() {
        let expected: Vec<f32> =
            dense(model.parameters(), &whole, id).iter().map(|gradient| 0.75 * gradient).collect();
        assert_close(model.parameters().name(id), &dense(model.parameters(), &gradients, id), &expected);
    }
    gradients.clear();
    for id in model.parameters().ids() {
        assert!(matches!(gradients.get(id), Gradient::Zero));
    }
    add(&mut gradients, 1.0);
    for id in model.parameters().ids() {
        assert_eq!(dense(model.parameters(), &gradients, id), dense(model.parameters(), &whole, id));
    }
}

/// The same for the same number of threads, whichever of them come first; nearly the same for another number.
#[test]
fn threads_change_no_more_than_rounding() {
    for config in configs() {
        let cell = config.cell;
        let config = RnnLmConfig { dropout: everywhere(0.3), ..config };
        let on = |threads: usize| {
            let device = Device::cpu(threads).unwrap();
            let mut model = RnnLm::new(config.clone(), &device).unwrap();
            let from = crate::check::model(config.clone());
            for id in from.parameters().ids() {
                let values = from.parameters().values(id).read().unwrap();
                model.parameters_mut().values_mut(id).write_from(&values).unwrap();
            }
            let (inputs, targets) = batch();
            let mut workspace = Workspace::new(&device);
            let mut state = model.zero_state(BATCH);
            let (nll, gradients) = run_in(&mut workspace, TRAIN, &model, &inputs, &targets, &mut state);
            let parameters = model.parameters();
            [nll]
                .into_iter()
                .chain(parameters.ids().map(|id| dense(parameters, &gradients, id)))
                .collect::<Vec<_>>()
        };
        let one = on(1);
        for threads in [2, 3, 5] {
            let several = on(threads);
            assert_eq!(several, on(threads));
            assert_close(cell.name(), &several.concat(), &one.concat());
        }
    }
}

fn everywhere(probability: f32) -> Dropout {
    let site = DropoutSite { probability, locked: false };
    Dropout { input: site, between: site, output: site, words: probability, weights: probability }
}

fn batch() -> (Vec<u32>, Vec<u32>) {
    (tokens(STEPS * BATCH, 1), tokens(STEPS * BATCH, 2))
}

fn nll(model: &RnnLm, mode: Mode) -> Vec<f32> {
    let (inputs, targets) = batch();
    let mut workspace = Workspace::new(&device());
    run_in(&mut workspace, mode, model, &inputs, &targets, &mut model.zero_state(BATCH)).0
}
