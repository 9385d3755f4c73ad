//! Where a filter writes what it keeps: stdout, or a file for each bucket.
//!
//! Promises: texts are written as a whole, in order; what they contain stays byte for byte.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use rondo_infer::{Buckets, Verdict};
use serde_json::Value;

use super::FilterArgs;
use crate::error::CliError;
use crate::output;

/// Writes what is kept.
pub(super) struct Outputs<'a> {
    args: &'a FilterArgs,
    buckets: Option<&'a Buckets>,
    stdout: &'a mut dyn Write,
    /// The file of each bucket, if there are files.
    files: Vec<(PathBuf, File)>,
    /// What is to be written: to stdout, or to each file.
    waiting: Vec<Vec<u8>>,
}

impl<'a> Outputs<'a> {
    /// Creates the files.
    pub(super) fn new(
        args: &'a FilterArgs,
        buckets: Option<&'a Buckets>,
        stdout: &'a mut dyn Write,
    ) -> Result<Outputs<'a>> {
        let mut files = Vec::new();
        if let (Some(buckets), Some(prefix)) = (buckets, &args.out) {
            let paths = buckets.names().iter().map(|name| of_bucket(prefix, name)).collect::<Vec<_>>();
            // Before any is created: what is read must not be replaced.
            if let Some(path) = paths.iter().find(|path| args.texts.iter().any(|text| is_same(path, text))) {
                return Err(CliError::OverInput { path: path.clone() }.into());
            }
            for path in paths {
                let file =
                    File::create(&path).map_err(|source| CliError::Write { path: path.clone(), source })?;
                files.push((path, file));
            }
        }
        let waiting = vec![Vec::new(); files.len().max(1)];
        Ok(Outputs { args, buckets, stdout, files, waiting })
    }

    /// Adds a text that is kept: as it is, or a record with its perplexity and its bucket.
    pub(super) fn push(&mut self, bytes: &[u8], verdict: Verdict) -> Result<()> {
        let to = &mut self.waiting[verdict.bucket.filter(|_| !self.files.is_empty()).unwrap_or(0)];
        let end = bytes.trim_ascii_end().len();
        let score = || output::number((verdict.perplexity * 1e4).round() / 1e4);
        let bucket = || Some(Value::from(self.buckets?.names()[verdict.bucket?].as_str()));
        let added = [
            self.args.add_score.as_ref().map(|name| (name, score())),
            self.args.add_bucket.as_ref().and_then(|name| Some((name, bucket()?))),
        ];
        let added: Vec<_> = added.into_iter().flatten().collect();
        match bytes[..end].strip_suffix(b"}") {
            Some(object) if !added.is_empty() => {
                to.extend_from_slice(object);
                let mut is_first = object.trim_ascii_end().ends_with(b"{");
                for (name, value) in added {
                    let comma = if is_first { "" } else { "," };
                    write!(to, "{comma}{}:{value}", Value::from(name.as_str()))?;
                    is_first = false;
                }
                to.push(b'}');
                to.extend_from_slice(&bytes[end..]);
            }
            _ => to.extend_from_slice(bytes),
        }
        Ok(())
    }

    /// Adds blank lines after a text that is kept.
    pub(super) fn push_blank(&mut self, bytes: &[u8], verdict: Verdict) {
        let place = verdict.bucket.filter(|_| !self.files.is_empty()).unwrap_or(0);
        self.waiting[place].extend_from_slice(bytes);
    }

    /// Writes what was added.
    pub(super) fn write(&mut self) -> Result<()> {
        if self.files.is_empty() {
            self.stdout.write_all(&self.waiting[0])?;
        }
        for ((path, file), waiting) in self.files.iter_mut().zip(&self.waiting) {
            file.write_all(waiting).map_err(|source| CliError::Write { path: path.clone(), source })?;
        }
        self.waiting.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    /// Passes on what was written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}

/// Whether two paths lead to the same file, which exists.
fn is_same(path: &Path, other: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| other.canonicalize().is_ok_and(|other| path == other))
}

/// The file of a bucket.
fn of_bucket(prefix: &Path, name: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(format!(".{name}"));
    path.into()
}
