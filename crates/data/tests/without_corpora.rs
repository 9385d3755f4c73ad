//! Without the feature `corpora`, texts that need it are refused by name, and hashes are the same.
//!
//! `cargo test --package rondo-data --no-default-features --test without_corpora`; in other builds, there is nothing to test.

#![cfg(not(feature = "corpora"))]
#![allow(clippy::unwrap_used)] // A test fails by panicking.

use rondo_data::{DataError, Vocab, read_text, readable};

fn refusal(text: &[u8], field: Option<&str>) -> DataError {
    readable(text, "file", field).and_then(|text| read_text(text, "file", false)).unwrap_err()
}

#[test]
fn compressed_texts_and_tables_are_refused_by_name() {
    for (start, format) in [
        (&b"\x1f\x8b\x08\x00\x00\x00\x00\x00"[..], "gzip"),
        (b"\x28\xb5\x2f\xfd\x04\x58\x69\x00", "Zstandard"),
        (b"\xfd7zXZ\x00\x00\x04", "xz"),
    ] {
        let error = refusal(start, None).to_string();
        assert!(
            error.starts_with(&format!("`file` is compressed with {format}, and this program")),
            "{error}"
        );
    }
    assert!(matches!(refusal(b"id,text\n1,a b\n", Some("text")), DataError::NoTables { .. }));
    let lines = readable(&b"{\"text\": \"a b\"}\n"[..], "file", Some("text")).unwrap();
    assert_eq!(read_text(lines, "file", false).unwrap(), "a b\n");
}

/// Model files of builds with the feature are opened by those without.
#[test]
fn the_fingerprint_of_a_vocabulary_is_the_same() {
    let vocab = Vocab::from_tokens("test", ["<unk>", "a", "b"], Some("<unk>")).unwrap();
    assert_eq!(vocab.fingerprint(), "3e156d42b265d83a4e243012c2ebc30ac2c1355ee5e702923a1ce90125baf46d");
}
