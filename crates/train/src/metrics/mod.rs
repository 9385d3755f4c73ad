//! Numbers about a run as it goes on: `metrics.jsonl` for programs, event files for TensorBoard.
//!
//! ```text
//! Record ─▶ MetricsLog ─┬─▶ metrics.jsonl             one JSON object a line
//!                       └─▶ events.out.tfevents.*     one event a number
//! ```
//!
//! Promises: what is recorded is on its way to the disk when [`MetricsLog::write`] returns, so a run that is
//! killed loses no record; a resumed run has each record once.
//! Not here: what is measured, and when.

use std::time::SystemTime;

use crate::{Result, RunFolder};

mod events;
mod file;
mod record;

pub use events::EventWriter;
pub use file::{MetricsWriter, read};
pub use record::Record;

/// The name of the metrics file in the folder of a run.
pub const FILE_NAME: &str = "metrics.jsonl";

/// Writes the records of a run, for programs and for TensorBoard.
#[derive(Debug)]
pub struct MetricsLog {
    metrics: MetricsWriter,
    events: EventWriter,
}

impl MetricsLog {
    /// Begins the records of a new run.
    ///
    /// # Errors
    /// [`TrainError::Io`](crate::TrainError::Io) if a file cannot be made.
    pub fn create(folder: &RunFolder) -> Result<Self> {
        Ok(MetricsLog {
            metrics: MetricsWriter::create(&folder.metrics())?,
            events: EventWriter::create(folder.path(), SystemTime::now(), 0)?,
        })
    }

    /// Goes on with the records of a run from the end of `step`: later ones, from before the interruption,
    /// are dropped, since the resumed run writes them again.
    ///
    /// # Errors
    /// As [`read`], and [`TrainError::Io`](crate::TrainError::Io) if a file cannot be written.
    pub fn resume(folder: &RunFolder, step: u64) -> Result<Self> {
        Ok(MetricsLog {
            metrics: MetricsWriter::resume(&folder.metrics(), step)?,
            events: EventWriter::create(folder.path(), SystemTime::now(), step + 1)?,
        })
    }

    /// Writes a record to both.
    ///
    /// # Errors
    /// [`TrainError::Io`](crate::TrainError::Io) if a file cannot be written.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        self.metrics.write(record)?;
        self.events.write(record, SystemTime::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plan, Settings};

    #[test]
    fn a_resumed_run_has_each_record_once() {
        let parent = tempfile::tempdir().unwrap();
        let plan = Plan::new(&Settings::default()).unwrap();
        let folder = RunFolder::create(parent.path().join("run"), &plan).unwrap();
        let record = |step, loss| Record { epoch: 1, step, train_loss: Some(loss), ..Record::default() };

        let mut log = MetricsLog::create(&folder).unwrap();
        for step in 1..=4 {
            log.write(&record(step, 5.0)).unwrap();
        }
        drop(log);
        let mut log = MetricsLog::resume(&folder, 2).unwrap();
        log.write(&record(3, 4.0)).unwrap();

        let expected = [record(1, 5.0), record(2, 5.0), record(3, 4.0)];
        assert_eq!(read(&folder.metrics()).unwrap(), expected);
    }
}
