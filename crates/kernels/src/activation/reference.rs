//! The reference implementation: plain loops.

use num_traits::Float;

use super::Activation;

/// `y = f(x)`.
pub fn forward<F: Float>(activation: Activation, x: &[F]) -> Vec<F> {
    let f = |&x: &F| match activation {
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => F::one() / (F::one() + (-x).exp()),
        Activation::Relu => x.max(F::zero()),
    };
    x.iter().map(f).collect()
}

/// The gradient of the input, given the output and its gradient.
pub fn backward<F: Float>(activation: Activation, y: &[F], d_y: &[F]) -> Vec<F> {
    let derivative = |y: F| match activation {
        Activation::Tanh => F::one() - y * y,
        Activation::Sigmoid => y * (F::one() - y),
        Activation::Relu => {
            if y > F::zero() {
                F::one()
            } else {
                F::zero()
            }
        }
    };
    y.iter().zip(d_y).map(|(&y, &d_y)| derivative(y) * d_y).collect()
}
