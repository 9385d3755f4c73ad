//! A model's parameters by name, and their gradients.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rondo_kernels::{Buffer, Device, Slice, SliceMut, Store, embedding};

use crate::tape::Ids;

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

/// The gradients of a set of parameters, kept from step to step so that only the first step allocates.
#[derive(Debug, Default)]
pub struct Gradients {
    entries: Vec<Entry>,
}

/// The gradient of one parameter, as the optimizer sees it.
#[derive(Clone, Copy)]
pub enum Gradient<'a> {
    /// No contributions: it is zero.
    Zero,
    /// Dense: all elements, in the parameter's layout.
    Dense(Slice<'a>),
    /// Row-sparse: the gradient of some rows; all others are zero.
    Rows {
        /// The indices of the rows, increasing.
        rows: Slice<'a, u32>,
        /// The same, on the host.
        rows_on_host: &'a [u32],
        /// `[rows, width]`.
        values: Slice<'a>,
    },
}

#[derive(Debug, Default)]
struct Entry {
    kind: Kind,
    dense: Option<Buffer>,
    sparse: Option<Sparse>,
    joined: Option<Joined>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Zero,
    Dense,
    Rows,
}

/// The rows of a row-sparse gradient.
#[derive(Debug)]
struct Sparse {
    width: usize,
    rows: Buffer<u32>,
    order: Buffer<u32>,
    starts: Buffer<u32>,
    values: Buffer,
    count: usize,
    plan: RowPlan,
}

/// Which contributions belong to which row, on the host.
#[derive(Debug, Default)]
struct RowPlan {
    rows: Vec<u32>,
    order: Vec<u32>,
    starts: Vec<u32>,
}

/// The rows of a row-sparse gradient, followed by those of a contribution to it.
#[derive(Debug)]
struct Joined {
    ids: Vec<u32>,
    values: Buffer,
}

impl Gradients {
    /// The gradients of `parameters`, all zero.
    pub fn new(parameters: &Parameters) -> Self {
        Gradients { entries: parameters.ids().map(|_| Entry::default()).collect() }
    }

    /// Resets them to zero, keeping the memory.
    pub fn clear(&mut self) {
        for entry in &mut self.entries {
            entry.kind = Kind::Zero;
        }
    }

    /// The gradient of one parameter.
    pub fn get(&self, id: ParameterId) -> Gradient<'_> {
        let entry = &self.entries[id.0];
        match (entry.kind, &entry.dense, &entry.sparse) {
            (Kind::Dense, Some(dense), _) => Gradient::Dense(dense.slice()),
            (Kind::Rows, _, Some(sparse)) => Gradient::Rows {
                rows: sparse.rows(),
                rows_on_host: &sparse.plan.rows[..sparse.count],
                values: sparse.values(),
            },
            _ => Gradient::Zero,
        }
    }

    /// The stored elements of a gradient, to be changed in place: all of a dense one, the rows of a sparse
    /// one.
    pub fn values_mut(&mut self, id: ParameterId) -> Option<SliceMut<'_>> {
        let entry = &mut self.entries[id.0];
        match (entry.kind, &mut entry.dense, &mut entry.sparse) {
            (Kind::Dense, Some(dense), _) => Some(dense.slice_mut()),
            (Kind::Rows, _, Some(sparse)) => Some(sparse.values.range_mut(0..sparse.count * sparse.width)),
            _ => None,
        }
    }

    /// Takes away a gradient as a dense one: zeros if there are no contributions. [`Gradients::put_dense`] puts it back.
    pub fn take_dense(&mut self, parameters: &Parameters, id: ParameterId) -> Buffer {
        let (mut values, store) = self.dense(parameters, id);
        if store == Store::Overwrite {
            values.reborrow().fill(0.0);
        }
        match self.entries[id.0].dense.take() {
            Some(dense) => dense,
            None => unreachable!("it has just been made"),
        }
    }

    /// Whether a gradient has been taken away.
    pub fn is_taken(&self, id: ParameterId) -> bool {
        let entry = &self.entries[id.0];
        entry.kind == Kind::Dense && entry.dense.is_none()
    }

    /// Puts back a gradient that was taken away, perhaps changed.
    pub fn put_dense(&mut self, id: ParameterId, values: Buffer) {
        let entry = &mut self.entries[id.0];
        (entry.kind, entry.dense) = (Kind::Dense, Some(values));
    }

    /// Replaces a gradient by a row-sparse one: the sums of the rows `values: [rows, width]` over equal indices `rows`.
    ///
    /// # Panics
    /// If an index is out of range, or the lengths do not match.
    pub fn replace_rows(
        &mut self,
        parameters: &Parameters,
        id: ParameterId,
        rows: &[u32],
        values: Slice<'_>,
    ) {
        let (vocab, width) = (parameters.shape(id)[0], parameters.row_width(id));
        assert!(rows.iter().all(|&row| (row as usize) < vocab), "a row is out of range for {vocab}");
        let dims = embedding::Dims { rows: rows.len(), vocab, width };
        let Entry { kind, sparse, .. } = &mut self.entries[id.0];
        Sparse::sum(sparse, parameters.device(), dims, rows, values);
        *kind = Kind::Rows;
    }

    /// Turns a row-sparse gradient into a dense one, for code that does not handle sparse gradients.
    pub fn densify(&mut self, parameters: &Parameters, id: ParameterId) {
        if self.entries[id.0].kind == Kind::Rows {
            self.dense(parameters, id);
        }
    }

    /// Where to store a dense contribution, and whether it is the first.
    pub(crate) fn dense(&mut self, parameters: &Parameters, id: ParameterId) -> (SliceMut<'_>, Store) {
        let entry = &mut self.entries[id.0];
        let kind = std::mem::replace(&mut entry.kind, Kind::Dense);
        let len = parameters.values(id).len();
        let dense = entry.dense.get_or_insert_with(|| Buffer::zeros(parameters.device(), len));
        if kind == Kind::Rows
            && let Some(sparse) = &entry.sparse
        {
            dense.slice_mut().fill(0.0);
            let width = sparse.width;
            let dims = embedding::Dims { rows: sparse.count, vocab: len / width, width };
            embedding::backward(parameters.device(), dims, sparse.rows(), sparse.values(), dense.slice_mut());
        }
        (dense.slice_mut(), if kind == Kind::Zero { Store::Overwrite } else { Store::Add })
    }

    /// Adds the gradient of a look-up, or of anything else that contributes to the rows `ids` of a parameter: to the dense
    /// gradient if there is one, otherwise to the sparse rows.
    pub(crate) fn add_rows(&mut self, parameters: &Parameters, id: ParameterId, ids: &Ids, d_out: Slice<'_>) {
        let device = parameters.device();
        let (vocab, width) = (parameters.shape(id)[0], parameters.row_width(id));
        let dims = embedding::Dims { rows: ids.on_host.len(), vocab, width };
        if self.entries[id.0].kind == Kind::Dense {
            let (dense, _) = self.dense(parameters, id);
            return embedding::backward(device, dims, ids.on_device.slice(), d_out, dense);
        }
        let Entry { kind, sparse, joined, .. } = &mut self.entries[id.0];
        match (*kind, &mut *sparse) {
            (Kind::Rows, Some(earlier)) => {
                let (first, all) = (earlier.count, earlier.count + ids.on_host.len());
                if joined.as_ref().is_none_or(|joined| joined.values.len() < all * width) {
                    let room = with_headroom(all);
                    *joined = Some(Joined {
                        ids: Vec::with_capacity(room),
                        values: Buffer::zeros(device, room * width),
                    });
                }
                let Some(joined) = joined else { return };
                joined.ids.clear();
                joined.ids.extend(&earlier.plan.rows[..first]);
                joined.ids.extend(&ids.on_host);
                joined.values.range_mut(0..first * width).copy_from(earlier.values());
                joined.values.range_mut(first * width..all * width).copy_from(d_out);
                let values = joined.values.range(0..all * width);
                Sparse::sum(sparse, device, embedding::Dims { rows: all, ..dims }, &joined.ids, values);
            }
            _ => Sparse::sum(sparse, device, dims, &ids.on_host, d_out),
        }
        *kind = Kind::Rows;
    }
}

/// Room for a number of rows that changes a little from step to step.
fn with_headroom(rows: usize) -> usize {
    rows + rows / 8
}

impl Sparse {
    /// Replaces the rows by the sums of `d_out` over equal `ids`, in memory that is large enough.
    fn sum(
        sparse: &mut Option<Sparse>,
        device: &Device,
        dims: embedding::Dims,
        ids: &[u32],
        d_out: Slice<'_>,
    ) {
        let embedding::Dims { rows: count, width, .. } = dims;
        if sparse.as_ref().is_none_or(|sparse| sparse.rows.len() < count) {
            // A look-up has the same number of ids in each batch.
            let room = if sparse.is_none() { count } else { with_headroom(count) };
            *sparse = Some(Sparse {
                width,
                rows: Buffer::zeros(device, room),
                order: Buffer::zeros(device, room),
                starts: Buffer::zeros(device, room + 1),
                values: Buffer::zeros(device, room * width),
                count: 0,
                plan: RowPlan::default(),
            });
        }
        let Some(sparse) = sparse else { return };
        let Sparse { rows, order, starts, plan, .. } = sparse;
        plan.rows.resize(rows.len(), 0);
        plan.order.resize(rows.len(), 0);
        plan.starts.resize(rows.len() + 1, 0);
        sparse.count = embedding::plan_rows(
            ids,
            &mut plan.order[..count],
            &mut plan.starts[..count + 1],
            &mut plan.rows[..count],
        );
        let found = sparse.count;
        let written = [
            order.range_mut(0..count).write_from(&plan.order[..count]),
            starts.range_mut(0..found + 1).write_from(&plan.starts[..found + 1]),
            rows.range_mut(0..found).write_from(&plan.rows[..found]),
        ];
        drop(written); // A device that has failed says so when values are read.
        let (order, starts) = (sparse.order.range(0..count), sparse.starts.range(0..sparse.count + 1));
        let values = sparse.values.range_mut(0..sparse.count * width);
        embedding::backward_sparse(device, dims, d_out, order, starts, values);
    }

    /// The indices of the rows, increasing.
    fn rows(&self) -> Slice<'_, u32> {
        self.rows.range(0..self.count)
    }

    /// Their gradients.
    fn values(&self) -> Slice<'_> {
        self.values.range(0..self.count * self.width)
    }
}
