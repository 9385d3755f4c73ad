//! Reads the texts of a run, with its threads, into memory or into files.

use std::ops::ControlFlow;

use rondo_data::{Corpus, CorpusEvent, CorpusReading, CorpusTexts, IdStore, Places, TextSource};

use super::Note;
use super::stored::Stored;
use crate::observer::{Event, Watch};
use crate::plan::IdsPlace;
use crate::{Plan, Result};

/// Texts with fewer bytes are tokenized in less than a second, without reports of progress.
const SHORT: u64 = 8 << 20;

/// The folder of ids within the user's cache folder.
const IDS: &str = "ids";

/// Reads the texts of a plan. The observer receives the progress.
pub(super) fn read(
    texts: &CorpusTexts,
    plan: &Plan,
    places: &Places,
    stored: &Stored,
    watch: &mut Watch<'_>,
) -> Result<Corpus> {
    // The files of texts that can be read only once will be elsewhere when they are read again.
    let is_temporary = |source: &TextSource| matches!(source, TextSource::File(path) if stored.has(path));
    let are_temporary = || texts.sources().into_iter().any(|(_, source)| is_temporary(source));
    let store = match &plan.text.ids {
        IdsPlace::Memory => None,
        IdsPlace::Folder(folder) => Some(IdStore { folder: folder.clone(), least_bytes: 0 }),
        IdsPlace::Automatic if are_temporary() => None,
        IdsPlace::Automatic => places
            .cache_dir
            .as_ref()
            .map(|cache| IdStore { folder: cache.join(IDS), least_bytes: IdStore::LARGE_BYTES }),
    };
    let mut observer = |event: CorpusEvent<'_>| {
        let event = match event {
            CorpusEvent::Tokenizing { total_bytes, .. } if total_bytes < SHORT => {
                return ControlFlow::Continue(());
            }
            CorpusEvent::Tokenizing { read_bytes, total_bytes, text_bytes } => {
                Event::Tokenizing { read_bytes, total_bytes, text_bytes }
            }
            CorpusEvent::Waiting { path } => Event::Note(Note::WaitingForIds { path }),
            CorpusEvent::Known { path } => Event::Note(Note::KnownIds { path }),
            CorpusEvent::Again { path, fault } => Event::Note(Note::IdsAgain { path, fault }),
            CorpusEvent::Continued { tokens } => Event::Note(Note::TokenizingContinued { tokens }),
            CorpusEvent::Pruned { undercount } => Event::Note(Note::Undercount { undercount }),
            _ => return ControlFlow::Continue(()),
        };
        let is_progress = matches!(event, Event::Tokenizing { .. });
        let asks_to_stop = watch.pass_on(event).is_break();
        if is_progress && asks_to_stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let reading = CorpusReading { threads: plan.training.threads, store, observer: Some(&mut observer) };
    Ok(Corpus::read_with(texts, &plan.text.options, reading)?)
}
