//! Finding corpora for the command, with progress of downloads and notes.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{DecimalBytes, ProgressBar};
use rondo_train::{CorpusChoice, Event, FoundCorpus, Note, Observer, default_places};

use crate::console::Console;

/// Finds the texts, downloading them if necessary.
pub(crate) fn find(choice: &CorpusChoice, console: Console) -> Result<FoundCorpus> {
    Ok(FoundCorpus::find(choice, &default_places(), &mut Notes::new(console))?)
}

/// Prints notes and the progress of downloads before training starts.
pub(crate) struct Notes {
    console: Console,
    /// The current download: a bar, or one line per file.
    bar: ProgressBar,
    file: String,
    tokenizing: Option<Tokenizing>,
}

impl Notes {
    pub(crate) fn new(console: Console) -> Notes {
        let bar = console.bar(
            "{msg}  {bar:24}  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left",
        );
        Notes { console, bar, file: String::new(), tokenizing: None }
    }

    fn download(&mut self, file: &str, received_bytes: u64, total_bytes: u64) {
        if self.file != file {
            file.clone_into(&mut self.file);
            self.bar.set_message(format!("downloading {file}"));
            if !self.console.is_live() {
                self.console.say(&format!("downloading {file}, {}", DecimalBytes(total_bytes)));
            }
        }
        self.bar.set_length(total_bytes);
        self.bar.set_position(received_bytes);
    }
}

/// The progress of tokenizing less text is not shown.
const LARGE_TEXT: u64 = 64 << 20;
/// The time between two lines about it, if there is no bar.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// The progress of tokenizing.
struct Tokenizing {
    begun: Instant,
    bar: ProgressBar,
    lines: u32,
    /// The number of bytes that had been read when it began.
    from: u64,
}

impl Notes {
    fn tokenize(&mut self, read_bytes: u64, total_bytes: u64) {
        if total_bytes < LARGE_TEXT {
            return;
        }
        let console = self.console;
        let tokenizing = self.tokenizing.get_or_insert_with(|| {
            let bar = console.bar("tokenizing  {bar:24}  {percent} %  {decimal_bytes_per_sec}  {eta} left");
            bar.set_length(total_bytes);
            Tokenizing { begun: Instant::now(), bar, lines: 0, from: read_bytes }
        });
        tokenizing.bar.set_position(read_bytes);
        let elapsed = tokenizing.begun.elapsed();
        if !console.is_live() && elapsed >= BETWEEN_LINES * (tokenizing.lines + 1) {
            tokenizing.lines = (elapsed.as_secs() / BETWEEN_LINES.as_secs()) as u32;
            let percent = 100 * read_bytes / total_bytes;
            let per_s = (read_bytes - tokenizing.from.min(read_bytes)) as f64 / elapsed.as_secs_f64();
            console.say(&format!("tokenizing  {percent} %  {}/s", DecimalBytes(per_s as u64)));
        }
    }
}

impl Observer for Notes {
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Note(note @ Note::Precision { .. }) => self.console.say(&format!("note: {note}")),
            Event::Note(note) => self.console.say(&format!("note     {note}")),
            Event::Downloading { file, received_bytes, total_bytes } => {
                self.download(file, received_bytes, total_bytes);
            }
            Event::Tokenizing { read_bytes, total_bytes, .. } => self.tokenize(read_bytes, total_bytes),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
