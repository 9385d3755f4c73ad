//! Checkpoints: for any content, a run continues from them or rejects them.
//!
//! A checkpoint has a checksum, which no fuzzer can guess. So the input is read unchanged, and a second time as JSON
//! with a text for each metadata entry, which replaces entries of a real checkpoint with a valid checksum.

#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rondo_data::{Corpus, CorpusTexts, TextSource};
use rondo_kernels::{Buffer, Device};
use rondo_nn::tensor_file::{Tensor, TensorFile, Values, write_tensors};
use rondo_runs::RunFolder;
use rondo_train::{Checkpoint, Plan, Settings, Trainer};

const SETTINGS: &str = "
    [model]
    hidden_size = 2
    layers = 1
    [training]
    epochs = 2
    batch_size = 2
    bptt = 3
    max_batches = 3
    threads = 1
";

/// A run in its second epoch, and the bytes of its checkpoint.
struct Run {
    _parent: tempfile::TempDir,
    folder: RunFolder,
    plan: Plan,
    corpus: Corpus,
    device: Device,
    bytes: Vec<u8>,
}

static RUN: LazyLock<Run> = LazyLock::new(|| {
    let plan = Plan::new(&Settings::parse("fuzz", SETTINGS).expect("settings")).expect("a plan");
    let text = TextSource::Memory { name: "train".to_owned(), text: "a b c\n".repeat(9) };
    let texts = CorpusTexts::Splits { train: text, valid: None, test: None };
    let corpus = Corpus::read(&texts, &plan.text.options).expect("a corpus");
    let device = Device::cpu(1).expect("there is a processor");
    // In memory if possible: a run writes and syncs many files.
    let shared = Path::new("/dev/shm");
    let parent = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
    let parent = parent.expect("a folder");
    let folder =
        RunFolder::create(parent.path().join("run"), &plan.to_toml().expect("TOML")).expect("a run's folder");
    let mut trainer = Trainer::new(plan.clone(), corpus.clone(), &device).expect("a trainer");
    trainer.run(&folder, &mut ()).expect("a run");
    let bytes = fs::read(folder.path().join("checkpoint-000001.safetensors")).expect("a checkpoint");
    Run { _parent: parent, folder, plan, corpus, device, bytes }
});

fuzz_target!(|bytes: &[u8]| {
    resume(bytes.to_vec());
    if let Ok(changes) = serde_json::from_slice::<BTreeMap<String, String>>(bytes) {
        resume(signed(changes));
    }
});

/// The real checkpoint with other metadata and a valid checksum.
fn signed(changes: BTreeMap<String, String>) -> Vec<u8> {
    let file = TensorFile::from_bytes(&RUN.bytes, Path::new("real")).expect("a real checkpoint");
    let mut metadata = file.metadata().clone();
    metadata.extend(changes);
    let shapes = RUN.plan.model.config(RUN.corpus.vocab().len()).parameter_shapes();
    let weights = shapes.into_iter().map(|(name, shape)| (format!("model/{name}"), shape));
    let state = ["state/hidden/0", "state/cell/0"].map(|name| (name.to_owned(), vec![2, 2]));
    let numbers: Vec<(String, Vec<usize>, Buffer)> = weights
        .chain(state)
        .map(|(name, shape)| {
            let mut numbers = Buffer::zeros(&RUN.device, shape.iter().product());
            let found = file.numbers(&name, &shape).expect("it is there");
            found.copy_to(numbers.slice_mut()).expect("memory of the processor");
            (name, shape, numbers)
        })
        .collect();
    let mut tensors: Vec<Tensor<'_>> = numbers
        .iter()
        .map(|(name, shape, numbers)| Tensor {
            name: name.clone(),
            shape: shape.clone(),
            values: Values::Numbers(numbers.read().expect("memory of the processor")),
        })
        .collect();
    for name in ["metrics", "codec"] {
        let bytes = file.bytes(name).expect("it is there");
        tensors.push(Tensor {
            name: name.to_owned(),
            shape: vec![bytes.len()],
            values: Values::Bytes(bytes),
        });
    }
    let mut bytes = Vec::new();
    write_tensors(&tensors, &metadata, &mut bytes).expect("memory takes all");
    bytes
}

fn resume(bytes: Vec<u8>) {
    let Ok(checkpoint) = Checkpoint::from_bytes(bytes, &PathBuf::from("fuzz")) else { return };
    let Run { folder, plan, corpus, device, .. } = &*RUN;
    let resuming = Trainer::resuming(plan.clone(), corpus.clone(), device, checkpoint, vec![]);
    let Ok(mut trainer) = resuming else { return };
    let _ = trainer.run(folder, &mut ());
}
