//! The gradients of a model's parameters: dense, row-sparse, or kept as the product that they are.

use rondo_kernels::optimizer::ProductGradient;
use rondo_kernels::{Buffer, Device, Slice, SliceMut, Store, embedding, product};

use crate::tape::Ids;
use crate::{ParameterId, Parameters};

/// The gradients of a set of parameters, kept from step to step so that only the first step allocates.
#[derive(Debug, Default)]
pub struct Gradients {
    entries: Vec<Entry>,
    keeps_products: bool,
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
    product: Product,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Zero,
    Dense,
    Rows,
}

/// A contribution that is kept as a product.
#[derive(Debug, Default)]
struct Product {
    /// `[V, R]` and `[R, H]`, at the beginning of each.
    factors: Option<(Buffer, Buffer)>,
    /// `R`; 0 if there is none.
    rows: usize,
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
        Gradients { entries: parameters.ids().map(|_| Entry::default()).collect(), keeps_products: false }
    }

    /// The same, but the gradient of a decoder in a batch of a few rows is kept as the product that it is, on a CPU:
    /// [`Gradients::product`] gives that part of a gradient, and [`Gradients::get`] the rest of it.
    pub fn with_products(parameters: &Parameters) -> Self {
        Gradients {
            keeps_products: matches!(parameters.device(), Device::Cpu(_)),
            ..Gradients::new(parameters)
        }
    }

    /// Resets them to zero, keeping the memory.
    pub fn clear(&mut self) {
        for entry in &mut self.entries {
            entry.kind = Kind::Zero;
            entry.product.rows = 0;
        }
    }

    /// The part of a gradient that is kept as a product, to be added to [`Gradients::get`]; `None` unless these are
    /// [`Gradients::with_products`].
    pub fn product(&self, id: ParameterId) -> Option<ProductGradient<'_>> {
        let Product { factors: Some((left, right)), rows: rows @ 1.. } = &self.entries[id.0].product else {
            return None;
        };
        Some(ProductGradient { left: left.slice(), right: right.slice(), rows: *rows })
    }

    /// Where to store a contribution that is a product, `[V, R]` and `[R, H]`; `None` if it is to be multiplied out.
    pub(crate) fn product_mut(
        &mut self,
        parameters: &Parameters,
        id: ParameterId,
        rows: usize,
    ) -> Option<(SliceMut<'_>, SliceMut<'_>)> {
        let entry = &mut self.entries[id.0];
        let is_first = entry.kind != Kind::Dense && entry.product.rows == 0;
        if !(self.keeps_products && is_first && (1..=ProductGradient::MAX_ROWS).contains(&rows)) {
            return None;
        }
        let lens = [parameters.shape(id)[0] * rows, parameters.row_width(id) * rows];
        let fits = |(left, right): &(Buffer, Buffer)| [left.len(), right.len()] == lens;
        if !entry.product.factors.as_ref().is_some_and(fits) {
            let [left, right] = lens.map(|len| Buffer::zeros(parameters.device(), len));
            entry.product.factors = Some((left, right));
        }
        entry.product.rows = rows;
        let (left, right) = entry.product.factors.as_mut()?;
        Some((left.slice_mut(), right.slice_mut()))
    }

    /// The gradient of one parameter, without what is kept as a [product](Gradients::product).
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

    /// Turns a row-sparse gradient or a product into a dense one, for code that does not handle them.
    pub fn densify(&mut self, parameters: &Parameters, id: ParameterId) {
        let entry = &self.entries[id.0];
        if entry.kind == Kind::Rows || entry.product.rows > 0 {
            self.dense(parameters, id);
        }
    }

    /// Where to store a dense contribution, and whether it is the first.
    pub(crate) fn dense(&mut self, parameters: &Parameters, id: ParameterId) -> (SliceMut<'_>, Store) {
        let entry = &mut self.entries[id.0];
        let kind = std::mem::replace(&mut entry.kind, Kind::Dense);
        let (device, len) = (parameters.device(), parameters.values(id).len());
        let dense = entry.dense.get_or_insert_with(|| Buffer::zeros(device, len));
        let is_product = entry.product.multiply(device, dense);
        if kind == Kind::Rows
            && let Some(sparse) = &entry.sparse
        {
            if !is_product {
                dense.slice_mut().fill(0.0);
            }
            let width = sparse.width;
            let dims = embedding::Dims { rows: sparse.count, vocab: len / width, width };
            embedding::backward(device, dims, sparse.rows(), sparse.values(), dense.slice_mut());
        }
        let is_first = kind == Kind::Zero && !is_product;
        (dense.slice_mut(), if is_first { Store::Overwrite } else { Store::Add })
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

impl Product {
    /// Takes the contribution away and multiplies it out; returns whether there was one.
    fn multiply(&mut self, device: &Device, to: &mut Buffer) -> bool {
        let rows = std::mem::take(&mut self.rows);
        let Some((left, right)) = self.factors.as_ref().filter(|_| rows > 0) else { return false };
        let dims = product::Dims { m: left.len() / rows, k: rows, n: right.len() / rows };
        let mut scratch = Buffer::zeros(device, product::forward_scratch_len(device, dims));
        product::forward(device, dims, left.slice(), right.slice(), to.slice_mut(), scratch.slice_mut());
        true
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
