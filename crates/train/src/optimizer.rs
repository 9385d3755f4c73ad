//! From gradients to new weights: clipping, then the optimiser's rule, for every parameter.

use rondo_kernels::optimiser::{self, Adam, Decay, GLUON_EPSILON, Sgd};
use rondo_kernels::{Buffer, Device};
use rondo_nn::tensor_file::{Tensor, TensorFile, Values};
use rondo_nn::{Gradient, Gradients, ParameterId, Parameters};

use crate::{OptimizationPlan, OptimizerPlan, Result};

/// An optimiser and what it remembers of each parameter.
#[derive(Debug)]
pub(crate) struct Optimizer {
    rule: OptimizerPlan,
    weight_decay: f64,
    clip_value: Option<f64>,
    /// The largest global norm of a gradient.
    clip_norm: Option<f64>,
    /// What the clipped gradient is multiplied with.
    step_scale: f64,
    memory: Vec<Memory>,
    steps: u64,
}

/// What the rule remembers of one parameter.
#[derive(Debug)]
enum Memory {
    Nothing,
    Velocity(Buffer),
    Moments(Buffer, Buffer),
}

impl Optimizer {
    /// The optimiser of the plan, before its first step, for chunks of `bptt` by `batch_size` tokens.
    pub(crate) fn new(
        plan: &OptimizationPlan,
        (bptt, batch_size): (usize, usize),
        parameters: &Parameters,
    ) -> Self {
        let memory = |id| {
            let zeros = || Buffer::zeros(parameters.device(), parameters.values(id).len());
            match plan.optimizer {
                OptimizerPlan::Sgd { momentum: 0.0 } => Memory::Nothing,
                OptimizerPlan::Sgd { .. } => Memory::Velocity(zeros()),
                OptimizerPlan::Adam { .. } => Memory::Moments(zeros(), zeros()),
            }
        };
        Optimizer {
            rule: plan.optimizer,
            weight_decay: plan.weight_decay,
            clip_value: plan.clip_value,
            clip_norm: plan.clip_norm_limit(bptt, batch_size),
            step_scale: plan.step_scale(batch_size),
            memory: parameters.ids().map(memory).collect(),
            steps: 0,
        }
    }

    /// The steps it has made.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// All that it remembers, under the names that [`Optimizer::restore`] knows.
    pub(crate) fn tensors<'a>(&'a self, parameters: &'a Parameters) -> impl Iterator<Item = Tensor<'a>> {
        parameters.ids().flat_map(move |id| {
            self.memory[id.index()].named().into_iter().map(move |(kind, buffer)| Tensor {
                name: memory_tensor(kind, parameters.name(id)),
                shape: parameters.shape(id).to_vec(),
                values: Values::Numbers(buffer.host()),
            })
        })
    }

    /// Goes on after `steps` steps with the memory of a checkpoint's tensors.
    pub(crate) fn restore(
        &mut self,
        steps: u64,
        tensors: &TensorFile<'_>,
        parameters: &Parameters,
    ) -> Result<()> {
        self.steps = steps;
        for id in parameters.ids() {
            for (kind, buffer) in self.memory[id.index()].named_mut() {
                let name = memory_tensor(kind, parameters.name(id));
                tensors.numbers(&name, parameters.shape(id))?.copy_to(buffer.host_mut());
            }
        }
        Ok(())
    }

    /// Clips the gradients and takes a step; returns their global norm before it was clipped.
    ///
    /// If the norm is not finite, no parameter is touched.
    pub(crate) fn step(
        &mut self,
        learning_rate: f64,
        gradients: &mut Gradients,
        parameters: &mut Parameters,
    ) -> f64 {
        let device = parameters.device().clone();
        if let Some(limit) = self.clip_value {
            for id in parameters.ids() {
                if let Some(values) = gradients.values_mut(id) {
                    optimiser::clip_values(&device, limit as f32, values);
                }
            }
        }
        let norm = global_norm(&device, gradients, parameters);
        if !norm.is_finite() {
            return norm;
        }
        let clip = self.clip_norm.map_or(1.0, |limit| optimiser::clip_scale(norm, limit, GLUON_EPSILON));
        self.steps += 1;
        for id in parameters.ids() {
            self.update(&device, id, learning_rate, clip * self.step_scale, gradients, parameters);
        }
        norm
    }

    fn update(
        &mut self,
        device: &Device,
        id: ParameterId,
        learning_rate: f64,
        scale: f64,
        gradients: &mut Gradients,
        parameters: &mut Parameters,
    ) {
        let plain = matches!(self.rule, OptimizerPlan::Sgd { momentum: 0.0 }) && self.weight_decay == 0.0;
        if !plain {
            // Momentum, moments and decay change every row, so a gradient of some rows is no cheaper.
            gradients.densify(parameters, id);
        }
        let width = parameters.shape(id).last().copied().unwrap_or(1);
        let memory = &mut self.memory[id.index()];
        match (gradients.get(id), self.rule) {
            (Gradient::Zero, _) => {}
            (Gradient::Rows { rows, values }, _) => {
                let weight = parameters.values_mut(id);
                optimiser::sgd_rows(device, learning_rate, scale, width, rows, values, weight);
            }
            (Gradient::Dense(gradient), OptimizerPlan::Sgd { momentum }) => {
                let options = Sgd { learning_rate, momentum, weight_decay: self.weight_decay };
                let velocity = match memory {
                    Memory::Velocity(velocity) => Some(velocity.slice_mut()),
                    _ => None,
                };
                optimiser::sgd(device, &options, scale, gradient, parameters.values_mut(id), velocity);
            }
            (Gradient::Dense(gradient), OptimizerPlan::Adam { beta1, beta2, epsilon, decoupled }) => {
                let Memory::Moments(first, second) = memory else {
                    unreachable!("an Adam optimiser was made with moments")
                };
                let decay = if decoupled { Decay::Weight } else { Decay::Gradient };
                let weight_decay = self.weight_decay;
                let options = Adam { learning_rate, beta1, beta2, epsilon, weight_decay, decay };
                let weight = parameters.values_mut(id);
                let (first, second) = (first.slice_mut(), second.slice_mut());
                optimiser::adam(device, &options, self.steps, scale, gradient, weight, first, second);
            }
        }
    }
}

impl Memory {
    /// What there is, by its name.
    fn named(&self) -> Vec<(&'static str, &Buffer)> {
        match self {
            Memory::Nothing => vec![],
            Memory::Velocity(velocity) => vec![("velocity", velocity)],
            Memory::Moments(first, second) => vec![("first", first), ("second", second)],
        }
    }

    fn named_mut(&mut self) -> Vec<(&'static str, &mut Buffer)> {
        match self {
            Memory::Nothing => vec![],
            Memory::Velocity(velocity) => vec![("velocity", velocity)],
            Memory::Moments(first, second) => vec![("first", first), ("second", second)],
        }
    }
}

/// What a part of the memory is called in a checkpoint.
fn memory_tensor(kind: &str, parameter: &str) -> String {
    format!("optimizer/{kind}/{parameter}")
}

/// The norm of all gradients together. A tied matrix counts once, with the sum of its gradients.
pub(crate) fn global_norm(device: &Device, gradients: &Gradients, parameters: &Parameters) -> f64 {
    let squared = parameters.ids().map(|id| match gradients.get(id) {
        Gradient::Zero => 0.0,
        Gradient::Dense(values) | Gradient::Rows { values, .. } => optimiser::squared_norm(device, values),
    });
    squared.sum::<f64>().sqrt()
}
