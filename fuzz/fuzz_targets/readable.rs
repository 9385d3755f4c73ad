//! Compressed files and files of records: an error, or the same text in blocks as at once. The first byte says whether
//! the text is a field of records, and how large the blocks are.

#![no_main]

use std::io::{BufReader, Read};

use libfuzzer_sys::fuzz_target;
use rondo_data::{TextLook, Tokenizer, readable};

/// A small file can decompress to a huge one.
const MOST_BYTES: u64 = 1 << 24;

fuzz_target!(|input: &[u8]| {
    let [options, bytes @ ..] = input else { return };
    let field = (options % 2 == 1).then_some("text");
    let read = |capacity: usize| {
        let mut all = Vec::new();
        let reader = readable(BufReader::with_capacity(capacity, bytes), "fuzz", field);
        let read = reader.ok()?.take(MOST_BYTES).read_to_end(&mut all);
        read.ok().map(|_| all)
    };
    let whole = read(bytes.len().max(1));
    assert_eq!(whole, read(usize::from(options / 2).max(1)));
    if let (Some("text"), Some(text)) = (field, &whole) {
        let is_cut = text.len() as u64 == MOST_BYTES;
        assert!(text.is_empty() || text.ends_with(b"\n") || is_cut, "each record is a line");
    }
    for tokenizer in [Tokenizer::words(), Tokenizer::chars()] {
        for note in TextLook::of(bytes).notes(&tokenizer) {
            assert!(!note.to_string().ends_with('.'));
        }
    }
});
