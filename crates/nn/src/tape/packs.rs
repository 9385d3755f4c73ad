//! Weights packed for their matrix multiplications, repacked only when the parameters have changed.

use std::collections::HashMap;

use rondo_kernels::recurrence::Cell;
use rondo_kernels::{Buffer, Device, linear, recurrence};

use crate::{ParameterId, Parameters};

/// What a weight is packed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Layout {
    /// The matrix multiplication of a dense layer.
    Linear(linear::Pack),
    /// The loop over time steps of a recurrent layer.
    Recurrence(Cell, recurrence::Pack),
}

/// The packed weights, each with the version of the parameters it was made from.
#[derive(Debug, Default)]
pub(super) struct Packs {
    packed: HashMap<(ParameterId, Layout), (u64, Buffer)>,
}

impl Packs {
    /// Packs the weight `id`, unless the existing pack is up to date.
    pub(super) fn prepare(
        &mut self,
        device: &Device,
        parameters: &Parameters,
        id: ParameterId,
        layout: Layout,
    ) {
        let [rows, columns] = *parameters.shape(id) else {
            panic!("`{}` is not a matrix", parameters.name(id));
        };
        let len = match layout {
            Layout::Linear(kind) => linear::pack_len(device, columns, rows, kind),
            Layout::Recurrence(cell, kind) => recurrence::pack_len(device, cell, columns, kind),
        };
        let key = (id, layout);
        let (version, packed) = self.packed.entry(key).or_insert_with(|| (0, Buffer::zeros(device, len)));
        if *version == parameters.version() {
            return;
        }
        if packed.len() != len {
            *packed = Buffer::zeros(device, len);
        }
        *version = parameters.version();
        let weight = parameters.values(id);
        match layout {
            Layout::Linear(kind) => linear::pack(device, columns, rows, kind, weight, packed.slice_mut()),
            Layout::Recurrence(cell, kind) => {
                recurrence::pack(device, cell, columns, kind, weight, packed.slice_mut());
            }
        }
    }

    /// A packed weight.
    ///
    /// # Panics
    /// If it has not been prepared.
    pub(super) fn get(&self, id: ParameterId, layout: Layout) -> &Buffer {
        &self.packed[&(id, layout)].1
    }
}
