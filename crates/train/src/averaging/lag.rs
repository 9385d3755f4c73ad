//! Rows of the average that lag behind: where only some rows of a parameter change in a step, only those rows of the
//! average are updated.
//!
//! A weight that stays the same for some steps moves the average toward it by a known factor:
//!
//! ```text
//! a[n] = w + kept(m, n) · (a[m] − w)        if w is the same from step m + 1 to n
//! ```
//!
//! So for each row the number of steps `m` that its average includes is enough, and a row catches up right before its
//! weight changes, and before the average is used. With a vocabulary of 33,278 words, some 3,500 rows change in a step
//! with a sampled softmax.

use rondo_kernels::{Buffer, Device, optimizer};
use rondo_nn::tensor_file::{Tensor, TensorFile, Values};
use rondo_nn::{NnError, ParameterId, Parameters};

use super::AveragingRule;
use crate::Result;

/// Rows that catch up together.
const BLOCK: usize = 4096;

/// How far the rows of the average lag behind.
#[derive(Debug)]
pub(super) struct Lag {
    /// For each parameter: the number of steps that each row of its average includes; `None` if it is that of the whole
    /// average.
    included: Vec<Option<Vec<u32>>>,
    block: Block,
}

/// Rows to catch up, and how much of their average is kept.
#[derive(Debug)]
struct Block {
    rows: Vec<u32>,
    kept: Vec<f32>,
    rows_on_device: Buffer<u32>,
    kept_on_device: Buffer,
}

impl Lag {
    /// No row lags behind.
    pub(super) fn new(parameters: &Parameters) -> Lag {
        let device = parameters.device();
        let block = Block {
            rows: Vec::with_capacity(BLOCK),
            kept: Vec::with_capacity(BLOCK),
            rows_on_device: Buffer::zeros(device, BLOCK),
            kept_on_device: Buffer::zeros(device, BLOCK),
        };
        Lag { included: vec![None; parameters.ids().len()], block }
    }

    /// Whether rows of this parameter lag behind.
    pub(super) fn has(&self, id: ParameterId) -> bool {
        self.included[id.index()].is_some()
    }

    /// From now on, rows of this parameter lag behind an average over `steps` steps until they catch up.
    pub(super) fn begin(&mut self, id: ParameterId, steps: u64, parameters: &Parameters) {
        self.included[id.index()].get_or_insert_with(|| vec![count(steps); parameters.shape(id)[0]]);
    }

    /// Brings rows up to an average over `steps` steps.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed.
    pub(super) fn catch_up(
        &mut self,
        (rule, steps): (AveragingRule, u64),
        id: ParameterId,
        rows: impl Iterator<Item = u32>,
        parameters: &Parameters,
        average: &mut Parameters,
    ) -> Result<()> {
        let Lag { included, block } = self;
        let Some(included) = &mut included[id.index()] else { return Ok(()) };
        for row in rows {
            let included = &mut included[row as usize];
            if u64::from(*included) < steps {
                block.rows.push(row);
                block.kept.push(rule.kept(u64::from(*included), steps) as f32);
                *included = count(steps);
            }
            if block.rows.len() == BLOCK {
                block.run(id, parameters, average)?;
            }
        }
        block.run(id, parameters, average)
    }

    /// Brings all rows up to an average over `steps` steps.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if the device failed.
    pub(super) fn catch_up_all(
        &mut self,
        at: (AveragingRule, u64),
        parameters: &Parameters,
        average: &mut Parameters,
    ) -> Result<()> {
        parameters.ids().try_for_each(|id| {
            let rows = 0..parameters.shape(id)[0] as u32;
            self.catch_up(at, id, rows, parameters, average)
        })
    }

    /// The numbers of steps as tensors of a checkpoint.
    pub(super) fn tensors(&self, parameters: &Parameters) -> Vec<Tensor<'static>> {
        let tensor = |id: ParameterId| {
            let included = self.included[id.index()].as_ref()?;
            let bytes: Vec<u8> = included.iter().flat_map(|steps| steps.to_le_bytes()).collect();
            let name = tensor_name(parameters.name(id));
            Some(Tensor { name, shape: vec![bytes.len()], values: Values::Bytes(bytes.into()) })
        };
        parameters.ids().filter_map(tensor).collect()
    }

    /// Reads the tensors of a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Model`](crate::TrainError::Model) if a tensor has the wrong type or size.
    pub(super) fn restore(&mut self, tensors: &TensorFile<'_>, parameters: &Parameters) -> Result<()> {
        for id in parameters.ids() {
            let name = tensor_name(parameters.name(id));
            self.included[id.index()] = if tensors.names().contains(&name.as_str()) {
                let bytes = tensors.bytes(&name)?;
                let expected = vec![parameters.shape(id)[0] * size_of::<u32>()];
                if bytes.len() != expected[0] {
                    return Err(NnError::Shape { name, found: vec![bytes.len()], expected }.into());
                }
                let (numbers, _) = bytes.as_chunks();
                Some(numbers.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect())
            } else {
                None
            };
        }
        Ok(())
    }
}

impl Block {
    fn run(&mut self, id: ParameterId, parameters: &Parameters, average: &mut Parameters) -> Result<()> {
        let (device, count): (&Device, usize) = (parameters.device(), self.rows.len());
        self.rows_on_device.range_mut(0..count).write_from(&self.rows).map_err(NnError::from)?;
        self.kept_on_device.range_mut(0..count).write_from(&self.kept).map_err(NnError::from)?;
        self.rows.clear();
        self.kept.clear();
        let (rows, kept) = (self.rows_on_device.range(0..count), self.kept_on_device.range(0..count));
        let width = parameters.row_width(id);
        optimizer::average_rows(device, width, rows, kept, parameters.values(id), average.values_mut(id));
        Ok(())
    }
}

/// A number of steps in four bytes. More than 2³² steps would take a training run years.
fn count(steps: u64) -> u32 {
    u32::try_from(steps).unwrap_or(u32::MAX)
}

/// The name of a parameter's tensor in a checkpoint.
fn tensor_name(parameter: &str) -> String {
    format!("average_steps/{parameter}")
}
