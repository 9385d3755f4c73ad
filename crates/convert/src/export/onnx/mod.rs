//! A model as ONNX, as speech recognizers such as sherpa-onnx expect it.
//!
//! ```text
//! with state   x [N, 1], h0, c0 [layers, N, H] ─▶ log_softmax [N, 1, V], next_h0, next_c0
//! rescoring    x [N, L], x_lens [N] ─▶ nll [N]        start and end of the text are added inside
//! ```
//!
//! With 8-bit weights, each row of a matrix has a scale; the decoder multiplies integers, and the recurrent layers get their
//! weights as floats.
//!
//! Gates are reordered: LSTM i f g o becomes i o f c, GRU r z n becomes z r h. *Source*: ONNX's operators, opset 13;
//! icefall's `export-onnx.py` for the names and the order of inputs and outputs.

use prost::Message;
use rondo_data::TextCodec;
use rondo_nn::Cell;

use super::{LayerWeights, Parts, Storage, Weight, equal_hidden_size};
use crate::{ConvertError, Result};

mod graph;
mod messages;

use graph::Builder;
use messages::{Entry, FLOAT, INT64, ModelProto, OperatorSet};

const FORMAT: &str = "as ONNX";
const OPSET: i64 = 13;
const IR_VERSION: i64 = 7;
/// A message of protocol buffers has at most 2 GiB.
const MAX_BYTES: usize = 1 << 31;

/// The files, by name.
pub(super) fn files(
    parts: &Parts<'_>,
    codec: &TextCodec,
    with_state: bool,
    storage: Storage,
) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let config = parts.model.config();
    let refuse = |what: String| Err(ConvertError::NotInFormat { what, format: FORMAT });
    let Some(hidden_size) = equal_hidden_size(parts.model) else {
        let sizes: Vec<_> = config.hidden_sizes.iter().map(usize::to_string).collect();
        return refuse(format!("layers of different widths ({})", sizes.join(", ")));
    };
    if config.parameter_count().saturating_mul(size_of::<f32>()) >= MAX_BYTES {
        return refuse(format!("{} parameters, more than 2 GiB,", config.parameter_count()));
    }
    let Some(line_end) = codec.line_end() else {
        return refuse("a vocabulary without a line end".to_owned());
    };
    let mut builder = Builder::default();
    if with_state {
        one_step(&mut builder, parts, hidden_size as i64, storage);
    } else {
        whole_text(&mut builder, parts, i64::from(line_end), storage);
    }
    let entry = |(key, value): (&str, String)| Entry { key: key.to_owned(), value };
    let metadata = [
        ("sos_id", line_end.to_string()),
        ("eos_id", line_end.to_string()),
        ("vocab_size", config.vocab_size.to_string()),
        ("num_layers", config.hidden_sizes.len().to_string()),
        ("hidden_size", hidden_size.to_string()),
    ];
    let model = ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: "rondo".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(builder.graph),
        opset_import: vec![OperatorSet { domain: Some(String::new()), version: Some(OPSET) }],
        metadata_props: metadata.into_iter().map(entry).collect(),
    };
    let name = if with_state { "model.onnx" } else { "rescoring.onnx" };
    let mut files = vec![(name, model.encode_to_vec())];
    if codec.vocab().tokens().all(|token| !token.is_empty() && !token.contains(char::is_whitespace)) {
        let lines: String =
            codec.vocab().tokens().zip(0..).map(|(token, id)| format!("{token} {id}\n")).collect();
        files.push((super::TOKENS, lines.into_bytes()));
    }
    Ok(files)
}

/// The graph of one step, with the state as input and output.
fn one_step(builder: &mut Builder, parts: &Parts<'_>, hidden_size: i64, storage: Storage) {
    let config = parts.model.config();
    let layers = config.hidden_sizes.len() as i64;
    builder.input("x", INT64, &["N", "1"]);
    for name in ["h0", "c0"] {
        builder.input(name, FLOAT, &[&layers.to_string(), "N", &hidden_size.to_string()]);
    }
    let (log_probs, hidden, cells) = network(builder, parts, "x", Some(("h0", "c0")), storage);
    builder.rename(&log_probs, "log_softmax");
    builder.output("log_softmax", FLOAT, &["N", "1", &config.vocab_size.to_string()]);
    builder.named("Concat", &hidden, "next_h0", &[("axis", 0)]);
    if cells.is_empty() {
        builder.named("Identity", &["c0".to_owned()], "next_c0", &[]);
    } else {
        builder.named("Concat", &cells, "next_c0", &[("axis", 0)]);
    }
    for name in ["next_h0", "next_c0"] {
        builder.output(name, FLOAT, &[&layers.to_string(), "N", &hidden_size.to_string()]);
    }
}

/// The graph of whole texts: the sum of the losses of their tokens and the line end, after a line end.
fn whole_text(builder: &mut Builder, parts: &Parts<'_>, line_end: i64, storage: Storage) {
    builder.input("x", INT64, &["N", "L"]);
    builder.input("x_lens", INT64, &["N"]);
    builder.output("nll", FLOAT, &["N"]);
    // [N, 1] of line ends before the text, and after it for the lengths to grow.
    let shape = builder.node("Shape", &["x"], &[]);
    let (zero, one, two) = (builder.ints(&[0], &[1]), builder.ints(&[1], &[1]), builder.ints(&[2], &[1]));
    let count = builder.node("Slice", &[&shape, &zero, &one], &[]);
    let len = builder.node("Slice", &[&shape, &one, &two], &[]);
    let column = builder.node("Concat", &[&count, &one], &[("axis", 0)]);
    let end = builder.ints(&[line_end], &[1]);
    let ends = builder.node("Expand", &[&end, &column], &[]);
    let inputs = builder.node("Concat", &[&ends, "x"], &[("axis", 1)]);
    let padded = builder.node("Concat", &["x", &ends], &[("axis", 1)]);
    // Positions 0 to L, compared with the lengths.
    let len = builder.node("Squeeze", &[&len, &zero], &[]);
    let (first, step) = (builder.ints(&[0], &[]), builder.ints(&[1], &[]));
    let limit = builder.node("Add", &[&len, &step], &[]);
    let positions = builder.node("Range", &[&first, &limit, &step], &[]);
    let positions = builder.node("Unsqueeze", &[&positions, &zero], &[]);
    let lens = builder.node("Unsqueeze", &["x_lens", &one], &[]);
    let is_end = builder.node("Equal", &[&positions, &lens], &[]);
    let targets = builder.node("Where", &[&is_end, &end, &padded], &[]);
    let counts = builder.node("LessOrEqual", &[&positions, &lens], &[]);

    let (log_probs, _, _) = network(builder, parts, &inputs, None, storage);
    let targets = builder.node("Unsqueeze", &[&targets, &two], &[]);
    let found = builder.node("GatherElements", &[&log_probs, &targets], &[("axis", 2)]);
    let found = builder.node("Squeeze", &[&found, &two], &[]);
    let losses = builder.node("Neg", &[&found], &[]);
    let nothing = builder.floats(&[0.0], &[1]);
    let losses = builder.node("Where", &[&counts, &losses, &nothing], &[]);
    builder.named("ReduceSum", &[losses, one], "nll", &[("keepdims", 0)]);
}

/// Log-probabilities `[N, T, V]` of ids `[N, T]`, and the new hidden and cell state of each layer.
fn network(
    builder: &mut Builder,
    parts: &Parts<'_>,
    ids: &str,
    state: Option<(&str, &str)>,
    storage: Storage,
) -> (String, Vec<String>, Vec<String>) {
    let config = parts.model.config();
    let table = Table::new(builder, "embedding.weight", &parts.embedding, storage);
    let x = table.rows(builder, ids);
    let mut x = builder.transpose(&x, &[1, 0, 2]);
    let (mut hidden, mut cells) = (vec![], vec![]);
    for (l, layer) in parts.layers.iter().enumerate() {
        let mut state_of = |name: &str| {
            let index = builder.ints(&[l as i64], &[1]);
            builder.node("Gather", &[name, &index], &[("axis", 0)])
        };
        let initial = state.map(|(h, c)| (state_of(h), parts.cell.has_cell_state().then(|| state_of(c))));
        let mut matrix = |name: &str, weight: &Weight| {
            let (values, dims) = (reordered(parts.cell, weight), with_direction(weight));
            match storage {
                Storage::F32 => builder.floats_named(name, &values, &dims),
                Storage::Int8 => {
                    let [values, scale] = builder.quantized(name, &values, &dims, &dims[1..2]);
                    builder.node("DequantizeLinear", &[&values, &scale], &[("axis", 1)])
                }
            }
        };
        let weights = [
            matrix(&format!("rnn.{l}.W"), &layer.weight_ih),
            matrix(&format!("rnn.{l}.R"), &layer.weight_hh),
            bias(builder, parts.cell, l, layer),
        ];
        let [w, r, b] = &weights;
        let mut inputs = vec![x.as_str(), w, r, b];
        if let Some((h, c)) = &initial {
            inputs.extend(["", h.as_str()]);
            inputs.extend(c.as_deref());
        }
        let outputs =
            builder.recurrent(parts.cell, &inputs, *config.hidden_sizes.get(l).unwrap_or(&0) as i64);
        hidden.push(outputs[1].clone());
        cells.extend(outputs.get(2).cloned());
        let one = builder.ints(&[1], &[1]);
        x = builder.node("Squeeze", &[&outputs[0], &one], &[]);
    }
    let x = builder.transpose(&x, &[1, 0, 2]);
    let decoder = match &parts.decoder_weight {
        Some(weight) => &Table::new(builder, "decoder.weight", weight, storage),
        None => &table,
    };
    let logits = decoder.product(builder, &x);
    let bias = builder.weight("decoder.bias", &parts.decoder_bias);
    let logits = builder.node("Add", &[&logits, &bias], &[]);
    (builder.node("LogSoftmax", &[&logits], &[("axis", 2)]), hidden, cells)
}

/// A matrix with a row for each token.
enum Table {
    F32(String),
    /// Integers, and scales `[V, 1]`.
    Int8([String; 2]),
}

impl Table {
    fn new(builder: &mut Builder, name: &str, weight: &Weight, storage: Storage) -> Table {
        match storage {
            Storage::F32 => Table::F32(builder.weight(name, weight)),
            Storage::Int8 => {
                let dims: Vec<i64> = weight.shape.iter().map(|&size| size as i64).collect();
                Table::Int8(builder.quantized(name, &weight.values, &dims, &[dims[0], 1]))
            }
        }
    }

    /// The rows of ids.
    fn rows(&self, builder: &mut Builder, ids: &str) -> String {
        match self {
            Table::F32(weight) => builder.node("Gather", &[weight, ids], &[("axis", 0)]),
            Table::Int8(parts) => {
                let [values, scales] =
                    parts.each_ref().map(|part| builder.node("Gather", &[part, ids], &[("axis", 0)]));
                let values = builder.node("Cast", &[&values], &[("to", i64::from(FLOAT))]);
                builder.node("Mul", &[&values, &scales], &[])
            }
        }
    }

    /// The products of `x` and all rows.
    fn product(&self, builder: &mut Builder, x: &str) -> String {
        match self {
            Table::F32(weight) => {
                let weight = builder.transpose(weight, &[1, 0]);
                builder.node("MatMul", &[x, &weight], &[])
            }
            Table::Int8(parts) => {
                let [weight, scales] = parts.each_ref().map(|part| builder.transpose(part, &[1, 0]));
                builder.quantized_product(x, &weight, &scales)
            }
        }
    }
}

/// The shape of a layer's weight for one direction.
fn with_direction(weight: &Weight) -> Vec<i64> {
    std::iter::once(1).chain(weight.shape.iter().map(|&size| size as i64)).collect()
}

/// The two biases side by side.
fn bias(builder: &mut Builder, cell: Cell, l: usize, layer: &LayerWeights) -> String {
    let both = [&layer.bias_ih, &layer.bias_hh].map(|bias| reordered(cell, bias)).concat();
    builder.floats_named(&format!("rnn.{l}.B"), &both, &[1, both.len() as i64])
}

/// The elements of a weight with its gates in ONNX's order.
fn reordered(cell: Cell, weight: &Weight) -> Vec<f32> {
    let order: &[usize] = match cell {
        Cell::Lstm => &[0, 3, 1, 2],
        Cell::Cifg | Cell::Mogrifier => unreachable!("written as an LSTM, or refused"),
        Cell::Gru => &[1, 0, 2],
        Cell::RnnTanh | Cell::RnnRelu => &[0],
    };
    let gate = weight.values.len() / order.len();
    order.iter().flat_map(|&from| &weight.values[from * gate..(from + 1) * gate]).copied().collect()
}

#[cfg(test)]
mod tests;
