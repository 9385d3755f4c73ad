//! The reference implementation: plain loops.

use std::ops::Range;

use num_traits::Float;

use super::mogrifier::Rounds;
use super::{Cell, Dims};

/// The inputs of the layer. Shapes as in [`super::Forward`]; `bias_hh` is empty if the layer has none.
#[derive(Clone)]
pub struct Inputs<F> {
    /// `[G·H, P]`.
    pub r: Vec<F>,
    /// `[G·H]`.
    pub bias_ih: Vec<F>,
    /// `[G·H]` or empty.
    pub bias_hh: Vec<F>,
    /// `[T, B, G·H]`, the input projection; empty for a Mogrifier.
    pub xw: Vec<F>,
    /// `[B, P]`, the initial state.
    pub h0: Vec<F>,
    /// `[B, H]`, the initial cell state; empty for a cell without one.
    pub c0: Vec<F>,
    /// `[T, B]`: nonzero where a step starts from a zero state; empty if there is none.
    pub resets: Vec<u32>,
    /// `[P, H]`, the weight of the projection; empty if there is none.
    pub projection: Vec<F>,
    /// The limit of the cell state, if it is clipped.
    pub cell_clip: Option<F>,
    /// `[T, B, D]`, the input of a Mogrifier; empty for other cells.
    pub x: Vec<F>,
    /// `[G·H, D]`, the input weight of a Mogrifier; empty for other cells.
    pub weight_ih: Vec<F>,
    /// The stacked weights of a Mogrifier's rounds; empty where there is none.
    pub weights: [Vec<F>; 4],
}

impl<F: Float> Inputs<F> {
    /// A factor for the state before a row's step: zero where it is reset.
    fn kept(&self, row: usize) -> F {
        if self.resets.get(row).is_some_and(|&reset| reset != 0) { F::zero() } else { F::one() }
    }
}

/// The outputs of the forward pass.
pub struct Outputs<F> {
    /// `[T, B, G·H]`, activated.
    pub gates: Vec<F>,
    /// `[T, B, H]`: a GRU's recurrent candidate before the reset gate, or the outputs before their projection; empty for the
    /// other cells.
    pub extra: Vec<F>,
    /// `[T+1, B, P]`.
    pub hidden: Vec<F>,
    /// `[T+1, B, H]`; empty for a cell without a cell state.
    pub cell_state: Vec<F>,
    /// For each row, the rounds of a Mogrifier; empty for other cells.
    rounds: Vec<Vec<Round<F>>>,
    /// For each row, whether each element of the cell state was clipped.
    clipped: Vec<bool>,
}

/// What a round has computed.
struct Round<F> {
    /// Between its two factors, if there are two.
    middle: Vec<F>,
    /// `2σ(a)`.
    gate: Vec<F>,
    /// What it has gated, before.
    before: Vec<F>,
}

/// The gradients of everything in [`Inputs`], with the batch's initial states as constants.
pub struct Gradients<F> {
    /// `[G·H, P]`.
    pub r: Vec<F>,
    /// `[G·H]`.
    pub bias_ih: Vec<F>,
    /// `[G·H]`.
    pub bias_hh: Vec<F>,
    /// `[T, B, G·H]`; for a Mogrifier, of the projection of its gated input.
    pub xw: Vec<F>,
    /// `[P, H]`, or empty.
    pub projection: Vec<F>,
    /// `[T, B, D]`, or empty.
    pub x: Vec<F>,
    /// `[G·H, D]`, or empty.
    pub weight_ih: Vec<F>,
    /// As in the inputs.
    pub weights: [Vec<F>; 4],
}

fn sigmoid<F: Float>(x: F) -> F {
    F::one() / (F::one() + (-x).exp())
}

/// `w·x` for a matrix with rows as long as `x`.
fn product<F: Float>(w: &[F], x: &[F]) -> Vec<F> {
    w.chunks_exact(x.len())
        .map(|row| row.iter().zip(x).fold(F::zero(), |sum, (&w, &x)| sum + w * x))
        .collect()
}

/// The gradients of `w·x`, added: `d_w += d·xᵀ`, `d_x += wᵀ·d`.
fn product_back<F: Float>(w: &[F], x: &[F], d: &[F], d_w: &mut [F], d_x: &mut [F]) {
    let width = x.len();
    for (row, &d) in d.iter().enumerate() {
        for j in 0..width {
            d_w[row * width + j] = d_w[row * width + j] + d * x[j];
            d_x[j] = d_x[j] + d * w[row * width + j];
        }
    }
}

/// Which of the stacked weights, and where in it.
type Place = (usize, Range<usize>);

/// The side that a round gates, and the places of its matrix, or of both its factors.
fn place(rounds: Rounds, hidden: usize, index: usize) -> (usize, [Option<Place>; 2]) {
    let side = index % 2;
    let [outputs, inputs] = if side == 0 { [rounds.input, hidden] } else { [hidden, rounds.input] };
    let nth = |count: usize| (index / 2) * count..(index / 2 + 1) * count;
    let places = match rounds.rank {
        None => [Some((2 * side, nth(outputs * inputs))), None],
        Some(rank) => [Some((2 * side, nth(rank * inputs))), Some((2 * side + 1, nth(outputs * rank)))],
    };
    (side, places)
}

/// The input and the state of a row after the rounds, and what they have computed.
fn gated<F: Float>(dims: Dims, inputs: &Inputs<F>, row: usize, h: Vec<F>) -> ([Vec<F>; 2], Vec<Round<F>>) {
    let Some(rounds) = dims.rounds else { return ([vec![], h], vec![]) };
    let two = F::one() + F::one();
    let mut sides = [inputs.x[row * rounds.input..][..rounds.input].to_vec(), h];
    let round = |index: usize| {
        let (side, places) = place(rounds, dims.hidden, index);
        let mut results = vec![sides[1 - side].clone()];
        for (weight, range) in places.into_iter().flatten() {
            let next = product(&inputs.weights[weight][range], &results[results.len() - 1]);
            results.push(next);
        }
        let gate: Vec<F> = results[results.len() - 1].iter().map(|&sum| two * sigmoid(sum)).collect();
        let after = gate.iter().zip(&sides[side]).map(|(&gate, &value)| gate * value).collect();
        let before = std::mem::replace(&mut sides[side], after);
        let middle = if results.len() > 2 { results.swap_remove(1) } else { vec![] };
        Round { middle, gate, before }
    };
    let computed = (0..rounds.count).map(round).collect();
    (sides, computed)
}

/// Goes back through the rounds of a row: from the gradients of the gated input and state to those before.
fn gated_back<F: Float>(
    dims: Dims,
    inputs: &Inputs<F>,
    computed: &[Round<F>],
    mut sides: [Vec<F>; 2],
    mut d_sides: [Vec<F>; 2],
    d_weights: &mut [Vec<F>; 4],
) -> [Vec<F>; 2] {
    let Some(rounds) = dims.rounds else { return d_sides };
    let half = F::one() / (F::one() + F::one());
    for (index, round) in computed.iter().enumerate().rev() {
        let (side, places) = place(rounds, dims.hidden, index);
        let d = d_sides[side].clone();
        let d_sum: Vec<F> = (0..d.len())
            .map(|j| d[j] * round.before[j] * round.gate[j] * (F::one() - half * round.gate[j]))
            .collect();
        d_sides[side] = (0..d.len()).map(|j| d[j] * round.gate[j]).collect();
        let mut d_sum = d_sum;
        if let Some((weight, range)) = places[1].clone() {
            let mut d_middle = vec![F::zero(); round.middle.len()];
            let w = &inputs.weights[weight][range.clone()];
            product_back(w, &round.middle, &d_sum, &mut d_weights[weight][range], &mut d_middle);
            d_sum = d_middle;
        }
        if let Some((weight, range)) = places[0].clone() {
            let w = &inputs.weights[weight][range.clone()];
            let d_other = &mut d_sides[1 - side];
            product_back(w, &sides[1 - side], &d_sum, &mut d_weights[weight][range], d_other);
        }
        sides[side].clone_from(&round.before);
    }
    d_sides
}

/// Runs the steps forward.
pub fn forward<F: Float>(dims: Dims, inputs: &Inputs<F>) -> Outputs<F> {
    let Dims { cell, steps, batch, hidden: width, .. } = dims;
    let (gates_width, output) = (dims.gates_width(), dims.output());
    let mut gates = inputs.xw.clone();
    gates.resize(dims.gates_len(), F::zero());
    let mut extra = vec![F::zero(); dims.extra_len()];
    let mut hidden = inputs.h0.clone();
    let mut cell_state = inputs.c0.clone();
    hidden.resize(dims.states_len(), F::zero());
    cell_state.resize(dims.cell_state_len(), F::zero());
    let (mut all_rounds, mut all_clipped) = (vec![], vec![]);
    for row in 0..steps * batch {
        let (before, after) = (row * width, (row + batch) * width);
        let kept = inputs.kept(row);
        let h = hidden[row * output..][..output].iter().map(|&h| kept * h).collect();
        let ([x, h], rounds) = gated(dims, inputs, row, h);
        let gates = &mut gates[row * gates_width..][..gates_width];
        if dims.rounds.is_some() {
            gates.copy_from_slice(&product(&inputs.weight_ih, &x));
            all_rounds.push(rounds);
        }
        let mut recurrent = product(&inputs.r, &h);
        for (sum, &bias) in recurrent.iter_mut().zip(&inputs.bias_hh) {
            *sum = *sum + bias;
        }
        let mut clipped = |c: F| {
            let limit = inputs.cell_clip.unwrap_or_else(F::infinity);
            all_clipped.push(c.abs() > limit);
            if c > limit {
                limit
            } else if c < -limit {
                -limit
            } else {
                c
            }
        };
        let mut outputs = vec![F::zero(); width];
        for j in 0..width {
            let x = |gate: usize| gates[gate * width + j] + inputs.bias_ih[gate * width + j];
            let q = |gate: usize| recurrent[gate * width + j];
            match cell {
                Cell::RnnTanh => {
                    let h = (x(0) + q(0)).tanh();
                    gates[j] = h;
                    outputs[j] = h;
                }
                Cell::RnnRelu => {
                    let h = (x(0) + q(0)).max(F::zero());
                    gates[j] = h;
                    outputs[j] = h;
                }
                Cell::Lstm | Cell::Mogrifier => {
                    let (i, f) = (sigmoid(x(0) + q(0)), sigmoid(x(1) + q(1)));
                    let (g, o) = ((x(2) + q(2)).tanh(), sigmoid(x(3) + q(3)));
                    let c = clipped(f * kept * cell_state[before + j] + i * g);
                    for (gate, value) in [i, f, g, o].into_iter().enumerate() {
                        gates[gate * width + j] = value;
                    }
                    cell_state[after + j] = c;
                    outputs[j] = o * c.tanh();
                }
                Cell::Cifg => {
                    let f = sigmoid(x(0) + q(0));
                    let (g, o) = ((x(1) + q(1)).tanh(), sigmoid(x(2) + q(2)));
                    let c = clipped(f * kept * cell_state[before + j] + (F::one() - f) * g);
                    for (gate, value) in [f, g, o].into_iter().enumerate() {
                        gates[gate * width + j] = value;
                    }
                    cell_state[after + j] = c;
                    outputs[j] = o * c.tanh();
                }
                Cell::Gru => {
                    let (r, z) = (sigmoid(x(0) + q(0)), sigmoid(x(1) + q(1)));
                    let n = (x(2) + r * q(2)).tanh();
                    for (gate, value) in [r, z, n].into_iter().enumerate() {
                        gates[gate * width + j] = value;
                    }
                    extra[before + j] = q(2);
                    outputs[j] = (F::one() - z) * n + z * h[j];
                }
            }
        }
        if dims.projection.is_some() {
            extra[before..before + width].copy_from_slice(&outputs);
            outputs = product(&inputs.projection, &outputs);
        }
        hidden[(row + batch) * output..][..output].copy_from_slice(&outputs);
    }
    Outputs { gates, extra, hidden, cell_state, rounds: all_rounds, clipped: all_clipped }
}

/// Runs the steps backward, given the gradient of the outputs, `d_hidden: [T, B, P]`.
pub fn backward<F: Float>(
    dims: Dims,
    inputs: &Inputs<F>,
    outputs: &Outputs<F>,
    d_hidden: &[F],
) -> Gradients<F> {
    let Dims { cell, steps, batch, hidden: width, .. } = dims;
    let (gates_width, output) = (dims.gates_width(), dims.output());
    let one = F::one();
    let zeros = |len| vec![F::zero(); len];
    let mut gradients = Gradients {
        r: zeros(inputs.r.len()),
        bias_ih: zeros(gates_width),
        bias_hh: zeros(gates_width),
        xw: zeros(dims.gates_len()),
        projection: zeros(inputs.projection.len()),
        x: zeros(inputs.x.len()),
        weight_ih: zeros(inputs.weight_ih.len()),
        weights: inputs.weights.each_ref().map(|weight| zeros(weight.len())),
    };
    // The gradients of the states that follow row t: those of step t + 1, and below those of step t.
    let mut d_h = zeros(dims.states_len());
    let mut d_c = zeros(dims.cell_state_len());
    for row in (0..steps * batch).rev() {
        let (before, after) = (row * width, (row + batch) * width);
        let kept = inputs.kept(row);
        let h = outputs.hidden[row * output..][..output].iter().map(|&h| kept * h).collect();
        let (sides, _) = gated(dims, inputs, row, h);
        let gates = &outputs.gates[row * gates_width..][..gates_width];
        let mut d_outputs: Vec<F> =
            (0..output).map(|j| d_h[(row + batch) * output + j] + d_hidden[row * output + j]).collect();
        if dims.projection.is_some() {
            let unprojected = &outputs.extra[before..before + width];
            let mut d_unprojected = zeros(width);
            let (w, d_w) = (&inputs.projection, &mut gradients.projection);
            product_back(w, unprojected, &d_outputs, d_w, &mut d_unprojected);
            d_outputs = d_unprojected;
        }
        // The gradient of the recurrent projection, bias included: equal to that of the pre-activations,
        // except for a GRU's candidate.
        let mut d_q = zeros(gates_width);
        let mut d_xw = zeros(gates_width);
        // What reaches the state before the step without the recurrent projection.
        let mut d_before = zeros(output);
        for j in 0..width {
            let gate = |index: usize| gates[index * width + j];
            let dh = d_outputs[j];
            // The gradient of the cell state before clipping, given the output gate.
            let d_cell = |o: F| {
                let tanh_c = outputs.cell_state[after + j].tanh();
                let dc = d_c[after + j] + dh * o * (one - tanh_c * tanh_c);
                (if outputs.clipped[row * width + j] { F::zero() } else { dc }, tanh_c)
            };
            let d_x: [F; 4] = match cell {
                Cell::RnnTanh => [dh * (one - gate(0) * gate(0)), one, one, one],
                Cell::RnnRelu => [if gate(0) > F::zero() { dh } else { F::zero() }, one, one, one],
                Cell::Lstm | Cell::Mogrifier => {
                    let (i, f, g, o) = (gate(0), gate(1), gate(2), gate(3));
                    let (dc, tanh_c) = d_cell(o);
                    d_c[before + j] = d_c[before + j] + dc * f * kept;
                    [
                        dc * g * i * (one - i),
                        dc * kept * outputs.cell_state[before + j] * f * (one - f),
                        dc * i * (one - g * g),
                        dh * tanh_c * o * (one - o),
                    ]
                }
                Cell::Cifg => {
                    let (f, g, o) = (gate(0), gate(1), gate(2));
                    let (dc, tanh_c) = d_cell(o);
                    d_c[before + j] = d_c[before + j] + dc * f * kept;
                    [
                        dc * (kept * outputs.cell_state[before + j] - g) * f * (one - f),
                        dc * (one - f) * (one - g * g),
                        dh * tanh_c * o * (one - o),
                        one,
                    ]
                }
                Cell::Gru => {
                    let (r, z, n) = (gate(0), gate(1), gate(2));
                    let d_n = dh * (one - z) * (one - n * n);
                    d_before[j] = dh * z;
                    let d_r = d_n * outputs.extra[before + j] * r * (one - r);
                    [d_r, dh * (sides[1][j] - n) * z * (one - z), d_n, one]
                }
            };
            for (index, d_x) in d_x.into_iter().enumerate().take(cell.gates()) {
                let at = index * width + j;
                d_xw[at] = d_x;
                d_q[at] = if cell == Cell::Gru && index == 2 { d_x * gate(0) } else { d_x };
            }
        }
        for at in 0..gates_width {
            gradients.bias_ih[at] = gradients.bias_ih[at] + d_xw[at];
            gradients.bias_hh[at] = gradients.bias_hh[at] + d_q[at];
        }
        gradients.xw[row * gates_width..][..gates_width].copy_from_slice(&d_xw);
        product_back(&inputs.r, &sides[1], &d_q, &mut gradients.r, &mut d_before);
        let mut d_input = zeros(sides[0].len());
        if let Some(rounds) = dims.rounds {
            product_back(&inputs.weight_ih, &sides[0], &d_xw, &mut gradients.weight_ih, &mut d_input);
            let d_sides = [d_input, d_before];
            let computed = &outputs.rounds[row];
            [d_input, d_before] = gated_back(dims, inputs, computed, sides, d_sides, &mut gradients.weights);
            gradients.x[row * rounds.input..][..rounds.input].copy_from_slice(&d_input);
        }
        for (j, d) in d_before.into_iter().enumerate() {
            d_h[row * output + j] = d_h[row * output + j] + d * kept;
        }
    }
    gradients
}
