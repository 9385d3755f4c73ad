//! Zip archives whose members are stored without compression, as PyTorch writes them.
//!
//! ```text
//! member, member, …  central directory: an entry for each  [zip64: end, locator]  end of the directory
//! ```
//!
//! Promises: a member is a slice of the archive, so nothing is allocated for it; its checksum is compared unless it is
//! 0, which PyTorch writes if checksums are off. Not here: compression, encryption, archives in parts.
//! *Source*: APPNOTE.TXT of PKWARE.

use std::collections::BTreeMap;

use crate::bytes::Reader;
use crate::{Fault, Parsed};

mod write;

pub(crate) use write::ZipWriter;

const LOCAL: u32 = 0x0403_4b50;
const ENTRY: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
/// The bytes of the end of the directory, without its comment of at most 65,535 bytes.
const END_LEN: usize = 22;
const LOCATOR_LEN: usize = 20;
/// The bytes of a local header before the name.
const LOCAL_LEN: u64 = 30;
/// The id of the extra field with sizes and offsets of 64 bits.
const EXTRA_64: u16 = 1;
const ENCRYPTED: u16 = 1;

/// An archive whose directory has been read.
#[derive(Debug)]
pub(crate) struct Zip<'a> {
    bytes: &'a [u8],
    members: BTreeMap<String, Member>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    local_header: u64,
    len: u64,
    checksum: u32,
    method: u16,
    encrypted: bool,
}

/// Whether bytes begin like a zip archive.
pub(crate) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(&LOCAL.to_le_bytes())
}

impl<'a> Zip<'a> {
    /// Reads the directory of an archive.
    pub(crate) fn read(bytes: &'a [u8]) -> Parsed<Zip<'a>> {
        let (count, start) = directory(bytes)?;
        let at = usize::try_from(start).map_err(|_| Fault::Ends { what: DIRECTORY })?;
        let mut reader = Reader::new(bytes, at, DIRECTORY);
        let mut members = BTreeMap::new();
        for _ in 0..count {
            let (name, member) = entry(&mut reader)?;
            if members.insert(name.clone(), member).is_some() {
                return Err(Fault::TwiceInArchive { name });
            }
        }
        Ok(Zip { bytes, members })
    }

    /// The names of all members, in alphabetical order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// The bytes of a member; `None` if there is none of this name.
    pub(crate) fn member(&self, name: &str) -> Parsed<Option<&'a [u8]>> {
        let Some(member) = self.members.get(name) else { return Ok(None) };
        if member.method != 0 || member.encrypted {
            return Err(Fault::Compressed { name: name.to_owned() });
        }
        let at = usize::try_from(member.local_header).map_err(|_| Fault::Ends { what: DIRECTORY })?;
        let mut reader = Reader::new(self.bytes, at, "a member of the archive");
        if reader.u32()? != LOCAL {
            return Err(Fault::NotValid { what: "the header of a member of the archive" });
        }
        let header = reader.take(LOCAL_LEN - 4)?;
        let len = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
        reader.take(len(22) + len(24))?;
        let content = reader.take(member.len)?;
        if member.checksum != 0 && crc32fast::hash(content) != member.checksum {
            return Err(Fault::Checksum { name: name.to_owned() });
        }
        Ok(Some(content))
    }
}

const DIRECTORY: &str = "the directory of the archive";

/// The number of entries of the directory, and where it starts.
fn directory(bytes: &[u8]) -> Parsed<(u64, u64)> {
    let longest = END_LEN + usize::from(u16::MAX);
    let tail = bytes.len().saturating_sub(longest);
    let mut ends = (tail..bytes.len().saturating_sub(END_LEN - 1)).rev();
    let end = ends.find(|&at| bytes[at..].starts_with(&END.to_le_bytes()));
    let end = end.ok_or(Fault::Ends { what: DIRECTORY })?;
    let mut reader = Reader::new(bytes, end + 10, DIRECTORY);
    let (count, _, start) = (reader.u16()?, reader.u32()?, reader.u32()?);
    let locator =
        end.checked_sub(LOCATOR_LEN).filter(|&at| bytes[at..].starts_with(&LOCATOR_64.to_le_bytes()));
    let Some(locator) = locator else { return Ok((count.into(), start.into())) };
    let end = Reader::new(bytes, locator + 8, DIRECTORY).u64()?;
    let end = usize::try_from(end).map_err(|_| Fault::Ends { what: DIRECTORY })?;
    let mut reader = Reader::new(bytes, end, DIRECTORY);
    if reader.u32()? != END_64 {
        return Err(Fault::NotValid { what: DIRECTORY });
    }
    reader.take(28)?;
    let (count, _, start) = (reader.u64()?, reader.u64()?, reader.u64()?);
    Ok((count, start))
}

/// The next entry of the directory.
fn entry(reader: &mut Reader<'_>) -> Parsed<(String, Member)> {
    if reader.u32()? != ENTRY {
        return Err(Fault::NotValid { what: DIRECTORY });
    }
    reader.take(4)?;
    let (flags, method, _time, checksum) = (reader.u16()?, reader.u16()?, reader.u32()?, reader.u32()?);
    let (packed, len) = (reader.u32()?, reader.u32()?);
    let (name_len, extra_len, comment_len) = (reader.u16()?, reader.u16()?, reader.u16()?);
    reader.take(8)?;
    let local_header = reader.u32()?;
    let name = String::from_utf8_lossy(reader.take(name_len.into())?).into_owned();
    let extra = reader.take(extra_len.into())?;
    reader.take(comment_len.into())?;
    // Values that do not fit are in the extra field, in this order.
    let mut wide = extra_64(extra)?;
    let mut value = |narrow: u32| match (narrow, &mut wide) {
        (u32::MAX, Some(wide)) => wide.u64(),
        _ => Ok(u64::from(narrow)),
    };
    let len = value(len)?;
    value(packed)?;
    let local_header = value(local_header)?;
    Ok((name, Member { local_header, len, checksum, method, encrypted: flags & ENCRYPTED != 0 }))
}

/// The extra field with values of 64 bits.
fn extra_64(extra: &[u8]) -> Parsed<Option<Reader<'_>>> {
    let mut reader = Reader::new(extra, 0, DIRECTORY);
    while reader.position() + 4 <= extra.len() {
        let (id, len) = (reader.u16()?, reader.u16()?);
        let field = reader.take(len.into())?;
        if id == EXTRA_64 {
            return Ok(Some(Reader::new(field, 0, DIRECTORY)));
        }
    }
    Ok(None)
}
