//! A model's parameters by name.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rondo_kernels::{Buffer, Device, Slice, SliceMut};

/// Numbers the states of all sets of parameters, so that data derived from one is never confused with
/// another's.
static VERSIONS: AtomicU64 = AtomicU64::new(1);

/// The id of a parameter of a [`Parameters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParameterId(pub(crate) usize);

impl ParameterId {
    /// Its index among all parameters, from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// The named, trainable tensors of a model, in the order they were added.
#[derive(Debug)]
pub struct Parameters {
    device: Device,
    entries: Vec<Parameter>,
    by_name: HashMap<String, ParameterId>,
    version: u64,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    shape: Vec<usize>,
    values: Buffer,
    /// Whether the rows are multiples of a scale, as [`int8`](rondo_kernels::int8) makes them.
    is_int8: bool,
}

impl Parameters {
    /// An empty set on `device`.
    pub fn new(device: &Device) -> Self {
        Parameters {
            device: device.clone(),
            entries: Vec::new(),
            by_name: HashMap::new(),
            version: next_version(),
        }
    }

    /// Adds a parameter, initialized to zero.
    ///
    /// # Panics
    /// If there is already one with this name.
    pub fn add(&mut self, name: &str, shape: &[usize]) -> ParameterId {
        self.add_values(name, shape, Buffer::zeros(&self.device, shape.iter().product()))
    }

    /// Adds a parameter with these values, row-major, on the set's device.
    ///
    /// # Panics
    /// If there is already one with this name, or the number of values is not the shape's.
    pub fn add_values(&mut self, name: &str, shape: &[usize], values: Buffer) -> ParameterId {
        let id = ParameterId(self.entries.len());
        let previous = self.by_name.insert(name.to_owned(), id);
        assert!(previous.is_none(), "duplicate parameter `{name}`");
        assert_eq!(values.len(), shape.iter().product::<usize>(), "values of `{name}`");
        self.entries.push(Parameter { name: name.to_owned(), shape: shape.to_vec(), values, is_int8: false });
        id
    }

    /// The device they are on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The ids of all parameters, in order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = ParameterId> + DoubleEndedIterator + use<> {
        (0..self.entries.len()).map(ParameterId)
    }

    /// The parameter with this name.
    pub fn find(&self, name: &str) -> Option<ParameterId> {
        self.by_name.get(name).copied()
    }

    /// Its name.
    pub fn name(&self, id: ParameterId) -> &str {
        &self.entries[id.0].name
    }

    /// Its shape.
    pub fn shape(&self, id: ParameterId) -> &[usize] {
        &self.entries[id.0].shape
    }

    /// The number of elements of one of its rows: 1 for a vector.
    pub fn row_width(&self, id: ParameterId) -> usize {
        self.shape(id)[1..].iter().product()
    }

    /// Its values, row-major.
    pub fn values(&self, id: ParameterId) -> Slice<'_> {
        self.entries[id.0].values.slice()
    }

    /// Its values, mutably: everything derived from the parameters before is then out of date.
    pub fn values_mut(&mut self, id: ParameterId) -> SliceMut<'_> {
        self.version = next_version();
        let entry = &mut self.entries[id.0];
        entry.is_int8 = false;
        entry.values.slice_mut()
    }

    /// Whether the elements of each of its rows are multiples of a scale that [`int8`](rondo_kernels::int8) recovers, so
    /// that matrix multiplications can read bytes. It is so until [`Parameters::values_mut`] may change them.
    pub fn is_int8(&self, id: ParameterId) -> bool {
        self.entries[id.0].is_int8
    }

    /// Says that [`Parameters::is_int8`] holds.
    pub(crate) fn mark_int8(&mut self, id: ParameterId) {
        self.entries[id.0].is_int8 = true;
    }

    /// The total number of elements.
    pub fn count(&self) -> usize {
        self.entries.iter().map(|parameter| parameter.values.len()).sum()
    }

    /// The version of these parameters: unique among all sets and all their states.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A set with the same names and shapes, all zero.
    pub fn like(&self) -> Parameters {
        let mut like = Parameters::new(&self.device);
        for entry in &self.entries {
            like.add(&entry.name, &entry.shape);
        }
        like
    }

    /// Copies the values of `other`, which must have the same parameters.
    ///
    /// # Panics
    /// If a shape differs.
    pub fn copy_from(&mut self, other: &Parameters) {
        for id in self.ids() {
            assert_eq!(self.shape(id), other.shape(id), "shape of `{}`", self.name(id));
            self.values_mut(id).copy_from(other.values(id));
        }
    }
}

impl Clone for Parameters {
    /// Copies the names, shapes and values; the copy has its own [version](Parameters::version).
    fn clone(&self) -> Parameters {
        let mut clone = self.like();
        clone.copy_from(self);
        for (entry, from) in clone.entries.iter_mut().zip(&self.entries) {
            entry.is_int8 = from.is_int8;
        }
        clone
    }
}

fn next_version() -> u64 {
    VERSIONS.fetch_add(1, Ordering::Relaxed)
}
