//! Ids of a corpus in a file, so that texts are tokenized once and training does not need memory for them.
//!
//! ```text
//! folder of the store ─▶ a folder for each corpus ┬─ ids.bin    32-bit little-endian ids: train, valid, test
//!                                                  ├─ ids.json   what they belong to: texts, tokenizer, vocabulary
//!                                                  ├─ lock       held while they are made
//!                                                  └─ work/      what a process that was killed can continue
//! ```
//!
//! Ids are used again if the texts have the same sizes and times, or else the same hashes; `ids.bin` itself is checked in
//! the same way. Otherwise, they are made again.
//!
//! Promises: `ids.json` is written last, so ids are complete or not there; two processes do not make the same ids at once.
//! Not here: tokenizing (`reading`), and the corpus that is made of the ids (`read`).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rondo_runs::{move_into_place, write_atomically};
use serde::{Deserialize, Serialize};

use super::reading::{ReadState, ReadText, Sources};
use super::{CorpusEvent, CorpusObserver, CorpusOptions, CorpusTexts, IdsFault, TextSource};
use crate::error::read_error;
use crate::hash::{Sha256, sha256, sha256_of};
use crate::ids::ID_BYTES;
use crate::{Result, TextCodec, TokenIds};

mod key;
mod workspace;

use key::{Stamp, key};
pub(super) use workspace::Workspace;
use workspace::failed;

const FORMAT: &str = "rondo-ids";
const VERSION: u32 = 1;
const IDS: &str = "ids.bin";
const RECORD: &str = "ids.json";
const LOCK: &str = "lock";
const WORK: &str = "work";
/// The number of bytes of text after which a process that is killed has lost nothing.
pub(super) const JOURNAL_EVERY: u64 = 1 << 26;
/// How much larger a compressed text is, about.
const COMPRESSION: u64 = 4;

/// A folder that keeps the ids of corpora in files. Files that are not in use can be removed at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdStore {
    /// The folder; it is created if necessary.
    pub folder: PathBuf,
    /// Ids of smaller texts are kept in memory only: their size in bytes, where a compressed byte counts four times.
    pub least_bytes: u64,
}

impl IdStore {
    /// Texts of this size or larger are kept in a file even if the user does not say so: their ids take about as much
    /// memory as they do.
    pub const LARGE_BYTES: u64 = 256 << 20;

    /// Whether it keeps the ids of these texts.
    pub(super) fn is_for(&self, sources: &Sources<'_>) -> Result<bool> {
        let mut bytes = 0;
        for (_, source) in sources {
            let is_compressed = matches!(source, TextSource::File(path) if has_compressed_name(path));
            bytes += source.size()? * if is_compressed { COMPRESSION } else { 1 };
        }
        Ok(bytes >= self.least_bytes)
    }

    /// The place of a corpus.
    pub(super) fn entry(
        &self,
        texts: &CorpusTexts,
        sources: &Sources<'_>,
        options: &CorpusOptions,
    ) -> Result<Entry> {
        let key = key(texts, sources, options)?;
        let folder = self.folder.join(&sha256(key.as_bytes())[..16]);
        Ok(Entry { folder, key })
    }
}

fn has_compressed_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz" || extension == "zst")
}

/// The place of the ids of a corpus.
pub(super) struct Entry {
    folder: PathBuf,
    key: String,
}

/// What the ids in a file are.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    format: String,
    version: u32,
    key: String,
    stamps: Vec<Stamp>,
    pub(super) texts: Vec<ReadText>,
    /// That of the file of ids.
    stamp: Stamp,
    sha256: String,
    /// The ends of the training and of the validation text.
    pub(super) ends: [usize; 2],
    fingerprints: [String; 3],
    /// The codec as JSON.
    codec: String,
}

/// What was found.
pub(super) enum Found {
    Ids(Box<Record>, TextCodec, TokenIds),
    Nothing,
    Fault(IdsFault),
}

impl Entry {
    /// The file of ids.
    pub(super) fn ids(&self) -> PathBuf {
        self.folder.join(IDS)
    }

    /// Opens the ids, if they are there and are those of the texts.
    pub(super) fn open(&self, sources: &Sources<'_>, options: &CorpusOptions) -> Result<Found> {
        let path = self.folder.join(RECORD);
        let json = match fs::read(&path) {
            Ok(json) => json,
            // A store that is no folder is an error when the ids are written.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Found::Nothing);
            }
            Err(error) => return Err(read_error(&path.display().to_string(), error)),
        };
        let record: Option<Record> = serde_json::from_slice(&json).ok();
        let is_ours = |record: &Record| {
            record.format == FORMAT && record.key == self.key && record.texts.len() == sources.len()
        };
        let Some(mut record) = record.filter(is_ours) else { return Ok(Found::Fault(IdsFault::Damaged)) };
        let mut is_touched = false;
        for (index, (_, source)) in sources.iter().enumerate() {
            let stamp = Stamp::of_source(source)?;
            let Some(known) = record.stamps.get_mut(index) else {
                return Ok(Found::Fault(IdsFault::Damaged));
            };
            if stamp.is_same(known, source) {
                continue;
            }
            if stamp.bytes != known.bytes || text_sha256(source, options)? != record.texts[index].sha256 {
                return Ok(Found::Fault(IdsFault::Changed { origin: source.origin() }));
            }
            (*known, is_touched) = (stamp, true);
        }
        let Ok(mut file) = File::open(self.ids()) else { return Ok(Found::Fault(IdsFault::Damaged)) };
        let unreadable = |source| read_error(&self.ids().display().to_string(), source);
        let stamp = Stamp::of(&file.metadata().map_err(unreadable)?);
        if stamp.bytes != record.stamp.bytes {
            return Ok(Found::Fault(IdsFault::Damaged));
        }
        if stamp != record.stamp {
            if sha256_of(&mut file).map_err(unreadable)? != record.sha256 {
                return Ok(Found::Fault(IdsFault::Damaged));
            }
            (record.stamp, is_touched) = (stamp, true);
        }
        if is_touched {
            self.write(&record)?;
        }
        let Ok(codec) = TextCodec::from_json(RECORD, &record.codec) else {
            return Ok(Found::Fault(IdsFault::Damaged));
        };
        let ids = self.in_file(&record, file, codec.vocab().len());
        Ok(Found::Ids(Box::new(record), codec, ids))
    }

    /// The ids of a record.
    fn in_file(&self, record: &Record, file: File, vocab_size: usize) -> TokenIds {
        let len = record.stamp.bytes as usize / ID_BYTES;
        let parts = ranges(record.ends, len).into_iter().zip(record.fingerprints.iter().cloned());
        TokenIds::in_file(file, self.ids(), len, vocab_size as u32, parts.collect())
    }

    /// Waits until no other process makes these ids.
    pub(super) fn lock(&self, observer: &mut CorpusObserver<'_>) -> Result<Option<File>> {
        fs::create_dir_all(&self.folder).map_err(failed(&self.folder))?;
        let path = self.folder.join(LOCK);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(failed(&path))?;
        let result = match lock.try_lock() {
            Ok(()) => return Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => {
                let _ = observer(CorpusEvent::Waiting { path: &self.folder });
                lock.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
        };
        match result {
            Ok(()) => Ok(Some(lock)),
            // A file system without locks cannot protect the folder, but that is no reason to fail.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(failed(&path)(error)),
        }
    }

    /// A folder to make the ids in, and where to continue. If the vocabulary is known from a first pass over the texts,
    /// `vocabulary` is its fingerprint.
    pub(super) fn workspace(
        &self,
        sources: &Sources<'_>,
        vocabulary: Option<&str>,
        journal_every: u64,
    ) -> Result<(Workspace, ReadState)> {
        let stamps =
            sources.iter().map(|(_, source)| Stamp::of_source(source)).collect::<Result<Vec<_>>>()?;
        let job = match vocabulary {
            None => self.key.clone(),
            Some(vocabulary) => second_job(&self.key, vocabulary),
        };
        Workspace::open(&self.folder.join(WORK), job, stamps, journal_every)
    }

    /// Whether a second pass over the texts, with the vocabulary of the first, was interrupted.
    pub(super) fn is_in_second_pass(&self) -> bool {
        let job = Workspace::job(&self.folder.join(WORK));
        job.is_some_and(|job| job.starts_with(&second_job(&self.key, "")))
    }

    /// Keeps finished ids, which are in a file of the workspace.
    pub(super) fn keep(
        &self,
        ids: TokenIds,
        ends: [usize; 2],
        texts: Vec<ReadText>,
        codec: &TextCodec,
        workspace: Workspace,
    ) -> Result<TokenIds> {
        let (sha256, fingerprints) = hashes(&ids, ends)?;
        let (from, to) = (ids.path().unwrap_or(&self.folder).to_owned(), self.ids());
        // Without its record, the old file is none.
        match fs::remove_file(self.folder.join(RECORD)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&to)(error)),
            _ => {}
        }
        drop(ids);
        let file = OpenOptions::new().read(true).write(true).open(&from).map_err(failed(&from))?;
        move_into_place(&file, &from, &to)?;
        let stamp = Stamp::of(&file.metadata().map_err(failed(&to))?);
        let record = Record {
            format: FORMAT.to_owned(),
            version: VERSION,
            key: self.key.clone(),
            stamps: workspace.stamps.clone(),
            texts,
            stamp,
            sha256,
            ends,
            fingerprints,
            codec: codec.to_json(),
        };
        self.write(&record)?;
        workspace.remove()?;
        Ok(self.in_file(&record, file, codec.vocab().len()))
    }

    fn write(&self, record: &Record) -> Result<()> {
        write_atomically(&self.folder.join(RECORD), |to| Ok(serde_json::to_writer(to, record)?))?;
        Ok(())
    }
}

/// The job of a second pass over texts, with a vocabulary.
fn second_job(key: &str, vocabulary: &str) -> String {
    format!("{key}\n{vocabulary}")
}

/// The splits of `len` ids.
pub(super) fn ranges([train_end, valid_end]: [usize; 2], len: usize) -> [Range<usize>; 3] {
    [0..train_end, train_end..valid_end, valid_end..len]
}

/// The hash of all ids, and the fingerprints of the splits.
fn hashes(ids: &TokenIds, ends: [usize; 2]) -> Result<(String, [String; 3])> {
    let mut all = Sha256::default();
    let mut fingerprints = [const { String::new() }; 3];
    let mut bytes = Vec::new();
    for (range, fingerprint) in ranges(ends, ids.len()).into_iter().zip(&mut fingerprints) {
        let mut split = Sha256::default();
        for block in ids.slice(range).blocks() {
            bytes.clear();
            crate::ids::append_bytes(&block?, &mut bytes);
            all.update(&bytes);
            split.update(&bytes);
        }
        *fingerprint = split.finish();
    }
    Ok((all.finish(), fingerprints))
}

/// The hash of a text, decompressed.
fn text_sha256(source: &TextSource, options: &CorpusOptions) -> Result<String> {
    let mut reader = source.open_field(options.text_field.as_deref())?;
    let mut hasher = Sha256::default();
    let unreadable = |error| read_error(&source.origin(), error);
    loop {
        let piece = reader.fill_buf().map_err(unreadable)?;
        if piece.is_empty() {
            return Ok(hasher.finish());
        }
        hasher.update(piece);
        let len = piece.len();
        reader.consume(len);
    }
}

#[cfg(test)]
mod tests;
