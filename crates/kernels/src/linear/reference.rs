//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// `y = x·Wᵀ + b`.
pub fn forward<F: Float>(dims: Dims, w: &[F], bias: Option<&[F]>, x: &[F]) -> Vec<F> {
    let Dims { rows, inputs, outputs } = dims;
    let mut y = vec![F::zero(); rows * outputs];
    for row in 0..rows {
        for output in 0..outputs {
            let mut sum = bias.map_or(F::zero(), |bias| bias[output]);
            for input in 0..inputs {
                sum = sum + x[row * inputs + input] * w[output * inputs + input];
            }
            y[row * outputs + output] = sum;
        }
    }
    y
}

/// The gradients of input, weight and bias.
pub struct Gradients<F> {
    /// `[R, D]`.
    pub d_x: Vec<F>,
    /// `[N, D]`.
    pub d_w: Vec<F>,
    /// `[N]`.
    pub d_bias: Vec<F>,
}

/// The gradients, given the output's.
pub fn backward<F: Float>(dims: Dims, w: &[F], x: &[F], d_y: &[F]) -> Gradients<F> {
    let Dims { rows, inputs, outputs } = dims;
    let zeros = |len| vec![F::zero(); len];
    let mut gradients =
        Gradients { d_x: zeros(rows * inputs), d_w: zeros(outputs * inputs), d_bias: zeros(outputs) };
    for row in 0..rows {
        for output in 0..outputs {
            let d = d_y[row * outputs + output];
            gradients.d_bias[output] = gradients.d_bias[output] + d;
            for input in 0..inputs {
                let (from, to) = (row * inputs + input, output * inputs + input);
                gradients.d_x[from] = gradients.d_x[from] + d * w[to];
                gradients.d_w[to] = gradients.d_w[to] + d * x[from];
            }
        }
    }
    gradients
}
