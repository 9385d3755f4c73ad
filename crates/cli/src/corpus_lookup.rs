//! Finding corpora for the command, with progress of downloads and notes.

use std::ops::ControlFlow;

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
}

impl Notes {
    pub(crate) fn new(console: Console) -> Notes {
        let bar = console.bar(
            "{msg}  {bar:24}  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left",
        );
        Notes { console, bar, file: String::new() }
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

impl Observer for Notes {
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Note(note @ Note::Precision { .. }) => self.console.say(&format!("note: {note}")),
            Event::Note(note) => self.console.say(&format!("note     {note}")),
            Event::Downloading { file, received_bytes, total_bytes } => {
                self.download(file, received_bytes, total_bytes);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
