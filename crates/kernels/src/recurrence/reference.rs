//! The reference implementation: plain loops.

use num_traits::Float;

use super::{Cell, Dims};

/// The inputs of the layer. Shapes as in [`super::Forward`]; `bias_hh` is empty if the layer has none.
#[derive(Clone)]
pub struct Inputs<F> {
    /// `[G·H, H]`.
    pub r: Vec<F>,
    /// `[G·H]`.
    pub bias_ih: Vec<F>,
    /// `[G·H]` or empty.
    pub bias_hh: Vec<F>,
    /// `[T, B, G·H]`, the input projection.
    pub xw: Vec<F>,
    /// `[B, H]`, the initial state.
    pub h0: Vec<F>,
    /// `[B, H]`, the initial cell state; empty for a cell without one.
    pub c0: Vec<F>,
    /// `[T, B]`: nonzero where a step starts from a zero state; empty if there is none.
    pub resets: Vec<u32>,
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
    /// `[T, B, H]`: a GRU's recurrent candidate before the reset gate; empty for the other cells.
    pub extra: Vec<F>,
    /// `[T+1, B, H]`.
    pub hidden: Vec<F>,
    /// `[T+1, B, H]`; empty for a cell without a cell state.
    pub cell_state: Vec<F>,
}

/// The gradients of everything in [`Inputs`], with the batch's initial states as constants.
pub struct Gradients<F> {
    /// `[G·H, H]`.
    pub r: Vec<F>,
    /// `[G·H]`.
    pub bias_ih: Vec<F>,
    /// `[G·H]`.
    pub bias_hh: Vec<F>,
    /// `[T, B, G·H]`.
    pub xw: Vec<F>,
}

fn sigmoid<F: Float>(x: F) -> F {
    F::one() / (F::one() + (-x).exp())
}

/// Runs the steps forward.
pub fn forward<F: Float>(dims: Dims, inputs: &Inputs<F>) -> Outputs<F> {
    let Dims { cell, steps, batch, hidden: width } = dims;
    let gates_width = dims.gates_width();
    let mut gates = inputs.xw.clone();
    let mut extra = vec![F::zero(); dims.extra_len()];
    let mut hidden = inputs.h0.clone();
    let mut cell_state = inputs.c0.clone();
    hidden.resize(dims.states_len(), F::zero());
    cell_state.resize(dims.cell_state_len(), F::zero());
    for row in 0..steps * batch {
        let (before, after) = (row * width, (row + batch) * width);
        let kept = inputs.kept(row);
        let mut recurrent = vec![F::zero(); gates_width];
        for (gate, sum) in recurrent.iter_mut().enumerate() {
            *sum = inputs.bias_hh.get(gate).copied().unwrap_or(F::zero());
            for j in 0..width {
                *sum = *sum + inputs.r[gate * width + j] * kept * hidden[before + j];
            }
        }
        let gates = &mut gates[row * gates_width..][..gates_width];
        for j in 0..width {
            let x = |gate: usize| gates[gate * width + j] + inputs.bias_ih[gate * width + j];
            let q = |gate: usize| recurrent[gate * width + j];
            match cell {
                Cell::RnnTanh => {
                    let h = (x(0) + q(0)).tanh();
                    gates[j] = h;
                    hidden[after + j] = h;
                }
                Cell::RnnRelu => {
                    let h = (x(0) + q(0)).max(F::zero());
                    gates[j] = h;
                    hidden[after + j] = h;
                }
                Cell::Lstm => {
                    let (i, f) = (sigmoid(x(0) + q(0)), sigmoid(x(1) + q(1)));
                    let (g, o) = ((x(2) + q(2)).tanh(), sigmoid(x(3) + q(3)));
                    let c = f * kept * cell_state[before + j] + i * g;
                    for (gate, value) in [i, f, g, o].into_iter().enumerate() {
                        gates[gate * width + j] = value;
                    }
                    cell_state[after + j] = c;
                    hidden[after + j] = o * c.tanh();
                }
                Cell::Gru => {
                    let (r, z) = (sigmoid(x(0) + q(0)), sigmoid(x(1) + q(1)));
                    let n = (x(2) + r * q(2)).tanh();
                    for (gate, value) in [r, z, n].into_iter().enumerate() {
                        gates[gate * width + j] = value;
                    }
                    extra[before + j] = q(2);
                    hidden[after + j] = (F::one() - z) * n + z * kept * hidden[before + j];
                }
            }
        }
    }
    Outputs { gates, extra, hidden, cell_state }
}

/// Runs the steps backward, given the gradient of the outputs, `d_hidden: [T, B, H]`.
pub fn backward<F: Float>(
    dims: Dims,
    inputs: &Inputs<F>,
    outputs: &Outputs<F>,
    d_hidden: &[F],
) -> Gradients<F> {
    let Dims { cell, steps, batch, hidden: width } = dims;
    let gates_width = dims.gates_width();
    let one = F::one();
    let zeros = |len| vec![F::zero(); len];
    let mut gradients = Gradients {
        r: zeros(gates_width * width),
        bias_ih: zeros(gates_width),
        bias_hh: zeros(gates_width),
        xw: zeros(dims.gates_len()),
    };
    // The gradients of the states that follow row t: those of step t + 1, and below those of step t.
    let mut d_h = zeros(dims.states_len());
    let mut d_c = zeros(dims.cell_state_len());
    for row in (0..steps * batch).rev() {
        let (before, after) = (row * width, (row + batch) * width);
        let kept = inputs.kept(row);
        let gates = &outputs.gates[row * gates_width..][..gates_width];
        // The gradient of the recurrent projection, bias included: equal to that of the pre-activations,
        // except for a GRU's candidate.
        let mut d_q = zeros(gates_width);
        for j in 0..width {
            let gate = |index: usize| gates[index * width + j];
            let dh = d_h[after + j] + d_hidden[before + j];
            let d_x: [F; 4] = match cell {
                Cell::RnnTanh => [dh * (one - gate(0) * gate(0)), one, one, one],
                Cell::RnnRelu => [if gate(0) > F::zero() { dh } else { F::zero() }, one, one, one],
                Cell::Lstm => {
                    let (i, f, g, o) = (gate(0), gate(1), gate(2), gate(3));
                    let tanh_c = outputs.cell_state[after + j].tanh();
                    let dc = d_c[after + j] + dh * o * (one - tanh_c * tanh_c);
                    d_c[before + j] = d_c[before + j] + dc * f * kept;
                    [
                        dc * g * i * (one - i),
                        dc * kept * outputs.cell_state[before + j] * f * (one - f),
                        dc * i * (one - g * g),
                        dh * tanh_c * o * (one - o),
                    ]
                }
                Cell::Gru => {
                    let (r, z, n) = (gate(0), gate(1), gate(2));
                    let d_n = dh * (one - z) * (one - n * n);
                    d_h[before + j] = d_h[before + j] + dh * z * kept;
                    let d_r = d_n * outputs.extra[before + j] * r * (one - r);
                    [d_r, dh * (kept * outputs.hidden[before + j] - n) * z * (one - z), d_n, one]
                }
            };
            for (index, d_x) in d_x.into_iter().enumerate().take(cell.gates()) {
                let at = index * width + j;
                gradients.xw[row * gates_width + at] = d_x;
                gradients.bias_ih[at] = gradients.bias_ih[at] + d_x;
                d_q[at] = if cell == Cell::Gru && index == 2 { d_x * gate(0) } else { d_x };
            }
        }
        for (at, &d_q) in d_q.iter().enumerate() {
            gradients.bias_hh[at] = gradients.bias_hh[at] + d_q;
            for j in 0..width {
                let weight = at * width + j;
                gradients.r[weight] = gradients.r[weight] + d_q * kept * outputs.hidden[before + j];
                d_h[before + j] = d_h[before + j] + d_q * kept * inputs.r[weight];
            }
        }
    }
    gradients
}
