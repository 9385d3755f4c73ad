//! Models of PyTorch and MXNet of any content: an error, or a model that can be used.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rondo_convert::Weights;
use rondo_infer::evaluate;
use rondo_kernels::Device;
use rondo_nn::{Cell, Workspace};

static DEVICE: LazyLock<Device> = LazyLock::new(|| Device::cpu(1).expect("there is a processor"));

fuzz_target!(|bytes: &[u8]| {
    for cell in [None, Some(Cell::RnnTanh)] {
        let Ok(weights) = Weights::from_bytes(bytes, Path::new("file"), cell, &DEVICE) else { continue };
        let last = weights.model.config().vocab_size as u32 - 1;
        let _ = evaluate(&weights.model, &mut Workspace::new(&DEVICE), &vec![0, last, 0, last].into(), 1, 2);
    }
});
