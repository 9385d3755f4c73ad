//! The files of a corpus while it is tokenized.
//!
//! ```text
//! raw       ids or indices, as they are read            tokens    those that the indices stand for, by length
//! journal   how far that is, at a border of the text
//! mapped    the ids of the indices                      divided   the ids in the order of the splits
//! ```
//!
//! The journal is written after the other two files have reached the disk. What they contain in addition is cut off when
//! reading continues.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rondo_runs::write_atomically;
use serde::{Deserialize, Serialize};

use super::super::counting::TokenCounts;
use super::super::destination::Destination;
use super::super::reading::ReadState;
use super::key::Stamp;
use crate::ids::{ID_BYTES, append_bytes};
use crate::{DataError, Result, TokenIds};

const RAW: &str = "raw";
const TOKENS: &str = "tokens";
const JOURNAL: &str = "journal.json";
const MAPPED: &str = "mapped";
const DIVIDED: &str = "divided";

/// What is being read, and how far.
#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    /// Identifies what is read, and how.
    job: String,
    stamps: Vec<Stamp>,
    state: ReadState,
    raw_bytes: u64,
    token_bytes: u64,
}

/// Receives what is read into files.
#[derive(Debug)]
pub(in super::super) struct Workspace {
    folder: PathBuf,
    job: String,
    pub(super) stamps: Vec<Stamp>,
    raw: Output,
    tokens: Output,
    /// The number of bytes of text after which the journal is written.
    journal_every: u64,
    /// The number of bytes that had been read when it was.
    journaled_at: u64,
    is_at_border: bool,
    is_abandoned: bool,
}

impl Workspace {
    /// Opens the folder of a job for texts with these stamps, to continue from the state that is returned with it. If it
    /// was used for another job, it is emptied.
    pub(super) fn open(
        folder: &Path,
        job: String,
        stamps: Vec<Stamp>,
        journal_every: u64,
    ) -> Result<(Self, ReadState)> {
        let journal = read_journal(folder).filter(|journal| journal.job == job && journal.stamps == stamps);
        let lens = journal.as_ref().map(|journal| (journal.raw_bytes, journal.token_bytes));
        let has = |name: &str, len: u64| {
            fs::metadata(folder.join(name)).is_ok_and(|metadata| metadata.len() >= len)
        };
        let lens = lens.filter(|&(raw, tokens)| has(RAW, raw) && has(TOKENS, tokens));
        if lens.is_none() {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed(folder)(error));
                }
                _ => fs::create_dir_all(folder).map_err(failed(folder))?,
            }
        }
        let (raw, tokens) = lens.unwrap_or_default();
        let workspace = Self {
            folder: folder.to_owned(),
            job,
            stamps,
            raw: Output::open(folder.join(RAW), raw)?,
            tokens: Output::open(folder.join(TOKENS), tokens)?,
            journal_every,
            journaled_at: 0,
            is_at_border: true,
            is_abandoned: false,
        };
        let state = journal.filter(|_| lens.is_some()).map(|journal| journal.state).unwrap_or_default();
        Ok((workspace, state))
    }

    /// The job that a folder is used for, if one was interrupted there.
    pub(super) fn job(folder: &Path) -> Option<String> {
        read_journal(folder).map(|journal| journal.job)
    }

    /// Counts what is already there.
    pub(in super::super) fn count_taken(&mut self, counts: &mut TokenCounts) -> Result<()> {
        let path = self.tokens.path.clone();
        let unreadable = |source| DataError::Read { origin: path.display().to_string(), source };
        let mut tokens = BufReader::new(File::open(&path).map_err(unreadable)?).take(self.tokens.len);
        let mut token = String::new();
        while !tokens.fill_buf().map_err(unreadable)?.is_empty() {
            let mut len = [0; 4];
            tokens.read_exact(&mut len).map_err(unreadable)?;
            token.clear();
            let len = u64::from(u32::from_le_bytes(len));
            tokens.by_ref().take(len).read_to_string(&mut token).map_err(unreadable)?;
            counts.index(&token);
        }
        for block in self.taken()?.blocks() {
            block?.iter().for_each(|&index| counts.count(index));
        }
        Ok(())
    }

    /// What was taken so far.
    pub(in super::super) fn taken(&mut self) -> Result<TokenIds> {
        self.raw.flush()?;
        self.raw.ids()
    }

    /// Writes changed ids to another file.
    pub(in super::super) fn map(
        &mut self,
        ids: &TokenIds,
        mut change: impl FnMut(&mut [u32], usize),
    ) -> Result<TokenIds> {
        let mut mapped = Output::open(self.folder.join(MAPPED), 0)?;
        let mut at = 0;
        for block in ids.blocks() {
            let mut block = block?.into_owned();
            change(&mut block, at);
            at += block.len();
            mapped.write_ids(&block)?;
        }
        mapped.flush()?;
        mapped.ids()
    }

    /// Writes the ids of these ranges to another file.
    pub(in super::super) fn select<'a>(
        &mut self,
        ids: &TokenIds,
        ranges: impl Iterator<Item = &'a Range<usize>>,
    ) -> Result<TokenIds> {
        let mut divided = Output::open(self.folder.join(DIVIDED), 0)?;
        for range in ranges {
            for block in ids.slice(range.clone()).blocks() {
                divided.write_ids(&block?)?;
            }
        }
        divided.flush()?;
        divided.ids()
    }

    /// Removes all files.
    pub(super) fn remove(self) -> Result<()> {
        let folder = self.folder.clone();
        drop(self);
        fs::remove_dir_all(&folder).map_err(failed(&folder))
    }

    fn write_journal(&mut self, state: &ReadState) -> Result<()> {
        self.raw.sync()?;
        self.tokens.sync()?;
        let journal = Journal {
            job: self.job.clone(),
            stamps: self.stamps.clone(),
            state: state.clone(),
            raw_bytes: self.raw.len,
            token_bytes: self.tokens.len,
        };
        let path = self.folder.join(JOURNAL);
        write_atomically(&path, |to| Ok(serde_json::to_writer(to, &journal)?))?;
        Ok(())
    }
}

impl Destination for Workspace {
    fn take_ids(&mut self, ids: &[u32]) -> Result<()> {
        self.is_at_border = false;
        self.raw.write_ids(ids)
    }

    fn take_token(&mut self, token: &str) -> Result<()> {
        if self.is_abandoned {
            return Ok(());
        }
        let len = u32::try_from(token.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.tokens.write(&len)?;
        self.tokens.write(token.as_bytes())
    }

    fn at_border(&mut self, state: &ReadState, text_bytes: u64) -> Result<()> {
        self.is_at_border = true;
        if self.is_abandoned || text_bytes < self.journaled_at + self.journal_every {
            return Ok(());
        }
        self.journaled_at = text_bytes;
        self.write_journal(state)
    }

    fn stop(&mut self, state: &ReadState) -> Result<()> {
        if self.is_at_border && !self.is_abandoned { self.write_journal(state) } else { Ok(()) }
    }

    fn abandon(&mut self) -> Result<()> {
        if !self.is_abandoned {
            self.is_abandoned = true;
            // A journal would say that there is something to continue.
            match fs::remove_file(self.folder.join(JOURNAL)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed(&self.folder)(error));
                }
                _ => {}
            }
            self.raw = Output::open(self.raw.path.clone(), 0)?;
            self.tokens = Output::open(self.tokens.path.clone(), 0)?;
        }
        Ok(())
    }
}

/// The journal, if there is one and it can be read.
fn read_journal(folder: &Path) -> Option<Journal> {
    serde_json::from_slice(&fs::read(folder.join(JOURNAL)).ok()?).ok()
}

/// A file that is written from front to back.
#[derive(Debug)]
struct Output {
    file: BufWriter<File>,
    path: PathBuf,
    len: u64,
    /// Ids as bytes.
    bytes: Vec<u8>,
}

impl Output {
    /// Opens a file and cuts off what follows the first `len` bytes.
    fn open(path: PathBuf, len: u64) -> Result<Self> {
        let open = || {
            let mut file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            file.set_len(len)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(failed(&path))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 18, file), path, len, bytes: Vec::new() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.len += bytes.len() as u64;
        self.file.write_all(bytes).map_err(failed(&self.path))
    }

    fn write_ids(&mut self, ids: &[u32]) -> Result<()> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        append_bytes(ids, &mut bytes);
        let result = self.write(&bytes);
        self.bytes = bytes; // Reuses its memory.
        result
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(failed(&self.path))
    }

    fn sync(&mut self) -> Result<()> {
        self.flush()?;
        self.file.get_ref().sync_data().map_err(failed(&self.path))
    }

    /// The ids in the file, which are any numbers.
    fn ids(&self) -> Result<TokenIds> {
        let unreadable = |source| DataError::Read { origin: self.path.display().to_string(), source };
        let file = File::open(&self.path).map_err(unreadable)?;
        Ok(TokenIds::in_file(file, self.path.clone(), self.len as usize / ID_BYTES, u32::MAX, vec![]))
    }
}

/// The error of a file or folder that cannot be written.
pub(super) fn failed(path: &Path) -> impl Fn(std::io::Error) -> DataError + '_ {
    move |source| DataError::Write { path: path.to_owned(), source }
}
