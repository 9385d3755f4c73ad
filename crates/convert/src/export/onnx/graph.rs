//! Puts together a graph: each operation returns the name of its output.

use rondo_nn::Cell;

use super::super::Weight;
use super::messages::{
    Attribute, Dim, FLOAT, Graph, INT, INT8, INT64, INTS, Node, STRINGS, Shape, Tensor, TensorType, Type,
    ValueInfo,
};

/// A graph that is being put together.
#[derive(Debug)]
pub(super) struct Builder {
    pub(super) graph: Graph,
    names: usize,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder { graph: Graph { name: "language_model".to_owned(), ..Graph::default() }, names: 0 }
    }
}

impl Builder {
    fn new_name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}_{}", self.names)
    }

    /// Adds an input; sizes that are no numbers are names.
    pub(super) fn input(&mut self, name: &str, element: i32, sizes: &[&str]) {
        self.graph.input.push(value(name, element, sizes));
    }

    /// Adds an output.
    pub(super) fn output(&mut self, name: &str, element: i32, sizes: &[&str]) {
        self.graph.output.push(value(name, element, sizes));
    }

    /// Adds an operation with attributes that are integers.
    pub(super) fn node(&mut self, operation: &str, inputs: &[&str], attributes: &[(&str, i64)]) -> String {
        let output = self.new_name(operation);
        let inputs: Vec<String> = inputs.iter().map(|&input| input.to_owned()).collect();
        self.named(operation, &inputs, &output, attributes);
        output
    }

    /// Adds an operation whose output has this name.
    pub(super) fn named(
        &mut self,
        operation: &str,
        inputs: &[String],
        output: &str,
        attributes: &[(&str, i64)],
    ) {
        let attribute = attributes.iter().map(|&(name, value)| int(name, value)).collect();
        self.push(operation, inputs.to_vec(), vec![output.to_owned()], attribute);
    }

    fn push(&mut self, operation: &str, input: Vec<String>, output: Vec<String>, attribute: Vec<Attribute>) {
        let name = format!("node_{}", self.graph.node.len());
        self.graph.node.push(Node { input, output, name, op_type: operation.to_owned(), attribute });
    }

    /// Adds a product with a matrix of 8-bit integers, whose columns have scales. The left side is quantized with one
    /// scale and zero point for all of it.
    pub(super) fn quantized_product(&mut self, x: &str, weight: &str, scales: &str) -> String {
        let [values, scale, zero] = ["values", "scale", "zero"].map(|part| self.new_name(part));
        let outputs = vec![values.clone(), scale.clone(), zero.clone()];
        self.push("DynamicQuantizeLinear", vec![x.to_owned()], outputs, vec![]);
        let sums = self.node("MatMulInteger", &[&values, weight, &zero], &[]);
        let sums = self.node("Cast", &[&sums], &[("to", i64::from(FLOAT))]);
        let scales = self.node("Mul", &[&scale, scales], &[]);
        self.node("Mul", &[&sums, &scales], &[])
    }

    /// Gives the output of the last operation a name of its own.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let outputs = self.graph.node.iter_mut().flat_map(|node| &mut node.output);
        outputs.filter(|output| *output == from).for_each(|output| to.clone_into(output));
    }

    /// Adds a transposition.
    pub(super) fn transpose(&mut self, input: &str, axes: &[i64]) -> String {
        let output = self.new_name("Transpose");
        let attribute =
            Attribute { name: "perm".to_owned(), ints: axes.to_vec(), kind: INTS, ..Attribute::default() };
        self.push("Transpose", vec![input.to_owned()], vec![output.clone()], vec![attribute]);
        output
    }

    /// Adds a recurrent layer; returns all states, the last hidden state and, for an LSTM, the last cell state.
    pub(super) fn recurrent(&mut self, cell: Cell, inputs: &[&str], hidden_size: i64) -> Vec<String> {
        let mut attributes = vec![int("hidden_size", hidden_size)];
        let activation = |name: &str| Attribute {
            name: "activations".to_owned(),
            strings: vec![name.to_owned()],
            kind: STRINGS,
            ..Attribute::default()
        };
        let operation = match cell {
            Cell::Lstm => "LSTM",
            Cell::Cifg | Cell::Mogrifier => unreachable!("written as an LSTM, or refused"),
            Cell::Gru => {
                attributes.push(int("linear_before_reset", 1));
                "GRU"
            }
            Cell::RnnTanh => {
                attributes.push(activation("Tanh"));
                "RNN"
            }
            Cell::RnnRelu => {
                attributes.push(activation("Relu"));
                "RNN"
            }
        };
        let count = if cell.has_cell_state() { 3 } else { 2 };
        let outputs: Vec<String> = (0..count).map(|_| self.new_name(operation)).collect();
        let inputs = inputs.iter().map(|&input| input.to_owned()).collect();
        self.push(operation, inputs, outputs.clone(), attributes);
        outputs
    }

    /// Adds a weight under its own name.
    pub(super) fn weight(&mut self, name: &str, weight: &Weight) -> String {
        let dims: Vec<i64> = weight.shape.iter().map(|&size| size as i64).collect();
        self.floats_named(name, &weight.values, &dims)
    }

    /// Adds constant numbers under a name.
    pub(super) fn floats_named(&mut self, name: &str, values: &[f32], dims: &[i64]) -> String {
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = Tensor { dims: dims.to_vec(), data_type: FLOAT, name: name.to_owned(), raw_data };
        self.graph.initializer.push(tensor);
        name.to_owned()
    }

    /// Adds 8-bit integers and a scale for each row, which together are a matrix; returns both names.
    pub(super) fn quantized(
        &mut self,
        name: &str,
        values: &[f32],
        dims: &[i64],
        scale_dims: &[i64],
    ) -> [String; 2] {
        let rows: i64 = scale_dims.iter().product();
        let mut scales = Vec::new();
        let mut raw_data = Vec::with_capacity(values.len());
        for row in values.chunks_exact((values.len() / (rows as usize).max(1)).max(1)) {
            let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
            raw_data.extend(row.iter().map(|value| (value / scale).round() as i8 as u8));
            scales.push(scale);
        }
        let tensor = Tensor { dims: dims.to_vec(), data_type: INT8, name: name.to_owned(), raw_data };
        self.graph.initializer.push(tensor);
        [name.to_owned(), self.floats_named(&format!("{name}.scale"), &scales, scale_dims)]
    }

    /// Adds constant numbers.
    pub(super) fn floats(&mut self, values: &[f32], dims: &[i64]) -> String {
        let name = self.new_name("constant");
        self.floats_named(&name, values, dims)
    }

    /// Adds constant integers.
    pub(super) fn ints(&mut self, values: &[i64], dims: &[i64]) -> String {
        let name = self.new_name("constant");
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = Tensor { dims: dims.to_vec(), data_type: INT64, name: name.clone(), raw_data };
        self.graph.initializer.push(tensor);
        name
    }
}

fn int(name: &str, value: i64) -> Attribute {
    Attribute { name: name.to_owned(), i: Some(value), kind: INT, ..Attribute::default() }
}

fn value(name: &str, element: i32, sizes: &[&str]) -> ValueInfo {
    let dim = |size: &&str| match size.parse() {
        Ok(value) => Dim { value: Some(value), name: None },
        Err(_) => Dim { value: None, name: Some((*size).to_owned()) },
    };
    let shape = Some(Shape { dim: sizes.iter().map(dim).collect() });
    let kind = Some(Type { tensor: Some(TensorType { element, shape }) });
    ValueInfo { name: name.to_owned(), kind }
}
