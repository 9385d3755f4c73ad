//! Measurements made during a run: `metrics.jsonl` for programs, event files for TensorBoard.
//!
//! ```text
//! Record ─▶ MetricsLog ─┬─▶ metrics.jsonl             one JSON object per line
//!                       └─▶ events.out.tfevents.*     one event per measurement
//! ```
//!
//! The format of the records is documented in `docs/reference/metrics.md`, which is made from [`Record::MEASUREMENTS`].
//!
//! Promises: a record has been passed to the operating system when [`MetricsLog::write`] returns, so a killed run
//! loses no records; a resumed run contains each record once. Not here: what is measured, and when.

use std::fs;

use crate::{Result, RunFolder, RunsError, write_atomically};

mod events;
mod file;
mod record;

pub use events::EventWriter;
pub use file::{MetricsWriter, parse, read};
pub use record::{Measurement, Record, RecordKind};

/// Writes the records of a run, for programs and for TensorBoard.
#[derive(Debug)]
pub struct MetricsLog {
    metrics: MetricsWriter,
    events: EventWriter,
    /// When the run started, in seconds since 1970. The time of a record is this plus the elapsed time, so that
    /// changes of the system clock do not affect it.
    started_unix_s: f64,
}

impl MetricsLog {
    /// Creates the record files of a run that started at `started_unix_s`, in seconds since 1970.
    ///
    /// # Errors
    /// [`RunsError::Io`] if a file cannot be created.
    pub fn create(folder: &RunFolder, started_unix_s: f64) -> Result<Self> {
        Ok(MetricsLog {
            metrics: MetricsWriter::create(&folder.metrics())?,
            events: EventWriter::create(folder.path(), started_unix_s)?,
            started_unix_s,
        })
    }

    /// Continues the records of a resumed run from `metrics`, the contents of its metrics file at the checkpoint.
    /// Later records are dropped, since the resumed run writes them again; lost records are restored. An earlier log of the
    /// same folder must be closed: both files are replaced.
    ///
    /// # Errors
    /// [`RunsError::Metrics`] if `metrics` is not valid, [`RunsError::Io`] if a file cannot be written.
    pub fn resume(folder: &RunFolder, metrics: &[u8], started_unix_s: f64) -> Result<Self> {
        let path = folder.metrics();
        write_atomically(&path, |to| to.write_all(metrics))?;
        let records = read(&path)?;
        let (writer, events) =
            (MetricsWriter::append(&path)?, EventWriter::create(folder.path(), started_unix_s)?);
        let mut log = MetricsLog { metrics: writer, events, started_unix_s };
        for record in &records {
            log.write_event(record)?;
        }
        log.events.replace_others()?;
        Ok(log)
    }

    /// Writes a record to both files.
    ///
    /// # Errors
    /// [`RunsError::Io`] if a file cannot be written.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        self.metrics.write(record)?;
        self.write_event(record)
    }

    fn write_event(&mut self, record: &Record) -> Result<()> {
        self.events.write(record, self.started_unix_s + record.elapsed_s.unwrap_or(0.0))
    }

    /// The contents of the metrics file, for [`MetricsLog::resume`].
    ///
    /// # Errors
    /// [`RunsError::Io`] if it cannot be read.
    pub fn content(&self) -> Result<Vec<u8>> {
        let path = self.metrics.path();
        fs::read(path).map_err(RunsError::io("read", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::is_event_file;

    #[test]
    fn a_resumed_run_has_each_record_once() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(parent.path().join("run"), "").unwrap();
        let record = |step, loss| Record { epoch: 1, step, interval_loss: Some(loss), ..Record::default() };

        let mut log = MetricsLog::create(&folder, 1e9).unwrap();
        let mut after_two = vec![];
        for step in 1..=4 {
            log.write(&record(step, 5.0)).unwrap();
            if step == 2 {
                after_two = log.content().unwrap();
            }
        }
        drop(log);
        // Damaged files are repaired, too.
        fs::write(folder.metrics(), "nonsense").unwrap();
        let mut log = MetricsLog::resume(&folder, &after_two, 1e9).unwrap();
        log.write(&record(3, 4.0)).unwrap();

        let expected = [record(1, 5.0), record(2, 5.0), record(3, 4.0)];
        assert_eq!(read(&folder.metrics()).unwrap(), expected);
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.filter(|name| is_event_file(&name.to_string_lossy())).count(), 1);
    }
}
