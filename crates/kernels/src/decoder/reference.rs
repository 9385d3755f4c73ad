//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// The inputs of the decoder. `bias` and `only_as_target` are empty if there are none.
#[derive(Clone)]
pub struct Inputs<F> {
    /// `[V, H]`.
    pub weight: Vec<F>,
    /// `[V]` or empty.
    pub bias: Vec<F>,
    /// `[R, H]`.
    pub hidden: Vec<F>,
    /// `[R]`.
    pub targets: Vec<u32>,
    /// `[V]` or empty: nonzero for tokens that are left out of the softmax of rows whose target they are not.
    pub only_as_target: Vec<u32>,
}

/// The gradients of weight, bias and input.
pub struct Gradients<F> {
    /// `[V, H]`.
    pub weight: Vec<F>,
    /// `[V]`.
    pub bias: Vec<F>,
    /// `[R, H]`.
    pub hidden: Vec<F>,
}

/// The probabilities of one row.
fn softmax<F: Float>(dims: Dims, inputs: &Inputs<F>, row: usize) -> (Vec<F>, F) {
    let Dims { width, vocab, .. } = dims;
    let logits: Vec<F> = (0..vocab)
        .map(|v| {
            if inputs.only_as_target.get(v).is_some_and(|&only| only != 0)
                && inputs.targets[row] as usize != v
            {
                return F::neg_infinity();
            }
            let bias = inputs.bias.get(v).copied().unwrap_or(F::zero());
            (0..width)
                .fold(bias, |sum, j| sum + inputs.weight[v * width + j] * inputs.hidden[row * width + j])
        })
        .collect();
    let max = logits.iter().copied().fold(F::neg_infinity(), F::max);
    let sum = logits.iter().fold(F::zero(), |sum, &logit| sum + (logit - max).exp());
    let log_sum = max + sum.ln();
    let nll = log_sum - logits[inputs.targets[row] as usize];
    (logits.into_iter().map(|logit| (logit - log_sum).exp()).collect(), nll)
}

/// Each row's negative log-likelihood.
pub fn forward<F: Float>(dims: Dims, inputs: &Inputs<F>) -> Vec<F> {
    (0..dims.rows).map(|row| softmax(dims, inputs, row).1).collect()
}

/// The gradients of `scale·Σ nll`.
pub fn backward<F: Float>(dims: Dims, inputs: &Inputs<F>, scale: F) -> Gradients<F> {
    let Dims { rows, width, vocab } = dims;
    let zeros = |len| vec![F::zero(); len];
    let mut gradients =
        Gradients { weight: zeros(vocab * width), bias: zeros(vocab), hidden: zeros(rows * width) };
    for row in 0..rows {
        for (v, probability) in softmax(dims, inputs, row).0.into_iter().enumerate() {
            let target = if inputs.targets[row] as usize == v { F::one() } else { F::zero() };
            let d = scale * (probability - target);
            gradients.bias[v] = gradients.bias[v] + d;
            for j in 0..width {
                let (w, h) = (v * width + j, row * width + j);
                gradients.weight[w] = gradients.weight[w] + d * inputs.hidden[h];
                gradients.hidden[h] = gradients.hidden[h] + d * inputs.weight[w];
            }
        }
    }
    gradients
}
