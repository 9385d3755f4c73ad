//! A cell that a user writes from the primitives computes what the fused layer does: losses, states, gradients.

use rondo_nn::{
    Biases, Cell, CellOptions, Gradients, Input, Model, Parameters, RnnLm, RnnLmConfig, State, Tape, Value,
    Workspace,
};

use crate::check::{
    TRAIN, VOCAB, assert_close, config, configs, dense, device, model, numbers, random_state,
    run_with_resets, tokens, transposed,
};

const STEPS: usize = 4;
const BATCH: usize = 3;

#[test]
fn rnn_tanh() {
    check(Cell::RnnTanh);
}

#[test]
fn rnn_relu() {
    check(Cell::RnnRelu);
}

#[test]
fn lstm() {
    check(Cell::Lstm);
}

#[test]
fn mogrifier() {
    check(Cell::Mogrifier);
}

#[test]
fn projections_clipped_states_and_rounds() {
    let has_options = |config: &RnnLmConfig| config.cell_options != CellOptions::default();
    for config in configs().into_iter().filter(has_options) {
        check_model(&model(config));
    }
}

#[test]
fn cifg() {
    check(Cell::Cifg);
}

#[test]
fn gru() {
    check(Cell::Gru);
}

fn check(cell: Cell) {
    for biases in [Biases::One, Biases::Two] {
        for input in [Input::Embedding(6), Input::OneHot] {
            let is_mogrifier = cell == Cell::Mogrifier;
            if is_mogrifier && (input == Input::OneHot || device().require_cpu("a Mogrifier").is_err()) {
                continue;
            }
            check_model(&model(RnnLmConfig { biases, input, ..config(cell) }));
        }
    }
}

/// Two batches, the second from the state that the first left, and with rows that are reset.
fn check_model(fused: &RnnLm) {
    let written_out = WrittenOut::like(fused);
    let mut fused_state = random_state(fused, BATCH);
    let mut state = random_state(fused, BATCH);
    for batch in 0..2 {
        let (inputs, targets) = (tokens(STEPS * BATCH, batch), tokens(STEPS * BATCH, 100 + batch));
        let resets: Vec<u32> = match batch {
            0 => vec![0; STEPS * BATCH],
            _ => tokens(STEPS * BATCH, 7).iter().map(|token| token % 3 / 2).collect(),
        };
        assert_eq!(resets.contains(&1), batch == 1);
        let (want_nll, want) = run_with_resets(fused, (&inputs, &resets), &targets, &mut fused_state);
        let (nll, gradients) = written_out.run((&inputs, &resets), &targets, &mut state);
        assert_close("nll", &nll, &want_nll);
        assert_close("state", &numbers(&state), &numbers(&fused_state));
        for id in fused.parameters().ids() {
            let name = fused.parameters().name(id);
            let gradient = dense(&written_out.parameters, &gradients, id);
            let want = dense(fused.parameters(), &want, id);
            assert_close(name, &gradient, &in_product_layout(name, fused.parameters().shape(id), &want).1);
        }
    }
}

/// The model as formulas: `x·W + h·R + b`, matrices `[inputs, outputs]`, one step after the other.
struct WrittenOut {
    config: RnnLmConfig,
    parameters: Parameters,
}

impl WrittenOut {
    /// The same model.
    fn like(fused: &RnnLm) -> WrittenOut {
        let mut parameters = Parameters::new(&device());
        for id in fused.parameters().ids() {
            let (name, shape) = (fused.parameters().name(id), fused.parameters().shape(id));
            let (shape, values) =
                in_product_layout(name, shape, &fused.parameters().values(id).read().unwrap());
            let same = parameters.add(name, &shape);
            parameters.values_mut(same).write_from(&values).unwrap();
        }
        WrittenOut { config: fused.config().clone(), parameters }
    }

    fn run(
        &self,
        (inputs, resets): (&[u32], &[u32]),
        targets: &[u32],
        state: &mut State,
    ) -> (Vec<f32>, Gradients) {
        let mut workspace = Workspace::new(&device());
        let mut gradients = Gradients::new(&self.parameters);
        let mut tape = workspace.tape(&self.parameters, TRAIN);
        tape.set_resets(resets);
        let parts = if self.config.cell.has_cell_state() { 2 } else { 1 };
        let mut states: Vec<Carried> = (state.parts().chunks_exact(parts))
            .map(|layer| Carried {
                hidden: tape.state(&layer[0]),
                cell_state: layer.get(1).map(|cell_state| tape.state(cell_state)),
            })
            .collect();
        let mut outputs = Vec::new();
        for (step, ids) in inputs.chunks_exact(BATCH).enumerate() {
            let one_hot = tape.one_hot(ids, VOCAB);
            let mut x = match self.config.input {
                Input::OneHot => one_hot,
                Input::Embedding(_) => self.product(&mut tape, one_hot, "embedding.weight"),
            };
            for (l, state) in states.iter_mut().enumerate() {
                state.hidden = tape.reset_state(state.hidden, step);
                state.cell_state = state.cell_state.map(|cell_state| tape.reset_state(cell_state, step));
                x = self.step(&mut tape, l, x, state);
            }
            outputs.push(x);
        }
        let hidden = tape.concat_rows(&outputs);
        let logits = self.product(&mut tape, hidden, "decoder.weight");
        let logits = self.add_bias(&mut tape, logits, "decoder.bias");
        let loss = tape.cross_entropy(logits, targets);

        let nll = tape.read_nll(loss).unwrap().to_vec();
        for (carried, layer) in states.iter().zip(state.parts_mut().chunks_exact_mut(parts)) {
            tape.keep(carried.hidden, &mut layer[0]);
            if let (Some(value), Some(cell_state)) = (carried.cell_state, layer.get_mut(1)) {
                tape.keep(value, cell_state);
            }
        }
        tape.backward(loss, 1.0, &mut gradients).unwrap();
        drop(tape);
        (nll, gradients)
    }

    /// One step of layer `l`; returns its output.
    fn step(&self, tape: &mut Tape<'_>, l: usize, x: Value, state: &mut Carried) -> Value {
        let name = |what: &str| format!("rnn.{l}.{what}");
        let weight_ih = match (l, self.config.input) {
            (0, Input::OneHot) => "input.weight".to_owned(),
            _ => name("weight_ih"),
        };
        let x = if self.config.cell == Cell::Mogrifier { self.rounds(tape, l, x, state) } else { x };
        let xw = self.product(tape, x, &weight_ih);
        let xw = self.add_bias(tape, xw, &name("bias_ih"));
        let mut hr = self.product(tape, state.hidden, &name("weight_hh"));
        if self.config.biases == Biases::Two {
            hr = self.add_bias(tape, hr, &name("bias_hh"));
        }
        let size = self.config.hidden_sizes[l];
        let gate =
            |tape: &mut Tape<'_>, of: Value, g: usize| tape.slice_columns(of, g * size..(g + 1) * size);
        state.hidden = match self.config.cell {
            Cell::RnnTanh => {
                let sum = tape.add(xw, hr);
                tape.tanh(sum)
            }
            Cell::RnnRelu => {
                let sum = tape.add(xw, hr);
                tape.relu(sum)
            }
            Cell::Lstm | Cell::Mogrifier => {
                let sum = tape.add(xw, hr);
                let [i, f, g, o] = std::array::from_fn(|g| gate(tape, sum, g));
                let (i, f, g, o) = (tape.sigmoid(i), tape.sigmoid(f), tape.tanh(g), tape.sigmoid(o));
                let kept = tape.multiply(f, state.cell_state.unwrap());
                let new = tape.multiply(i, g);
                let cell_state = tape.add(kept, new);
                let cell_state = self.clip(tape, cell_state);
                state.cell_state = Some(cell_state);
                let squashed = tape.tanh(cell_state);
                tape.multiply(o, squashed)
            }
            Cell::Cifg => {
                let sum = tape.add(xw, hr);
                let [f, g, o] = std::array::from_fn(|g| gate(tape, sum, g));
                let (f, g, o) = (tape.sigmoid(f), tape.tanh(g), tape.sigmoid(o));
                // f∘c + (1 − f)∘g, with one product less.
                let minus_g = tape.scale(g, -1.0);
                let difference = tape.add(state.cell_state.unwrap(), minus_g);
                let part = tape.multiply(f, difference);
                let cell_state = tape.add(g, part);
                let cell_state = self.clip(tape, cell_state);
                state.cell_state = Some(cell_state);
                let squashed = tape.tanh(cell_state);
                tape.multiply(o, squashed)
            }
            Cell::Gru => {
                let [xr, xz, xn] = std::array::from_fn(|g| gate(tape, xw, g));
                let [hr, hz, hn] = std::array::from_fn(|g| gate(tape, hr, g));
                let (r, z) = (tape.add(xr, hr), tape.add(xz, hz));
                let (r, z) = (tape.sigmoid(r), tape.sigmoid(z));
                let reset = tape.multiply(r, hn);
                let n = tape.add(xn, reset);
                let n = tape.tanh(n);
                // (1 − z)∘n + z∘h, with one product less.
                let minus_n = tape.scale(n, -1.0);
                let difference = tape.add(state.hidden, minus_n);
                let part = tape.multiply(z, difference);
                tape.add(n, part)
            }
        };
        if self.config.cell_options.projection_size.is_some() {
            state.hidden = self.product(tape, state.hidden, &name("weight_hr"));
        }
        state.hidden
    }

    /// `min(max(c, −limit), limit)`, if there is a limit.
    fn clip(&self, tape: &mut Tape<'_>, c: Value) -> Value {
        let Some(limit) = self.config.cell_options.cell_clip else { return c };
        let shape = tape.shape(c);
        let minus_limit = tape.constant(shape, &vec![-limit; shape.count()]);
        // What is beyond the limit, above and below.
        let above = tape.add(c, minus_limit);
        let above = tape.relu(above);
        let minus_c = tape.scale(c, -1.0);
        let below = tape.add(minus_c, minus_limit);
        let below = tape.relu(below);
        let minus_above = tape.scale(above, -1.0);
        let c = tape.add(c, minus_above);
        tape.add(c, below)
    }

    /// The rounds of a Mogrifier: returns the gated input, and replaces the state of the layer by the gated one.
    fn rounds(&self, tape: &mut Tape<'_>, l: usize, x: Value, state: &mut Carried) -> Value {
        let options = self.config.cell_options.mogrifier;
        let mut sides = [x, state.hidden];
        for round in 0..options.rounds {
            let (side, index) = (round % 2, round / 2);
            let name = |factor: &str| format!("rnn.{l}.mogrifier_{}{factor}", ["x", "h"][side]);
            let part = |tape: &mut Tape<'_>, from: Value, weight: &str, width: usize| {
                let all = self.product(tape, from, weight);
                tape.slice_columns(all, index * width..(index + 1) * width)
            };
            let width = tape.shape(sides[side]).width;
            let sum = match options.rank {
                None => part(tape, sides[1 - side], &name(""), width),
                Some(rank) => {
                    let middle = part(tape, sides[1 - side], &name("_right"), rank);
                    part(tape, middle, &name("_left"), width)
                }
            };
            let gate = tape.sigmoid(sum);
            let gate = tape.scale(gate, 2.0);
            sides[side] = tape.multiply(gate, sides[side]);
        }
        state.hidden = sides[1];
        sides[0]
    }

    fn product(&self, tape: &mut Tape<'_>, x: Value, weight: &str) -> Value {
        let weight = tape.parameter(self.parameters.find(weight).unwrap());
        tape.product(x, weight)
    }

    fn add_bias(&self, tape: &mut Tape<'_>, x: Value, bias: &str) -> Value {
        let bias = tape.parameter(self.parameters.find(bias).unwrap());
        tape.add_row(x, bias)
    }
}

/// What one layer carries from step to step.
struct Carried {
    hidden: Value,
    cell_state: Option<Value>,
}

/// A parameter or its gradient as `x·W` wants it. Tables of a row per token are so already.
fn in_product_layout(name: &str, shape: &[usize], values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    match *shape {
        [rows, columns] if name != "embedding.weight" && name != "input.weight" => {
            (vec![columns, rows], transposed(values, columns))
        }
        _ => (shape.to_vec(), values.to_vec()),
    }
}
