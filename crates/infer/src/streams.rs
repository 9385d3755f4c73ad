//! Batched generation of many texts: streams can be added, removed, and have their own settings.
//!
//! ```text
//! admit(prompt, sampling, seed) ─▶ id      one row of the batch for each stream
//! step()                        ─▶ [(id, token, log-probability)]      one pass of the model for all rows
//! admit_first(counts, …)        ─▶ [(id, token, log-probability)]      the same without a prompt
//! retire(id)                                streams with equal settings are adjacent and sampled together
//! ```
//!
//! Promises: a stream's tokens depend only on its prompt, settings and random seed, not on the other streams.
//! Not here: text, and when a stream should end ([`TextStream`](crate::TextStream)).

use std::collections::BTreeMap;
use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rondo_kernels::Buffer;
use rondo_nn::{Mode, NnError, State};

use crate::handle::PooledWorkspace;
use crate::logit_blocks::LogitBlocks;
use crate::memory::check_generation;
use crate::{InferError, ModelHandle, Result, Sampler, Sampling};

mod first;

/// The id of a stream in a [`Streams`]; unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(u64);

/// The token that a stream generated in a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamToken {
    /// The stream.
    pub stream: StreamId,
    /// The token.
    pub token: u32,
    /// The model's log-probability of the token (natural logarithm), regardless of the sampling settings. For a first
    /// token ([`Streams::admit_first`]), the logarithm of its frequency.
    pub log_prob: f64,
}

/// Texts generated in one batch, one token per stream and step.
///
/// ```
/// use rondo_infer::{ModelHandle, Sampling, Streams};
/// use rondo_kernels::Device;
/// use rondo_nn::{PRESETS, RnnLm};
///
/// let model = ModelHandle::new(RnnLm::new(PRESETS[0].config(10), &Device::cpu(1)?)?);
/// let mut streams = Streams::new(&model);
/// let cautious = Sampling { temperature: 0.5, forbidden: vec![0], ..Sampling::default() };
/// let first = streams.admit(&[3, 1, 4], &cautious, 7)?;
/// streams.step()?;
/// let second = streams.admit(&[2], &Sampling::default(), 8)?; // joins the first
/// let tokens = streams.step()?;
/// assert_eq!(tokens.len(), 2);
/// assert!(tokens.iter().all(|token| token.stream == second || token.token != 0));
/// streams.retire(first)?;
/// assert_eq!(streams.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Streams {
    handle: ModelHandle,
    workspace: PooledWorkspace,
    /// The settings in use.
    settings: Vec<Settings>,
    /// Streams with equal settings are adjacent.
    streams: Vec<Stream>,
    /// The state before reading `ids`, one row per stream.
    state: State,
    /// The last token of each stream, and the one before it.
    ids: Vec<u32>,
    before: Vec<u32>,
    next_id: u64,
    tokens: Vec<StreamToken>,
    /// The model's own distribution, where the sampler does not compute it.
    plain: LogitBlocks,
    /// The modified logits of one stream.
    adjusted: Buffer,
}

/// Settings shared by some streams.
#[derive(Debug)]
struct Settings {
    sampling: Sampling,
    sampler: Sampler,
}

#[derive(Debug)]
struct Stream {
    id: StreamId,
    /// The index of its settings in [`Streams::settings`].
    settings: usize,
    rng: ChaCha8Rng,
    /// The tokens of its prompt and those it has generated, if its settings need them.
    history: Option<History>,
}

/// The tokens that a stream has read or generated.
#[derive(Clone, Debug, Default)]
struct History {
    /// For each token of the prompt or the stream, how often it has been generated.
    generated: BTreeMap<u32, u32>,
}

impl Streams {
    /// No streams yet.
    pub fn new(model: &ModelHandle) -> Streams {
        let device = model.device();
        Streams {
            workspace: model.workspace(),
            settings: Vec::new(),
            streams: Vec::new(),
            state: model.model().zero_state(0),
            ids: Vec::new(),
            before: Vec::new(),
            next_id: 0,
            tokens: Vec::new(),
            plain: LogitBlocks::new(device),
            adjusted: Buffer::zeros(device, 0),
            handle: model.clone(),
        }
    }

    /// The number of running streams.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether no stream is running.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Adds a stream that continues `prompt`, which is read from a zero state; it takes part from the next
    /// step on.
    ///
    /// To generate a text from its beginning, use the line-end token as the prompt or at the start of the
    /// prompt, as [`TextCodec::prompt`](rondo_data::TextCodec::prompt) does.
    ///
    /// # Errors
    /// [`InferError::EmptyPrefix`] if the prompt is empty; [`InferError::IdOutOfRange`] if the prompt has a
    /// token outside the model's vocabulary; and as [`Sampler::new`].
    pub fn admit(&mut self, prompt: &[u32], sampling: &Sampling, seed: u64) -> Result<StreamId> {
        Ok(self.admit_many(prompt, 1, sampling, seed)?[0])
    }

    /// Adds `count` streams that continue the same prompt, which is read once. The first samples as if it
    /// were added alone; each of the others has its own random numbers.
    ///
    /// # Errors
    /// As [`Streams::admit`]; [`InferError::ZeroSize`] if `count` is 0; [`InferError::NotEnoughMemory`] if the
    /// streams do not fit in memory.
    pub fn admit_many(
        &mut self,
        prompt: &[u32],
        count: usize,
        sampling: &Sampling,
        seed: u64,
    ) -> Result<Vec<StreamId>> {
        self.admit_numbered(prompt, 0..count as u64, sampling, seed)
    }

    /// Adds the streams with these numbers among many that continue the same prompt or others: a stream's tokens depend
    /// on its number and the seed, not on when it is added. [`admit_many`](Self::admit_many) adds the first ones.
    ///
    /// # Errors
    /// As [`Streams::admit_many`].
    pub fn admit_numbered(
        &mut self,
        prompt: &[u32],
        numbers: Range<u64>,
        sampling: &Sampling,
        seed: u64,
    ) -> Result<Vec<StreamId>> {
        let count = numbers.end.saturating_sub(numbers.start) as usize;
        let rows = self.streams.len().saturating_add(count);
        check_generation(self.handle.model(), rows, "the number of samples")?;
        let settings = self.settings_of(sampling)?;
        let admitted = self.read_prompt(prompt, count);
        let (state, before, last) = match admitted {
            Ok(read) => read,
            Err(error) => {
                self.drop_unused_settings();
                return Err(error);
            }
        };
        let history = sampling.adjusts_logits().then(|| History::of_prompt(prompt));
        let rngs = numbers.map(|number| rng(seed, number)).collect();
        Ok(self.insert(settings, rngs, history, (&state, before, last)))
    }

    /// Adds a stream for each random number generator, all with the same settings and history. They continue what was
    /// read: the state before its last token, the token before that, and the last token.
    fn insert(
        &mut self,
        settings: usize,
        rngs: Vec<ChaCha8Rng>,
        history: Option<History>,
        (state, before, last): (&State, u32, u32),
    ) -> Vec<StreamId> {
        let count = rngs.len();
        // Insert next to streams with equal settings.
        let place = self.streams.iter().rposition(|stream| stream.settings == settings);
        let place = place.map_or(self.streams.len(), |before| before + 1);
        let streams = rngs.into_iter().zip(self.next_id..);
        let streams: Vec<Stream> = streams
            .map(|(rng, id)| Stream { id: StreamId(id), settings, rng, history: history.clone() })
            .collect();
        let ids = streams.iter().map(|stream| stream.id).collect();
        self.next_id += count as u64;

        let mut joined = self.state.like(self.handle.device(), self.streams.len() + count);
        for row in 0..self.streams.len() {
            joined.copy_row(if row < place { row } else { row + count }, &self.state, row);
        }
        for row in place..place + count {
            joined.copy_row(row, state, 0);
        }
        self.state = joined;
        self.streams.splice(place..place, streams);
        self.ids.splice(place..place, std::iter::repeat_n(last, count));
        self.before.splice(place..place, std::iter::repeat_n(before, count));
        ids
    }

    /// Removes a stream.
    ///
    /// # Errors
    /// [`InferError::NoStream`] if it is not running.
    pub fn retire(&mut self, id: StreamId) -> Result<()> {
        let found = self.streams.iter().position(|stream| stream.id == id);
        let Some(place) = found else { return Err(InferError::NoStream { id: id.0 }) };
        self.streams.remove(place);
        self.ids.remove(place);
        self.before.remove(place);
        let rows: Vec<usize> = (0..=self.streams.len()).filter(|&row| row != place).collect();
        self.state = self.state.select(self.handle.device(), &rows);
        self.drop_unused_settings();
        Ok(())
    }

    /// Samples the next token of each stream. The order is that of the batch, which changes as streams are
    /// added and removed.
    ///
    /// # Errors
    /// [`InferError::NonFiniteLogits`] if the logits are not finite; the streams cannot be used afterwards.
    pub fn step(&mut self) -> Result<&[StreamToken]> {
        self.step_with(|_, _| {})
    }

    /// [`step`](Self::step), and shows `visit` each token with the model's own logits, which it was sampled from with the
    /// settings of its stream: `[V]`.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn step_with(&mut self, mut visit: impl FnMut(StreamToken, &[f32])) -> Result<&[StreamToken]> {
        self.tokens.clear();
        if self.streams.is_empty() {
            return Ok(&self.tokens);
        }
        let model = self.handle.model();
        let vocab_size = model.vocab_size();
        let mut tape = self.workspace.tape(model.parameters(), Mode::Evaluate);
        self.handle.set_resets(&mut tape, &self.ids, &self.before);
        self.before.copy_from_slice(&self.ids);
        let hidden = model.forward(&mut tape, &self.ids, &mut self.state);
        let logits = model.logits(&mut tape, hidden);
        let on_host = tape.read(logits)?;
        let logits = tape.values(logits);
        let mut first = 0;
        while first < self.streams.len() {
            let settings = self.streams[first].settings;
            let Settings { sampling, sampler } = &mut self.settings[settings];
            // Rows with modified logits are sampled one by one.
            let same = self.streams[first..].iter().take_while(|stream| stream.settings == settings);
            let rows = first..first + if sampling.adjusts_logits() { 1 } else { same.count() };
            let own = logits.range(rows.start * vocab_size..rows.end * vocab_size);
            let (streams, ids) = (&mut self.streams[rows.clone()], &mut self.ids[rows.clone()]);
            let mut drawn_from = own;
            if let Some(history) = &streams[0].history {
                let mut row = on_host[rows.start * vocab_size..rows.end * vocab_size].to_vec();
                history.adjust(sampling, &mut row);
                if self.adjusted.len() != vocab_size {
                    self.adjusted = Buffer::zeros(self.handle.device(), vocab_size);
                }
                self.adjusted.write_from(&row).map_err(NnError::from)?;
                drawn_from = self.adjusted.slice();
            }
            sampler.look(drawn_from, streams.len())?;
            // Picking overwrites the block sums.
            let plain = if sampler.weighs_plainly() && streams[0].history.is_none() {
                sampler.blocks()
            } else {
                self.plain.look(vocab_size, own, None, Some(1.0));
                &self.plain
            };
            let log_sums: Vec<f64> = plain.read()?.rows().map(|row| row.log_sum()).collect();
            sampler.pick(drawn_from, &mut |row| streams[row].rng.random(), ids)?;
            for (row, (stream, &token)) in streams.iter_mut().zip(&*ids).enumerate() {
                let logits = &on_host[(rows.start + row) * vocab_size..][..vocab_size];
                let log_prob = f64::from(logits[token as usize]) - log_sums[row];
                let token = StreamToken { stream: stream.id, token, log_prob };
                visit(token, logits);
                self.tokens.push(token);
                if let Some(history) = &mut stream.history {
                    *history.generated.entry(token.token).or_default() += 1;
                }
            }
            first = rows.end;
        }
        Ok(&self.tokens)
    }

    /// The state before the last token of a prompt, the token before it, and that token.
    fn read_prompt(&mut self, prompt: &[u32], count: usize) -> Result<(State, u32, u32)> {
        self.handle.check_ids(prompt)?;
        let Some((&last, before)) = prompt.split_last() else {
            return Err(InferError::EmptyPrefix);
        };
        if count == 0 {
            return Err(InferError::ZeroSize { name: "streams" });
        }
        let mut state = self.handle.model().zero_state(1);
        let before = self.handle.read_text(&mut self.workspace, before, &mut state);
        Ok((state, before, last))
    }

    /// The index of equal settings, which are added if there are none.
    fn settings_of(&mut self, sampling: &Sampling) -> Result<usize> {
        if let Some(place) = self.settings.iter().position(|settings| settings.sampling == *sampling) {
            return Ok(place);
        }
        let sampler = Sampler::new(sampling, self.handle.model().vocab_size(), self.handle.device())?;
        self.settings.push(Settings { sampling: sampling.clone(), sampler });
        Ok(self.settings.len() - 1)
    }

    fn drop_unused_settings(&mut self) {
        for place in (0..self.settings.len()).rev() {
            if !self.streams.iter().any(|stream| stream.settings == place) {
                self.settings.remove(place);
                for stream in self.streams.iter_mut().filter(|stream| stream.settings > place) {
                    stream.settings -= 1;
                }
            }
        }
    }
}

/// The random numbers of the stream with this number.
fn rng(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

/// Clamps a modified logit to finite values, so that extreme settings of one stream cannot stop the others.
fn bounded(logit: f32) -> f32 {
    logit.clamp(f32::MIN, f32::MAX)
}

impl History {
    fn of_prompt(prompt: &[u32]) -> History {
        History { generated: prompt.iter().map(|&id| (id, 0)).collect() }
    }

    /// Applies the penalties and the bias to the logits.
    fn adjust(&self, sampling: &Sampling, logits: &mut [f32]) {
        for (&id, &count) in &self.generated {
            let logit = &mut logits[id as usize];
            let penalty = sampling.repetition_penalty;
            *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            if count > 0 {
                *logit -= sampling.presence_penalty + sampling.frequency_penalty * count as f32;
            }
            *logit = bounded(*logit);
        }
        for &(id, bias) in &sampling.logit_bias {
            let logit = &mut logits[id as usize];
            *logit = bounded(*logit + bias);
        }
    }
}
