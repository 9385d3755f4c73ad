//! Tables in a build without them: they are refused.

use std::convert::Infallible;
use std::io::BufRead;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{Quoting, Record};
use crate::{DataError, Result};

/// There is none.
pub(super) struct Table<'a>(Infallible, PhantomData<&'a ()>);

impl<'a> Table<'a> {
    pub(super) fn new(
        _first: Vec<u8>,
        _reader: Box<dyn BufRead + 'a>,
        _line: u64,
        origin: &str,
        _quoting: Quoting,
    ) -> Result<Self> {
        Err(DataError::NoTables { origin: origin.to_owned() })
    }

    pub(super) fn columns(&self) -> &[Arc<str>] {
        match self.0 {}
    }

    pub(super) fn header_line(&self) -> u64 {
        match self.0 {}
    }

    pub(super) fn rename_columns(&mut self, _names: &[&str]) {
        match self.0 {}
    }

    pub(super) fn next(&mut self, _origin: &str) -> Result<Option<Record>> {
        match self.0 {}
    }
}
