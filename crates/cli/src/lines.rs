//! Lines to answer, in batches of what has arrived.
//!
//! ```text
//! file    lines ─▶ batches of a bounded size
//! stdin   a thread reads lines ─▶ what is waiting, at least one line ─▶ answered and flushed before reading on
//! ```
//!
//! So a program at the other end of a pipe gets each answer before it sends the next line, and a full pipe is answered
//! in batches as large as those of a file.

use std::io::{self, BufRead};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use rondo_data::{TextCodec, read_error, readable};

use crate::console::Console;
use crate::input::{self, Input};

/// The bytes of a batch, and the lines that wait at most.
const BATCH_BYTES: usize = 1 << 16;
const WAITING_LINES: usize = 1 << 12;
/// How soon an interruption is noticed while lines are waited for.
const LOOK_UP: Duration = Duration::from_millis(100);

/// The lines of an input, in batches.
pub(crate) struct LineBatches<'a> {
    source: Source<'a>,
    origin: String,
}

enum Source<'a> {
    Reader(Box<dyn BufRead + 'a>),
    Arriving(Receiver<io::Result<Vec<u8>>>),
}

impl<'a> LineBatches<'a> {
    /// Opens the input, and prints notes on what looks unintended in it to be read by this codec, if it is read as text.
    /// With `field`, the text is this field of the records of a JSON Lines or CSV file.
    pub(crate) fn open(
        input: &'a Input,
        field: Option<&str>,
        noted_for: Option<&TextCodec>,
        console: Console,
    ) -> Result<LineBatches<'a>> {
        let origin = input.origin();
        let source = match input {
            Input::File(_) => Source::Reader(match noted_for {
                Some(codec) => input.open_noted(field, codec, console)?,
                None => input.open_field(field, console)?,
            }),
            Input::Stdin => {
                input::invite(console);
                let (sender, receiver) = sync_channel(WAITING_LINES);
                let (field, name) = (field.map(str::to_owned), origin.clone());
                let tokenizer = noted_for.map(|codec| codec.tokenizer().clone());
                thread::spawn(move || {
                    let opened = readable(io::stdin().lock(), &name, field.as_deref());
                    let opened = opened.and_then(|mut reader| {
                        if let Some(tokenizer) = &tokenizer {
                            input::say_notes(&mut reader, &name, tokenizer, console)?;
                        }
                        Ok(reader)
                    });
                    let mut reader = match opened {
                        Ok(reader) => reader,
                        Err(error) => {
                            let _ = sender.send(Err(io::Error::other(error)));
                            return;
                        }
                    };
                    while let Some(line) = read_line(&mut reader).transpose() {
                        let is_last = line.is_err();
                        // If nobody listens, the job has ended.
                        if sender.send(line).is_err() || is_last {
                            break;
                        }
                    }
                });
                Source::Arriving(receiver)
            }
        };
        Ok(LineBatches { source, origin })
    }

    /// Whether answers are waited for before more lines come.
    pub(crate) fn is_interactive(&self) -> bool {
        matches!(self.source, Source::Arriving(_))
    }

    /// The next lines, each with its line ending; none at the end.
    pub(crate) fn next(&mut self) -> Result<Vec<Vec<u8>>> {
        self.next_unless(&AtomicBool::new(false))
    }

    /// The same; none, too, if `stop` becomes true while lines are waited for.
    pub(crate) fn next_unless(&mut self, stop: &AtomicBool) -> Result<Vec<Vec<u8>>> {
        let (mut lines, mut bytes) = (vec![], 0);
        while bytes < BATCH_BYTES {
            let line = match &mut self.source {
                Source::Reader(reader) => read_line(reader).transpose(),
                // Only the first line is waited for.
                Source::Arriving(receiver) if lines.is_empty() => wait(receiver, stop),
                Source::Arriving(receiver) => receiver.try_recv().ok(),
            };
            let Some(line) = line else { break };
            let line = line.map_err(|source| read_error(&self.origin, source))?;
            bytes += line.len().max(1);
            lines.push(line);
        }
        Ok(lines)
    }
}

/// The next line to arrive; `None` at the end, or if `stop` becomes true before.
fn wait(receiver: &Receiver<io::Result<Vec<u8>>>, stop: &AtomicBool) -> Option<io::Result<Vec<u8>>> {
    while !stop.load(Ordering::Relaxed) {
        match receiver.recv_timeout(LOOK_UP) {
            Ok(line) => return Some(line),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    None
}

/// Reads a line with its line ending; `None` at the end.
fn read_line(reader: &mut (impl BufRead + ?Sized)) -> io::Result<Option<Vec<u8>>> {
    let mut line = vec![];
    reader.read_until(b'\n', &mut line)?;
    Ok((!line.is_empty()).then_some(line))
}
