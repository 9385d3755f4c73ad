//! `metrics.jsonl`: one JSON object per line, append-only.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Record;
use crate::{Result, RunsError};

/// Appends records to a metrics file, each with a single write of its whole line.
#[derive(Debug)]
pub struct MetricsWriter {
    file: File,
    path: PathBuf,
}

impl MetricsWriter {
    /// Creates a new file.
    ///
    /// # Errors
    /// [`RunsError::Io`] if it already exists or cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)
            .map_err(RunsError::io("create", path))?;
        Ok(MetricsWriter { file, path: path.to_owned() })
    }

    /// Opens an existing file to append to it.
    ///
    /// # Errors
    /// [`RunsError::Io`] if it does not exist or cannot be written to.
    pub fn append(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().append(true).open(path).map_err(RunsError::io("open", path))?;
        Ok(MetricsWriter { file, path: path.to_owned() })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a record.
    ///
    /// # Errors
    /// [`RunsError::Io`] if it cannot be written.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        // One write for the whole line: a concurrent reader sees either all of it or nothing.
        let written = line(record).and_then(|line| self.file.write_all(&line));
        written.map_err(RunsError::io("write", &self.path))
    }
}

fn line(record: &Record) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

/// Reads the records of a metrics file. A last line without a line ending, which was cut off by an interruption, is
/// ignored.
///
/// # Errors
/// [`RunsError::Io`] if it cannot be read, [`RunsError::Metrics`] for a line that is not a valid record.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    parse(path, &fs::read(path).map_err(RunsError::io("read", path))?)
}

/// Parses the contents of a metrics file; `path` is its name in errors.
///
/// # Errors
/// [`RunsError::Metrics`] for a line that is not a valid record.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Record>> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split_inclusive(|&byte| byte == b'\n').zip(1..);
    let record = |(line, number)| {
        serde_json::from_slice(line).map_err(|source| RunsError::Metrics {
            path: path.to_owned(),
            line: number,
            source,
        })
    };
    lines.map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64) -> Record {
        Record { epoch: 1, step, interval_loss: Some(1.0 / step as f64), ..Record::default() }
    }

    #[test]
    fn records_are_on_the_disk_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut writer = MetricsWriter::create(&path).unwrap();
        for step in 1..=3 {
            writer.write(&record(step)).unwrap();
            let expected: Vec<Record> = (1..=step).map(record).collect();
            assert_eq!(read(&path).unwrap(), expected);
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().next(), Some(r#"{"kind":"batch","epoch":1,"step":1,"interval_loss":1.0}"#));
    }

    #[test]
    fn an_existing_file_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        MetricsWriter::create(&path).unwrap();
        let error = MetricsWriter::create(&path).unwrap_err().to_string();
        assert_eq!(error, format!("could not create `{}`", path.display()));
    }

    #[test]
    fn a_line_that_was_cut_short_is_no_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut writer = MetricsWriter::create(&path).unwrap();
        writer.write(&record(1)).unwrap();
        writer.file.write_all(b"{\"epoch\":1,\"st").unwrap();
        assert_eq!(read(&path).unwrap(), [record(1)]);
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, "{\"epoch\":1,\"step\":1}\nnonsense\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert_eq!(error, format!("line 2 of `{}` is not a valid metrics record", path.display()));
    }
}
