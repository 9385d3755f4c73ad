//! The structure of the written graphs.

use std::collections::HashSet;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo_data::{Tokenizer, Vocab};
use rondo_kernels::Device;
use rondo_nn::{Biases, CellOptions, Dropout, Initialization, Initializer, Input, RnnLm, RnnLmConfig};

use super::messages::{Graph, Tensor};
use super::*;
use crate::export::Target;

fn codec() -> TextCodec {
    let vocab = Vocab::from_tokens("test", ["<eos>", "a", "b", "c", "<unk>"], Some("<unk>")).unwrap();
    TextCodec::new(Tokenizer::words(), vocab)
}

fn model(cell: Cell, tied: bool, hidden_sizes: &[usize]) -> RnnLm {
    let config = RnnLmConfig {
        vocab_size: 5,
        input: Input::Embedding(3),
        cell,
        hidden_sizes: hidden_sizes.to_vec(),
        biases: Biases::Two,
        tied,
        dropout: Dropout::default(),
        adaptive_softmax: None,
        cell_options: CellOptions::default(),
    };
    let mut model = RnnLm::new(config, &Device::cpu(1).unwrap()).unwrap();
    let uniform = Initializer::Uniform(0.5);
    let initialization =
        Initialization { embedding: uniform, recurrent: uniform, decoder: uniform, bias: uniform };
    model.initialize(&initialization, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    model
}

fn written(model: &RnnLm, target: Target) -> ModelProto {
    written_as(model, target, Storage::F32)
}

fn written_as(model: &RnnLm, target: Target, storage: Storage) -> ModelProto {
    let parts = Parts::of(model, target).unwrap();
    let files = files(&parts, &codec(), target == Target::Onnx, storage).unwrap();
    assert_eq!(files[1], ("tokens.txt", b"<eos> 0\na 1\nb 2\nc 3\n<unk> 4\n".to_vec()));
    ModelProto::decode(files[0].1.as_slice()).unwrap()
}

fn tensor<'g>(graph: &'g Graph, name: &str) -> &'g Tensor {
    graph.initializer.iter().find(|tensor| tensor.name == name).unwrap()
}

#[test]
fn every_value_is_made_before_it_is_used_and_every_output_is_made() {
    for cell in Cell::ALL.into_iter().filter(|&cell| cell != Cell::Mogrifier) {
        for (tied, target, storage) in [
            (true, Target::Onnx, Storage::F32),
            (false, Target::Onnx, Storage::F32),
            (true, Target::OnnxRescoring, Storage::F32),
            (true, Target::Onnx, Storage::Int8),
            (false, Target::OnnxRescoring, Storage::Int8),
        ] {
            let file = written_as(&model(cell, tied, &[3, 3]), target, storage);
            assert_eq!((file.ir_version, file.opset_import[0].version), (Some(7), Some(13)));
            let graph = file.graph.unwrap();
            let inputs = graph.input.iter().map(|input| input.name.as_str());
            let constants = graph.initializer.iter().map(|tensor| tensor.name.as_str());
            let mut known: HashSet<&str> = inputs.chain(constants).collect();
            for node in &graph.node {
                for input in node.input.iter().filter(|input| !input.is_empty()) {
                    assert!(known.contains(input.as_str()), "{cell}: {} needs {input}", node.op_type);
                }
                for output in &node.output {
                    assert!(known.insert(output), "{cell}: {output} is made twice");
                }
            }
            assert!(graph.output.iter().all(|output| known.contains(output.name.as_str())), "{cell}");
        }
    }
}

#[test]
fn inputs_and_outputs_are_in_the_order_that_decoders_expect() {
    let names = |target| {
        let graph = written(&model(Cell::Gru, true, &[3]), target).graph.unwrap();
        let names = [graph.input, graph.output];
        names.map(|values| values.into_iter().map(|value| value.name).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(names(Target::Onnx), ["x h0 c0", "log_softmax next_h0 next_c0"]);
    assert_eq!(names(Target::OnnxRescoring), ["x x_lens", "nll"]);
    let metadata = written(&model(Cell::Lstm, true, &[3]), Target::Onnx).metadata_props;
    let metadata: Vec<_> = metadata.iter().map(|entry| format!("{}={}", entry.key, entry.value)).collect();
    assert_eq!(metadata.join(" "), "sos_id=0 eos_id=0 vocab_size=5 num_layers=1 hidden_size=3");
}

#[test]
fn gates_are_in_the_order_of_onnx() {
    for (cell, order) in [(Cell::Lstm, &[0, 3, 1, 2][..]), (Cell::Gru, &[1, 0, 2]), (Cell::RnnTanh, &[0])] {
        let model = model(cell, true, &[3]);
        let graph = written(&model, Target::Onnx).graph.unwrap();
        let parts = Parts::of(&model, Target::Onnx).unwrap();
        let layer = &parts.layers[0];
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        let (w, b) = (tensor(&graph, "rnn.0.W"), tensor(&graph, "rnn.0.B"));
        let gates = order.len() as i64;
        assert_eq!((&w.dims, &b.dims), (&vec![1, 3 * gates, 3], &vec![1, 6 * gates]));
        for (to, &from) in order.iter().enumerate() {
            assert_eq!(
                w.raw_data[to * 36..(to + 1) * 36],
                bytes(&layer.weight_ih.values[from * 9..(from + 1) * 9])
            );
            let bias = bytes(&layer.bias_ih.values[from * 3..(from + 1) * 3]);
            assert_eq!(b.raw_data[to * 12..(to + 1) * 12], bias);
        }
        let second = &b.raw_data[order.len() * 12..];
        assert_eq!(second[..12], bytes(&layer.bias_hh.values[order[0] * 3..(order[0] + 1) * 3]));
    }
}

#[test]
fn integers_and_scales_are_the_weights_within_half_a_step() {
    let model = model(Cell::Lstm, false, &[3]);
    let graph = written_as(&model, Target::Onnx, Storage::Int8).graph.unwrap();
    let parts = Parts::of(&model, Target::Onnx).unwrap();
    let decoder = parts.decoder_weight.as_ref().unwrap();
    for (name, weight) in [("embedding.weight", &parts.embedding), ("decoder.weight", decoder)] {
        let (values, scales) = (tensor(&graph, name), tensor(&graph, &format!("{name}.scale")));
        assert_eq!((values.data_type, &values.dims, &scales.dims), (3, &vec![5, 3], &vec![5, 1]));
        let scales: Vec<f32> =
            scales.raw_data.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        for (index, (&byte, &value)) in values.raw_data.iter().zip(&weight.values).enumerate() {
            let scale = scales[index / 3];
            assert!((f32::from(byte as i8) * scale - value).abs() <= 0.501 * scale, "{name} {index}");
        }
    }
}

#[test]
fn what_onnx_does_not_have_is_refused() {
    let error = |model: &RnnLm, codec: &TextCodec| {
        files(&Parts::of(model, Target::Onnx).unwrap(), codec, true, Storage::F32).unwrap_err().to_string()
    };
    let wide = model(Cell::Lstm, true, &[4, 3]);
    assert_eq!(
        error(&wide, &codec()),
        "a model with layers of different widths (4, 3) cannot be written as ONNX"
    );
    let vocab = Vocab::from_tokens("test", ["a", "b", "c", "d", "e"], None).unwrap();
    let endless = TextCodec::new(Tokenizer::words(), vocab);
    assert_eq!(
        error(&model(Cell::Lstm, true, &[3]), &endless),
        "a model with a vocabulary without a line end cannot be written as ONNX"
    );
}
