//! TensorBoard event files.
//!
//! ```text
//! file    record, record, …
//! record  u64 length · u32 masked CRC-32C of the length · the bytes of an Event · u32 masked CRC-32C of the bytes
//! Event   protocol buffer: wall time, step, and one of: file version, values by name, session start
//! ```
//!
//! The three messages are parts of TensorFlow's messages: fields that are not used here are left out.
//! *Source*: TensorFlow's `event.proto`, `summary.proto` and `record_writer.cc`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use prost::Message;

use super::Record;
use crate::atomic::remove_unless_in_use;
use crate::folder::{EVENTS_PREFIX as PREFIX, is_event_file};
use crate::{Result, RunsError};

/// Writes records to an event file, immediately and one at a time.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    path: PathBuf,
}

impl EventWriter {
    /// Creates a new event file in `folder` for a run that started at `started_unix_s`, in seconds since 1970.
    ///
    /// It starts with a session mark, which makes TensorBoard discard what it read from earlier files in the folder.
    ///
    /// # Errors
    /// [`RunsError::Io`] if it cannot be created.
    pub fn create(folder: &Path, started_unix_s: f64) -> Result<Self> {
        // TensorBoard requires `tfevents` in the name and reads the files of a folder in the order of their
        // names, so the file of a resumed run must come later.
        let name =
            |number| format!("{PREFIX}{:010}.{number:03}.rondo.{}", started_unix_s as u64, process::id());
        let mut number = others(folder, None)?.len();
        let (path, file) = loop {
            let path = folder.join(name(number));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(source) => return Err(RunsError::io("create", path)(source)),
            }
        };
        let mut writer = EventWriter { file, path };
        let (wall_time, version) = (started_unix_s, Some("brain.Event:2".to_owned()));
        writer.append(&Event { wall_time, file_version: version, ..Event::default() })?;
        let session_log = Some(SessionLog { status: SessionLog::START });
        writer.append(&Event { wall_time, session_log, ..Event::default() })?;
        Ok(writer)
    }

    /// Appends the measurements of a record made at `unix_s`, in seconds since 1970.
    ///
    /// # Errors
    /// [`RunsError::Io`] if they cannot be written.
    pub fn write(&mut self, record: &Record, unix_s: f64) -> Result<()> {
        let value =
            |(tag, value): (&str, f64)| Value { tag: tag.to_owned(), simple_value: Some(value as f32) };
        let values: Vec<Value> = record.measurements().map(value).collect();
        let summary = Some(Summary { values });
        self.append(&Event { wall_time: unix_s, step: step(record.step), summary, ..Event::default() })
    }

    /// Removes the other event files in the folder, whose contents this one now includes. On Windows, one that a program
    /// has open stays; TensorBoard discards its contents, since this file comes later.
    ///
    /// # Errors
    /// [`RunsError::Io`] if a file cannot be removed.
    pub fn replace_others(&self) -> Result<()> {
        self.file.sync_all().map_err(RunsError::io("write", &self.path))?;
        let Some(folder) = self.path.parent() else { return Ok(()) };
        for path in others(folder, Some(&self.path))? {
            remove_unless_in_use(&path).map_err(RunsError::io("remove", &path))?;
        }
        Ok(())
    }

    fn append(&mut self, event: &Event) -> Result<()> {
        self.file.write_all(&framed(&event.encode_to_vec())).map_err(RunsError::io("write", &self.path))
    }
}

/// The event files in the folder except `this` one.
fn others(folder: &Path, this: Option<&Path>) -> Result<Vec<PathBuf>> {
    let mut others = vec![];
    for entry in fs::read_dir(folder).map_err(RunsError::io("read", folder))? {
        let entry = entry.map_err(RunsError::io("read", folder))?;
        let path = entry.path();
        if is_event_file(&entry.file_name().to_string_lossy()) && this != Some(&*path) {
            others.push(path);
        }
    }
    Ok(others)
}

/// A step in the type of event files; no run is long enough to exceed it.
fn step(step: u64) -> i64 {
    i64::try_from(step).unwrap_or(i64::MAX)
}

/// The bytes framed by their length and checksums.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(bytes.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_crc(&length).to_le_bytes());
    record.extend_from_slice(bytes);
    record.extend_from_slice(&masked_crc(bytes).to_le_bytes());
    record
}

/// The masked checksum: a checksum of data that contains its own checksum would be of little use.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

impl SessionLog {
    /// Start of a session: earlier data about this step and later steps is invalid.
    const START: i32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: f64 = 1_700_000_000.0;

    /// CRC-32C computed bit by bit (Castagnoli's polynomial, reversed), to test the library against.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |mut crc, &byte| {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
            }
            crc
        })
    }

    /// A field of a protocol buffer, parsed without knowing the message.
    #[derive(Debug, PartialEq)]
    enum Wire<'a> {
        Varint(u64),
        Fixed64([u8; 8]),
        Bytes(&'a [u8]),
        Fixed32([u8; 4]),
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }

    fn fields(mut bytes: &[u8]) -> Vec<(u64, Wire<'_>)> {
        fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
            let (taken, rest) = bytes.split_at(length);
            *bytes = rest;
            taken
        }
        let mut fields = vec![];
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let value = match key & 7 {
                0 => Wire::Varint(varint(&mut bytes)),
                1 => Wire::Fixed64(take(&mut bytes, 8).try_into().unwrap()),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    Wire::Bytes(take(&mut bytes, length))
                }
                5 => Wire::Fixed32(take(&mut bytes, 4).try_into().unwrap()),
                other => panic!("wire type {other}"),
            };
            fields.push((key >> 3, value));
        }
        fields
    }

    /// The events of a file, its framing and checksums verified.
    fn events(file: &[u8]) -> Vec<&[u8]> {
        let masked = |bytes: &[u8]| ((crc(bytes) >> 15) | (crc(bytes) << 17)).wrapping_add(0xa282_ead8);
        let mut events = vec![];
        let mut rest = file;
        while !rest.is_empty() {
            let (length, after) = rest.split_at(8);
            let (length_crc, after) = after.split_at(4);
            assert_eq!(length_crc, masked(length).to_le_bytes());
            let (event, after) = after.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
            let (event_crc, after) = after.split_at(4);
            assert_eq!(event_crc, masked(event).to_le_bytes());
            events.push(event);
            rest = after;
        }
        events
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn an_independent_reader_finds_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path(), NOW).unwrap();
        let record = Record {
            epoch: 1,
            step: 300,
            interval_loss: Some(5.5),
            learning_rate: Some(20.0),
            ..Record::default()
        };
        writer.write(&record, NOW + 1.5).unwrap();
        let name = writer.path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("events.out.tfevents.1700000000.000.rondo."), "{name}");

        let file = fs::read(&writer.path).unwrap();
        let [version, start, numbers] = events(&file)[..] else { panic!("expected three events") };
        let wall_time = || Wire::Fixed64(NOW.to_le_bytes());
        assert_eq!(fields(version), [(1, wall_time()), (3, Wire::Bytes(b"brain.Event:2"))]);
        let [(1, began), (7, Wire::Bytes(session_log))] = &fields(start)[..] else {
            panic!("{:?}", fields(start))
        };
        assert_eq!((began, fields(session_log)), (&wall_time(), vec![(1, Wire::Varint(1))]));

        let [(1, _), (2, Wire::Varint(300)), (5, Wire::Bytes(summary))] = fields(numbers)[..] else {
            panic!("{:?}", fields(numbers))
        };
        let values: Vec<_> = fields(summary)
            .into_iter()
            .map(|(number, value)| match value {
                Wire::Bytes(value) if number == 1 => fields(value),
                other => panic!("{other:?}"),
            })
            .collect();
        let number = |tag, value: f32| vec![(1, Wire::Bytes(tag)), (2, Wire::Fixed32(value.to_le_bytes()))];
        assert_eq!(values, [number(b"loss/train_interval", 5.5), number(b"training/learning_rate", 20.0)]);
    }

    #[test]
    fn a_later_file_comes_later_by_its_name_and_takes_the_place_of_the_others() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        let first = EventWriter::create(folder.path(), NOW).unwrap();
        let second = EventWriter::create(folder.path(), NOW).unwrap();
        assert!(first.path < second.path);
        let path = first.path.clone();
        drop(first); // Closed, since it is removed.
        second.replace_others().unwrap();
        assert!(!path.exists() && second.path.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
