//! Tests of compressed texts. The compressed bytes were made by gzip 1.12 and zstd 1.5.4, as their comments say.

use std::io::{BufReader, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;
use crate::{TextCodec, TextLines, Tokenizer, Vocab, read_text};

/// `printf 'anna\nbernard\n' | zstd -c --check`.
const ZST: [u8; 26] = [
    0x28, 0xb5, 0x2f, 0xfd, 4, 0x58, 0x69, 0, 0, 0x61, 0x6e, 0x6e, 0x61, 0x0a, 0x62, 0x65, 0x72, 0x6e, 0x61,
    0x72, 0x64, 0x0a, 0x11, 0x7b, 0x64, 0xc8,
];

/// `printf 'anna\nbernard\n' | gzip -nc`.
const GZ: [u8; 33] = [
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0xcc, 0xcb, 0x4b, 0xe4, 0x4a, 0x4a, 0x2d, 0xca, 0x4b, 0x2c,
    0x4a, 0xe1, 2, 0, 0x26, 0x68, 0xd8, 0xaa, 0x0d, 0, 0, 0,
];

const NAMES: &str = "anna\nbernard\n";

fn read(bytes: &[u8]) -> Result<String> {
    let reader = decompressed(Box::new(BufReader::with_capacity(1, bytes)), "file")?;
    read_text(reader, "file", false)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

#[test]
fn files_of_the_usual_programs_are_decompressed() {
    assert_eq!(read(&GZ).unwrap(), NAMES);
    assert_eq!(read(&ZST).unwrap(), NAMES);
}

#[test]
fn parts_in_a_row_are_one_text() {
    let twice = NAMES.repeat(2);
    assert_eq!(read(&GZ.repeat(2)).unwrap(), twice);
    assert_eq!(read(&ZST.repeat(2)).unwrap(), twice);
    // A frame to skip, as parallel compressors write them before each part.
    let skipped = [&[0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &ZST].concat();
    assert_eq!(read(&skipped.repeat(2)).unwrap(), twice);
}

#[test]
fn other_formats_are_named_with_what_to_do() {
    for (start, format, command) in [
        (&b"BZh91AY&SY and so on"[..], "bzip2", "bzip2 -dc"),
        (b"\xFD7zXZ\0", "xz", "xz -dc"),
        (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
        (b"PK\x03\x04", "zip", "unzip -p"),
        (b"\x1f\x9d", "compress", "gzip -dc"),
        (b"7z\xbc\xaf\x27\x1c", "7z", "7z x -so"),
    ] {
        let error = read(start).unwrap_err();
        let expected =
            format!("`file` is compressed with {format}, which is not supported: gzip and Zstandard are");
        assert_eq!(error.to_string(), expected);
        assert!(matches!(error, DataError::Compressed { command: found, .. } if found == command));
    }
}

#[test]
fn texts_that_begin_alike_are_texts() {
    for text in ["", "B", "BZh", "BZh9 is a level", "PK", "P*M", "7zip", "(µ", "anna"] {
        assert_eq!(read(text.as_bytes()).unwrap(), text);
    }
}

/// A line from a pipe must not wait for the next one.
#[test]
fn nothing_is_read_ahead() {
    struct Pipe(Vec<&'static [u8]>);
    impl Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            assert!(!self.0.is_empty(), "nothing more has been written yet");
            let part = self.0.remove(0);
            buffer[..part.len()].copy_from_slice(part);
            Ok(part.len())
        }
    }
    for line in [&b"\n"[..], b"P\n", b"BZh\n", b"anna\n"] {
        let pipe = BufReader::new(Pipe(vec![line]));
        let mut reader = decompressed(Box::new(pipe), "pipe").unwrap();
        let mut read = Vec::new();
        reader.read_until(b'\n', &mut read).unwrap();
        assert_eq!(read, line);
    }
}

#[test]
fn damage_is_an_error_with_its_cause() {
    let error = |bytes: &[u8]| {
        let error = read(bytes).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(error.to_string(), "could not read `file`");
        cause
    };
    let mut damaged = ZST;
    damaged[10] ^= 1;
    let cause = error(&damaged);
    assert!(cause.starts_with("corrupt Zstandard data: the checksum is "), "{cause}");
    assert!(error(&ZST[..20]).starts_with("corrupt Zstandard data: "));
    let mut damaged = GZ;
    damaged[25] ^= 1;
    assert_eq!(error(&damaged), "corrupt gzip stream does not have a matching checksum");
    error(&GZ[..20]);
}

#[test]
fn all_that_reads_lines_and_tokens_reads_them_decompressed() {
    let open = || decompressed(Box::new(&GZ[..]), "file").unwrap();
    let lines: Vec<_> = TextLines::new(open(), "file", false).map(|line| line.unwrap()).collect();
    assert_eq!(lines, ["anna", "bernard"]);
    let vocab = Vocab::from_tokens("test", ["<eos>", "anna", "bernard"], None).unwrap();
    let codec = TextCodec::new(Tokenizer::words(), vocab);
    assert_eq!(codec.encode_reader(open(), "file").unwrap().ids, [1, 0, 2, 0]);
    let lines = codec.lines(open(), "file").map(|line| line.unwrap().ids);
    assert_eq!(lines.collect::<Vec<_>>(), [[1, 0], [2, 0]]);
    let cut = codec.lines(decompressed(Box::new(&GZ[..28]), "file").unwrap(), "file");
    assert!(cut.last().unwrap().is_err());
}

proptest! {
    #[test]
    fn compressed_and_read_back_a_text_is_the_same(text in ".{0,200}", repeats in 1usize..50) {
        let text = text.replace(['\0', '\u{feff}'], "").repeat(repeats);
        prop_assert_eq!(&read(&gzip(text.as_bytes())).unwrap(), &text);
        prop_assert_eq!(&read(&zstd(text.as_bytes())).unwrap(), &text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        start in prop::sample::select(MAGIC.iter().map(|magic| magic.bytes.to_vec()).collect::<Vec<_>>()),
        bytes in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let _ = read(&[start, bytes].concat());
    }
}
