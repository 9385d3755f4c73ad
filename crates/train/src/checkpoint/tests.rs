//! Tests of reading checkpoints, including damaged ones, other versions and other files.

use rondo_data::{Corpus, CorpusTexts, TextSource};
use rondo_kernels::Device;
use rondo_nn::tensor_file::write_tensors;

use super::*;
use crate::{Plan, Settings, Trainer};

/// The bytes of a real checkpoint.
fn written() -> Vec<u8> {
    let settings = "
        [model]
        hidden_size = 3
        layers = 1
        [training]
        epochs = 1
        batch_size = 2
        bptt = 4
        threads = 1
    ";
    let plan = Plan::new(&Settings::parse("test", settings).unwrap()).unwrap();
    let text = TextSource::Memory { name: "train".to_owned(), text: "a b c d e\n".repeat(20) };
    let texts = CorpusTexts::Splits { train: text, valid: None, test: None };
    let corpus = Corpus::read(&texts, &plan.text.options).unwrap();
    let parent = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(parent.path().join("run"), &plan.to_toml().unwrap()).unwrap();
    let mut trainer = Trainer::new(plan, corpus, &Device::cpu(1).unwrap()).unwrap();
    trainer.run(&folder, &mut ()).unwrap();
    fs::read(folder.path().join("checkpoint-000001.safetensors")).unwrap()
}

fn read(bytes: &[u8]) -> Result<Checkpoint> {
    Checkpoint::from_bytes(bytes.to_vec(), Path::new("c"))
}

/// A file without tensors that has the checkpoint's metadata, changed by `change`.
fn forged(bytes: &[u8], change: impl FnOnce(&mut BTreeMap<String, String>)) -> Vec<u8> {
    let mut metadata = TensorFile::from_bytes(bytes, Path::new("c")).unwrap().metadata().clone();
    change(&mut metadata);
    let mut forged = Vec::new();
    write_tensors(&[], &metadata, &mut forged).unwrap();
    forged
}

#[test]
fn a_checkpoint_says_where_the_run_stands() {
    let checkpoint = read(&written()).unwrap();
    assert_eq!((checkpoint.epoch(), checkpoint.steps()), (2, 15));
    assert_eq!(checkpoint.config().unwrap().hidden_sizes, [3]);
    assert_eq!(checkpoint.codec().unwrap().unwrap().vocab().len(), 7);
    assert_eq!(*checkpoint.codec().unwrap().unwrap().tokenizer(), checkpoint.tokenizer().unwrap());
    assert!(checkpoint.plan().contains("hidden_size = 3"));
    assert!(checkpoint.metrics().unwrap().ends_with(b"}\n"));
}

#[test]
fn no_wrong_byte_and_no_cut_goes_unnoticed() {
    let bytes = written();
    for place in (0..bytes.len()).step_by(11) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 16;
        assert!(read(&damaged).is_err(), "byte {place}");
        assert!(read(&bytes[..place]).is_err(), "{place} bytes");
    }
}

#[test]
fn another_version_is_refused_by_name() {
    let later = forged(&written(), |metadata| {
        metadata.insert(VERSION_KEY.to_owned(), "2".to_owned());
    });
    let error = read(&later).unwrap_err().to_string();
    assert_eq!(error, "`c` has checkpoint format version 2, but this program reads version 1");
}

#[test]
fn what_lies_is_refused() {
    let bytes = written();
    for (key, value, expected) in [
        (VERSION_KEY, None, "no usable checkpoint in `c`: it has no `rondo_checkpoint` entry"),
        (PROGRESS_KEY, None, "no usable checkpoint in `c`: it has no `progress` entry"),
        (PROGRESS_KEY, Some("{}"), "no usable checkpoint in `c`: its `progress` cannot be read"),
        (CORPUS_KEY, Some("[]"), "no usable checkpoint in `c`: its `corpus` cannot be read"),
        (CONFIG_KEY, Some("7"), "no usable checkpoint in `c`: its `config` cannot be read"),
        // Everything else is valid, but there are no tensors.
        ("unknown", Some(""), "tensor `model/embedding.weight` is missing"),
    ] {
        let forged = forged(&bytes, |metadata| match value {
            Some(value) => drop(metadata.insert(key.to_owned(), value.to_owned())),
            None => drop(metadata.remove(key)),
        });
        let error = read(&forged).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{key}: {error}");
    }
    // A model file is not a checkpoint.
    let model = forged(&[&2_u64.to_le_bytes()[..], b"{}"].concat(), |_| {});
    assert!(matches!(read(&model), Err(TrainError::NoCheckpoint { .. })));
}

#[test]
fn numbers_that_no_run_comes_to_are_refused() {
    let bytes = written();
    for (from, to) in [
        ("\"epoch\":2", "\"epoch\":0"),
        ("\"steps\":15", "\"steps\":18446744073709551615"),
        ("\"skipped\":0", "\"skipped\":-1"),
        ("\"started_unix_s\":", "\"started_unix_s\":-"),
        ("\"elapsed_s\":", "\"elapsed_s\":1e300,\"elapsed_s\":"),
    ] {
        let forged = forged(&bytes, |metadata| {
            let progress = metadata[PROGRESS_KEY].replacen(from, to, 1);
            assert_ne!(progress, metadata[PROGRESS_KEY], "{from}");
            metadata.insert(PROGRESS_KEY.to_owned(), progress);
        });
        let error = read(&forged).unwrap_err().to_string();
        assert!(error.starts_with("no usable checkpoint in `c`: its `progress` "), "{to}: {error}");
    }
}

#[test]
fn sizes_that_are_not_there_are_not_allocated() {
    let huge = forged(&written(), |metadata| {
        let config = metadata[CONFIG_KEY].replace("\"vocab_size\":", "\"vocab_size\":10000000000");
        metadata.insert(CONFIG_KEY.to_owned(), config);
    });
    assert!(matches!(read(&huge), Err(TrainError::Model(_))));
}
