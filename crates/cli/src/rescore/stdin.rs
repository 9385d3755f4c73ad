//! Stdin as lines that are read ahead, so that the lists that are complete can be answered while others are waited for.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use crate::console::Console;
use crate::input;

/// Lines to read ahead at most.
const LINES: usize = 4096;

/// What a thread reads from stdin, line by line.
pub(super) struct StdinAhead {
    lines: Receiver<io::Result<Vec<u8>>>,
    waiting: Arc<AtomicUsize>,
    line: Vec<u8>,
    /// How much of the line has been taken.
    taken: usize,
}

/// Tells whether further lines have been read already.
#[derive(Clone)]
pub(super) struct Waiting(Arc<AtomicUsize>);

impl StdinAhead {
    /// Starts reading. If stdin is a terminal, prints a note that input is expected.
    pub(super) fn new(console: Console) -> StdinAhead {
        input::invite(console);
        let (sender, lines) = sync_channel(LINES);
        let waiting = Arc::new(AtomicUsize::new(0));
        let sent = waiting.clone();
        // Not joined: it may wait for input that nobody wants any more, and ends with the process.
        thread::spawn(move || {
            let mut stdin = io::stdin().lock();
            loop {
                let mut line = Vec::new();
                let read = stdin.read_until(b'\n', &mut line);
                let is_last = !matches!(read, Ok(len) if len > 0);
                sent.fetch_add(1, Ordering::SeqCst);
                // Nobody listens after an error in a list, or when the output is closed.
                if sender.send(read.map(|_| line)).is_err() || is_last {
                    break;
                }
            }
        });
        StdinAhead { lines, waiting, line: Vec::new(), taken: 0 }
    }

    /// Tells whether further lines have been read already.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting(self.waiting.clone())
    }
}

impl Waiting {
    /// Whether a further line, or the end, has been read already.
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

impl BufRead for StdinAhead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.line.len()
            && let Ok(line) = self.lines.recv()
        {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            (self.line, self.taken) = (line?, 0);
        }
        Ok(&self.line[self.taken..])
    }

    fn consume(&mut self, amount: usize) {
        self.taken += amount;
    }
}

impl Read for StdinAhead {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(to)?;
        self.consume(len);
        Ok(len)
    }
}
