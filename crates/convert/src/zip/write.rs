//! Writes archives that PyTorch and every unpacker read: stored members, aligned to 64 bytes.

use std::io::{self, Write};

use super::{END, ENTRY, LOCAL};

/// Tensors start at a multiple of this, as in PyTorch's files, which can then be mapped into memory.
const ALIGNMENT: usize = 64;
/// The id of the extra field that pads a header in PyTorch's files: "FB".
const PADDING: u16 = 0x4246;

/// Writes an archive member by member.
#[derive(Debug)]
pub(crate) struct ZipWriter<W> {
    to: W,
    written: u64,
    directory: Vec<u8>,
    count: u16,
}

impl<W: Write> ZipWriter<W> {
    pub(crate) fn new(to: W) -> ZipWriter<W> {
        ZipWriter { to, written: 0, directory: Vec::new(), count: 0 }
    }

    /// Adds a member.
    ///
    /// # Errors
    /// An I/O error of the writer, or if the archive would need zip64: 4 GiB.
    pub(crate) fn member(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let narrow = |value: u64| u32::try_from(value).map_err(|_| too_large());
        let (header, len) = (narrow(self.written)?, narrow(content.len() as u64)?);
        let name_len = u16::try_from(name.len()).map_err(|_| too_large())?;
        let before = self.written as usize + 30 + name.len() + 4;
        let padding = before.next_multiple_of(ALIGNMENT) - before;
        let checksum = crc32fast::hash(content);
        let mut common = Vec::new();
        // Version 2.0; names are UTF-8; stored; the time is midnight of 1980-01-01.
        for value in [20, 0x0800, 0, 0, 0x0021] {
            common.extend(u16::to_le_bytes(value));
        }
        for value in [checksum, len, len] {
            common.extend(value.to_le_bytes());
        }
        common.extend(name_len.to_le_bytes());

        let mut local = LOCAL.to_le_bytes().to_vec();
        local.extend(&common);
        local.extend((padding as u16 + 4).to_le_bytes());
        local.extend(name.as_bytes());
        local.extend(PADDING.to_le_bytes());
        local.extend((padding as u16).to_le_bytes());
        local.resize(local.len() + padding, b'Z');
        self.to.write_all(&local)?;
        self.to.write_all(content)?;
        self.written += (local.len() + content.len()) as u64;

        self.directory.extend(ENTRY.to_le_bytes());
        self.directory.extend(20u16.to_le_bytes());
        self.directory.extend(&common);
        // No extra field, no comment, first disk, no attributes.
        self.directory.extend([0; 12]);
        self.directory.extend(header.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.count = self.count.checked_add(1).ok_or_else(too_large)?;
        Ok(())
    }

    /// Writes the directory.
    ///
    /// # Errors
    /// As [`member`](Self::member).
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let narrow = |value: u64| u32::try_from(value).map_err(|_| too_large());
        let (start, len) = (narrow(self.written)?, narrow(self.directory.len() as u64)?);
        self.to.write_all(&self.directory)?;
        let mut end = END.to_le_bytes().to_vec();
        for value in [0, 0, self.count, self.count] {
            end.extend(value.to_le_bytes());
        }
        end.extend(len.to_le_bytes());
        end.extend(start.to_le_bytes());
        end.extend(0u16.to_le_bytes());
        self.to.write_all(&end)
    }
}

fn too_large() -> io::Error {
    io::Error::other("an archive without zip64 has at most 4 GiB and 65,535 members")
}
