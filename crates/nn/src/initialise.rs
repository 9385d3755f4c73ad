//! Draws the parameters' first values.

use rand::{Rng, RngExt};

use crate::config::Initialiser;

impl Initialiser {
    /// Fills a matrix of `rows` × `columns`; a vector is one column.
    pub(crate) fn fill(self, rows: usize, columns: usize, values: &mut [f32], rng: &mut impl Rng) {
        match self {
            Initialiser::Zeros => values.fill(0.0),
            Initialiser::Uniform(limit) => uniform(limit, values, rng),
            Initialiser::Xavier => uniform((6.0 / (rows + columns) as f32).sqrt(), values, rng),
            Initialiser::Normal(deviation) => {
                for value in values {
                    // Box & Muller 1958; 1 − u is above 0, where the logarithm is finite.
                    let (u, v): (f64, f64) = (rng.random(), rng.random());
                    let radius = (-2.0 * (1.0 - u).ln()).sqrt();
                    *value = deviation * (radius * (std::f64::consts::TAU * v).cos()) as f32;
                }
            }
        }
    }
}

fn uniform(limit: f32, values: &mut [f32], rng: &mut impl Rng) {
    for value in values {
        *value = limit * (2.0 * rng.random::<f32>() - 1.0);
    }
}
