//! Reads numbers and bytes of a file in order, and says what it was reading when the file ends.

use crate::{Fault, Parsed};

/// A position in bytes that are read in order.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// What is read, for errors.
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader from `at` on; `what` is read, for errors.
    pub(crate) fn new(bytes: &'a [u8], at: usize, what: &'static str) -> Reader<'a> {
        Reader { bytes, at, what }
    }

    /// The number of bytes that were read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: u64) -> Parsed<&'a [u8]> {
        let ends = || Fault::Ends { what: self.what };
        let len = usize::try_from(len).map_err(|_| ends())?;
        let end = self.at.checked_add(len).ok_or_else(ends)?;
        let bytes = self.bytes.get(self.at..end).ok_or_else(ends)?;
        self.at = end;
        Ok(bytes)
    }

    /// The next line, without its line feed.
    pub(crate) fn line(&mut self) -> Parsed<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let ends = || Fault::Ends { what: self.what };
        let len = rest.iter().position(|&byte| byte == b'\n').ok_or_else(ends)?;
        self.at += len + 1;
        Ok(&rest[..len])
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        self.take(N as u64)?.try_into().map_err(|_| Fault::Ends { what: self.what })
    }

    pub(crate) fn u8(&mut self) -> Parsed<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Parsed<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Parsed<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Parsed<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
