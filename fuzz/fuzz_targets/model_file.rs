//! Model files of any content: an error, or a model that is the same after writing and reading it.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rondo_infer::evaluate;
use rondo_kernels::Device;
use rondo_nn::{ModelFile, Workspace};

static DEVICE: LazyLock<Device> = LazyLock::new(|| Device::cpu(1).expect("there is a processor"));

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzz.safetensors");
    let Ok(file) = ModelFile::from_bytes(bytes, path, &DEVICE) else { return };
    let mut again = Vec::new();
    ModelFile::write(&file.model, &file.context, &mut again).expect("memory takes all");
    let read = ModelFile::from_bytes(&again, path, &DEVICE).expect("what is written is read back");
    let mut twice = Vec::new();
    ModelFile::write(&read.model, &read.context, &mut twice).expect("memory takes all");
    assert_eq!(again, twice);
    // For any weights, using the model gives a number or an error.
    let last = file.model.config().vocab_size as u32 - 1;
    let _ = evaluate(&file.model, &mut Workspace::new(&DEVICE), &vec![0, last, 0, last].into(), 1, 2);
});
