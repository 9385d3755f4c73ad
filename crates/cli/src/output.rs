//! Writing to stdout: results, as text in columns or as JSON.

use std::io::{self, BufWriter, ErrorKind, IsTerminal, StdoutLock, Write};

use anyhow::Result;
use serde_json::Value;

use crate::error::CliError;
use crate::terminal::Escaping;

/// Calls `work` with stdout. On an error, what was written before it is still printed.
pub(crate) fn write(work: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let stdout = Stdout(io::stdout().lock());
    if stdout.0.is_terminal() {
        write_to(BufWriter::new(Escaping::new(stdout)), work)
    } else {
        write_to(BufWriter::new(stdout), work)
    }
}

fn write_to(mut stdout: impl Write, work: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    work(&mut stdout)?;
    Ok(stdout.flush()?)
}

/// Stdout, with errors that name it.
struct Stdout(StdoutLock<'static>);

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        closed::check().and_then(|()| self.0.write(bytes)).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(named)
    }
}

fn named(source: io::Error) -> io::Error {
    io::Error::new(source.kind(), CliError::Stdout { source })
}

/// Whether this is the error of a reader of stdout that has read enough, as `head` does.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| {
        let is_of_stdout = || error.get_ref().is_some_and(|inner| inner.is::<CliError>());
        error.kind() == ErrorKind::BrokenPipe && is_of_stdout()
    })
}

/// Whether stdout was closed when the process was started (`>&-`).
///
/// Before `main`, Rust opens `/dev/null` in the place of a closed file, and results would be lost without an error. So
/// this is found out earlier.
#[cfg(unix)]
mod closed {
    use std::io;
    use std::os::fd::AsFd;
    use std::sync::atomic::{AtomicI32, Ordering};

    /// The error number of the system; 0 if stdout is open.
    static ERROR: AtomicI32 = AtomicI32::new(0);

    ctor::declarative::ctor! {
        #[ctor(unsafe)]
        fn look() {
            let copied = io::stdout().as_fd().try_clone_to_owned();
            let error = copied.err().and_then(|error| error.raw_os_error());
            ERROR.store(error.unwrap_or(0), Ordering::Relaxed);
        }
    }

    pub(super) fn check() -> io::Result<()> {
        match ERROR.load(Ordering::Relaxed) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

#[cfg(not(unix))]
mod closed {
    pub(super) fn check() -> std::io::Result<()> {
        Ok(())
    }
}

/// Prints a text.
pub(crate) fn text(text: &str) -> Result<()> {
    write(|out| Ok(out.write_all(text.as_bytes())?))
}

/// Prints a JSON document.
pub(crate) fn json(value: &Value) -> Result<()> {
    text(&format!("{value:#}\n"))
}

/// A number for JSON; NaN and infinities become null.
pub(crate) fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// Rows as aligned columns; `right` lists the right-aligned ones.
pub(crate) fn columns(rows: &[Vec<String>], right: &[usize]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width_of = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width_of).collect();
    let line = |row: &Vec<String>| {
        let padded = row.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["name", "size"], ["ptb", "5"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows, &[1]), "name  size\nptb      5\n");
        assert_eq!(columns(&rows, &[]), "name  size\nptb   5\n");
    }

    #[test]
    fn what_is_not_finite_is_null() {
        assert_eq!(number(f64::INFINITY), Value::Null);
        assert_eq!(number(1.5).to_string(), "1.5");
    }
}
