//! Reads the texts of a corpus as ids of a vocabulary, or as indices of a counter.
//!
//! ```text
//! texts ─▶ chunks ─▶ threads ─┬─ with a vocabulary: ids ───────────────────────────────▶ destination
//!                             └─ without: indices of the thread's own list of tokens ─┬─▶ destination
//!                                                            those of the counter  ◀──┘
//! ```
//!
//! Promises: the result does not depend on the number of threads, and can be continued from any [`ReadState`] that a
//! destination received.
//! Not here: where ids are kept ([`super::destination`]), the corpus that is made of them ([`super::read`]).

use std::cell::Cell;
use std::io::BufRead;
use std::mem::take;
use std::ops::ControlFlow;
use std::rc::Rc;

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::counting::TokenCounts;
use super::destination::Destination;
use super::store::JOURNAL_EVERY;
use super::{CorpusEvent, CorpusObserver, CorpusOptions, SourceReport, Split, TextSource, VocabSplits};
use crate::tokenize::{
    CHUNK_BYTES, ChunkCounts, ChunkOf, Chunks, Position, SHORT_BYTES, TextEnd, Texts, Tokenized, Work,
};
use crate::{DataError, Result, TextCodec, TextLook, TextReport, TextStats, Tokenizer, vocab};

/// The texts of a corpus, each with its split.
pub(super) type Sources<'a> = [(Option<Split>, &'a TextSource)];

/// Sizes that tests change.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// See [`CHUNK_BYTES`].
    pub(super) chunk_bytes: usize,
    /// See [`SHORT_BYTES`].
    pub(super) short_bytes: usize,
    /// See [`JOURNAL_EVERY`].
    pub(super) journal_every: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { chunk_bytes: CHUNK_BYTES, short_bytes: SHORT_BYTES, journal_every: JOURNAL_EVERY }
    }
}

/// How far the texts have been read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct ReadState {
    /// The texts that have been read to their ends.
    pub(super) done: Vec<ReadText>,
    /// The one after these, as far as it has been read.
    current: ReadText,
    /// How far that is.
    position: Position,
}

impl ReadState {
    /// The number of tokens so far.
    pub(super) fn tokens(&self) -> u64 {
        self.done.iter().chain([&self.current]).map(|text| text.counts.tokens).sum()
    }
}

/// What is known about a text, or about its start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReadText {
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) counts: ChunkCounts,
    pub(super) unknown_tokens: u64,
    pub(super) out_of_vocab_tokens: u64,
}

impl ReadText {
    /// The report of the text, which has this name.
    pub(super) fn report(self, origin: String) -> TextReport {
        let ChunkCounts { chars, lines, tokens, replaced } = self.counts;
        let stats = TextStats { bytes: self.bytes, sha256: self.sha256, chars, lines, tokens, replaced };
        let Self { unknown_tokens, out_of_vocab_tokens, .. } = self;
        TextReport { origin, stats, unknown_tokens, out_of_vocab_tokens }
    }
}

/// Reads texts with several threads.
pub(super) struct Reader<'a, 'e> {
    pub(super) sources: &'a Sources<'a>,
    pub(super) options: &'a CorpusOptions,
    pub(super) threads: usize,
    pub(super) sizes: Sizes,
    pub(super) observer: &'e mut CorpusObserver<'e>,
    /// What the start of each text looks like, as far as they have been read.
    pub(super) looks: Vec<Option<TextLook>>,
}

impl Reader<'_, '_> {
    /// Reads the texts as ids of the codec. With `missing`, this is the id of each out-of-vocabulary token.
    pub(super) fn encode(
        &mut self,
        codec: &TextCodec,
        missing: Option<u32>,
        state: &mut ReadState,
        to: &mut dyn Destination,
    ) -> Result<()> {
        let work = |_| Encoding {
            codec: codec.clone(),
            missing,
            ids: Vec::new(),
            unknown_tokens: 0,
            out_of_vocab_tokens: 0,
        };
        self.read(codec.tokenizer(), state, to, work, |encoded, _, text, to| {
            text.unknown_tokens += encoded.unknown_tokens;
            text.out_of_vocab_tokens += encoded.out_of_vocab_tokens;
            to.take_ids(&encoded.ids)
        })
    }

    /// Reads the texts as indices of the counter, and counts the tokens of those that the vocabulary is built from. The
    /// destination receives each token when it first occurs.
    pub(super) fn count(
        &mut self,
        counts: &mut TokenCounts,
        splits: VocabSplits,
        state: &mut ReadState,
        to: &mut dyn Destination,
    ) -> Result<()> {
        let sources = self.sources;
        // Tokens of texts that do not count have no counts, but an index.
        let is_counted =
            |text: usize| splits == VocabSplits::All || matches!(sources[text].0, None | Some(Split::Train));
        let is_limited = counts.is_limited();
        let work = |worker| Indexing {
            worker,
            is_limited,
            tokens: IndexSet::default(),
            passed_on: 0,
            is_new: true,
            ids: Vec::new(),
        };
        // For each thread, the indices of its own tokens in the counter.
        let mut tables: Vec<Vec<u32>> = vec![Vec::new(); self.threads];
        self.read(&self.options.tokenizer, state, to, work, |indexed, text, _read, to| {
            let Indexed { worker, is_new, tokens, mut ids } = indexed;
            let table = &mut tables[worker];
            if is_new {
                table.clear();
            }
            for token in &tokens {
                let (index, is_first) = counts.index(token);
                if is_first {
                    to.take_token(token)?;
                }
                table.push(index);
            }
            for id in &mut ids {
                *id = table[*id as usize];
            }
            if is_counted(text) {
                ids.iter().for_each(|&index| counts.count(index));
            }
            counts.prune_if_too_large();
            if counts.pruned().is_some() { to.abandon() } else { to.take_ids(&ids) }
        })
    }

    fn read<W: Work>(
        &mut self,
        tokenizer: &Tokenizer,
        state: &mut ReadState,
        to: &mut dyn Destination,
        work: impl Fn(usize) -> W,
        mut merge: impl FnMut(W::Output, usize, &mut ReadText, &mut dyn Destination) -> Result<()>,
    ) -> Result<()> {
        let Self { sources, options, threads, sizes, observer, looks } = self;
        looks.resize(sources.len(), None);
        let CorpusOptions { drop_tail_chars, lossy, .. } = **options;
        let origins: Vec<String> = sources.iter().map(|(_, source)| source.origin()).collect();
        let lens = sources.iter().map(|(_, source)| source.size()).collect::<Result<Vec<_>>>()?;
        let total_bytes = lens.iter().sum();
        let start = (state.done.len(), state.position);
        let read_bytes = Rc::new(Cell::new(lens[..start.0].iter().sum()));
        let mut texts = start.0..sources.len();
        let mut open: Option<(usize, Chunks<Box<dyn BufRead + '_>>)> = None;
        let next = || loop {
            if let Some((text, chunks)) = &mut open
                && let Some(chunk) = chunks.next_chunk()?
            {
                return Ok(Some(ChunkOf { text: *text, chunk }));
            }
            let Some(text) = texts.next() else { return Ok(None) };
            let field = options.text_field.as_deref();
            let mut reader = sources[text].1.open_counted(field, &read_bytes)?;
            looks[text] = Some(TextLook::at(&mut reader, &origins[text])?);
            let border = tokenizer.border();
            let mut chunks = Chunks::new(reader, &origins[text], border, drop_tail_chars, sizes.chunk_bytes);
            if text == start.0 && !chunks.skip_to(start.1)? {
                return Err(DataError::TextChanged { origin: origins[text].clone() });
            }
            open = Some((text, chunks));
        };
        let mut before = 0;
        let take = |tokenized: Tokenized<W::Output>| {
            let Tokenized { text, output, counts, read_bytes: of_text, border, end } = tokenized;
            merge(output, text, &mut state.current, to)?;
            state.current.counts.add(counts);
            if let Some(end) = end {
                finish(&origins[text], drop_tail_chars, &end, state)?;
                before += of_text;
                to.at_border(state, before)?;
            } else if let Some(border) = border {
                state.position = border;
                to.at_border(state, before + of_text)?;
            }
            let text_bytes = before + if state.done.len() > text { 0 } else { of_text };
            let read_bytes = read_bytes.get();
            match observer(CorpusEvent::Tokenizing { read_bytes, total_bytes, text_bytes }) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => {
                    to.stop(state)?;
                    Err(DataError::Interrupted)
                }
            }
        };
        Texts { tokenizer, origins: &origins, lossy, threads: *threads, short_bytes: sizes.short_bytes }
            .tokenize(next, work, take)
    }

    /// The reports of texts that have been read.
    pub(super) fn reports(&self, done: Vec<ReadText>) -> Result<Vec<SourceReport>> {
        let field = self.options.text_field.as_deref();
        let report = |(index, read): (usize, ReadText)| {
            let (split, source) = self.sources[index];
            let origin = source.origin();
            let look = match self.looks.get(index) {
                Some(Some(look)) => look.clone(),
                _ => TextLook::at(&mut source.open_field(field)?, &origin)?,
            };
            Ok(SourceReport { split, look, text: read.report(origin) })
        };
        done.into_iter().enumerate().map(report).collect()
    }
}

/// Ends the current text.
fn finish(origin: &str, drop_tail_chars: u64, end: &TextEnd, state: &mut ReadState) -> Result<()> {
    let mut text = take(&mut state.current);
    state.position = Position::default();
    if drop_tail_chars > 0 && text.counts.chars == 0 {
        let (origin, chars) = (origin.to_owned(), end.held_chars);
        return Err(DataError::TailTooLong { origin, chars, drop_tail_chars });
    }
    if text.counts.tokens == 0 {
        return Err(DataError::Empty { origin: origin.to_owned() });
    }
    (text.bytes, text.sha256) = (end.bytes, end.sha256.clone());
    state.done.push(text);
    Ok(())
}

/// Encodes the tokens of a chunk.
struct Encoding {
    codec: TextCodec,
    missing: Option<u32>,
    ids: Vec<u32>,
    unknown_tokens: u64,
    out_of_vocab_tokens: u64,
}

struct Encoded {
    ids: Vec<u32>,
    unknown_tokens: u64,
    out_of_vocab_tokens: u64,
}

impl Work for Encoding {
    type Output = Encoded;

    #[inline]
    fn token(&mut self, token: &str, line: u64, origin: &str) -> Result<()> {
        let vocab = self.codec.vocab();
        let id = match vocab.id(token) {
            Some(id) => id,
            None => {
                self.out_of_vocab_tokens += 1;
                let id = self.missing.or(vocab.unknown_id());
                id.ok_or_else(|| vocab::unknown_token(token, origin, line))?
            }
        };
        self.unknown_tokens += u64::from(vocab.unknown_id() == Some(id));
        self.ids.push(id);
        Ok(())
    }

    fn output(&mut self) -> Encoded {
        let capacity = self.ids.len();
        Encoded {
            ids: std::mem::replace(&mut self.ids, Vec::with_capacity(capacity)),
            unknown_tokens: take(&mut self.unknown_tokens),
            out_of_vocab_tokens: take(&mut self.out_of_vocab_tokens),
        }
    }
}

/// A thread with more tokens than this forgets them, so that not every thread keeps all tokens.
const TOKENS_OF_THREAD: usize = 1 << 18;

/// Replaces the tokens of a chunk by indices of the tokens that this thread knows.
struct Indexing {
    worker: usize,
    /// Whether it forgets its tokens after each chunk, because the counter may have forgotten them.
    is_limited: bool,
    tokens: IndexSet<Box<str>, FxBuildHasher>,
    /// The number of tokens that were passed on with earlier chunks.
    passed_on: usize,
    /// Whether there were no tokens before this chunk.
    is_new: bool,
    ids: Vec<u32>,
}

struct Indexed {
    worker: usize,
    /// Whether the tokens are the first ones of its list.
    is_new: bool,
    /// The new tokens, in order of first appearance.
    tokens: Vec<Box<str>>,
    ids: Vec<u32>,
}

impl Work for Indexing {
    type Output = Indexed;

    #[inline]
    fn token(&mut self, token: &str, _line: u64, _origin: &str) -> Result<()> {
        // The lookup comes first because an entry would need an owned key, and most tokens are already known.
        let index = match self.tokens.get_index_of(token) {
            Some(index) => index,
            None => self.tokens.insert_full(token.into()).0,
        };
        self.ids.push(index as u32);
        Ok(())
    }

    fn output(&mut self) -> Indexed {
        let tokens = self.tokens.as_slice()[self.passed_on..].iter().cloned().collect();
        let capacity = self.ids.len();
        let ids = std::mem::replace(&mut self.ids, Vec::with_capacity(capacity));
        let output = Indexed { worker: self.worker, is_new: self.is_new, tokens, ids };
        self.is_new = self.is_limited || self.tokens.len() > TOKENS_OF_THREAD;
        if self.is_new {
            self.tokens.clear();
        }
        self.passed_on = self.tokens.len();
        output
    }
}
