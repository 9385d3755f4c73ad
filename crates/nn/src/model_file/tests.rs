//! Tests of the model file: round trips, and errors for damaged and forged files.

use std::path::Path;

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::json;

use super::*;
use crate::{Biases, Cell, CellOptions, Dropout, DropoutSite, Initialization, Input};

#[test]
fn a_model_comes_back_as_it_was() {
    for tied in [false, true] {
        let model = model(config(tied));
        let file = read(&written(&model)).unwrap();
        assert_eq!(file.model.config(), model.config());
        assert_eq!(file.context.vocab_fingerprint, "5f1e");
        assert_eq!(file.context.metadata, metadata());
        assert_eq!(file.context.attachments, context(&metadata()).attachments);
        for id in model.parameters().ids() {
            assert_eq!(file.model.parameters().name(id), model.parameters().name(id));
            assert_eq!(
                file.model.parameters().values(id).read().unwrap(),
                model.parameters().values(id).read().unwrap()
            );
        }
    }
}

#[test]
fn the_same_model_makes_the_same_bytes() {
    let model = model(config(true));
    let bytes = written(&model);
    assert_eq!(bytes, written(&model));
    let back = read(&bytes).unwrap().model;
    assert_eq!(bytes, written(&back));
}

#[test]
fn bf16_weights_take_half_the_space_and_what_is_bf16_comes_back_exactly() {
    let model = model(config(true));
    let mut bf16 = metadata();
    WeightFormat::Bf16.set_in(&mut bf16);
    let (whole, half) = (written(&model), written_with(&model, &bf16));
    let data = |bytes: &[u8]| bytes.len() - 8 - SafeTensors::read_metadata(bytes).unwrap().0;
    let extra = b"a codec".len() + 2 * size_of::<f32>();
    assert_eq!(data(&whole) - extra, 2 * (data(&half) - extra));
    let rounded = read(&half).unwrap();
    assert_eq!(rounded.context.metadata, bf16);
    assert_eq!(rounded.context.tensors, context(&bf16).tensors);
    for id in model.parameters().ids() {
        let [found, exact] =
            [&rounded.model, &model].map(|model| model.parameters().values(id).read().unwrap().into_owned());
        for (found, exact) in found.iter().zip(&exact) {
            assert!((found - exact).abs() <= exact.abs() / 256.0, "{found} {exact}");
        }
        assert!(found != exact || found.iter().all(|&number| number == 0.0));
    }
    assert_eq!(written_with(&rounded.model, &bf16), half);
    let again = read(&written(&rounded.model)).unwrap();
    for id in model.parameters().ids() {
        let [found, expected] = [&again.model, &rounded.model]
            .map(|model| model.parameters().values(id).read().unwrap().into_owned());
        assert_eq!(found, expected);
    }
    WeightFormat::F32.set_in(&mut bf16);
    assert_eq!(bf16, metadata());
}

/// The model, and what is read from its file with int8 weights, and that file.
fn quantized(tied: bool) -> (RnnLm, ModelFile, Vec<u8>) {
    let model = model(config(tied));
    let mut int8 = metadata();
    WeightFormat::Int8.set_in(&mut int8);
    let bytes = written_with(&model, &int8);
    let file = read(&bytes).unwrap();
    assert_eq!(file.context.metadata, int8);
    assert_eq!(file.context.attachments, context(&int8).attachments);
    assert_eq!(file.context.tensors, context(&int8).tensors);
    (model, file, bytes)
}

#[test]
fn int8_weights_are_within_half_a_step_and_biases_are_exact() {
    for tied in [false, true] {
        let (model, file, bytes) = quantized(tied);
        let [exact, found] = [&model, &file.model].map(RnnLm::parameters);
        let mut rows = 0;
        for id in exact.ids() {
            let (name, shape) = (exact.name(id), exact.shape(id));
            let [exact, values] = [exact, found].map(|of| of.values(id).read().unwrap().into_owned());
            assert_eq!(found.is_int8(id), shape.len() == 2, "{name}");
            let [count, width] = *shape else {
                assert_eq!(values, exact, "{name}");
                continue;
            };
            rows += count;
            for (exact, values) in exact.chunks(width).zip(values.chunks(width)) {
                let step = exact.iter().fold(0.0f32, |largest, x| largest.max(x.abs())) / 127.0;
                for (x, y) in exact.iter().zip(values) {
                    assert!((x - y).abs() <= 0.501 * step, "{name}: {x} {y}, step {step}");
                }
            }
        }
        // A byte for each element of a matrix, and four for each of its rows.
        let data = |bytes: &[u8]| bytes.len() - 8 - SafeTensors::read_metadata(bytes).unwrap().0;
        let matrices = exact.ids().filter(|&id| exact.shape(id).len() == 2);
        let elements: usize = matrices.map(|id| exact.values(id).len()).sum();
        assert_eq!(data(&written(&model)) - data(&bytes), 3 * elements - 4 * rows);
    }
}

#[test]
fn int8_weights_come_back_exactly() {
    let (_, file, bytes) = quantized(true);
    assert_eq!(written_with(&file.model, &file.context.metadata), bytes);
    let whole = read(&written(&file.model)).unwrap();
    assert_eq!(written_with(&whole.model, &file.context.metadata), bytes);
    for id in whole.model.parameters().ids() {
        let [found, expected] = [&whole.model, &file.model]
            .map(|model| model.parameters().values(id).read().unwrap().into_owned());
        assert_eq!(found, expected);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    std::fs::write(&path, &bytes).unwrap();
    let mut same = RnnLm::new(config(true), &device()).unwrap();
    ModelFile::read_into(&mut same, &path).unwrap();
    let id = same.parameters().find("rnn.1.weight_hh").unwrap();
    assert!(same.parameters().is_int8(id) && same.clone().parameters().is_int8(id));
    assert_eq!(
        same.parameters().values(id).read().unwrap(),
        file.model.parameters().values(id).read().unwrap()
    );
    same.parameters_mut().values_mut(id).fill(0.1);
    assert!(!same.parameters().is_int8(id), "the weights may have changed");
}

#[test]
fn int8_weights_without_their_scales_are_refused() {
    let (_, _, bytes) = quantized(true);
    let name = "rnn.0.weight_hh.scales";
    let error =
        |bytes: &[u8], change: &dyn Fn(&mut Value)| read(&forge(bytes, change)).unwrap_err().to_string();
    let other_shape = error(&bytes, &|header| {
        let rows = header[name]["shape"][0].as_u64().unwrap();
        header[name]["shape"] = json!([rows / 2, 2]);
    });
    assert!(other_shape.contains(name) && other_shape.contains("has shape"), "{other_shape}");
    let missing = error(&bytes, &|header| rename(header, name, "rondo.scales"));
    assert_eq!(missing, format!("tensor `{name}` is missing"));
    // Scales of 32-bit weights are not expected.
    let unexpected = error(&written(&model(config(true))), &|header| rename(header, "rondo.codec", name));
    assert!(unexpected.starts_with(&format!("unexpected tensor `{name}`")), "{unexpected}");
}

#[test]
fn no_wrong_bit_of_int8_weights_goes_unnoticed() {
    let (_, _, bytes) = quantized(true);
    let (header, _) = SafeTensors::read_metadata(&bytes).unwrap();
    for at in (8 + header..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(matches!(read(&damaged), Err(NnError::Damaged { .. })), "byte {at}");
    }
}

#[test]
fn a_model_of_any_kind_is_read_from_its_file_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let written_model = model(config(true));
    std::fs::write(&path, written(&written_model)).unwrap();

    let mut same = RnnLm::new(config(true), &device()).unwrap();
    let found = ModelFile::read_into(&mut same, &path).unwrap();
    assert_eq!(found, context(&metadata()));
    for id in same.parameters().ids() {
        let [read, written] =
            [&same, &written_model].map(|model| model.parameters().values(id).read().unwrap());
        assert_eq!(read, written);
    }

    let mut other = RnnLm::new(config(false), &device()).unwrap();
    let error = ModelFile::read_into(&mut other, &path).unwrap_err().to_string();
    assert!(error.contains("contains a different model: {"), "{error}");
}

#[test]
fn the_numbers_are_aligned_and_the_library_reads_them() {
    let model = model(config(true));
    let bytes = written(&model);
    let (header_len, _) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header_len % 8, 0);
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.len(), model.parameters().ids().len() + 2, "and the attachments");
    let id = model.parameters().find("rnn.1.weight_hh").unwrap();
    let tensor = tensors.tensor("rnn.1.weight_hh").unwrap();
    assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, model.parameters().shape(id)));
    let first = model.parameters().values(id).read().unwrap()[0];
    assert_eq!(tensor.data()[..4], first.to_le_bytes());
}

#[test]
fn the_modules_own_keys_win() {
    let claims = BTreeMap::from([("rondo_model".to_owned(), "9".to_owned())]);
    let bytes = written_with(&model(config(true)), &claims);
    assert!(read(&bytes).unwrap().context.metadata.is_empty());
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = ModelFile::read(Path::new("no/such.safetensors"), &device()).unwrap_err();
    assert_eq!(error.to_string(), "could not read `no/such.safetensors`");
}

#[test]
fn a_file_of_any_other_length_is_refused() {
    let bytes = written(&model(config(true)));
    let mut longer = bytes.clone();
    longer.push(0);
    for part in (0..bytes.len()).map(|len| &bytes[..len]).chain([&longer[..]]) {
        let error = read(part).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`m.safetensors` is not a valid safetensors file",
            "{} bytes",
            part.len()
        );
    }
}

#[test]
fn a_header_with_one_wrong_bit_is_refused() {
    let bytes = written(&model(config(true)));
    let (header_len, _) = SafeTensors::read_metadata(&bytes).unwrap();
    for bit in 0..(8 + header_len) * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // If only the checksum's own name is damaged, the damage cannot be detected.
        if let Ok(file) = read(&flipped) {
            let extra: Vec<_> =
                file.context.metadata.keys().filter(|&key| !metadata().contains_key(key)).collect();
            assert!(matches!(extra[..], [key] if key.len() == "sha256".len()), "bit {bit}: {extra:?}");
        }
    }
}

#[test]
fn a_number_with_one_wrong_bit_is_refused() {
    let bytes = written(&model(config(true)));
    let (header_len, _) = SafeTensors::read_metadata(&bytes).unwrap();
    for place in (8 + header_len..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1;
        let error = read(&flipped).unwrap_err();
        assert!(
            error.to_string().starts_with("`m.safetensors` is damaged: the SHA-256 of its content is "),
            "{error}"
        );
    }
}

#[test]
fn a_file_of_an_earlier_version_has_no_checksum_and_is_read() {
    let model = model(config(true));
    let old = forge(&written(&model), |header| {
        header["__metadata__"].as_object_mut().unwrap().remove("sha256");
        header["__metadata__"]["rondo_model"] = json!("1");
    });
    let read = read(&old).unwrap();
    assert_eq!(read.model.config(), model.config());
}

#[test]
fn a_lying_file_is_refused_by_name() {
    type Change = fn(&mut Value);
    let damaged = "`m.safetensors` is not a valid safetensors file";
    let foreign =
        "missing or invalid metadata `rondo_model`: it is missing, so this file was not written by Rondo";
    let no_config = "`m.safetensors` has missing or invalid metadata `config`: ";
    let cases: &[(&str, Change, &str)] = &[
        (
            "a transposed tensor",
            |header| header["embedding.weight"]["shape"] = json!([3, 5]),
            "tensor `embedding.weight` has shape [3, 5], but the model's configuration requires [5, 3]",
        ),
        (
            "another number of dimensions",
            |header| header["rnn.0.bias_ih"]["shape"] = json!([4, 3]),
            "tensor `rnn.0.bias_ih` has shape [4, 3], but the model's configuration requires [12]",
        ),
        (
            "another type of the same size",
            |header| header["decoder.bias"]["dtype"] = json!("I32"),
            "tensor `decoder.bias` has element type I32, expected F32",
        ),
        (
            "a tensor missing and another too many",
            |header| rename(header, "rnn.1.bias_hh", "rnn.2.bias_hh"),
            "tensor `rnn.1.bias_hh` is missing",
        ),
        (
            "a tensor too many",
            |header| {
                header["z"] = json!({ "dtype": "F32", "shape": [0], "data_offsets": [0, 0] });
                header["decoder.weight"] = header["z"].clone();
            },
            "unexpected tensor `decoder.weight`: the model has no such parameter",
        ),
        (
            "overlapping tensors",
            |header| {
                header["rnn.0.bias_hh"]["data_offsets"] = header["rnn.0.bias_ih"]["data_offsets"].clone()
            },
            damaged,
        ),
        (
            "a tensor beyond all memory",
            |header| header["embedding.weight"]["shape"] = json!([u64::MAX, u64::MAX]),
            damaged,
        ),
        ("somebody else's file", |header| header["__metadata__"] = json!({ "format": "pt" }), foreign),
        (
            "a file without metadata",
            |header| {
                header.as_object_mut().unwrap().remove("__metadata__");
            },
            foreign,
        ),
        (
            "a later version",
            |header| header["__metadata__"]["rondo_model"] = json!("3"),
            "missing or invalid metadata `rondo_model`: version `3` is not supported, only `1` and `2`",
        ),
        (
            "no fingerprint",
            |header| {
                header["__metadata__"].as_object_mut().unwrap().remove("vocab_fingerprint");
            },
            "missing or invalid metadata `vocab_fingerprint`: it is missing",
        ),
        ("no JSON", |header| header["__metadata__"]["config"] = json!("{"), no_config),
        ("an unknown field", |header| edit_config(header, |config| config["layers"] = json!(2)), no_config),
        (
            "an unknown cell",
            |header| edit_config(header, |config| config["cell"] = json!("lstm2")),
            no_config,
        ),
        ("a missing field", |header| edit_config(header, |config| config["tied"] = Value::Null), no_config),
        (
            "a negative size",
            |header| edit_config(header, |config| config["vocab_size"] = json!(-1)),
            no_config,
        ),
        (
            "sizes that do not fit together",
            |header| edit_config(header, |config| config["input"]["embedding"] = json!(4)),
            "missing or invalid metadata `config`: `embedding_size` must equal the last hidden size (3) when `tied` is on, but is 4",
        ),
        (
            "a model of terabytes",
            |header| edit_config(header, |config| config["vocab_size"] = json!(1_000_000_000_000u64)),
            "tensor `embedding.weight` has shape [5, 3], but the model's configuration requires [1000000000000, 3]",
        ),
        (
            "a model beyond all memory",
            |header| edit_config(header, |config| config["hidden_sizes"] = json!([u64::MAX, 3])),
            "missing or invalid metadata `config`: `hidden_sizes` and the other sizes give more parameters than memory can hold",
        ),
        (
            "more layers than there are tensors",
            |header| edit_config(header, |config| config["hidden_sizes"] = json!([3, 3, 3])),
            "tensor `rnn.2.weight_ih` is missing",
        ),
    ];
    let honest = written(&model(config(true)));
    assert!(read(&forge(&honest, |_| {})).is_ok(), "a forgery that changes nothing is read");
    for (case, change, expected) in cases {
        match read(&forge(&honest, change)) {
            Ok(_) => panic!("{case}: read as if nothing were wrong"),
            Err(error) => assert!(error.to_string().contains(expected), "{case}: {error}"),
        }
    }
}

#[test]
fn a_header_longer_than_the_file_is_not_allocated() {
    for claim in [u64::MAX, 1 << 40, 100_000_000, 9] {
        let mut bytes = claim.to_le_bytes().to_vec();
        bytes.extend(b"{}");
        assert!(matches!(read(&bytes), Err(NnError::Format { .. })), "a header of {claim} bytes");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn no_damage_panics(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let mut bytes = written(&model(config(true)));
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(file) = read(&bytes) {
            prop_assert_eq!(file.model.parameters().count(), file.model.config().parameter_count());
        }
    }
}

fn device() -> Device {
    Device::cpu(1).unwrap()
}

fn config(tied: bool) -> RnnLmConfig {
    let site = |probability, locked| DropoutSite { probability, locked };
    RnnLmConfig {
        vocab_size: 5,
        input: Input::Embedding(3),
        cell: Cell::Lstm,
        hidden_sizes: vec![3, 3],
        biases: Biases::Two,
        tied,
        dropout: Dropout {
            input: site(0.1, false),
            between: site(0.25, false),
            output: site(0.3, true),
            words: 0.05,
            weights: 0.2,
        },
        adaptive_softmax: None,
        cell_options: CellOptions::default(),
    }
}

fn model(config: RnnLmConfig) -> RnnLm {
    let mut model = RnnLm::new(config, &device()).unwrap();
    model.initialize(&Initialization::default(), &mut ChaCha8Rng::seed_from_u64(7)).unwrap();
    model
}

fn metadata() -> BTreeMap<String, String> {
    let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    BTreeMap::from([entry("tokenizer", "\"words\""), entry("epoch", "3"), entry("step", "8949")])
}

fn context(metadata: &BTreeMap<String, String>) -> ModelContext {
    ModelContext {
        vocab_fingerprint: "5f1e".to_owned(),
        metadata: metadata.clone(),
        attachments: BTreeMap::from([("codec".to_owned(), b"a codec".to_vec())]),
        tensors: BTreeMap::from([(
            "extra".to_owned(),
            StoredTensor { shape: vec![1, 2], values: vec![0.5, -1.0] },
        )]),
    }
}

fn written(model: &RnnLm) -> Vec<u8> {
    written_with(model, &metadata())
}

fn written_with(model: &RnnLm, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut bytes = Vec::new();
    ModelFile::write(model, &context(metadata), &mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<ModelFile> {
    ModelFile::from_bytes(bytes, Path::new("m.safetensors"), &device())
}

/// The file with its header changed and its data unchanged.
fn forge(bytes: &[u8], change: impl Fn(&mut Value)) -> Vec<u8> {
    let (header_len, _) = SafeTensors::read_metadata(bytes).unwrap();
    let (header, numbers) = bytes[8..].split_at(header_len);
    let mut header: Value = serde_json::from_slice(header).unwrap();
    change(&mut header);
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes(), &header[..], numbers].concat()
}

fn rename(header: &mut Value, from: &str, to: &str) {
    let tensors = header.as_object_mut().unwrap();
    let tensor = tensors.remove(from).unwrap();
    tensors.insert(to.to_owned(), tensor);
}

fn edit_config(header: &mut Value, change: fn(&mut Value)) {
    let text = header["__metadata__"]["config"].as_str().unwrap();
    let mut config: Value = serde_json::from_str(text).unwrap();
    change(&mut config);
    header["__metadata__"]["config"] = json!(config.to_string());
}
