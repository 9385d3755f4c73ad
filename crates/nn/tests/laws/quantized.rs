//! Models with int8 weights: they compute what the weights that the bytes stand for do, in any precision of the device.

use std::path::Path;

use rondo_kernels::{Buffer, Device, Precision};
use rondo_nn::{Mode, Model, ModelContext, ModelFile, RnnLm, WeightFormat, Workspace};

use crate::check::{configs, device, model, tokens};

const BATCH: usize = 3;

#[test]
fn logits_are_those_of_the_weights_that_bytes_stand_for() {
    for config in configs() {
        let (cell, device) = (config.cell, device());
        let bytes = stored(&model(config), WeightFormat::Int8, &device);
        let numbers = stored(&bytes, WeightFormat::F32, &device);
        let weight = |of: &RnnLm| of.parameters().is_int8(of.parameters().find("rnn.0.weight_hh").unwrap());
        assert_eq!([weight(&bytes), weight(&numbers)], [true, false]);
        assert_near(cell.name(), &logits(&bytes, &device), &logits(&numbers, &device));
    }
}

/// Products by bytes are not rounded to bf16, so this fails if the bytes are not used. Mogrifiers have other products.
#[test]
fn bytes_are_multiplied_exactly_on_a_device_that_rounds() {
    let Ok(rounding) = device().with_precision(Precision::Bf16) else {
        eprintln!("skipped: {} does not multiply in bf16", device());
        return;
    };
    for config in configs().into_iter().filter(|config| config.cell_options == Default::default()) {
        let cell = config.cell;
        if cell == rondo_nn::Cell::Mogrifier {
            continue;
        }
        let bytes = stored(&model(config), WeightFormat::Int8, &rounding);
        let numbers = stored(&bytes, WeightFormat::F32, &device());
        assert_near(cell.name(), &logits(&bytes, &rounding), &logits(&numbers, &device()));
    }
}

#[test]
fn weights_that_have_changed_are_no_longer_bytes() {
    for config in configs() {
        let cell = config.cell;
        let mut changed = stored(&model(config), WeightFormat::Int8, &device());
        let before = logits(&changed, &device());
        let ids: Vec<_> = changed.parameters().ids().collect();
        for id in ids {
            let values = changed.parameters().values(id).read().unwrap().into_owned();
            let values: Vec<f32> = values.iter().map(|value| 0.9 * value + 0.003).collect();
            let values = Buffer::from_slice(&device(), &values).unwrap();
            changed.parameters_mut().values_mut(id).copy_from(values.slice());
        }
        let numbers = stored(&changed, WeightFormat::F32, &device());
        assert_eq!(logits(&changed, &device()), logits(&numbers, &device()), "{cell}");
        assert_ne!(logits(&changed, &device()), before, "{cell}");
    }
}

/// Fails unless the numbers are the same but for rounding inputs of products to 14 bits.
#[track_caller]
fn assert_near(name: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{name}: length");
    let largest = want.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        assert!(
            (got - want).abs() <= 2e-4 * largest,
            "{name}[{i}]: {got:.9} instead of {want:.9}, of {largest}"
        );
    }
}

/// The model as it is read from a file with weights in this format.
fn stored(model: &RnnLm, format: WeightFormat, device: &Device) -> RnnLm {
    let (mut context, mut bytes) = (ModelContext::default(), Vec::new());
    format.set_in(&mut context.metadata);
    ModelFile::write(model, &context, &mut bytes).unwrap();
    ModelFile::from_bytes(&bytes, Path::new("model"), device).unwrap().model
}

/// The logits after each of some steps.
fn logits(model: &RnnLm, device: &Device) -> Vec<f32> {
    let mut workspace = Workspace::new(device);
    let mut state = model.zero_state(BATCH);
    let step = |seed| {
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        let hidden = model.forward(&mut tape, &tokens(2 * BATCH, seed), &mut state);
        let logits = model.logits(&mut tape, hidden);
        tape.read(logits).unwrap().to_vec()
    };
    (1..4).flat_map(step).collect()
}
