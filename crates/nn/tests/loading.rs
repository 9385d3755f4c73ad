//! A model file is read into the model's own memory, and hardly more; a mapped one needs none.
//!
//! This file is a program of its own because it counts what *all* its threads allocate: it holds one test.

#![allow(unsafe_code)] // A global allocator cannot be had without.
#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io::BufWriter;
use std::sync::atomic::{AtomicUsize, Ordering};

use rondo_kernels::Device;
use rondo_nn::{
    Biases, Cell, CellOptions, Dropout, Input, Model, ModelContext, ModelFile, RnnLm, RnnLmConfig,
    WeightFormat,
};

/// The system's allocator, counting the bytes in use and their maximum.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator unchanged, which keeps the trait's promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let bytes = BYTES.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(bytes, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of this function's contract, which are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as in `alloc`; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[test]
fn loading_takes_hardly_more_memory_than_the_model() {
    let device = Device::cpu(1).unwrap();
    let config = RnnLmConfig {
        vocab_size: 20_000,
        input: Input::Embedding(100),
        cell: Cell::Lstm,
        hidden_sizes: vec![100],
        biases: Biases::Two,
        tied: false,
        dropout: Dropout::default(),
        adaptive_softmax: None,
        cell_options: CellOptions::default(),
    };
    let folder = tempfile::tempdir().unwrap();
    let model_bytes = 4 * config.parameter_count();
    assert!(model_bytes > 16_000_000);
    for (format, file_share) in
        [(WeightFormat::F32, 1.0), (WeightFormat::Bf16, 0.5), (WeightFormat::Int8, 0.264)]
    {
        let path = folder.path().join(format.name());
        let model = RnnLm::new(config.clone(), &device).unwrap();
        let mut context = ModelContext::default();
        format.set_in(&mut context.metadata);
        ModelFile::write(&model, &context, &mut BufWriter::new(File::create(&path).unwrap())).unwrap();
        drop(model);
        let file_bytes = std::fs::metadata(&path).unwrap().len() as f64;
        assert!((file_bytes / (file_share * model_bytes as f64) - 1.0).abs() < 0.01, "{file_bytes}");

        let before = BYTES.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let read = ModelFile::read(&path, &device).unwrap();
        let peak = PEAK.load(Ordering::Relaxed) - before;
        assert!(peak as f64 <= 1.1 * model_bytes as f64, "{peak} bytes for a model of {model_bytes}");
        assert_eq!(read.model.parameters().count() * 4, model_bytes);

        let before = BYTES.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let mapped = ModelFile::map(&path, &device).unwrap();
        let peak = PEAK.load(Ordering::Relaxed) - before;
        if format == WeightFormat::F32 {
            assert!(peak < 100_000, "{peak} bytes for a mapped model");
        }
        assert_eq!(mapped.model.parameters().count() * 4, model_bytes);
    }
}
