//! Files of any content: an error, or a model; never a panic, and nothing is allocated that only a header claims.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rondo_convert::{Vocabulary, Weights};
use rondo_kernels::Device;
use rondo_nn::Cell;

/// One file of each format and way to store a model.
const FILES: [&str; 7] = [
    "wlm_lstm_tied.pt",
    "whole_rnn_relu.pt",
    "awd.pt",
    "views.pt",
    "parallel.safetensors",
    "standard_gru_tied.params",
    "awd_untied_collected.params",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/convert")
}

fn read(bytes: &[u8]) -> bool {
    let device = Device::cpu(1).unwrap();
    Weights::from_bytes(bytes, Path::new("file"), Some(Cell::RnnTanh), &device).is_ok()
        | Weights::from_bytes(bytes, Path::new("file"), None, &device).is_ok()
}

#[test]
fn a_truncated_file_is_an_error() {
    for name in FILES {
        let bytes = fs::read(folder().join(name)).unwrap();
        for end in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
            assert!(!read(&bytes[..end]), "{name}, cut at {end}");
        }
    }
}

#[test]
fn huge_claims_are_errors() {
    let mut params = 0x112u64.to_le_bytes().to_vec();
    params.extend([0; 8]);
    params.extend(u64::MAX.to_le_bytes());
    assert!(!read(&params));
    let mut shape = params[..16].to_vec();
    shape.extend(1u64.to_le_bytes());
    shape.extend(0xF993_FAC9u32.to_le_bytes());
    shape.extend([0; 4]);
    shape.extend(2u32.to_le_bytes());
    for size in [1u64 << 40, 1 << 33] {
        shape.extend(size.to_le_bytes());
    }
    shape.extend([0; 64]);
    assert!(!read(&shape));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_file_does_not_panic(
        file in 0..FILES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = fs::read(folder().join(FILES[file])).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read(&bytes);
    }

    /// The checksum of a changed pickle would hide what reads it.
    #[test]
    fn a_changed_pickle_without_a_checksum_does_not_panic(
        file in 0..4usize,
        changes in prop::collection::vec((0..2500usize, any::<u8>()), 1..8),
    ) {
        let mut bytes = fs::read(folder().join(FILES[file])).unwrap();
        // The checksums in the directory, 16 bytes after the start of each entry.
        for at in 0..bytes.len() - 20 {
            if bytes[at..].starts_with(b"PK\x01\x02") {
                bytes[at + 16..at + 20].fill(0);
            }
        }
        for (at, value) in changes {
            // The pickle is the first member, after its header.
            let at = 64 + at % 2500.min(bytes.len() - 64);
            bytes[at] = value;
        }
        read(&bytes);
    }

    #[test]
    fn a_vocabulary_of_any_text_does_not_panic(text in "[#a-c0-3 \t\n{}\\[\\]\":,<>é]{0,60}", tokens in 0..9usize) {
        let _ = Vocabulary::parse("list", &text, tokens);
    }

    #[test]
    fn a_changed_vocabulary_of_gluon_does_not_panic(at in any::<prop::sample::Index>(), value in any::<char>()) {
        let mut text: Vec<char> = fs::read_to_string(folder().join("gluon_old.json")).unwrap().chars().collect();
        let at = at.index(text.len());
        text[at] = value;
        let _ = Vocabulary::parse("gluon.json", &text.into_iter().collect::<String>(), 11);
    }
}
