//! Where ids go while texts are read, and how they are changed there.
//!
//! ```text
//! read ─▶ indices ─▶ ids ─▶ divided into splits           each step in place in memory, or from file to file
//! ```

use std::ops::Range;

use super::reading::ReadState;
use super::store::Workspace;
use crate::{Result, TokenIds};

/// Receives what is read.
pub(super) trait Destination {
    /// Takes the next ids or indices.
    fn take_ids(&mut self, ids: &[u32]) -> Result<()>;

    /// Takes the next token of a counter.
    fn take_token(&mut self, _token: &str) -> Result<()> {
        Ok(())
    }

    /// What was taken is that of a state from which reading can be continued. `text_bytes` is the number of bytes read
    /// since reading began.
    fn at_border(&mut self, _state: &ReadState, _text_bytes: u64) -> Result<()> {
        Ok(())
    }

    /// Reading ends before the end of the texts.
    fn stop(&mut self, _state: &ReadState) -> Result<()> {
        Ok(())
    }

    /// The ids will not be used.
    fn abandon(&mut self) -> Result<()>;
}

/// Takes nothing.
pub(super) struct Nowhere;

impl Destination for Nowhere {
    fn take_ids(&mut self, _ids: &[u32]) -> Result<()> {
        Ok(())
    }

    fn abandon(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Memory, or files.
pub(super) enum Place {
    Memory(Vec<u32>),
    Files(Box<Workspace>),
}

impl Place {
    pub(super) fn destination(&mut self) -> &mut dyn Destination {
        match self {
            Self::Memory(ids) => ids,
            Self::Files(files) => &mut **files,
        }
    }

    /// What was taken, when all texts have been read.
    pub(super) fn taken(&mut self) -> Result<TokenIds> {
        match self {
            Self::Memory(ids) => {
                ids.shrink_to_fit();
                Ok(std::mem::take(ids).into())
            }
            Self::Files(files) => files.taken(),
        }
    }

    /// Changes ids block by block; `change` gets a block and the place of its first id.
    pub(super) fn map(
        &mut self,
        ids: TokenIds,
        mut change: impl FnMut(&mut [u32], usize),
    ) -> Result<TokenIds> {
        match self {
            Self::Memory(_) => {
                let mut ids = ids.into_vec()?;
                change(&mut ids, 0);
                Ok(ids.into())
            }
            Self::Files(files) => files.map(&ids, change),
        }
    }

    /// The ids of these ranges, one after another.
    pub(super) fn select<'a>(
        &mut self,
        ids: &TokenIds,
        ranges: impl Iterator<Item = &'a Range<usize>>,
    ) -> Result<TokenIds> {
        match self {
            Self::Memory(_) => {
                let mut selected = Vec::with_capacity(ids.len());
                for range in ranges {
                    selected.extend_from_slice(&ids.read(range.clone())?);
                }
                Ok(selected.into())
            }
            Self::Files(files) => files.select(ids, ranges),
        }
    }
}

impl Destination for Vec<u32> {
    fn take_ids(&mut self, ids: &[u32]) -> Result<()> {
        self.extend_from_slice(ids);
        Ok(())
    }

    fn abandon(&mut self) -> Result<()> {
        *self = Vec::new();
        Ok(())
    }
}
