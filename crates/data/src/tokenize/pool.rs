//! Tokenizes texts with several threads, in order.
//!
//! ```text
//!               ┌─▶ worker: chunk 1, chunk 3, … ─┐
//! text ─▶ chunks ┼─▶ worker: chunk 2, chunk 4, … ─┼─▶ results in the order of the text
//!               └─▶ …                            ┘
//! ```
//!
//! The calling thread reads the chunks and takes the results. A worker that gets a chunk that does not begin at a border
//! waits for the state in which the chunk before it ends, so a text of one line is tokenized by one thread at a time. A
//! short text is tokenized by the calling thread.
//!
//! Promises: results and errors are those of one thread that reads the text as a whole; memory is bounded by a few chunks
//! per thread.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::chunks::{Chunk, Position, TextEnd};
use super::{Scanner, Tokenizer};
use crate::Result;

/// Shorter texts are not worth starting threads.
pub(crate) const SHORT_BYTES: usize = 1 << 20;
/// The number of chunks that wait to be tokenized or taken, per thread.
const WAITING: usize = 3;

/// What is done with the tokens of a chunk.
pub(crate) trait Work: Send {
    /// The result for a chunk.
    type Output: Send;

    /// Takes the next token of a chunk and its line; `origin` is the name of the text in errors.
    fn token(&mut self, token: &str, line: u64, origin: &str) -> Result<()>;

    /// Ends a chunk.
    fn output(&mut self) -> Self::Output;
}

/// A chunk, of the text with this index.
pub(crate) struct ChunkOf {
    pub(crate) text: usize,
    pub(crate) chunk: Chunk,
}

/// A tokenized chunk.
pub(crate) struct Tokenized<O> {
    /// The index of its text.
    pub(crate) text: usize,
    pub(crate) output: O,
    /// Its own counts.
    pub(crate) counts: ChunkCounts,
    /// The number of bytes of its text up to its end, without dropped ones.
    pub(crate) read_bytes: u64,
    /// See [`Chunk::border`].
    pub(crate) border: Option<Position>,
    /// See [`Chunk::end`].
    pub(crate) end: Option<TextEnd>,
}

/// Counts of a chunk, or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct ChunkCounts {
    pub(crate) chars: u64,
    pub(crate) lines: u64,
    pub(crate) tokens: u64,
    pub(crate) replaced: u64,
}

impl ChunkCounts {
    fn of(scanner: &Scanner) -> Self {
        let (chars, lines, tokens) = (scanner.chars(), scanner.lines(), scanner.tokens());
        Self { chars, lines, tokens, replaced: scanner.replaced() }
    }

    fn since(self, before: Self) -> Self {
        Self {
            chars: self.chars - before.chars,
            lines: self.lines - before.lines,
            tokens: self.tokens - before.tokens,
            replaced: self.replaced - before.replaced,
        }
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.chars += more.chars;
        self.lines += more.lines;
        self.tokens += more.tokens;
        self.replaced += more.replaced;
    }
}

/// Which texts are tokenized, and how.
pub(crate) struct Texts<'a> {
    pub(crate) tokenizer: &'a Tokenizer,
    /// Their names in errors.
    pub(crate) origins: &'a [String],
    pub(crate) lossy: bool,
    /// The number of threads that tokenize.
    pub(crate) threads: usize,
    /// Texts shorter than this are tokenized by the calling thread.
    pub(crate) short_bytes: usize,
}

impl Texts<'_> {
    /// Tokenizes all chunks that `next` returns, and passes the results on in this order. `work` is called for each thread
    /// with the number of the thread.
    ///
    /// # Errors
    /// The first error in the order of the texts: of `next`, of a token, of `take`.
    pub(crate) fn tokenize<W: Work>(
        &self,
        mut next: impl FnMut() -> Result<Option<ChunkOf>>,
        work: impl Fn(usize) -> W,
        mut take: impl FnMut(Tokenized<W::Output>) -> Result<()>,
    ) -> Result<()> {
        let mut first = VecDeque::new();
        let mut bytes = 0;
        while self.threads > 1 && bytes < self.short_bytes {
            match next() {
                Ok(Some(chunk)) => {
                    bytes += chunk.chunk.bytes.len();
                    first.push_back(Ok(chunk));
                }
                Ok(None) => break,
                Err(error) => {
                    first.push_back(Err(error));
                    break;
                }
            }
        }
        let is_short = bytes < self.short_bytes;
        let mut next = || match first.pop_front() {
            Some(chunk) => chunk.map(Some),
            None => next(),
        };
        if self.threads > 1 && !is_short {
            return self.in_parallel(next, work, take);
        }
        let (mut work, mut scanner) = (work(0), None);
        while let Some(chunk) = next()? {
            take(self.tokenize_chunk(chunk, &mut scanner, &mut work)?)?;
        }
        Ok(())
    }

    fn in_parallel<W: Work>(
        &self,
        mut next: impl FnMut() -> Result<Option<ChunkOf>>,
        work: impl Fn(usize) -> W,
        mut take: impl FnMut(Tokenized<W::Output>) -> Result<()>,
    ) -> Result<()> {
        let (jobs, queue) = channel::<Job<W::Output>>();
        let queue = Mutex::new(queue);
        thread::scope(|scope| {
            // Moved here, so that the workers end when this function does.
            let jobs = jobs;
            for worker in 0..self.threads {
                let (mut work, queue) = (work(worker), &queue);
                scope.spawn(move || {
                    while let Some(job) = next_job(queue) {
                        self.run(job, &mut work);
                    }
                });
            }
            let mut results: VecDeque<Receiver<Result<Tokenized<W::Output>>>> = VecDeque::new();
            let mut take_first = |results: &mut VecDeque<Receiver<_>>| -> Result<bool> {
                // Without a result, its worker panicked, and so does the scope.
                match results.pop_front().map(|result| result.recv()) {
                    Some(Ok(result)) => take(result?).map(|()| true),
                    Some(Err(_)) | None => Ok(false),
                }
            };
            let mut before: Option<Receiver<Scanner>> = None;
            let ended = loop {
                let chunk = match next() {
                    Ok(Some(chunk)) => chunk,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                };
                while results.len() >= WAITING * self.threads {
                    take_first(&mut results)?;
                }
                let (result, receiver) = sync_channel(1);
                results.push_back(receiver);
                let is_continued = chunk.chunk.border.is_none() && chunk.chunk.end.is_none();
                let (after, state) = is_continued.then(|| sync_channel(1)).unzip();
                let job = Job { chunk, before: std::mem::replace(&mut before, state), after, result };
                if jobs.send(job).is_err() {
                    break Ok(());
                }
            };
            while take_first(&mut results)? {}
            ended
        })
    }

    /// Tokenizes the chunk of a job. Nobody may wait for the result any more, after an error.
    fn run<W: Work>(&self, job: Job<W::Output>, work: &mut W) {
        let mut scanner = match job.before.map(|before| before.recv()) {
            Some(Ok(scanner)) => Some(scanner),
            None => None,
            // The chunk before it failed, so this one will not be asked for.
            Some(Err(_)) => return,
        };
        let result = self.tokenize_chunk(job.chunk, &mut scanner, work);
        if let (Ok(_), Some(after), Some(scanner)) = (&result, job.after, scanner) {
            let _ = after.send(scanner);
        }
        let _ = job.result.send(result);
    }

    /// Tokenizes a chunk. `scanner` is the state before it, if it does not begin at a border, and then that after it.
    fn tokenize_chunk<W: Work>(
        &self,
        ChunkOf { text, chunk }: ChunkOf,
        state: &mut Option<Scanner>,
        work: &mut W,
    ) -> Result<Tokenized<W::Output>> {
        let origin = &self.origins[text];
        let known = state.take().filter(|_| !chunk.is_independent);
        let mut scanner =
            known.unwrap_or_else(|| Scanner::at(self.tokenizer, origin, self.lossy, chunk.start));
        let before = ChunkCounts::of(&scanner);
        let mut visit = |token: &str, line| work.token(token, line, origin);
        if !chunk.bytes.is_empty() {
            scanner.feed(&chunk.bytes, &mut visit)?;
        }
        if chunk.end.is_some() {
            scanner.finish(&mut visit)?;
        }
        let counts = ChunkCounts::of(&scanner).since(before);
        *state = Some(scanner);
        let read_bytes = chunk.start.bytes + chunk.bytes.len() as u64;
        Ok(Tokenized {
            text,
            output: work.output(),
            counts,
            read_bytes,
            border: chunk.border,
            end: chunk.end,
        })
    }
}

/// A chunk for a worker.
struct Job<O> {
    chunk: ChunkOf,
    /// Where the state comes from, if the chunk does not begin at a border.
    before: Option<Receiver<Scanner>>,
    /// Where the state goes to, if it does not end at one.
    after: Option<SyncSender<Scanner>>,
    result: SyncSender<Result<Tokenized<O>>>,
}

fn next_job<O>(queue: &Mutex<Receiver<Job<O>>>) -> Option<Job<O>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{BlankLines, Chunks, Normalization, Reading, TextStats, read_tokens};
    use super::*;

    /// Tokens with their lines, the statistics, and the error that ended the text.
    type Found = (Vec<(String, u64)>, std::result::Result<TextStats, String>);

    /// Keeps the tokens.
    struct Keep(Vec<(String, u64)>);

    impl Work for Keep {
        type Output = Vec<(String, u64)>;

        fn token(&mut self, token: &str, line: u64, origin: &str) -> Result<()> {
            refuse(token, line, origin)?;
            self.0.push((token.to_owned(), line));
            Ok(())
        }

        fn output(&mut self) -> Self::Output {
            std::mem::take(&mut self.0)
        }
    }

    fn refuse(token: &str, line: u64, origin: &str) -> Result<()> {
        if token == "no" { Err(crate::vocab::unknown_token(token, origin, line)) } else { Ok(()) }
    }

    fn sequential(tokenizer: &Tokenizer, text: &[u8], reading: Reading) -> Found {
        let mut tokens = vec![];
        let stats = read_tokens(tokenizer, text, "text", reading, |token, line| {
            refuse(token, line, "text")?;
            tokens.push((token.to_owned(), line));
            Ok(())
        });
        (tokens, stats.map_err(|error| error.to_string()))
    }

    fn parallel(
        tokenizer: &Tokenizer,
        text: &[u8],
        reading: Reading,
        (threads, size, short_bytes): (usize, usize, usize),
    ) -> Found {
        let origins = ["text".to_owned()];
        let reader = std::io::BufReader::with_capacity(5, text);
        let mut chunks = Chunks::new(reader, "text", tokenizer.border(), reading.drop_tail_chars, size);
        let (mut tokens, mut counts, mut end) = (vec![], ChunkCounts::default(), None);
        let texts = Texts { tokenizer, origins: &origins, lossy: reading.lossy, threads, short_bytes };
        let next = || Ok(chunks.next_chunk()?.map(|chunk| ChunkOf { text: 0, chunk }));
        let result = texts.tokenize(
            next,
            |_| Keep(vec![]),
            |tokenized| {
                tokens.extend(tokenized.output);
                counts.add(tokenized.counts);
                end = tokenized.end;
                Ok(())
            },
        );
        let ChunkCounts { chars, lines, tokens: count, replaced } = counts;
        let stats = match (result, end) {
            (Ok(()), Some(TextEnd { bytes, sha256, .. })) => {
                Ok(TextStats { bytes, sha256, chars, lines, tokens: count, replaced })
            }
            (Err(error), _) => Err(error.to_string()),
            (Ok(()), None) => panic!("a text without end"),
        };
        (tokens, stats)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]
        #[test]
        fn threads_find_what_one_finds(
            pieces in prop::collection::vec(prop::sample::select(vec![
                &b"a"[..], b"be ", b"no ", b" ", b"\n", b"\n", b" \n\n", b"Mr. X left. He", b"\r\n", b"\xC3\xA9",
                b"e\xCC\x81", b"\xCC\x81", b"\xEF\xAC\x81", b"\xE2\x80\xA8", b"\xFF", b"\xC3", b"\0",
                b"\xEF\xBB\xBF", b"don't ", b"word ", b"word\n", b"\n\n",
            ]), 0..60),
            kind in 0..6, normalization in prop::sample::select(Normalization::ALL.to_vec()),
            lossy in prop::bool::weighted(0.7), tail in 0u64..4, sizes in (1usize..5, 1usize..40, 0usize..2),
        ) {
            let tokenizer = match kind {
                0 => Tokenizer::words(),
                1 => Tokenizer::words().with_blank_lines(BlankLines::Skip),
                2 => Tokenizer::moses(),
                3 => Tokenizer::moses().with_sentences(false),
                4 => Tokenizer::chars(),
                _ => Tokenizer::bytes(),
            };
            let tokenizer = tokenizer.with_normalization(normalization);
            let reading = Reading { drop_tail_chars: tail, lossy };
            let text = pieces.concat();
            let (tokens, stats) = sequential(&tokenizer, &text, reading);
            let found = parallel(&tokenizer, &text, reading, sizes);
            // The check of a tail that is too long is the caller's.
            match stats {
                Err(error) if error.contains("characters") => {}
                Ok(stats) => prop_assert_eq!((tokens, Ok(stats)), found),
                // What normalization holds back at an error depends on the pieces in which a text is read.
                Err(_) if normalization != Normalization::None => prop_assert!(found.1.is_err()),
                Err(error) => prop_assert_eq!(Err(error), found.1),
            }
        }
    }
}
