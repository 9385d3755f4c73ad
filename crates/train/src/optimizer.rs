//! Optimizers: clip the gradients, then update every parameter with SGD or Adam.

use rondo_kernels::optimizer::{self, Adam, Decay, GLUON_EPSILON, ProductGradient, Rows, Scale, Sgd};
use rondo_kernels::{Buffer, Device, SliceMut};
use rondo_nn::tensor_file::{Tensor, TensorFile, Values};
use rondo_nn::{Gradient, Gradients, NnError, ParameterId, Parameters};

use crate::{OptimizationPlan, OptimizerPlan, Result};

/// An optimizer and its state for each parameter.
///
/// ```
/// use rondo_kernels::Device;
/// use rondo_nn::{Gradients, Parameters};
/// use rondo_train::{Optimizer, OptimizerOptions, OptimizerPlan};
///
/// let mut parameters = Parameters::new(&Device::cpu(1)?);
/// parameters.add("weight", &[2, 3]);
/// let mut gradients = Gradients::new(&parameters); // filled by a backward pass
///
/// let rule = OptimizerPlan::Sgd { momentum: 0.9 };
/// let options = OptimizerOptions { clip_norm: Some(0.25), ..OptimizerOptions::new(rule) };
/// let mut optimizer = Optimizer::new(options, &parameters);
/// let clip = optimizer.clip(&mut gradients, &parameters)?;
/// optimizer.update(0.1, clip, &mut gradients, &mut parameters);
/// assert_eq!((clip.norm, optimizer.steps()), (0.0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Optimizer {
    options: OptimizerOptions,
    memory: Vec<Memory>,
    steps: u64,
}

/// The options of an optimizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerOptions {
    /// The optimizer and its own options.
    pub rule: OptimizerPlan,
    /// Weight decay; 0 is off.
    pub weight_decay: f64,
    /// The maximum absolute value of a gradient element.
    pub clip_value: Option<f64>,
    /// The maximum gradient norm over all parameters.
    pub clip_norm: Option<f64>,
    /// The factor that multiplies the clipped gradient.
    pub step_scale: f64,
    /// Whether a row-sparse gradient changes only its rows (*lazy* rows). Otherwise momentum, moments and weight decay
    /// change all rows, as with a dense gradient, which is slower. Plain SGD is the same either way.
    pub lazy_rows: bool,
}

/// The result of gradient clipping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// The global gradient norm before norm clipping (but after value clipping).
    pub norm: f64,
    /// The factor that scales the gradient so that its norm is within the limit.
    pub scale: f64,
}

impl OptimizerOptions {
    /// Options without weight decay and without clipping.
    pub fn new(rule: OptimizerPlan) -> OptimizerOptions {
        OptimizerOptions {
            rule,
            weight_decay: 0.0,
            clip_value: None,
            clip_norm: None,
            step_scale: 1.0,
            lazy_rows: false,
        }
    }
}

impl OptimizationPlan {
    /// The options of the plan's optimizer, for batches of `bptt` by `batch_size` tokens.
    pub fn optimizer_options(&self, bptt: usize, batch_size: usize) -> OptimizerOptions {
        OptimizerOptions {
            rule: self.optimizer,
            weight_decay: self.weight_decay,
            clip_value: self.clip_value,
            clip_norm: self.clip_norm_limit(bptt, batch_size),
            step_scale: self.step_scale(batch_size),
            lazy_rows: false,
        }
    }
}

/// The name of the state of momentum.
const VELOCITY: &str = "velocity";

/// The optimizer's state for one parameter.
#[derive(Debug)]
enum Memory {
    Nothing,
    Velocity(Buffer),
    Moments(Buffer, Buffer),
}

impl Optimizer {
    /// An optimizer before its first step, for parameters with these shapes.
    pub fn new(options: OptimizerOptions, parameters: &Parameters) -> Self {
        let memory = |id| {
            let zeros = || Buffer::zeros(parameters.device(), parameters.values(id).len());
            match options.rule {
                OptimizerPlan::Sgd { momentum: 0.0 } => Memory::Nothing,
                OptimizerPlan::Sgd { .. } => Memory::Velocity(zeros()),
                OptimizerPlan::Adam { .. } => Memory::Moments(zeros(), zeros()),
            }
        };
        Optimizer { options, memory: parameters.ids().map(memory).collect(), steps: 0 }
    }

    /// The number of updates so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The state of the optimizer, as tensors that [`Optimizer::restore`] reads.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed.
    pub fn tensors<'a>(&'a self, parameters: &'a Parameters) -> Result<Vec<Tensor<'a>>> {
        let mut tensors = vec![];
        for id in parameters.ids() {
            for (kind, buffer) in self.memory[id.index()].named() {
                tensors.push(Tensor {
                    name: memory_tensor(kind, parameters.name(id)),
                    shape: parameters.shape(id).to_vec(),
                    values: Values::Numbers(buffer.read().map_err(NnError::from)?),
                });
            }
        }
        Ok(tensors)
    }

    /// Restores the state after `steps` updates from the tensors of a checkpoint. A checkpoint of a run without
    /// momentum has no velocity, which then starts at zero.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if a tensor is missing or has the wrong shape.
    pub fn restore(&mut self, steps: u64, tensors: &TensorFile<'_>, parameters: &Parameters) -> Result<()> {
        self.steps = steps;
        for id in parameters.ids() {
            for (kind, buffer) in self.memory[id.index()].named_mut() {
                let name = memory_tensor(kind, parameters.name(id));
                if kind == VELOCITY && !tensors.names().contains(&name.as_str()) {
                    *buffer = Buffer::zeros(parameters.device(), buffer.len());
                    continue;
                }
                tensors.numbers(&name, parameters.shape(id))?.copy_to(buffer.slice_mut())?;
            }
        }
        Ok(())
    }

    /// Clips the elements of the gradients in place, computes their global norm, and the factor that reduces
    /// the norm to the limit.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed.
    pub fn clip(&self, gradients: &mut Gradients, parameters: &Parameters) -> Result<Clip> {
        self.clip_values(gradients, parameters);
        let norm = global_norm(parameters.device(), gradients, parameters)?;
        let limited = |limit| optimizer::clip_scale(norm, limit, GLUON_EPSILON);
        Ok(Clip { norm, scale: self.options.clip_norm.map_or(1.0, limited) })
    }

    /// The same without waiting for the device: the scale of the step and the norm stay there.
    ///
    /// # Shapes
    /// - `squares`: an element for each parameter, overwritten.
    /// - `scale: [2]`, overwritten: a [`Scale::Device`].
    pub(crate) fn clip_on_device(
        &self,
        gradients: &mut Gradients,
        parameters: &Parameters,
        squares: &mut Buffer,
        scale: SliceMut<'_>,
    ) {
        let device = parameters.device();
        self.clip_values(gradients, parameters);
        let mut count = 0;
        for id in parameters.ids() {
            if let Gradient::Dense(values) | Gradient::Rows { values, .. } = gradients.get(id) {
                optimizer::squares(device, values, squares.range_mut(count..count + 1));
                count += 1;
            }
        }
        let OptimizerOptions { step_scale, clip_norm, .. } = self.options;
        optimizer::clip(device, squares.range(0..count), step_scale, clip_norm, GLUON_EPSILON, scale);
    }

    fn clip_values(&self, gradients: &mut Gradients, parameters: &Parameters) {
        let Some(limit) = self.options.clip_value else { return };
        for id in parameters.ids() {
            if let Some(values) = gradients.values_mut(id) {
                optimizer::clip_values(parameters.device(), limit as f32, values);
            }
        }
    }

    /// Updates the parameters with the clipped gradients.
    pub fn update(
        &mut self,
        learning_rate: f64,
        clip: Clip,
        gradients: &mut Gradients,
        parameters: &mut Parameters,
    ) {
        let scale = Scale::Host(clip.scale * self.options.step_scale);
        self.update_scaled(learning_rate, scale, gradients, parameters);
    }

    /// Updates the parameters with gradients that are still to be scaled.
    pub(crate) fn update_scaled(
        &mut self,
        learning_rate: f64,
        scale: Scale<'_>,
        gradients: &mut Gradients,
        parameters: &mut Parameters,
    ) {
        let device = parameters.device().clone();
        self.steps += 1;
        for id in parameters.ids() {
            self.update_one(&device, id, learning_rate, scale, gradients, parameters);
        }
    }

    fn update_one(
        &mut self,
        device: &Device,
        id: ParameterId,
        learning_rate: f64,
        scale: Scale<'_>,
        gradients: &mut Gradients,
        parameters: &mut Parameters,
    ) {
        let OptimizerOptions { rule, weight_decay, lazy_rows, .. } = self.options;
        let plain = rule == OptimizerPlan::Sgd { momentum: 0.0 } && weight_decay == 0.0;
        if !plain && !lazy_rows {
            gradients.densify(parameters, id);
        }
        let width = parameters.row_width(id);
        let weight = parameters.values_mut(id);
        match rule {
            OptimizerPlan::Sgd { momentum } => {
                let options = Sgd { learning_rate, momentum, weight_decay };
                let velocity = match &mut self.memory[id.index()] {
                    Memory::Velocity(velocity) => Some(velocity.slice_mut()),
                    _ => None,
                };
                match gradients.get(id) {
                    Gradient::Zero => {}
                    Gradient::Dense(gradient) => {
                        optimizer::sgd(device, &options, scale, gradient, weight, velocity);
                    }
                    Gradient::Rows { rows, values, .. } => {
                        let gradient = Rows { rows, values, width };
                        optimizer::sgd_rows(device, &options, scale, gradient, weight, velocity);
                    }
                }
            }
            OptimizerPlan::Adam { beta1, beta2, epsilon, decoupled } => {
                let Memory::Moments(first, second) = &mut self.memory[id.index()] else {
                    unreachable!("an Adam optimizer has moments")
                };
                let decay = if decoupled { Decay::Weight } else { Decay::Gradient };
                let options = Adam { learning_rate, beta1, beta2, epsilon, weight_decay, decay };
                let (first, second) = (first.slice_mut(), second.slice_mut());
                match gradients.get(id) {
                    Gradient::Zero => {}
                    Gradient::Dense(gradient) => {
                        optimizer::adam(device, &options, self.steps, scale, gradient, weight, first, second);
                    }
                    Gradient::Rows { rows, values, .. } => {
                        let gradient = Rows { rows, values, width };
                        optimizer::adam_rows(
                            device, &options, self.steps, scale, gradient, weight, first, second,
                        );
                    }
                }
            }
        }
    }
}

impl Memory {
    /// The state tensors, with their names.
    fn named(&self) -> Vec<(&'static str, &Buffer)> {
        match self {
            Memory::Nothing => vec![],
            Memory::Velocity(velocity) => vec![(VELOCITY, velocity)],
            Memory::Moments(first, second) => vec![("first", first), ("second", second)],
        }
    }

    fn named_mut(&mut self) -> Vec<(&'static str, &mut Buffer)> {
        match self {
            Memory::Nothing => vec![],
            Memory::Velocity(velocity) => vec![(VELOCITY, velocity)],
            Memory::Moments(first, second) => vec![("first", first), ("second", second)],
        }
    }
}

/// The name of a state tensor in a checkpoint.
fn memory_tensor(kind: &str, parameter: &str) -> String {
    format!("optimizer/{kind}/{parameter}")
}

/// The global norm of all gradients. A tied matrix counts once, with the sum of its gradients.
pub(crate) fn global_norm(device: &Device, gradients: &Gradients, parameters: &Parameters) -> Result<f64> {
    let mut squared = 0.0;
    for id in parameters.ids() {
        if let Gradient::Dense(values) | Gradient::Rows { values, .. } = gradients.get(id) {
            squared += optimizer::squared_norm(device, values).map_err(NnError::from)?;
        }
        if let Some(product) = gradients.product(id) {
            squared += optimizer::squared_norm_of_product(device, product);
            if let Gradient::Rows { rows_on_host, values, .. } = gradients.get(id) {
                squared += 2.0 * dot(product, rows_on_host, &values.read().map_err(NnError::from)?)?;
            }
        }
    }
    Ok(squared.sqrt())
}

/// The dot product of a gradient that is a product and one of some rows.
fn dot(product: ProductGradient<'_>, rows: &[u32], values: &[f32]) -> Result<f64> {
    let [left, right] = [product.left, product.right].map(|factor| factor.read());
    let (left, right) = (left.map_err(NnError::from)?, right.map_err(NnError::from)?);
    let width = right.len() / product.rows;
    let mut sum = 0.0;
    for (&row, values) in rows.iter().zip(values.chunks_exact(width)) {
        let factors = &left[row as usize * product.rows..][..product.rows];
        for (&factor, right) in factors.iter().zip(right.chunks_exact(width)) {
            let products = right.iter().zip(values).map(|(&a, &b)| f64::from(a) * f64::from(b));
            sum += f64::from(factor) * products.sum::<f64>();
        }
    }
    Ok(sum)
}
