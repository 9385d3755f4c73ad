//! The primitives for building custom cells.
//!
//! Values are matrices `[R, D]` here; if a value has time steps as well, `R` counts the rows of all steps.

use rondo_kernels::activation::{self, Activation};
use rondo_kernels::{
    Slice, SliceMut, bias, concat, cross_entropy, elementwise, embedding, one_hot, product, softmax,
};

use super::{Loss, Node, Shape, Tape, Value};

impl Tape<'_> {
    /// Matrix multiplication `a · b`: `[M, K] · [K, N] → [M, N]`.
    ///
    /// # Panics
    /// If the width of `a` differs from the number of rows of `b`.
    pub fn product(&mut self, a: Value, b: Value) -> Value {
        let (a_shape, b_shape) = (self.shape(a), self.shape(b));
        assert_eq!(a_shape.width, b_shape.rows(), "width of a and rows of b");
        let dims = product::Dims { m: a_shape.rows(), k: a_shape.width, n: b_shape.width };
        let mut scratch =
            self.workspace.pool.take(product::forward_scratch_len(&self.workspace.device, dims));
        let mut c = self.workspace.pool.take(dims.m * dims.n);
        let (left, right) = (self.values(a), self.values(b));
        product::forward(&self.workspace.device, dims, left, right, c.slice_mut(), scratch.slice_mut());
        self.workspace.pool.give(scratch);
        let needs_gradient = self.needs_gradient(a) || self.needs_gradient(b);
        let out = self.push(Shape { width: dims.n, ..a_shape }, c, needs_gradient);
        self.record(Node::Product { a, b, out });
        out
    }

    /// `a + b`, element-wise.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        let out = self.binary(a, b, |tape, a, b, y| elementwise::add(&tape.workspace.device, a, b, y));
        self.record(Node::Add { a, b, out });
        out
    }

    /// `a ∘ b`, element-wise.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn multiply(&mut self, a: Value, b: Value) -> Value {
        let out = self.binary(a, b, |tape, a, b, y| {
            elementwise::multiply(&tape.workspace.device, a, b, y, rondo_kernels::Store::Overwrite);
        });
        self.record(Node::Multiply { a, b, out });
        out
    }

    /// `factor · x`.
    pub fn scale(&mut self, x: Value, factor: f32) -> Value {
        let out = self.unary(x, |tape, x, y| {
            elementwise::scale(&tape.workspace.device, factor, x, y, rondo_kernels::Store::Overwrite);
        });
        self.record(Node::Scale { x, factor, out });
        out
    }

    /// Adds the row `bias: [N]` to every row of `x: [R, N]`.
    ///
    /// # Panics
    /// If the widths differ, or `bias` has more than one row.
    pub fn add_row(&mut self, x: Value, bias: Value) -> Value {
        let shape = self.shape(x);
        assert_eq!(self.shape(bias).count(), shape.width, "width of the row");
        let dims = bias::Dims { rows: shape.rows(), columns: shape.width };
        let mut y = self.workspace.pool.take(shape.count());
        let (values, row) = (self.values(x), self.values(bias));
        bias::forward(&self.workspace.device, dims, values, row, y.slice_mut());
        let needs_gradient = self.needs_gradient(x) || self.needs_gradient(bias);
        let out = self.push(shape, y, needs_gradient);
        self.record(Node::AddRow { x, bias, out });
        out
    }

    /// `tanh x`.
    pub fn tanh(&mut self, x: Value) -> Value {
        self.activation(x, Activation::Tanh)
    }

    /// `1 / (1 + e⁻ˣ)`.
    pub fn sigmoid(&mut self, x: Value) -> Value {
        self.activation(x, Activation::Sigmoid)
    }

    /// `max(0, x)`.
    pub fn relu(&mut self, x: Value) -> Value {
        self.activation(x, Activation::Relu)
    }

    /// Softmax with temperature over each row: `e^(x/temperature)`, divided by the row's sum.
    ///
    /// # Panics
    /// If the temperature is not above 0.
    pub fn softmax(&mut self, x: Value, temperature: f32) -> Value {
        let shape = self.shape(x);
        let dims = softmax::Dims { rows: shape.rows(), columns: shape.width };
        let out =
            self.unary(x, |tape, x, y| softmax::forward(&tape.workspace.device, dims, temperature, x, y));
        self.record(Node::Softmax { x, temperature, out });
        out
    }

    /// The negative log-likelihood of each row's target, from its logits.
    ///
    /// # Panics
    /// If there is not one target per row, or a target is not below the logits' width.
    pub fn cross_entropy(&mut self, logits: Value, targets: &[u32]) -> Loss {
        let shape = self.shape(logits);
        let dims = cross_entropy::Dims { rows: shape.rows(), vocab: shape.width };
        let targets = self.ids(targets);
        let mut nll = self.workspace.pool.take(dims.rows);
        let mut log_sums = self.workspace.pool.take(dims.rows);
        let values = self.values(logits);
        let device = &self.workspace.device;
        cross_entropy::forward(device, dims, values, targets.slice(), nll.slice_mut(), log_sums.slice_mut());
        let loss = self.push_loss(nll);
        self.record(Node::CrossEntropy { logits, targets, log_sums, loss });
        loss
    }

    /// The one-hot vectors of the ids: `[R, V]`.
    ///
    /// # Panics
    /// If an id is not below `vocab`.
    pub fn one_hot(&mut self, ids: &[u32], vocab: usize) -> Value {
        let dims = one_hot::Dims { rows: ids.len(), vocab };
        let ids = self.ids(ids);
        let mut out = self.workspace.pool.take(dims.rows * vocab);
        one_hot::forward(&self.workspace.device, dims, ids.slice(), out.slice_mut());
        self.workspace.id_pool.give(ids);
        self.push(Shape::matrix(dims.rows, vocab), out, false)
    }

    /// Rows `rows` of `x`.
    ///
    /// # Panics
    /// If they are out of range.
    pub fn slice_rows(&mut self, x: Value, rows: std::ops::Range<usize>) -> Value {
        let width = self.shape(x).width;
        self.block(x, rows, 0..width)
    }

    /// These rows of `x`, in this order.
    ///
    /// # Panics
    /// If one is out of range.
    pub fn select_rows(&mut self, x: Value, rows: &[u32]) -> Value {
        let shape = self.shape(x);
        let mut y = self.workspace.pool.take(rows.len() * shape.width);
        let dims = embedding::Dims { rows: rows.len(), vocab: shape.rows(), width: shape.width };
        let rows = self.ids(rows);
        embedding::forward(&self.workspace.device, dims, self.values(x), rows.slice(), y.slice_mut());
        let out = self.push(Shape::matrix(dims.rows, shape.width), y, self.needs_gradient(x));
        self.record(Node::Rows { x, rows, out });
        out
    }

    /// Columns `columns` of `x`.
    ///
    /// # Panics
    /// If they are out of range.
    pub fn slice_columns(&mut self, x: Value, columns: std::ops::Range<usize>) -> Value {
        let rows = self.shape(x).rows();
        self.block(x, 0..rows, columns)
    }

    /// Concatenates matrices vertically (along rows).
    ///
    /// # Panics
    /// If there are none, or their widths differ.
    pub fn concat_rows(&mut self, parts: &[Value]) -> Value {
        let width = self.shape(parts[0]).width;
        let rows = parts.iter().map(|&part| self.shape(part).rows()).sum();
        let mut row = 0;
        self.concat(parts, Shape::matrix(rows, width), |shape| {
            assert_eq!(shape.width, width, "width of the concatenated matrices");
            let place = concat::Place { width, row, column: 0 };
            row += shape.rows();
            place
        })
    }

    /// Concatenates matrices horizontally (along columns).
    ///
    /// # Panics
    /// If there are none, or their numbers of rows differ.
    pub fn concat_columns(&mut self, parts: &[Value]) -> Value {
        let rows = self.shape(parts[0]).rows();
        let width = parts.iter().map(|&part| self.shape(part).width).sum();
        let mut column = 0;
        self.concat(parts, Shape::matrix(rows, width), |shape| {
            assert_eq!(shape.rows(), rows, "rows of the concatenated matrices");
            let place = concat::Place { width, row: 0, column };
            column += shape.width;
            place
        })
    }

    fn activation(&mut self, x: Value, activation: Activation) -> Value {
        let out = self.unary(x, |tape, x, y| activation::forward(&tape.workspace.device, activation, x, y));
        self.record(Node::Activation { x, activation, out });
        out
    }

    fn unary(&mut self, x: Value, run: impl FnOnce(&Self, Slice<'_>, SliceMut<'_>)) -> Value {
        let shape = self.shape(x);
        let mut y = self.workspace.pool.take(shape.count());
        run(self, self.values(x), y.slice_mut());
        let needs_gradient = self.needs_gradient(x);
        self.push(shape, y, needs_gradient)
    }

    fn binary(
        &mut self,
        a: Value,
        b: Value,
        run: impl FnOnce(&Self, Slice<'_>, Slice<'_>, SliceMut<'_>),
    ) -> Value {
        let shape = self.shape(a);
        let other = self.shape(b);
        assert_eq!((shape.rows(), shape.width), (other.rows(), other.width), "sizes of the two values");
        let mut y = self.workspace.pool.take(shape.count());
        run(self, self.values(a), self.values(b), y.slice_mut());
        let needs_gradient = self.needs_gradient(a) || self.needs_gradient(b);
        self.push(shape, y, needs_gradient)
    }

    /// The block of `x` with these rows and columns.
    fn block(&mut self, x: Value, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Value {
        let shape = self.shape(x);
        assert!(
            rows.end <= shape.rows() && columns.end <= shape.width,
            "{rows:?} × {columns:?} of {shape:?}"
        );
        let source = concat::Place { width: shape.width, row: rows.start, column: columns.start };
        let target = concat::Place { width: columns.len(), row: 0, column: 0 };
        let dims = concat::Dims { rows: rows.len(), columns: columns.len(), source, target };
        let mut y = self.workspace.pool.take(rows.len() * columns.len());
        concat::forward(&self.workspace.device, dims, self.values(x), y.slice_mut());
        let needs_gradient = self.needs_gradient(x);
        let out = self.push(Shape::matrix(rows.len(), columns.len()), y, needs_gradient);
        self.record(Node::Slice { x, dims, out });
        out
    }

    /// Copies each part to its `place` in a matrix of `shape`.
    fn concat(
        &mut self,
        parts: &[Value],
        shape: Shape,
        mut place: impl FnMut(Shape) -> concat::Place,
    ) -> Value {
        let mut y = self.workspace.pool.take(shape.count());
        let needs_gradient = parts.iter().any(|&part| self.needs_gradient(part));
        let first_node = self.workspace.nodes.len();
        // The output's index is known in advance: nothing else is pushed in between.
        let out = Value(self.workspace.slots.len());
        for &part in parts {
            let own = self.shape(part);
            let source = concat::Place { width: own.width, row: 0, column: 0 };
            let dims = concat::Dims { rows: own.rows(), columns: own.width, source, target: place(own) };
            concat::forward(&self.workspace.device, dims, self.values(part), y.slice_mut());
            self.record(Node::Concat { x: part, dims, out, last: false });
        }
        // The backward pass visits the parts in reverse: the first is the last to need the output's gradient.
        if let Some(Node::Concat { last, .. }) = self.workspace.nodes.get_mut(first_node) {
            *last = true;
        }
        self.push(shape, y, needs_gradient)
    }
}
