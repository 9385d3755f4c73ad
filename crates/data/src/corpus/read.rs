//! Reads a corpus: from texts to ids in memory or in a file.
//!
//! Each text is read once. Without a vocabulary, each token is first stored as its index in order of first appearance.
//! When the vocabulary is complete, the indices are replaced by ids. Only if the memory for counting was not enough, the
//! texts are read again with the vocabulary.

use std::fmt;
use std::fs::File;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::thread;

use super::counting::TokenCounts;
use super::destination::{Nowhere, Place};
use super::divide::{self, Parts};
use super::reading::{ReadState, ReadText, Reader, Sizes, Sources};
use super::store::{Entry, Found, IdStore, Record, ranges};
use super::{Corpus, CorpusOptions, CorpusTexts, Division, SourceReport, Split, VocabSource, VocabSplits};
use crate::{Counter, DataError, Result, TextCodec, TextSource, TokenIds, Tokenizer, Vocab};

/// How a corpus is read: what does not change the result. Every field has a default.
#[derive(Default)]
pub struct CorpusReading<'a> {
    /// The number of threads that tokenize; 0, the default, is one for each processor.
    pub threads: usize,
    /// Where ids are kept in a file [default: they are in memory].
    pub store: Option<IdStore>,
    /// Receives events, and can stop the reading [default: none].
    pub observer: Option<&'a mut CorpusObserver<'a>>,
}

/// Receives the events of reading a corpus; `Break` stops it.
pub type CorpusObserver<'a> = dyn FnMut(CorpusEvent<'_>) -> ControlFlow<()> + 'a;

/// An event while a corpus is read.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum CorpusEvent<'a> {
    /// A part of the texts has been tokenized.
    Tokenizing {
        /// The number of bytes that have been read from the files, which can be compressed.
        read_bytes: u64,
        /// The size of the files in bytes.
        total_bytes: u64,
        /// The number of bytes of text that have been tokenized since reading began.
        text_bytes: u64,
    },
    /// The ids of these texts are being made by another process.
    Waiting {
        /// The folder of the ids.
        path: &'a Path,
    },
    /// The texts have been tokenized before, and their ids are read from a file.
    Known {
        /// The file.
        path: &'a Path,
    },
    /// A file of ids cannot be used, so the texts are tokenized again.
    Again {
        /// The file.
        path: &'a Path,
        /// What is wrong with it.
        fault: &'a IdsFault,
    },
    /// Tokenizing continues where it was interrupted.
    Continued {
        /// The number of tokens that are already there.
        tokens: u64,
    },
    /// The memory for counting was not enough, so rare tokens may be missing from the vocabulary.
    Pruned {
        /// The most that a count can be too low.
        undercount: u64,
    },
}

/// Why a file of ids cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdsFault {
    /// It is incomplete or has changed.
    Damaged,
    /// A text has changed.
    Changed {
        /// The text.
        origin: String,
    },
}

impl fmt::Display for IdsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => write!(f, "it is damaged"),
            Self::Changed { origin } => write!(f, "`{origin}` has changed"),
        }
    }
}

impl Corpus {
    /// Finds the texts at `path`, a folder or a file, and reads them.
    ///
    /// # Errors
    /// The errors of [`CorpusTexts::find`] and [`read`](Self::read).
    pub fn open(path: impl AsRef<Path>, options: &CorpusOptions) -> Result<Self> {
        Self::read(&CorpusTexts::find(path)?, options)
    }

    /// Reads the texts into memory, with all threads.
    ///
    /// # Errors
    /// [`DataError::Empty`] for a text without tokens; the errors of [`Tokenizer::for_each_token`] for a file
    /// that is not a text; [`DataError::UnknownToken`] for an out-of-vocabulary token if there is no unknown
    /// token; the errors of [`Vocab::from_counter`]; [`DataError::SplitFractions`] and
    /// [`DataError::CannotDivide`] for a text without splits of its own.
    pub fn read(texts: &CorpusTexts, options: &CorpusOptions) -> Result<Self> {
        Self::read_with(texts, options, CorpusReading::default())
    }

    /// Reads the texts into memory or a file. The result is the same for any `reading`.
    ///
    /// ```
    /// use rondo_data::{Corpus, CorpusOptions, CorpusReading, CorpusTexts, IdStore};
    ///
    /// let folder = tempfile::tempdir()?;
    /// std::fs::write(folder.path().join("train.txt"), "the cat saw the dog\n")?;
    /// let texts = CorpusTexts::find(folder.path())?;
    /// let store = IdStore { folder: folder.path().join("ids"), least_bytes: 0 };
    /// let reading = CorpusReading { store: Some(store), ..CorpusReading::default() };
    /// let stored = Corpus::read_with(&texts, &CorpusOptions::default(), reading)?;
    /// assert!(stored.train.path().is_some());
    /// assert_eq!(stored, Corpus::read(&texts, &CorpusOptions::default())?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](Self::read); [`DataError::Interrupted`] if the observer stops it; [`DataError::Write`] and
    /// [`DataError::Runs`] if ids cannot be written.
    pub fn read_with(
        texts: &CorpusTexts,
        options: &CorpusOptions,
        reading: CorpusReading<'_>,
    ) -> Result<Self> {
        Self::read_in(texts, options, reading, Sizes::default())
    }

    /// The same in chunks of another size.
    pub(super) fn read_in(
        texts: &CorpusTexts,
        options: &CorpusOptions,
        reading: CorpusReading<'_>,
        sizes: Sizes,
    ) -> Result<Self> {
        divide::check_fractions(options.valid_fraction, options.test_fraction)?;
        let sources = &texts.sources()[..];
        let mut silent = |_: CorpusEvent<'_>| ControlFlow::Continue(());
        let observer = reading.observer.unwrap_or(&mut silent);
        let entry = match reading.store {
            Some(store) if store.is_for(sources)? => Some(store.entry(texts, sources, options)?),
            _ => None,
        };
        let known = entry.as_ref().map(|entry| known(entry, sources, options, observer)).transpose()?;
        let threads = thread_count(reading.threads);
        let reader = Reader { sources, options, threads, sizes, observer, looks: vec![] };
        let (ids, ends, codec, reports) = match (&entry, known) {
            (_, Some((Some((record, codec, ids)), _))) => {
                let codec = match &options.vocab {
                    // It keeps its counts.
                    VocabSource::Given(vocab) => TextCodec::new(options.tokenizer.clone(), vocab.clone()),
                    _ => codec,
                };
                (ids, record.ends, codec, reader.reports(record.texts)?)
            }
            (entry, lock) => {
                let state = ReadState::default();
                let place = Place::Memory(vec![]);
                let making = Making { texts, reader, place, state, entry: entry.as_ref() };
                let made = making.make()?;
                drop(lock);
                made
            }
        };
        let [train, valid, test] = ranges(ends, ids.len());
        let part = |range: Range<usize>| (!range.is_empty()).then(|| ids.slice(range));
        Ok(Self {
            train: ids.slice(train),
            valid: part(valid),
            test: part(test),
            codec,
            sources: reports,
            divided: matches!(texts, CorpusTexts::Whole(_))
                && options.valid_fraction + options.test_fraction > 0.0,
        })
    }
}

/// Ids that are known, if they are, and a lock.
type Known = (Option<(Box<Record>, TextCodec, TokenIds)>, Option<File>);

/// The ids of an entry if they are known; otherwise, the lock to make them with.
fn known(
    entry: &Entry,
    sources: &Sources<'_>,
    options: &CorpusOptions,
    observer: &mut CorpusObserver<'_>,
) -> Result<Known> {
    let path = entry.ids();
    let (mut found, mut lock) = (entry.open(sources, options)?, None);
    if !matches!(found, Found::Ids(..)) {
        lock = entry.lock(observer)?;
        // Another process may have made them meanwhile.
        found = entry.open(sources, options)?;
    }
    match found {
        Found::Ids(record, codec, ids) => {
            let _ = observer(CorpusEvent::Known { path: &path });
            return Ok((Some((record, codec, ids)), None));
        }
        Found::Fault(fault) => {
            let _ = observer(CorpusEvent::Again { path: &path, fault: &fault });
        }
        Found::Nothing => {}
    }
    Ok((None, lock))
}

/// Makes the ids of a corpus.
struct Making<'a, 'e> {
    texts: &'a CorpusTexts,
    reader: Reader<'a, 'e>,
    place: Place,
    state: ReadState,
    /// Where they are kept; `None` in memory.
    entry: Option<&'a Entry>,
}

/// Finished ids, the ends of the training and the validation text, and what belongs to them.
type Made = (TokenIds, [usize; 2], TextCodec, Vec<SourceReport>);

impl Making<'_, '_> {
    fn make(mut self) -> Result<Made> {
        let options = self.reader.options;
        let codec = |vocab: Vocab| TextCodec::new(options.tokenizer.clone(), vocab);
        let (ids, ends, codec) = match &options.vocab {
            VocabSource::Given(vocab) => self.encoded(codec(vocab.clone()), None)?,
            VocabSource::List { list, options: special } => {
                let list = TextSource::File(list.clone());
                self.encoded(codec(Vocab::from_list(&list, &options.tokenizer, special)?), None)?
            }
            VocabSource::TokenizerFile(path) => {
                let tokenizer = Tokenizer::open(path)?;
                self.encoded(TextCodec::of_tokenizer(tokenizer)?.ok_or(DataError::EmptyVocab)?, None)?
            }
            VocabSource::Build { options, splits } => {
                self.counted(*splits, &|counter| Ok(codec(Vocab::from_counter(counter, options)?)))?
            }
            VocabSource::Extend { vocab, min_freq, max_size, splits } => {
                self.counted(*splits, &|counter| Ok(codec(vocab.extended(counter, *min_freq, *max_size))))?
            }
        };
        let codec = match first_counted(&options.vocab) {
            Some(first) => codec.counted_from(first, &ids.slice(0..ends[0]))?,
            None => codec,
        };
        let texts = self.state.done;
        let reports = self.reader.reports(texts.clone())?;
        match (self.entry, self.place) {
            (Some(entry), Place::Files(files)) => {
                let ids = entry.keep(ids, ends, texts, &codec, *files)?;
                Ok((ids, ends, codec, reports))
            }
            _ => Ok((ids, ends, codec, reports)),
        }
    }

    /// Begins in the store, or continues there. After a first pass over the texts, `vocabulary` is the fingerprint of the
    /// vocabulary that it gave.
    fn begin(&mut self, vocabulary: Option<&str>) -> Result<()> {
        let Some(entry) = self.entry else { return Ok(()) };
        let (files, state) =
            entry.workspace(self.reader.sources, vocabulary, self.reader.sizes.journal_every)?;
        (self.place, self.state) = (Place::Files(Box::new(files)), state);
        if self.state.tokens() > 0 {
            let _ = (self.reader.observer)(CorpusEvent::Continued { tokens: self.state.tokens() });
        }
        Ok(())
    }

    /// Reads the texts with a vocabulary.
    fn encoded(
        &mut self,
        codec: TextCodec,
        vocabulary: Option<&str>,
    ) -> Result<(TokenIds, [usize; 2], TextCodec)> {
        self.begin(vocabulary)?;
        self.reader.encode(&codec, None, &mut self.state, self.place.destination())?;
        let ids = self.place.taken()?;
        let parts = self.parts(&ids, |token| codec.vocab().id(token))?;
        let (ids, ends) = divided(&mut self.place, ids, &parts)?;
        Ok((ids, ends, codec))
    }

    /// Reads the texts and makes the vocabulary from their counts.
    fn counted(
        &mut self,
        splits: VocabSplits,
        codec: &dyn Fn(&Counter) -> Result<TextCodec>,
    ) -> Result<(TokenIds, [usize; 2], TextCodec)> {
        let mut counts = TokenCounts::new(self.reader.options.count_memory);
        // A second pass that was interrupted is continued, so the first one must not remove what it has made.
        let is_second = self.entry.is_some_and(Entry::is_in_second_pass);
        if is_second {
            let (mut state, mut nowhere) = (ReadState::default(), Nowhere);
            self.reader.count(&mut counts, splits, &mut state, &mut nowhere)?;
        } else {
            self.begin(None)?;
            if let Place::Files(files) = &mut self.place {
                files.count_taken(&mut counts)?;
            }
            self.reader.count(&mut counts, splits, &mut self.state, self.place.destination())?;
        }
        if is_second || counts.pruned().is_some() {
            if let Some(undercount) = counts.pruned() {
                let _ = (self.reader.observer)(CorpusEvent::Pruned { undercount });
            }
            let counted: Vec<u64> = counts.counter.iter().map(|(_, count)| count).collect();
            let codec = codec(&counts.counter.restricted_to(&counted))?;
            drop(counts);
            (self.place, self.state) = (Place::Memory(vec![]), ReadState::default());
            let fingerprint = codec.vocab().fingerprint();
            return self.encoded(codec, Some(&fingerprint));
        }
        let counter = counts.counter;
        let indices = self.place.taken()?;
        let parts = self.parts(&indices, |token| counter.index(token))?;
        let codec = match splits {
            VocabSplits::All => codec(&counter)?,
            VocabSplits::Train => {
                codec(&counter.restricted_to(&parts.count_train(&indices, counter.len())?))?
            }
        };
        let ids = match self.with_ids(indices, &counter, codec.vocab())? {
            Some(ids) => ids,
            None => {
                // The token is known but not its line, so the texts are read again to find it.
                self.reader.encode(&codec, None, &mut ReadState::default(), &mut Nowhere)?;
                let origin = self.reader.sources.first().map(|(_, source)| source.origin());
                return Err(DataError::TextChanged { origin: origin.unwrap_or_default() });
            }
        };
        let (ids, ends) = divided(&mut self.place, ids, &parts)?;
        Ok((ids, ends, codec))
    }

    /// Replaces the counter's indices by vocabulary ids, and counts unknown tokens in the texts; `None` if a token has no
    /// id.
    fn with_ids(&mut self, indices: TokenIds, counter: &Counter, vocab: &Vocab) -> Result<Option<TokenIds>> {
        /// The id for an index; an out-of-vocabulary token is distinguished from the unknown token itself.
        struct Target {
            id: u32,
            in_vocab: bool,
        }
        let targets = counter.iter().map(|(token, _)| {
            vocab.id_or_unknown(token).map(|id| Target { id, in_vocab: vocab.id(token).is_some() })
        });
        let Some(targets) = targets.collect::<Option<Vec<Target>>>() else { return Ok(None) };
        let mut texts = self.state.done.iter_mut();
        let (mut text, mut end) = (texts.next(), 0);
        end += text.as_ref().map_or(0, |text| text.counts.tokens as usize);
        let replaced = self.place.map(indices, |ids, start| {
            for (at, id) in (start..).zip(ids) {
                while at >= end && text.is_some() {
                    text = texts.next();
                    end += text.as_ref().map_or(0, |text| text.counts.tokens as usize);
                }
                let target = &targets[*id as usize];
                *id = target.id;
                if let Some(text) = &mut text {
                    text.unknown_tokens += u64::from(vocab.unknown_id() == Some(target.id));
                    text.out_of_vocab_tokens += u64::from(!target.in_vocab);
                }
            }
        });
        replaced.map(Some)
    }

    /// The parts of the texts for training, validation and testing; `id` gives the ids of tokens in `ids`.
    fn parts(&self, ids: &TokenIds, id: impl Fn(&str) -> Option<u32>) -> Result<Parts> {
        parts(ids, &self.state.done, self.texts, self.reader.options, id)
    }
}

/// The ids in the order of the splits.
pub(super) fn divided(place: &mut Place, ids: TokenIds, parts: &Parts) -> Result<(TokenIds, [usize; 2])> {
    let ends = parts.ends();
    match parts {
        Parts::InOrder(_) => Ok((ids, ends)),
        Parts::Lines(lines) => Ok((place.select(&ids, lines.iter().flatten())?, ends)),
    }
}

/// The index of the first token that is to be counted in the training text; `None` if no token is.
fn first_counted(source: &VocabSource) -> Option<usize> {
    match source {
        VocabSource::Build { .. } | VocabSource::List { .. } | VocabSource::TokenizerFile(_) => Some(0),
        VocabSource::Extend { vocab, .. } => vocab.counts().map(<[u64]>::len),
        VocabSource::Given(_) => None,
    }
}

/// The parts of the texts for training, validation and testing; `id` gives the ids of tokens in `ids`.
pub(super) fn parts(
    ids: &TokenIds,
    read: &[ReadText],
    texts: &CorpusTexts,
    options: &CorpusOptions,
    id: impl Fn(&str) -> Option<u32>,
) -> Result<Parts> {
    let CorpusOptions { valid_fraction, test_fraction, division, ref tokenizer, .. } = *options;
    match texts {
        CorpusTexts::Splits { .. } | CorpusTexts::Assigned(_) => {
            let sources = texts.sources();
            let len = |splits: &[Split]| -> usize {
                let of_them = sources
                    .iter()
                    .zip(read)
                    .filter(|((split, _), _)| split.is_some_and(|split| splits.contains(&split)));
                of_them.map(|(_, read)| read.counts.tokens as usize).sum()
            };
            Ok(Parts::InOrder([len(&[Split::Train]), len(&[Split::Train, Split::Valid])]))
        }
        CorpusTexts::Whole(_) => match division {
            Division::RandomLines => {
                let line_end = tokenizer.line_end().and_then(id);
                divide::random_lines(ids, line_end, valid_fraction, test_fraction)
            }
            Division::End => {
                let eos = tokenizer.eos().and_then(id);
                Ok(Parts::InOrder(divide::cuts(ids, eos, valid_fraction, test_fraction)?))
            }
        },
    }
}

/// The number of threads; 0 stands for one for each processor.
pub(super) fn thread_count(threads: usize) -> usize {
    match threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}
