//! SHA-256 of texts, files and ids.
//!
//! Programs that only open models use a small crate; with corpora, which can be large, comes one that uses the
//! instructions of the processor. Both give the same hashes.

use std::fs::File;
use std::io::{self, Read, Seek};

#[cfg(not(feature = "corpora"))]
use hmac_sha256::Hash as State;
#[cfg(feature = "corpora")]
use sha2::{Digest, Sha256 as State};

const BLOCK_BYTES: usize = 64 * 1024;

/// A hash in progress.
pub(crate) struct Sha256(State);

impl Default for Sha256 {
    fn default() -> Self {
        Sha256(State::new())
    }
}

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sha256").finish_non_exhaustive()
    }
}

impl Sha256 {
    /// Continues with `bytes`.
    pub(crate) fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes);
    }

    /// The hash, in lowercase hexadecimal.
    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The SHA-256 of `bytes`, in lowercase hexadecimal.
pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    let mut hasher = Sha256::default();
    hasher.update(bytes);
    hasher.finish()
}

/// The SHA-256 of the whole file, in lowercase hexadecimal.
pub(crate) fn sha256_of(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut hasher = Sha256::default();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&block[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whichever crate it is from. Source: FIPS 180-2, appendix B.
    #[test]
    fn it_is_sha_256() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
