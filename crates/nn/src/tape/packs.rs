//! Weights packed for their matrix multiplications, repacked only when the parameters have changed.

use std::collections::HashMap;

use rondo_kernels::recurrence::mogrifier::{self, Rounds, Weights};
use rondo_kernels::recurrence::{Cell, Weight};
use rondo_kernels::{Buffer, Device, Packed, linear, recurrence};

use crate::{ParameterId, Parameters};

/// What a weight is packed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Layout {
    /// The matrix multiplication of a dense layer.
    Linear(linear::Pack),
    /// The loop over time steps of a recurrent layer.
    Recurrence(Cell, recurrence::Pack),
    /// The same as [`Layout::Linear`] and [`Layout::Recurrence`] forward, as bytes.
    Int8Linear,
    Int8Recurrence(Cell),
    /// The rounds of a Mogrifier, with the first of their weights as the key.
    Rounds(linear::Pack),
}

/// What a weight is packed for in a forward pass.
#[derive(Clone, Copy, Debug)]
pub(super) enum Forward {
    /// A dense layer.
    Linear,
    /// The loop of a recurrent layer.
    Recurrence(Cell),
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
        let weight_of = |cell: Cell| Weight { cell, hidden: rows / cell.gates(), output: columns };
        let len = match layout {
            Layout::Linear(kind) => linear::pack_len(device, columns, rows, kind),
            Layout::Recurrence(cell, kind) => recurrence::pack_len(device, weight_of(cell), kind),
            Layout::Int8Linear => linear::int8_pack_len(columns, rows),
            Layout::Int8Recurrence(cell) => recurrence::int8_pack_len(weight_of(cell)),
            Layout::Rounds(_) => unreachable!("the rounds have several weights"),
        };
        let Some(packed) = self.outdated((id, layout), device, parameters, len) else { return };
        let values = parameters.values(id);
        match layout {
            Layout::Linear(kind) => linear::pack(device, columns, rows, kind, values, packed.slice_mut()),
            Layout::Recurrence(cell, kind) => {
                recurrence::pack(device, weight_of(cell), kind, values, packed.slice_mut());
            }
            Layout::Int8Linear => linear::pack_int8(device, columns, rows, values, packed.slice_mut()),
            Layout::Int8Recurrence(cell) => {
                recurrence::pack_int8(device, weight_of(cell), values, packed.slice_mut());
            }
            Layout::Rounds(_) => {}
        }
    }

    /// Packs the weights of a Mogrifier's rounds, unless the existing pack is up to date.
    pub(super) fn prepare_rounds(
        &mut self,
        device: &Device,
        parameters: &Parameters,
        weights: Weights<ParameterId>,
        (rounds, hidden): (Rounds, usize),
        kind: linear::Pack,
    ) {
        let len = mogrifier::pack_len(device, rounds, hidden, kind);
        let key = (first(weights), Layout::Rounds(kind));
        let Some(packed) = self.outdated(key, device, parameters, len) else { return };
        let weights = weights.map(|weight| weight.map(|id| parameters.values(id)));
        mogrifier::pack(device, rounds, hidden, kind, weights, packed.slice_mut());
    }

    /// The memory of a pack, unless it is up to date.
    fn outdated(
        &mut self,
        key: (ParameterId, Layout),
        device: &Device,
        parameters: &Parameters,
        len: usize,
    ) -> Option<&mut Buffer> {
        let (version, packed) = self.packed.entry(key).or_insert_with(|| (0, Buffer::zeros(device, len)));
        if *version == parameters.version() {
            return None;
        }
        if packed.len() != len {
            *packed = Buffer::zeros(device, len);
        }
        *version = parameters.version();
        Some(packed)
    }

    /// Packs a weight for a forward pass, as bytes if it [consists of them](Parameters::is_int8) and the device reads
    /// them, and returns how.
    pub(super) fn prepare_forward(
        &mut self,
        device: &Device,
        parameters: &Parameters,
        id: ParameterId,
        of: Forward,
    ) -> Layout {
        let is_int8 = parameters.is_int8(id) && Packed::supports_int8(device);
        let layout = match (of, is_int8) {
            (Forward::Linear, false) => Layout::Linear(linear::Pack::Forward),
            (Forward::Linear, true) => Layout::Int8Linear,
            (Forward::Recurrence(cell), false) => Layout::Recurrence(cell, recurrence::Pack::Forward),
            (Forward::Recurrence(cell), true) => Layout::Int8Recurrence(cell),
        };
        self.prepare(device, parameters, id, layout);
        layout
    }

    /// A packed weight, as operations read it.
    ///
    /// # Panics
    /// If it has not been prepared.
    pub(super) fn packed(&self, id: ParameterId, layout: Layout) -> Packed<'_> {
        let values = self.get(id, layout).slice();
        match layout {
            Layout::Int8Linear | Layout::Int8Recurrence(_) => Packed::Int8(values),
            Layout::Linear(_) | Layout::Recurrence(..) | Layout::Rounds(_) => Packed::Numbers(values),
        }
    }

    /// A packed weight.
    ///
    /// # Panics
    /// If it has not been prepared.
    pub(super) fn get(&self, id: ParameterId, layout: Layout) -> &Buffer {
        &self.packed[&(id, layout)].1
    }

    /// The packed weights of a Mogrifier's rounds.
    ///
    /// # Panics
    /// If they have not been prepared.
    pub(super) fn rounds(&self, weights: Weights<ParameterId>, kind: linear::Pack) -> &Buffer {
        self.get(first(weights), Layout::Rounds(kind))
    }
}

/// The first of a Mogrifier's weights.
fn first(weights: Weights<ParameterId>) -> ParameterId {
    match weights.into_iter().flatten().next() {
        Some(first) => first,
        None => panic!("a Mogrifier has at least one round"),
    }
}
