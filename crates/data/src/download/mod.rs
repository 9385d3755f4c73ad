//! Downloads a file of known size and hash: it is streamed, resumed and verified before it gets its final name.
//!
//! ```text
//! URL ──▶ train.txt.part ──▶ size and SHA-256 ──▶ train.txt
//!           ▲  interrupted? the next attempt or the next run resumes here
//! ```
//!
//! The `.part` file is not a temporary file of [`rondo_runs::write_atomically`], since it must outlive the
//! process. It gets its final name in the same way ([`move_into_place`]).
//!
//! Promises: a file with its final name is complete; existing files are never changed; two processes never write to
//! the same file at the same time.
//! Not here: which files exist and where they belong (`named`).

#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rondo_runs::move_into_place;
use ureq::{
    Agent, Body,
    http::{Response, StatusCode, header},
};

use crate::{DataError, Result, hash::sha256_of};

const BLOCK_BYTES: usize = 64 * 1024;

/// A file to download, with its expected size and hash.
#[derive(Clone, Debug)]
pub struct RemoteFile<'a> {
    /// The URL, `http` or `https`.
    pub url: &'a str,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The SHA-256 of the file in lowercase hexadecimal.
    pub sha256: &'a str,
}

/// The progress of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The name of the file.
    pub file: &'a str,
    /// The number of bytes on disk, including those of earlier attempts.
    pub received_bytes: u64,
    /// The size of the file in bytes.
    pub total_bytes: u64,
}

/// Downloads files, with retries and timeouts.
#[derive(Clone, Debug)]
pub struct Downloader {
    /// The maximum number of attempts if the network or the server fails.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles before each further attempt.
    pub pause: Duration,
    /// The timeout for connecting.
    pub connect_timeout: Duration,
    /// The timeout for receiving data: how long the server can be silent.
    pub silence_timeout: Duration,
}

impl Default for Downloader {
    /// Three attempts, 1 s before the second, 15 s to connect, 30 s to receive data.
    fn default() -> Self {
        Self {
            attempts: 3,
            pause: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(15),
            silence_timeout: Duration::from_secs(30),
        }
    }
}

impl Downloader {
    /// Downloads `remote` to the path `to`, and creates its folder if it is missing.
    ///
    /// `progress` is called before the first byte and after each block. An interrupted download leaves the file
    /// `to` + `.part`, which the next download resumes; if no bytes arrived, no file is left.
    ///
    /// # Errors
    /// [`DataError::Transfer`] and [`DataError::HttpStatus`] if the last attempt failed;
    /// [`DataError::RemoteSize`] and [`DataError::WrongHash`] if the file at the URL is a different one, whose
    /// bytes are then deleted; [`DataError::Busy`]; [`DataError::Write`] and [`DataError::Runs`].
    pub fn download(
        &self,
        remote: &RemoteFile<'_>,
        to: &Path,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<()> {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(|source| write_error(folder, source))?;
        }
        let mut part = PartFile::open(to)?;
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let mut received = |received_bytes| {
            progress(Progress { file: &name, received_bytes, total_bytes: remote.bytes });
        };
        let agent = self.agent(remote.url);
        let mut failures = 0;
        while let Err(error) = fetch_rest(&agent, remote, &mut part, &mut received) {
            failures += 1;
            if failures >= self.attempts || !is_transient(&error) {
                if part.len()? == 0 {
                    part.delete()?;
                }
                return Err(error);
            }
            thread::sleep(self.pause * 2_u32.saturating_pow(failures - 1));
        }
        let found = sha256_of(&mut part.file).map_err(|source| part.read_error(source))?;
        if found != remote.sha256 {
            part.delete()?;
            return Err(DataError::WrongHash {
                origin: remote.url.to_owned(),
                found,
                expected: remote.sha256.to_owned(),
            });
        }
        part.rename(to)
    }

    fn agent(&self, url: &str) -> Agent {
        let mut config = Agent::config_builder()
            .timeout_resolve(Some(self.connect_timeout))
            .timeout_connect(Some(self.connect_timeout))
            .timeout_recv_response(Some(self.silence_timeout))
            .timeout_per_read(Some(self.silence_timeout))
            .http_status_as_error(false);
        // Bypasses a proxy from the environment, which cannot reach this machine under this name.
        if url.starts_with("http://127.0.0.1") || url.starts_with("http://localhost") {
            config = config.proxy(None);
        }
        config.build().into()
    }
}

/// Downloads the rest of the `.part` file.
fn fetch_rest(
    agent: &Agent,
    remote: &RemoteFile<'_>,
    part: &mut PartFile,
    received: &mut dyn FnMut(u64),
) -> Result<()> {
    let mut have = part.len()?;
    if have > remote.bytes {
        have = part.truncate(0)?;
    }
    received(have);
    if have == remote.bytes {
        return Ok(());
    }
    let mut request = agent.get(remote.url);
    if have > 0 {
        request = request.header(header::RANGE, format!("bytes={have}-"));
    }
    let response = request.call().map_err(|error| transfer_error(remote, error.into_io()))?;
    have = match response.status() {
        StatusCode::OK => {
            let announced = response.body().content_length().unwrap_or(remote.bytes);
            if announced != remote.bytes {
                return Err(remote_size(remote, announced));
            }
            // Without a range, or from a server that ignores it, the file starts at its first byte.
            part.truncate(0)?
        }
        StatusCode::PARTIAL_CONTENT if first_byte(&response) == Some(have) => have,
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            part.truncate(0)?;
            let reason = "the server did not resume the download at the requested byte";
            return Err(transfer_error(remote, io::Error::new(io::ErrorKind::InvalidData, reason)));
        }
        status => {
            return Err(DataError::HttpStatus { url: remote.url.to_owned(), status: status.as_u16() });
        }
    };
    let mut body = response.into_body().into_reader();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let read = match body.read(&mut block) {
            // The file is complete, so it does not matter how the connection ends.
            Ok(0) | Err(_) if have == remote.bytes => return Ok(()),
            Ok(0) => return Err(transfer_error(remote, io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => read,
            Err(source) => return Err(transfer_error(remote, source)),
        };
        have += read as u64;
        if have > remote.bytes {
            part.truncate(0)?;
            return Err(remote_size(remote, have));
        }
        part.append(&block[..read])?;
        received(have);
    }
}

/// The first byte of a partial response: `Content-Range: bytes FIRST-LAST/LENGTH`.
fn first_byte(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// Whether another attempt could succeed.
fn is_transient(error: &DataError) -> bool {
    match error {
        DataError::Transfer { .. } => true,
        DataError::HttpStatus { status, .. } => matches!(status, 408 | 429 | 500..),
        _ => false,
    }
}

fn transfer_error(remote: &RemoteFile<'_>, source: io::Error) -> DataError {
    DataError::Transfer { url: remote.url.to_owned(), source }
}

fn remote_size(remote: &RemoteFile<'_>, found_bytes: u64) -> DataError {
    DataError::RemoteSize { url: remote.url.to_owned(), found_bytes, expected_bytes: remote.bytes }
}

fn write_error(path: &Path, source: io::Error) -> DataError {
    DataError::Write { path: path.to_owned(), source }
}

/// The start of a file, under its `.part` name and locked against other processes.
struct PartFile {
    path: PathBuf,
    file: File,
}

impl PartFile {
    fn open(to: &Path) -> Result<Self> {
        let mut path = OsString::from(to);
        path.push(".part");
        let path = PathBuf::from(path);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|source| write_error(&path, source))?;
        // A file system without locks should not prevent the download.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(DataError::Busy { path });
        }
        Ok(Self { path, file })
    }

    fn len(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|source| self.read_error(source))?.len())
    }

    /// Truncates the file and returns its length.
    fn truncate(&mut self, bytes: u64) -> Result<u64> {
        self.file.set_len(bytes).map_err(|source| write_error(&self.path, source))?;
        Ok(bytes)
    }

    fn append(&mut self, block: &[u8]) -> Result<()> {
        let written = self.file.seek(SeekFrom::End(0)).and_then(|_| self.file.write_all(block));
        written.map_err(|source| write_error(&self.path, source))
    }

    fn rename(self, to: &Path) -> Result<()> {
        Ok(move_into_place(&self.file, &self.path, to)?)
    }

    fn delete(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(|source| write_error(&self.path, source))
    }

    fn read_error(&self, source: io::Error) -> DataError {
        DataError::Read { origin: self.path.display().to_string(), source }
    }
}
