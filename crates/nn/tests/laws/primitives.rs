//! The gradient of every operation on the tape, against differences of the loss.

use rondo_nn::{
    Cell, DropoutSite, Gradients, Layer, Loss, Mode, MogrifierLayer, ParameterId, Parameters, Penalty,
    Projection, Shape, State, Tape, Value, Workspace,
};

use crate::check::{dense, device, random, tokens};

#[test]
fn products_and_sums() {
    check("product", &[&[3, 4], &[4, 5]], |tape, [a, b]| tape.product(a, b));
    check("product with itself", &[&[4, 4]], |tape, [a]| tape.product(a, a));
    check("add", &[&[3, 4], &[3, 4]], |tape, [a, b]| tape.add(a, b));
    check("add to itself", &[&[3, 4]], |tape, [a]| tape.add(a, a));
    check("multiply", &[&[3, 4], &[3, 4]], |tape, [a, b]| tape.multiply(a, b));
    check("multiply with itself", &[&[3, 4]], |tape, [a]| tape.multiply(a, a));
    check("scale", &[&[3, 4]], |tape, [a]| tape.scale(a, -1.5));
    check("add_row", &[&[3, 4], &[4]], |tape, [a, row]| tape.add_row(a, row));
}

#[test]
fn functions() {
    check("tanh", &[&[3, 4]], |tape, [a]| tape.tanh(a));
    check("sigmoid", &[&[3, 4]], |tape, [a]| tape.sigmoid(a));
    check("relu", &[&[3, 4]], |tape, [a]| tape.relu(a));
    for temperature in [0.5, 1.0, 3.0] {
        check("softmax", &[&[3, 4]], |tape, [a]| tape.softmax(a, temperature));
    }
}

#[test]
fn slices_and_joins() {
    check("slice_rows", &[&[5, 4]], |tape, [a]| tape.slice_rows(a, 1..3));
    check("select_rows", &[&[5, 4]], |tape, [a]| tape.select_rows(a, &[3, 1, 3, 0]));
    check("slice_columns", &[&[3, 6]], |tape, [a]| tape.slice_columns(a, 2..5));
    check("slices that overlap", &[&[3, 6]], |tape, [a]| {
        let (left, right) = (tape.slice_columns(a, 0..4), tape.slice_columns(a, 2..6));
        tape.multiply(left, right)
    });
    check("concat_rows", &[&[2, 4], &[1, 4]], |tape, [a, b]| tape.concat_rows(&[a, b]));
    check("concat_columns", &[&[3, 2], &[3, 1]], |tape, [a, b]| tape.concat_columns(&[a, b]));
    check("a part joined twice", &[&[3, 2], &[3, 1]], |tape, [a, b]| tape.concat_columns(&[a, b, a]));
    for constant_first in [false, true] {
        check("a part without gradient", &[&[2, 4]], |tape, [a]| {
            let constant = tape.constant(Shape::matrix(1, 4), &random(4, 5));
            tape.concat_rows(&if constant_first { [constant, a] } else { [a, constant] })
        });
    }
}

#[test]
fn constants_and_ids() {
    check("a product with a constant", &[&[4, 5]], |tape, [b]| {
        let a = tape.constant(Shape::matrix(3, 4), &random(12, 6));
        tape.product(a, b)
    });
    check("one_hot", &[&[11, 4]], |tape, [table]| {
        let rows = tape.one_hot(&tokens(6, 3), 11);
        tape.product(rows, table)
    });
}

#[test]
fn fused_operations() {
    check_ids("embedding", &[&[11, 4]], |tape, [table]| tape.embedding(table, &tokens(6, 3), 2, 3));
    check_ids("embedding with words dropped", &[&[11, 4]], |tape, [table]| {
        tape.embedding_with_dropout(table, &tokens(6, 3), 2, 3, 0.4)
    });
    check_ids("linear", &[&[5, 4], &[5], &[3, 4]], |tape, [weight, bias, x]| {
        let x = tape.parameter(x);
        tape.linear(x, weight, Some(bias))
    });
    check_ids("linear of a constant", &[&[5, 4]], |tape, [weight]| {
        let x = tape.constant(Shape::matrix(3, 4), &random(12, 6));
        tape.linear(x, weight, None)
    });
    for locked in [false, true] {
        check_ids("dropout", &[&[11, 4]], |tape, [table]| {
            let x = tape.embedding(table, &tokens(6, 3), 2, 3);
            tape.dropout(x, DropoutSite { probability: 0.3, locked })
        });
    }
}

#[test]
fn recurrent_layers() {
    // With rectifiers the loss has corners, where differences say nothing; `cells` compares those layers too.
    let smooth = [Cell::RnnTanh, Cell::Lstm, Cell::Cifg, Cell::Gru];
    for (cell, weight_dropout) in smooth.into_iter().flat_map(|cell| [(cell, 0.0), (cell, 0.4)]) {
        let gates = cell.gates() * 3;
        let shapes: [&[usize]; 5] = [&[11, 4], &[gates, 4], &[gates, 3], &[gates], &[gates]];
        check_ids(cell.name(), &shapes, |tape, [table, weight_ih, weight_hh, bias_ih, bias_hh]| {
            let layer = Layer { weight_dropout, ..Layer::new(cell, 3, weight_hh, bias_ih, Some(bias_hh)) };
            let x = tape.embedding(table, &tokens(6, 3), 3, 2);
            let projection = Projection::Dense { x, weight_ih };
            tape.recurrent_layer(layer, projection, 3, 2, layer_state(cell, 2, 3).parts_mut())
        });
        let shapes: [&[usize]; 3] = [&[11, gates], &[gates, 3], &[gates]];
        check_ids(cell.name(), &shapes, |tape, [table, weight_hh, bias_ih]| {
            let layer = Layer { weight_dropout, ..Layer::new(cell, 3, weight_hh, bias_ih, None) };
            let projection = Projection::LookUp { ids: &tokens(6, 3), table };
            tape.recurrent_layer(layer, projection, 3, 2, layer_state(cell, 2, 3).parts_mut())
        });
    }
}

#[test]
fn projected_layers() {
    for cell in [Cell::Lstm, Cell::Cifg] {
        let gates = cell.gates() * 3;
        let shapes: [&[usize]; 5] = [&[11, 4], &[gates, 4], &[gates, 2], &[gates], &[2, 3]];
        check_ids(cell.name(), &shapes, |tape, [table, weight_ih, weight_hh, bias_ih, weight_hr]| {
            let layer =
                Layer { projection: Some(weight_hr), ..Layer::new(cell, 3, weight_hh, bias_ih, None) };
            let x = tape.embedding(table, &tokens(6, 3), 3, 2);
            let projection = Projection::Dense { x, weight_ih };
            let mut state = State::zeros(&device(), 2, [("hidden", 2), ("cell", 3)]);
            tape.recurrent_layer(layer, projection, 3, 2, state.parts_mut())
        });
    }
}

#[test]
fn mogrifiers() {
    let layer = |tape: &mut Tape<'_>, [table, weight_ih, weight_hh, bias_ih]: [ParameterId; 4], mogrifier| {
        let mogrifier = Some(mogrifier);
        let layer = Layer { mogrifier, ..Layer::new(Cell::Mogrifier, 3, weight_hh, bias_ih, None) };
        let x = tape.embedding(table, &tokens(6, 3), 3, 2);
        let projection = Projection::Dense { x, weight_ih };
        let state = &mut layer_state(Cell::Mogrifier, 2, 3);
        tape.recurrent_layer(layer, projection, 3, 2, state.parts_mut())
    };
    let shapes: [&[usize]; 6] = [&[11, 4], &[12, 4], &[12, 3], &[12], &[8, 3], &[3, 4]];
    check_ids("three rounds", &shapes, |tape, [table, weight_ih, weight_hh, bias_ih, x, h]| {
        let weights = [Some(x), None, Some(h), None];
        let rounds = MogrifierLayer { rounds: 3, rank: None, weights };
        layer(tape, [table, weight_ih, weight_hh, bias_ih], rounds)
    });
    let shapes: [&[usize]; 8] = [&[11, 4], &[12, 4], &[12, 3], &[12], &[2, 3], &[4, 2], &[2, 4], &[3, 2]];
    check_ids("two of rank 2", &shapes, |tape, ids: [ParameterId; 8]| {
        let [table, weight_ih, weight_hh, bias_ih, weights @ ..] = ids;
        let rounds = MogrifierLayer { rounds: 2, rank: Some(2), weights: weights.map(Some) };
        layer(tape, [table, weight_ih, weight_hh, bias_ih], rounds)
    });
    // The input is used once more, so its gradient is a sum.
    let shapes: [&[usize]; 5] = [&[11, 4], &[16, 4], &[16, 4], &[16], &[4, 4]];
    check_ids("a used input", &shapes, |tape, [table, weight_ih, weight_hh, bias_ih, x]| {
        let mogrifier = Some(MogrifierLayer { rounds: 1, rank: None, weights: [Some(x), None, None, None] });
        let layer = Layer { mogrifier, ..Layer::new(Cell::Mogrifier, 4, weight_hh, bias_ih, None) };
        let x = tape.embedding(table, &tokens(6, 3), 3, 2);
        let projection = Projection::Dense { x, weight_ih };
        let state = &mut layer_state(Cell::Mogrifier, 2, 4);
        let out = tape.recurrent_layer(layer, projection, 3, 2, state.parts_mut());
        tape.add(out, x)
    });
}

#[test]
fn decoders() {
    let shapes: [&[usize]; 3] = [&[6, 4], &[5, 4], &[5]];
    check_loss("decoder", &shapes, |tape, [hidden, weight, bias]| {
        let hidden = tape.parameter(hidden);
        tape.decoder(hidden, weight, Some(bias), &[0, 4, 2, 2, 1, 3])
    });
    check_loss("decoder without bias", &shapes[..2], |tape, [hidden, weight]| {
        let hidden = tape.parameter(hidden);
        tape.decoder(hidden, weight, None, &[0, 4, 2, 2, 1, 3])
    });
    check_loss("cross_entropy", &[&[3, 4]], |tape, [logits]| {
        let logits = tape.parameter(logits);
        tape.cross_entropy(logits, &[3, 0, 3])
    });
}

#[test]
fn penalties() {
    for penalty in Penalty::ALL {
        // Recorded before the loss and after it, of the value that the loss is of and of another.
        check_objective(&format!("{penalty:?}"), &[&[11, 4], &[5, 4]], |tape, [table, weight]| {
            let x = tape.embedding(table, &tokens(6, 3), 3, 2);
            tape.penalize(x, penalty, 0.5);
            let hidden = tape.linear(x, weight, None);
            let loss = tape.decoder(x, weight, None, &[0, 4, 2, 2, 1, 3]);
            tape.penalize(hidden, penalty, 0.3);
            tape.penalize(x, penalty, 0.2);
            let [of_x, of_hidden] = [x, hidden].map(|value| tape.penalty(value, penalty).unwrap());
            (loss, f64::from(0.5_f32) * of_x + f64::from(0.3_f32) * of_hidden + f64::from(0.2_f32) * of_x)
        });
        check_objective("of a parameter", &[&[6, 4], &[5, 4]], |tape, [x, weight]| {
            let x = tape.parameter(x);
            let loss = tape.decoder(x, weight, None, &[0, 4, 2, 2, 1, 3]);
            tape.penalize(x, Penalty::Size, 0.3);
            (loss, f64::from(0.3_f32) * tape.penalty(x, Penalty::Size).unwrap())
        });
    }
}

/// Whatever has several uses receives the gradient of each, in whichever form and order they come.
#[test]
fn several_uses_add_up() {
    check("a value that two operations use", &[&[3, 4], &[4, 4]], |tape, [x, w]| {
        let h = tape.tanh(x);
        let product = tape.product(h, w);
        let gated = tape.multiply(product, h);
        tape.add(gated, h)
    });
    check_ids("a weight that two layers use", &[&[4, 4], &[4], &[3, 4]], |tape, [weight, bias, x]| {
        let x = tape.parameter(x);
        let h = tape.linear(x, weight, Some(bias));
        let h = tape.tanh(h);
        tape.linear(h, weight, Some(bias))
    });
    check_ids("a table looked up twice", &[&[11, 4]], |tape, [table]| {
        let (a, b) = (tape.embedding(table, &tokens(6, 3), 2, 3), tape.embedding(table, &tokens(6, 4), 2, 3));
        tape.multiply(a, b)
    });
    check_ids("a table looked up after a product", &[&[11, 11]], |tape, [table]| {
        let x = tape.constant(Shape::matrix(6, 11), &random(66, 6));
        let x = tape.linear(x, table, None);
        let looked_up = tape.embedding(table, &tokens(6, 3), 2, 3);
        tape.add(x, looked_up)
    });
    check_ids("a table looked up before a product", &[&[11, 11]], |tape, [table]| {
        let x = tape.embedding(table, &tokens(6, 3), 2, 3);
        tape.linear(x, table, None)
    });
    check_loss(
        "values that a decoder and another operation use",
        &[&[6, 4], &[4, 4]],
        |tape, [x, weight]| {
            let x = tape.parameter(x);
            let hidden = tape.linear(x, weight, None);
            // Of two losses, the one not asked for contributes nothing.
            tape.decoder(hidden, weight, None, &[1, 1, 0, 3, 2, 3]);
            let squared = tape.multiply(hidden, hidden);
            let sum = tape.add(squared, hidden);
            tape.decoder(sum, weight, None, &[0, 3, 2, 2, 1, 3])
        },
    );
}

/// Changes one number of a parameter.
fn set(parameters: &mut Parameters, id: ParameterId, at: usize, value: f32) {
    parameters.values_mut(id).range(at..at + 1).write_from(&[value]).unwrap();
}

/// A layer's state at the start of a batch of `batch` rows.
fn layer_state(cell: Cell, batch: usize, hidden: usize) -> State {
    let names: &[&str] = if cell.has_cell_state() { &["hidden", "cell"] } else { &["hidden"] };
    let mut state = State::zeros(&device(), batch, names.iter().map(|&name| (name, hidden)));
    for (seed, part) in (8..).zip(state.parts_mut()) {
        part.values_mut().write_from(&random(batch * hidden, seed)).unwrap();
    }
    state
}

/// As [`check_ids`], for an operation on values.
#[track_caller]
fn check<const N: usize>(
    name: &str,
    shapes: &[&[usize]],
    operation: impl Fn(&mut Tape<'_>, [Value; N]) -> Value,
) {
    check_ids(name, shapes, |tape, ids: [ParameterId; N]| {
        let values = ids.map(|id| tape.parameter(id));
        operation(tape, values)
    });
}

/// As [`check_loss`], for an operation whose output becomes the logits: every number of it then counts.
#[track_caller]
fn check_ids<const N: usize>(
    name: &str,
    shapes: &[&[usize]],
    operation: impl Fn(&mut Tape<'_>, [ParameterId; N]) -> Value,
) {
    check_loss(name, shapes, |tape, ids| {
        let out = operation(tape, ids);
        let shape = tape.shape(out);
        let targets: Vec<u32> = (0..shape.rows()).map(|row| (row * row % shape.width) as u32).collect();
        tape.cross_entropy(out, &targets)
    });
}

/// As [`check_objective`], without penalties.
#[track_caller]
fn check_loss<const N: usize>(
    name: &str,
    shapes: &[&[usize]],
    loss: impl Fn(&mut Tape<'_>, [ParameterId; N]) -> Loss,
) {
    check_objective(name, shapes, |tape, ids| (loss(tape, ids), 0.0));
}

/// Fails unless backward gives the gradient of `Σ nll + R · penalty` in each parameter, by central differences.
#[track_caller]
fn check_objective<const N: usize>(
    name: &str,
    shapes: &[&[usize]],
    objective: impl Fn(&mut Tape<'_>, [ParameterId; N]) -> (Loss, f64),
) {
    /// Balances the truncation that four points leave, of the order of STEP⁴, against the rounding of a loss
    /// in `f32`, some 1e-7 / STEP.
    const STEP: f32 = 0.03;
    /// Measured: 3e-5.
    const TOLERANCE: f64 = 1e-4;

    let device = device();
    let mut parameters = Parameters::new(&device);
    let ids: [ParameterId; N] = std::array::from_fn(|i| parameters.add(&format!("p{i}"), shapes[i]));
    for (i, &id) in ids.iter().enumerate() {
        // Away from 0, where ReLU has no derivative.
        let values = random(parameters.values(id).len(), i as u64)
            .iter()
            .map(|x| x + x.signum() * 0.1)
            .collect::<Vec<_>>();
        parameters.values_mut(id).write_from(&values).unwrap();
    }
    let mut workspace = Workspace::new(&device);
    let mode = Mode::Train { seed: 4, step: 2 };
    let mut gradients = Gradients::new(&parameters);
    let mut tape = workspace.tape(&parameters, mode);
    let (loss, _) = objective(&mut tape, ids);
    tape.backward(loss, 1.0, &mut gradients).unwrap();
    drop(tape);

    for id in ids {
        for (i, analytic) in dense(&parameters, &gradients, id).into_iter().enumerate() {
            let mut at = |delta: f32| {
                let value = parameters.values(id).read().unwrap()[i];
                set(&mut parameters, id, i, value + delta);
                let mut tape = workspace.tape(&parameters, mode);
                let (loss, penalty) = objective(&mut tape, ids);
                let sum = tape.nll_sum(loss).unwrap() + tape.nll(loss).len() as f64 * penalty;
                drop(tape);
                set(&mut parameters, id, i, value);
                sum
            };
            let (near, far) = (at(STEP) - at(-STEP), at(2.0 * STEP) - at(-2.0 * STEP));
            let numeric = (8.0 * near - far) / (12.0 * f64::from(STEP));
            let error = (f64::from(analytic) - numeric).abs() / (1.0 + numeric.abs());
            let parameter = parameters.name(id);
            assert!(error < TOLERANCE, "{name}, {parameter}[{i}]: analytic {analytic}, numeric {numeric}");
        }
    }
}

#[test]
#[should_panic(expected = "analytic")]
fn a_wrong_gradient_is_found() {
    check("a constant that is none", &[&[3, 4]], |tape, [x]| {
        let values = tape.read(x).unwrap().to_vec();
        tape.constant(Shape::matrix(3, 4), &values)
    });
}
