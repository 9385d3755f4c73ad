//! The updates of the weights between segments, each weight read and written at most once.
//!
//! ```text
//! decoder           left·right         the gradient is never multiplied out, so that one pass over the weights is all
//! looked-up table   rows of a segment  the decays that a row has missed are made up for when it is needed again
//! other weights     dense              one pass
//! ```

use rondo_kernels::Slice;
use rondo_kernels::optimizer::{self, Dynamic, GLUON_EPSILON, RmsScale, Rows, Sgd};
use rondo_nn::{Gradient, Gradients, Model, ParameterId, Parameters};

use super::DynamicEvaluation;
use crate::optimizer::global_norm;
use crate::{Quantity, Result, TrainError};

/// Updates weights, and knows which rows are behind.
pub(super) struct Updates<'a> {
    options: &'a DynamicEvaluation<'a>,
    trained: &'a Parameters,
    /// The steps taken.
    steps: u32,
    lag: Option<Lag>,
}

/// The rows of a table that is only looked up. Rows that were never changed have their trained weights, and no decay changes
/// them.
struct Lag {
    table: ParameterId,
    /// For each row, the number of steps after which it was last up to date, if it has ever been changed.
    since: Vec<Option<u32>>,
}

impl<'a> Updates<'a> {
    /// Updates toward the `trained` weights. `table` is what the model [only looks up](Model::lookup_table).
    pub(super) fn new(
        options: &'a DynamicEvaluation<'a>,
        trained: &'a Parameters,
        table: Option<ParameterId>,
    ) -> Self {
        let lag = table.map(|table| Lag { table, since: vec![None; trained.shape(table)[0]] });
        Updates { options, trained, steps: 0, lag }
    }

    /// Makes up for the decays that the rows of these ids have missed.
    pub(super) fn catch_up(&mut self, model: &mut dyn Model, ids: &[u32]) {
        let Some(Lag { table, since }) = &mut self.lag else { return };
        let (table, adapt) = (*table, self.options.rule.adapt());
        if adapt.decay == 0.0 {
            return;
        }
        for &row in ids {
            let Some(since) = &mut since[row as usize] else { continue };
            let decays = self.steps - std::mem::replace(since, self.steps);
            if decays > 0 {
                let adapt = Dynamic { decays, ..adapt };
                let rms = self.options.rule.rms_scale(table);
                step_row(model.parameters_mut(), self.trained, &adapt, rms, 1.0, table, row, None);
            }
        }
    }

    /// Updates the weights after `tokens` tokens; fails if gradients are clipped and their norm is not finite.
    pub(super) fn step(
        &mut self,
        model: &mut dyn Model,
        gradients: &mut Gradients,
        tokens: u64,
    ) -> Result<()> {
        let Updates { options, trained, .. } = *self;
        let device = trained.device();
        let mut scale = 1.0;
        if let Some(limit) = options.clip_norm {
            let norm = global_norm(device, gradients, trained)?;
            if !norm.is_finite() {
                return Err(TrainError::Diverged { what: Quantity::GradientNorm, found: norm, tokens });
            }
            scale = optimizer::clip_scale(norm, limit, GLUON_EPSILON);
        }
        let parameters = model.parameters_mut();
        for id in trained.ids() {
            let mut adapt = options.rule.adapt();
            let rms = options.rule.rms_scale(id);
            let is_looked_up = self.lag.as_ref().is_some_and(|lag| lag.table == id);
            if adapt.decay != 0.0 && !is_looked_up && gradients.product(id).is_none() {
                // The decay changes every row, so a gradient with only some rows is not cheaper.
                gradients.densify(trained, id);
            }
            if let Some(product) = gradients.product(id) {
                let (from, weight) = (trained.values(id), parameters.values_mut(id));
                optimizer::dynamic_product(device, &adapt, rms, scale, product, from, weight);
                adapt.decay = 0.0; // The rest of the gradient comes in addition.
            }
            match gradients.get(id) {
                Gradient::Rows { rows, values, .. } if rms.is_none() && adapt.decay == 0.0 => {
                    let gradient = Rows { rows, values, width: trained.row_width(id) };
                    let sgd = Sgd { learning_rate: adapt.learning_rate, momentum: 0.0, weight_decay: 0.0 };
                    let weight = parameters.values_mut(id);
                    optimizer::sgd_rows(device, &sgd, scale.into(), gradient, weight, None);
                }
                Gradient::Rows { rows_on_host, values, .. } => {
                    let width = trained.row_width(id);
                    for (at, &row) in rows_on_host.iter().enumerate() {
                        let gradient = Some(values.range(at * width..(at + 1) * width));
                        step_row(parameters, trained, &adapt, rms, scale, id, row, gradient);
                        if is_looked_up && let Some(lag) = &mut self.lag {
                            lag.since[row as usize] = Some(self.steps + 1);
                        }
                    }
                }
                Gradient::Dense(gradient) => {
                    let (from, weight) = (trained.values(id), parameters.values_mut(id));
                    optimizer::dynamic(device, &adapt, rms, scale, Some(gradient), from, weight);
                }
                Gradient::Zero if adapt.decay == 0.0 || is_looked_up => {}
                Gradient::Zero => {
                    let (from, weight) = (trained.values(id), parameters.values_mut(id));
                    optimizer::dynamic(device, &adapt, rms, scale, None, from, weight);
                }
            }
        }
        self.steps += 1;
        Ok(())
    }
}

/// A step of one row of a parameter.
#[allow(clippy::too_many_arguments)] // Half of them say which row.
fn step_row(
    parameters: &mut Parameters,
    trained: &Parameters,
    adapt: &Dynamic,
    rms: Option<RmsScale<'_>>,
    scale: f64,
    id: ParameterId,
    row: u32,
    gradient: Option<Slice<'_>>,
) {
    let width = trained.row_width(id);
    let elements = row as usize * width..(row as usize + 1) * width;
    let rms = rms.map(|rms| RmsScale { rms: rms.rms.range(elements.clone()), ..rms });
    let weight = parameters.values_mut(id).range(elements.clone());
    let from = trained.values(id).range(elements);
    optimizer::dynamic(trained.device(), adapt, rms, scale, gradient, from, weight);
}
