//! Generates the texts of all requests of a model in one batch.
//!
//! ```text
//! submit ─▶ queue ─▶ admitted between two steps ─▶ one token per text and step ─▶ channel of the request
//!             └ full: 429                             └ stopped, or its client is gone: its place is free
//! ```
//!
//! Promises: a text has the same tokens as alone; requests are admitted in their order; the engine survives a failure,
//! which ends the texts that were running. Not here: HTTP.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use rondo_data::Spacing;
use rondo_infer::{
    Candidate, Distribution, LanguageModel, Piece, Sampling, StopRule, StreamId, StreamToken, Streams,
    TextAssembler,
};
use tokio::sync::mpsc;

use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::options::Limits;

/// Prompts are admitted until they have this many tokens, before the running texts get their next one.
const PROMPT_TOKENS_PER_STEP: usize = 256;

/// What to generate: one or more texts that continue the same prompt.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    /// The prompt as text, which decides how the first token is spaced.
    pub(crate) prompt: String,
    /// The prompt with the line end before it. Empty if there is neither.
    pub(crate) ids: Vec<u32>,
    pub(crate) texts: usize,
    pub(crate) sampling: Sampling,
    pub(crate) seed: u64,
    pub(crate) stop: StopRule,
    /// How many of the most likely tokens to report at each position.
    pub(crate) alternatives: usize,
}

/// A further token of a text.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// The number of the text among those of its request.
    pub(crate) text: usize,
    pub(crate) piece: Piece,
    /// The most likely tokens at this position.
    pub(crate) alternatives: Vec<Candidate>,
}

/// The tokens of a request, in the order of their steps.
pub(crate) type Chunks = mpsc::UnboundedReceiver<Result<Chunk, ApiError>>;

/// The queue of a model, and the thread that works on it until it is closed.
#[derive(Debug)]
pub(crate) struct Engine {
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    longest: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    running: usize,
    is_closed: bool,
}

#[derive(Debug)]
struct Job {
    generation: Generation,
    /// The texts that are running already.
    admitted: usize,
    chunks: mpsc::UnboundedSender<Result<Chunk, ApiError>>,
    arrived: Instant,
}

impl Engine {
    /// Starts a thread for this model, which ends with the last text after the engine was dropped.
    pub(crate) fn start(
        name: &str,
        model: LanguageModel,
        limits: &Limits,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Engine> {
        let queue = Queue { waiting: Mutex::default(), changed: Condvar::new(), longest: limits.queue };
        let queue = Arc::new(queue);
        let mut texts = Texts::new(model, limits.streams, metrics);
        let of_thread = queue.clone();
        let builder = thread::Builder::new().name(format!("engine of {name}").replace('\0', " "));
        builder.spawn(move || {
            while texts.admit(&of_thread) {
                texts.step_or_fail()
            }
        })?;
        Ok(Engine { queue })
    }

    /// Queues a generation. Dropping the receiver ends it.
    pub(crate) fn submit(&self, generation: Generation) -> Result<Chunks, ApiError> {
        let (chunks, received) = mpsc::unbounded_channel();
        let mut waiting = self.queue.lock();
        if waiting.is_closed {
            return Err(ApiError::stopping());
        }
        // Of those that have gone away, nobody waits.
        waiting.jobs.retain(|job| !job.chunks.is_closed());
        if waiting.jobs.len() >= self.queue.longest {
            return Err(ApiError::busy());
        }
        waiting.jobs.push_back(Job { generation, admitted: 0, chunks, arrived: Instant::now() });
        self.queue.changed.notify_one();
        Ok(received)
    }

    /// The numbers of texts that run and of requests that wait.
    pub(crate) fn load(&self) -> (usize, usize) {
        let waiting = self.queue.lock();
        (waiting.running, waiting.jobs.len())
    }

    /// Refuses further requests; those that were queued are answered. Then the thread ends.
    fn close(&self) {
        self.queue.lock().is_closed = true;
        self.queue.changed.notify_one();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic while it is locked leaves it as it was.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running texts of a model.
struct Texts {
    model: LanguageModel,
    streams: Streams,
    running: HashMap<StreamId, Text>,
    most: usize,
    metrics: Arc<Metrics>,
}

struct Text {
    number: usize,
    assembler: TextAssembler,
    alternatives: usize,
    chunks: mpsc::UnboundedSender<Result<Chunk, ApiError>>,
    /// When its request arrived, until it has its first token.
    arrived: Option<Instant>,
}

impl Texts {
    fn new(model: LanguageModel, most: usize, metrics: Arc<Metrics>) -> Texts {
        Texts { streams: model.streams(), model, running: HashMap::new(), most: most.max(1), metrics }
    }

    /// Admits waiting requests as far as there is room. If no text is running, waits for one. False if there will be no
    /// more.
    fn admit(&mut self, queue: &Queue) -> bool {
        let mut prompt_tokens = 0;
        loop {
            let mut waiting = queue.lock();
            waiting.running = self.running.len();
            let room = self.most - self.running.len();
            let Some(mut job) = (if room > 0 { waiting.jobs.pop_front() } else { None }) else {
                if !self.running.is_empty() {
                    return true;
                }
                if waiting.is_closed {
                    return false;
                }
                drop(queue.changed.wait(waiting));
                continue;
            };
            drop(waiting);
            if job.chunks.is_closed() {
                continue;
            }
            prompt_tokens += job.generation.ids.len();
            let count = room.min(job.generation.texts - job.admitted);
            let began = catch_unwind(AssertUnwindSafe(|| self.begin(&job, count)));
            match began {
                Ok(Ok(())) => job.admitted += count,
                Ok(Err(error)) => {
                    let _ = job.chunks.send(Err(error));
                    continue;
                }
                Err(_) => {
                    let _ = job.chunks.send(Err(ApiError::internal()));
                    self.fail();
                    continue;
                }
            }
            if job.admitted < job.generation.texts {
                queue.lock().jobs.push_front(job);
            }
            if prompt_tokens >= PROMPT_TOKENS_PER_STEP {
                queue.lock().running = self.running.len();
                return true;
            }
        }
    }

    /// Begins `count` more texts of a request.
    fn begin(&mut self, job: &Job, count: usize) -> Result<(), ApiError> {
        let Generation { prompt, ids, sampling, seed, stop, alternatives, .. } = &job.generation;
        let numbers = job.admitted as u64..(job.admitted + count) as u64;
        let codec = self.model.codec();
        let assembler = || TextAssembler::new(codec, prompt, Spacing::Natural, stop.clone());
        let assemblers = (0..count).map(|_| assembler()).collect::<rondo_infer::Result<Vec<_>>>()?;
        // The first tokens of texts without a prompt are drawn by their frequency.
        let (streams, firsts) = match codec.vocab().counts().filter(|_| ids.is_empty()) {
            Some(counts) => {
                let firsts = self.streams.admit_first(counts, numbers, sampling, *seed)?;
                (firsts.iter().map(|token| token.stream).collect(), firsts)
            }
            None => (self.streams.admit_numbered(ids, numbers, sampling, *seed)?, vec![]),
        };
        if job.admitted == 0 {
            self.metrics.prompt_tokens.fetch_add(ids.len() as u64, Relaxed);
        }
        for (number, (stream, assembler)) in (job.admitted..).zip(streams.into_iter().zip(assemblers)) {
            let (alternatives, chunks) = (*alternatives, job.chunks.clone());
            let text = Text { number, assembler, alternatives, chunks, arrived: Some(job.arrived) };
            self.running.insert(stream, text);
        }
        firsts.into_iter().for_each(|token| self.take(token, vec![]));
        Ok(())
    }

    /// One more token for each text. If that fails, they all end.
    fn step_or_fail(&mut self) {
        match catch_unwind(AssertUnwindSafe(|| self.step())) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "a step of the model failed");
                self.fail();
            }
            Err(_) => self.fail(),
        }
    }

    fn step(&mut self) -> rondo_infer::Result<()> {
        self.metrics.batch.add(self.running.len() as f64);
        let (mut tokens, running) = (Vec::with_capacity(self.running.len()), &self.running);
        self.streams.step_with(|token, logits| {
            let wanted = running.get(&token.stream).map_or(0, |text| text.alternatives);
            // Looking at all logits takes longer than sampling from them.
            let likely = match wanted {
                0 => vec![],
                _ => Distribution::new(logits).map_or(vec![], |next| next.most_likely(wanted, |_| true)),
            };
            tokens.push((token, likely));
        })?;
        tokens.into_iter().for_each(|(token, alternatives)| self.take(token, alternatives));
        Ok(())
    }

    /// Passes a token on to its request.
    fn take(&mut self, token: StreamToken, alternatives: Vec<Candidate>) {
        let Some(text) = self.running.get_mut(&token.stream) else { return };
        if let Some(arrived) = text.arrived.take() {
            self.metrics.first_token.add(arrived.elapsed().as_secs_f64());
        }
        let piece = text.assembler.push(token);
        let is_over = piece.as_ref().map_or(true, |piece| piece.stop.is_some());
        let number = text.number;
        let chunk = piece.map(|piece| Chunk { text: number, piece, alternatives }).map_err(ApiError::from);
        let is_gone = text.chunks.send(chunk).is_err();
        if is_gone {
            self.metrics.abandoned.fetch_add(1, Relaxed);
        } else {
            self.metrics.generated_tokens.fetch_add(1, Relaxed);
        }
        if is_over || is_gone {
            self.running.remove(&token.stream);
            // It is running: it has just returned a token.
            let _ = self.streams.retire(token.stream);
        }
    }

    /// Ends all texts with an error, and starts again.
    fn fail(&mut self) {
        for (_, text) in self.running.drain() {
            let _ = text.chunks.send(Err(ApiError::internal()));
        }
        self.streams = self.model.streams();
    }
}

#[cfg(test)]
mod tests;
