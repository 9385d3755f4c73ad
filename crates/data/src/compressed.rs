//! Compressed texts: recognized by their first bytes, decompressed as they are read.
//!
//! ```text
//! file or stdin ─▶ first bytes ─┬─ gzip, Zstandard          ─▶ decompressed
//!                               ├─ bzip2, xz, lz4, zip      ─▶ an error that names the format
//!                               └─ anything else            ─▶ as it is
//! ```
//!
//! Promises: no more is read ahead than is needed to tell the formats apart, so that a line from a pipe is not held
//! up; several compressed parts in a row are one text; memory does not grow with the text.
//! Not here: what the text contains (`records`, `tokenize`).

use std::io::{self, BufRead, Cursor, Read};
use std::ops::RangeInclusive;

use crate::{DataError, Result, error::read_error};

#[cfg(feature = "corpora")]
mod decoders;

/// A format of compressed files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Gzip,
    Zstandard,
    /// A format that is not read: its name, and a command that decompresses it.
    Refused(&'static str, &'static str),
}

/// The first bytes of a format.
struct Magic {
    format: Format,
    bytes: &'static [u8],
    /// The place of a byte that can be any of a range.
    range: Option<(usize, RangeInclusive<u8>)>,
}

impl Magic {
    const fn new(format: Format, bytes: &'static [u8]) -> Self {
        Self { format, bytes, range: None }
    }

    const fn refused(name: &'static str, command: &'static str, bytes: &'static [u8]) -> Self {
        Self::new(Format::Refused(name, command), bytes)
    }

    /// Whether a file that starts with `start` can be of this format.
    fn matches(&self, start: &[u8]) -> bool {
        start.iter().zip(self.bytes).enumerate().all(|(place, (found, expected))| match &self.range {
            Some((ranged, range)) if *ranged == place => range.contains(found),
            _ => found == expected,
        })
    }
}

/// The third byte of gzip is its only compression method. Bzip2 has the digits of π after its level, so that a text
/// that starts with `BZh` is a text. Zstandard files can start with a frame to skip.
static MAGIC: [Magic; 9] = [
    Magic::new(Format::Gzip, &[0x1f, 0x8b, 8]),
    Magic::new(Format::Zstandard, &[0x28, 0xb5, 0x2f, 0xfd]),
    Magic { range: Some((0, 0x50..=0x5f)), ..Magic::new(Format::Zstandard, &[0x50, 0x2a, 0x4d, 0x18]) },
    Magic {
        range: Some((3, b'1'..=b'9')),
        ..Magic::refused("bzip2", "bzip2 -dc", &[b'B', b'Z', b'h', b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59])
    },
    Magic::refused("xz", "xz -dc", &[0xfd, b'7', b'z', b'X', b'Z', 0]),
    Magic::refused("lz4", "lz4 -dc", &[0x04, 0x22, 0x4d, 0x18]),
    Magic::refused("zip", "unzip -p", b"PK\x03\x04"),
    Magic::refused("compress", "gzip -dc", &[0x1f, 0x9d]),
    Magic::refused("7z", "7z x -so", &[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c]),
];

/// The text of `reader`, decompressed if it is compressed; `origin` is its name in errors.
///
/// # Errors
/// [`DataError::Compressed`] for a format that is not supported, [`DataError::Read`] if the start cannot be read.
pub(crate) fn decompressed<'a>(
    mut reader: Box<dyn BufRead + 'a>,
    origin: &str,
) -> Result<Box<dyn BufRead + 'a>> {
    let read_error = |source| read_error(origin, source);
    let format = loop {
        match reader.fill_buf() {
            Ok(buffer) => break format_of(buffer),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(error)),
        }
    };
    match format {
        Start::Format(format) => decode(format, reader, origin),
        Start::Text => Ok(reader),
        Start::Short => {
            let (start, format) = read_format(&mut reader).map_err(read_error)?;
            let reader: Box<dyn BufRead + 'a> = Box::new(Cursor::new(start).chain(reader));
            match format {
                Some(format) => decode(format, reader, origin),
                None => Ok(reader),
            }
        }
    }
}

/// What the first bytes of a file say.
enum Start {
    Format(Format),
    /// Not compressed.
    Text,
    /// More bytes are needed.
    Short,
}

fn format_of(start: &[u8]) -> Start {
    let mut candidates = MAGIC.iter().filter(|magic| magic.matches(start)).peekable();
    if candidates.peek().is_none() {
        return Start::Text;
    }
    let complete = candidates.find(|magic| magic.bytes.len() <= start.len());
    complete.map_or(Start::Short, |magic| Start::Format(magic.format))
}

/// Reads byte by byte until the format is known or the text ends, and returns what has been read.
fn read_format(reader: &mut dyn BufRead) -> io::Result<(Vec<u8>, Option<Format>)> {
    let mut start = Vec::new();
    for byte in reader.bytes() {
        start.push(byte?);
        match format_of(&start) {
            Start::Format(format) => return Ok((start, Some(format))),
            Start::Text => break,
            Start::Short => {}
        }
    }
    Ok((start, None))
}

/// Decompresses a file of a format.
#[cfg(feature = "corpora")]
fn decode<'a>(format: Format, reader: Box<dyn BufRead + 'a>, origin: &str) -> Result<Box<dyn BufRead + 'a>> {
    match format {
        Format::Gzip => Ok(decoders::gzip(reader)),
        Format::Zstandard => Ok(decoders::zstandard(reader)),
        Format::Refused(format, command) => {
            Err(DataError::Compressed { origin: origin.to_owned(), format, command })
        }
    }
}

/// There are no decoders in this build.
#[cfg(not(feature = "corpora"))]
fn decode<'a>(format: Format, _reader: Box<dyn BufRead + 'a>, origin: &str) -> Result<Box<dyn BufRead + 'a>> {
    let (format, command) = match format {
        Format::Gzip => ("gzip", "gzip -dc"),
        Format::Zstandard => ("Zstandard", "zstd -dc"),
        Format::Refused(format, command) => (format, command),
    };
    Err(DataError::NoDecompression { origin: origin.to_owned(), format, command })
}

#[cfg(feature = "corpora")]
#[cfg(test)]
mod tests;
