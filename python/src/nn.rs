//! Networks written in Python: parameters, and a tape of operations.
//!
//! ```text
//! Python      tape.product(x, w) …     records an operation, checks its sizes, and returns a value without numbers
//! tape.run    all operations in turn, without the GIL: forward, and backward from a loss
//! ```
//!
//! So a network of many small operations costs little more in Python than in Rust.

use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2, ToPyArray};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo::nn::{self, Gradient, Gradients, Initializer, Mode, NnError, ParameterId, Shape, Workspace};

use crate::model::device;
use crate::{arrays, error};

/// Random numbers for initial values; see `_rondo.pyi`.
#[pyclass(module = "rondo.nn")]
pub(crate) struct Generator(ChaCha8Rng);

impl Generator {
    fn fill<'py>(
        &mut self,
        py: Python<'py>,
        (rows, columns): (usize, usize),
        initializer: Initializer,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let mut values = vec![0.0; rows * columns];
        initializer.fill(rows, columns, &mut values, &mut self.0);
        arrays::matrix(py, values, columns)
    }
}

#[pymethods]
impl Generator {
    #[new]
    fn new(seed: u64) -> Self {
        Generator(ChaCha8Rng::seed_from_u64(seed))
    }

    fn normal<'py>(
        &mut self,
        py: Python<'py>,
        shape: (usize, usize),
        deviation: f32,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.fill(py, shape, Initializer::Normal(deviation))
    }

    fn uniform<'py>(
        &mut self,
        py: Python<'py>,
        shape: (usize, usize),
        limit: f32,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.fill(py, shape, Initializer::Uniform(limit))
    }

    fn xavier<'py>(&mut self, py: Python<'py>, shape: (usize, usize)) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.fill(py, shape, Initializer::Xavier)
    }
}

/// Parameters, their gradients, and memory to compute with.
struct Memory {
    parameters: nn::Parameters,
    gradients: Gradients,
    workspace: Workspace,
}

/// Named matrices; see `_rondo.pyi`.
#[pyclass(frozen, module = "rondo.nn", mapping)]
pub(crate) struct Parameters(Mutex<Memory>);

impl Parameters {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn id(&self, name: &str) -> PyResult<ParameterId> {
        self.parameters.find(name).ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn shape(&self, id: ParameterId) -> (usize, usize) {
        let shape = self.parameters.shape(id);
        (shape[0], shape[1])
    }

    /// The gradient of a parameter, dense.
    fn gradient(&mut self, id: ParameterId) -> Result<Vec<f32>, NnError> {
        self.gradients.densify(&self.parameters, id);
        match self.gradients.get(id) {
            Gradient::Dense(values) => Ok(values.read()?.into_owned()),
            _ => Ok(vec![0.0; self.parameters.values(id).len()]),
        }
    }

    /// One step of SGD, and the norm of all gradients before clipping.
    fn sgd(&mut self, learning_rate: f32, clip_norm: Option<f64>) -> Result<f64, NnError> {
        let ids: Vec<ParameterId> = self.parameters.ids().collect();
        let gradients = ids.iter().map(|&id| self.gradient(id)).collect::<Result<Vec<_>, _>>()?;
        let squares = gradients.iter().flatten().map(|&value| f64::from(value) * f64::from(value));
        let norm = squares.sum::<f64>().sqrt();
        let factor = clip_norm.map_or(1.0, |limit| (limit / norm.max(f64::MIN_POSITIVE)).min(1.0));
        let step = learning_rate * factor as f32;
        for (id, gradient) in ids.into_iter().zip(gradients) {
            let mut values = self.parameters.values(id).read()?.into_owned();
            values.iter_mut().zip(gradient).for_each(|(value, gradient)| *value -= step * gradient);
            self.parameters.values_mut(id).write_from(&values)?;
        }
        Ok(norm)
    }
}

#[pymethods]
impl Parameters {
    #[new]
    #[pyo3(signature = (*, threads=None))]
    fn new(threads: Option<usize>) -> PyResult<Self> {
        let device = device(threads, "f32")?;
        let parameters = nn::Parameters::new(&device);
        let gradients = Gradients::new(&parameters);
        Ok(Parameters(Mutex::new(Memory { parameters, gradients, workspace: Workspace::new(&device) })))
    }

    fn add(&self, name: &str, values: PyReadonlyArray2<'_, f32>) -> PyResult<()> {
        let mut memory = self.memory();
        if memory.parameters.find(name).is_some() {
            return Err(PyValueError::new_err(format!("there is a parameter `{name}` already")));
        }
        let view = values.as_array();
        let id = memory.parameters.add(name, view.shape());
        let values: Vec<f32> = view.iter().copied().collect();
        memory.parameters.values_mut(id).write_from(&values).map_err(error::of_model)?;
        memory.gradients = Gradients::new(&memory.parameters);
        Ok(())
    }

    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let memory = self.memory();
        let id = memory.id(name)?;
        let values = memory.parameters.values(id).read().map_err(error::of_model)?;
        arrays::array(py, &values, memory.parameters.shape(id))
    }

    fn __setitem__(&self, name: &str, values: PyReadonlyArray2<'_, f32>) -> PyResult<()> {
        let mut memory = self.memory();
        let id = memory.id(name)?;
        let (found, expected) = (values.as_array().dim(), memory.shape(id));
        if found != expected {
            let message = format!("`{name}` has the shape {expected:?}, and the array {found:?}");
            return Err(PyValueError::new_err(message));
        }
        let values: Vec<f32> = values.as_array().iter().copied().collect();
        memory.parameters.values_mut(id).write_from(&values).map_err(error::of_model)
    }

    fn __contains__(&self, name: &str) -> bool {
        self.memory().parameters.find(name).is_some()
    }

    fn __len__(&self) -> usize {
        self.memory().parameters.ids().len()
    }

    fn keys(&self) -> Vec<String> {
        let memory = self.memory();
        memory.parameters.ids().map(|id| memory.parameters.name(id).to_owned()).collect()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyList::new(py, self.keys())?.try_iter()?.into_any())
    }

    fn gradients<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let mut memory = self.memory();
        let all = PyDict::new(py);
        for id in memory.parameters.ids() {
            let values = memory.gradient(id).map_err(error::of_model)?;
            let (name, shape) = (memory.parameters.name(id), memory.parameters.shape(id));
            all.set_item(name, arrays::array(py, &values, shape)?)?;
        }
        Ok(all)
    }

    #[pyo3(signature = (learning_rate, *, clip_norm=None))]
    fn sgd(&self, py: Python<'_>, learning_rate: f32, clip_norm: Option<f64>) -> PyResult<f64> {
        py.detach(|| self.memory().sgd(learning_rate, clip_norm)).map_err(error::of_model)
    }
}

/// A recorded operation: values are the numbers of earlier operations.
#[derive(Clone)]
enum Operation {
    Parameter(ParameterId),
    Constant(Vec<f32>),
    OneHot(Vec<u32>),
    Rows(usize, Vec<u32>),
    Product(usize, usize),
    Add(usize, usize),
    Multiply(usize, usize),
    Scale(usize, f32),
    AddRow(usize, usize),
    Tanh(usize),
    Sigmoid(usize),
    Relu(usize),
    Softmax(usize, f32),
    SliceRows(usize, std::ops::Range<usize>),
    SliceColumns(usize, std::ops::Range<usize>),
    ConcatRows(Vec<usize>),
    ConcatColumns(Vec<usize>),
}

/// A value of a tape: its number, and its shape.
#[pyclass(frozen, module = "rondo.nn")]
#[derive(Clone)]
pub(crate) struct Value {
    index: usize,
    rows: usize,
    columns: usize,
    tape: u64,
}

#[pymethods]
impl Value {
    #[getter]
    fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    fn __repr__(&self) -> String {
        format!("Value({} × {})", self.rows, self.columns)
    }
}

/// A tape of operations; see `_rondo.pyi`.
#[pyclass(module = "rondo.nn")]
pub(crate) struct Tape {
    parameters: Py<Parameters>,
    operations: Vec<Operation>,
    shapes: Vec<(usize, usize)>,
    id: u64,
}

/// The cross-entropy of each row, and the values of the outputs.
type Losses<'py> = (Bound<'py, PyArray1<f32>>, Vec<Bound<'py, PyAny>>);

/// The number of the next tape: values belong to one.
static NEXT: Mutex<u64> = Mutex::new(0);

impl Tape {
    fn push(&mut self, operation: Operation, rows: usize, columns: usize) -> Value {
        self.operations.push(operation);
        self.shapes.push((rows, columns));
        Value { index: self.operations.len() - 1, rows, columns, tape: self.id }
    }

    /// Fails unless the values are of this tape.
    fn check<'v>(&self, values: impl IntoIterator<Item = &'v Value>) -> PyResult<()> {
        match values.into_iter().all(|value| value.tape == self.id) {
            true => Ok(()),
            false => Err(PyValueError::new_err("the value is of another tape")),
        }
    }

    fn unary(&mut self, x: &Value, operation: Operation) -> PyResult<Value> {
        self.check([x])?;
        Ok(self.push(operation, x.rows, x.columns))
    }

    fn binary(&mut self, a: &Value, b: &Value, operation: Operation) -> PyResult<Value> {
        self.check([a, b])?;
        if a.shape() != b.shape() {
            return Err(PyValueError::new_err(format!(
                "the shapes {:?} and {:?} differ",
                a.shape(),
                b.shape()
            )));
        }
        Ok(self.push(operation, a.rows, a.columns))
    }
}

/// Fails if an id is not below a limit.
fn check_ids(ids: &[u32], limit: usize) -> PyResult<()> {
    match ids.iter().find(|&&id| id as usize >= limit) {
        Some(id) => Err(PyValueError::new_err(format!("the id {id} is not below {limit}"))),
        None => Ok(()),
    }
}

/// Fails unless a range is within a size.
fn check_range(start: usize, end: usize, size: usize) -> PyResult<()> {
    if start < end && end <= size {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("the range {start}..{end} is not within {size}")))
}

#[pymethods]
impl Tape {
    #[new]
    fn new(parameters: Py<Parameters>) -> Self {
        let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
        *next += 1;
        Tape { parameters, operations: Vec::new(), shapes: Vec::new(), id: *next }
    }

    fn parameter(&mut self, name: &str) -> PyResult<Value> {
        let memory = self.parameters.get().memory();
        let id = memory.id(name)?;
        let (rows, columns) = memory.shape(id);
        drop(memory);
        Ok(self.push(Operation::Parameter(id), rows, columns))
    }

    fn constant(&mut self, values: PyReadonlyArray2<'_, f32>) -> Value {
        let view = values.as_array();
        let (rows, columns) = view.dim();
        self.push(Operation::Constant(view.iter().copied().collect()), rows, columns)
    }

    fn one_hot(&mut self, ids: PyReadonlyArray1<'_, u32>, size: usize) -> PyResult<Value> {
        let ids: Vec<u32> = ids.as_array().iter().copied().collect();
        check_ids(&ids, size)?;
        let rows = ids.len();
        Ok(self.push(Operation::OneHot(ids), rows, size))
    }

    fn select_rows(&mut self, x: &Value, rows: PyReadonlyArray1<'_, u32>) -> PyResult<Value> {
        self.check([x])?;
        let rows: Vec<u32> = rows.as_array().iter().copied().collect();
        check_ids(&rows, x.rows)?;
        let count = rows.len();
        Ok(self.push(Operation::Rows(x.index, rows), count, x.columns))
    }

    fn product(&mut self, a: &Value, b: &Value) -> PyResult<Value> {
        self.check([a, b])?;
        if a.columns != b.rows {
            let message =
                format!("a matrix of shape {:?} cannot be multiplied by one of {:?}", a.shape(), b.shape());
            return Err(PyValueError::new_err(message));
        }
        Ok(self.push(Operation::Product(a.index, b.index), a.rows, b.columns))
    }

    fn add(&mut self, a: &Value, b: &Value) -> PyResult<Value> {
        self.binary(a, b, Operation::Add(a.index, b.index))
    }

    fn multiply(&mut self, a: &Value, b: &Value) -> PyResult<Value> {
        self.binary(a, b, Operation::Multiply(a.index, b.index))
    }

    fn scale(&mut self, x: &Value, factor: f32) -> PyResult<Value> {
        self.unary(x, Operation::Scale(x.index, factor))
    }

    fn add_row(&mut self, x: &Value, row: &Value) -> PyResult<Value> {
        self.check([x, row])?;
        if row.rows * row.columns != x.columns {
            let message =
                format!("a row of shape {:?} cannot be added to the rows of {:?}", row.shape(), x.shape());
            return Err(PyValueError::new_err(message));
        }
        Ok(self.push(Operation::AddRow(x.index, row.index), x.rows, x.columns))
    }

    fn tanh(&mut self, x: &Value) -> PyResult<Value> {
        self.unary(x, Operation::Tanh(x.index))
    }

    fn sigmoid(&mut self, x: &Value) -> PyResult<Value> {
        self.unary(x, Operation::Sigmoid(x.index))
    }

    fn relu(&mut self, x: &Value) -> PyResult<Value> {
        self.unary(x, Operation::Relu(x.index))
    }

    #[pyo3(signature = (x, *, temperature=1.0))]
    fn softmax(&mut self, x: &Value, temperature: f32) -> PyResult<Value> {
        if temperature.is_nan() || temperature <= 0.0 {
            return Err(PyValueError::new_err("the temperature must be above 0"));
        }
        self.unary(x, Operation::Softmax(x.index, temperature))
    }

    fn slice_rows(&mut self, x: &Value, start: usize, end: usize) -> PyResult<Value> {
        self.check([x])?;
        check_range(start, end, x.rows)?;
        Ok(self.push(Operation::SliceRows(x.index, start..end), end - start, x.columns))
    }

    fn slice_columns(&mut self, x: &Value, start: usize, end: usize) -> PyResult<Value> {
        self.check([x])?;
        check_range(start, end, x.columns)?;
        Ok(self.push(Operation::SliceColumns(x.index, start..end), x.rows, end - start))
    }

    fn concat_rows(&mut self, parts: Vec<Py<Value>>) -> PyResult<Value> {
        let parts: Vec<&Value> = parts.iter().map(Py::get).collect();
        self.check(parts.iter().copied())?;
        let Some(first) =
            parts.first().filter(|first| parts.iter().all(|part| part.columns == first.columns))
        else {
            return Err(PyValueError::new_err("expected matrices with the same number of columns"));
        };
        let (rows, columns) = (parts.iter().map(|part| part.rows).sum(), first.columns);
        let parts = parts.iter().map(|part| part.index).collect();
        Ok(self.push(Operation::ConcatRows(parts), rows, columns))
    }

    fn concat_columns(&mut self, parts: Vec<Py<Value>>) -> PyResult<Value> {
        let parts: Vec<&Value> = parts.iter().map(Py::get).collect();
        self.check(parts.iter().copied())?;
        let Some(first) = parts.first().filter(|first| parts.iter().all(|part| part.rows == first.rows))
        else {
            return Err(PyValueError::new_err("expected matrices with the same number of rows"));
        };
        let (rows, columns) = (first.rows, parts.iter().map(|part| part.columns).sum());
        let parts = parts.iter().map(|part| part.index).collect();
        Ok(self.push(Operation::ConcatColumns(parts), rows, columns))
    }

    /// Computes everything, and the values of `outputs`.
    fn run<'py>(&self, py: Python<'py>, outputs: Vec<Py<Value>>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let outputs: Vec<&Value> = outputs.iter().map(Py::get).collect();
        self.check(outputs.iter().copied())?;
        let parameters = self.parameters.get();
        let computed = py.detach(|| {
            let memory = &mut *parameters.memory();
            let mut tape = memory.workspace.tape(&memory.parameters, Mode::Evaluate);
            let values = replay(&mut tape, &self.operations, &self.shapes);
            read(&tape, &values, &outputs)
        });
        shaped(py, &computed.map_err(error::of_model)?, &outputs)
    }

    /// Computes everything, the cross-entropy of the logits with the targets, and the gradients of its mean.
    #[pyo3(signature = (logits, targets, *, outputs=vec![]))]
    fn backward<'py>(
        &self,
        py: Python<'py>,
        logits: &Value,
        targets: PyReadonlyArray1<'_, u32>,
        outputs: Vec<Py<Value>>,
    ) -> PyResult<Losses<'py>> {
        let outputs: Vec<&Value> = outputs.iter().map(Py::get).collect();
        self.check(outputs.iter().copied().chain([logits]))?;
        let targets: Vec<u32> = targets.as_array().iter().copied().collect();
        check_ids(&targets, logits.columns)?;
        if targets.len() != logits.rows {
            let message = format!("{} targets for {} rows of logits", targets.len(), logits.rows);
            return Err(PyValueError::new_err(message));
        }
        let parameters = self.parameters.get();
        let computed = py.detach(|| {
            let Memory { parameters, gradients, workspace } = &mut *parameters.memory();
            gradients.clear();
            let mut tape = workspace.tape(parameters, Mode::Train { seed: 0, step: 0 });
            let values = replay(&mut tape, &self.operations, &self.shapes);
            let loss = tape.cross_entropy(values[logits.index], &targets);
            let losses = tape.read_nll(loss)?.into_owned();
            let found = read(&tape, &values, &outputs)?;
            tape.backward(loss, 1.0 / targets.len() as f32, gradients)?;
            Ok::<_, NnError>((losses, found))
        });
        let (losses, found) = computed.map_err(error::of_model)?;
        Ok((losses.to_pyarray(py), shaped(py, &found, &outputs)?))
    }

    fn __len__(&self) -> usize {
        self.operations.len()
    }
}

/// Performs the operations; their sizes were checked when they were recorded.
fn replay(tape: &mut nn::Tape<'_>, operations: &[Operation], shapes: &[(usize, usize)]) -> Vec<nn::Value> {
    let mut values: Vec<nn::Value> = Vec::with_capacity(operations.len());
    for (operation, &(rows, columns)) in operations.iter().zip(shapes) {
        let of = |parts: &[usize]| parts.iter().map(|&part| values[part]).collect::<Vec<_>>();
        let value = match operation {
            Operation::Parameter(id) => tape.parameter(*id),
            Operation::Constant(numbers) => tape.constant(Shape::matrix(rows, columns), numbers),
            Operation::OneHot(ids) => tape.one_hot(ids, columns),
            Operation::Rows(x, ids) => tape.select_rows(values[*x], ids),
            Operation::Product(a, b) => match &operations[*a] {
                // A product with one-hot rows selects rows.
                Operation::OneHot(ids) => tape.select_rows(values[*b], ids),
                _ => tape.product(values[*a], values[*b]),
            },
            Operation::Add(a, b) => tape.add(values[*a], values[*b]),
            Operation::Multiply(a, b) => tape.multiply(values[*a], values[*b]),
            Operation::Scale(x, factor) => tape.scale(values[*x], *factor),
            Operation::AddRow(x, row) => tape.add_row(values[*x], values[*row]),
            Operation::Tanh(x) => tape.tanh(values[*x]),
            Operation::Sigmoid(x) => tape.sigmoid(values[*x]),
            Operation::Relu(x) => tape.relu(values[*x]),
            Operation::Softmax(x, temperature) => tape.softmax(values[*x], *temperature),
            Operation::SliceRows(x, range) => tape.slice_rows(values[*x], range.clone()),
            Operation::SliceColumns(x, range) => tape.slice_columns(values[*x], range.clone()),
            Operation::ConcatRows(parts) => tape.concat_rows(&of(parts)),
            Operation::ConcatColumns(parts) => tape.concat_columns(&of(parts)),
        };
        values.push(value);
    }
    values
}

fn read(tape: &nn::Tape<'_>, values: &[nn::Value], outputs: &[&Value]) -> Result<Vec<Vec<f32>>, NnError> {
    outputs.iter().map(|output| Ok(tape.read(values[output.index])?.into_owned())).collect()
}

fn shaped<'py>(py: Python<'py>, found: &[Vec<f32>], outputs: &[&Value]) -> PyResult<Vec<Bound<'py, PyAny>>> {
    found
        .iter()
        .zip(outputs)
        .map(|(values, output)| arrays::array(py, values, &[output.rows, output.columns]))
        .collect()
}
