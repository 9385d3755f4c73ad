//! Many texts generated side by side: streams join, leave, and have settings of their own.
//!
//! ```text
//! admit(prompt, sampling, seed) ─▶ id      one row of the batch for each stream
//! step()                        ─▶ [(id, token, log-probability)]      one pass of the model for all rows
//! retire(id)                                streams with equal settings stand side by side and are drawn together
//! ```
//!
//! Promises: a stream's tokens depend on its prompt, settings and seed alone, not on the streams beside it.
//! Not here: text, and when a stream should end ([`TextStream`](crate::TextStream)).

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rondo_kernels::Buffer;
use rondo_nn::{Mode, NnError, State};

use crate::handle::PooledWorkspace;
use crate::logit_blocks::LogitBlocks;
use crate::{InferError, ModelHandle, Result, Sampler, Sampling};

/// A stream of a [`Streams`]; no two have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(u64);

/// What a stream has been given in a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamToken {
    /// The stream.
    pub stream: StreamId,
    /// The token.
    pub token: u32,
    /// The natural logarithm of the probability that the model gives it, whatever it was drawn by.
    pub log_prob: f64,
}

/// Texts that are generated side by side, a token of each in a step.
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
    /// Those of equal settings stand side by side.
    streams: Vec<Stream>,
    /// The state before `ids`, a row for each stream.
    state: State,
    /// The last token of each stream.
    ids: Vec<u32>,
    next_id: u64,
    tokens: Vec<StreamToken>,
    /// The model's own distribution, where the sampler does not look at it.
    plain: LogitBlocks,
    /// The logits of one stream, changed.
    adjusted: Buffer,
}

/// Settings that some streams have in common.
#[derive(Debug)]
struct Settings {
    sampling: Sampling,
    sampler: Sampler,
}

#[derive(Debug)]
struct Stream {
    id: StreamId,
    /// Its place in [`Streams::settings`].
    settings: usize,
    rng: ChaCha8Rng,
    /// What it has read and generated, where its settings ask for that.
    history: Option<History>,
}

/// The tokens that a stream has met.
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
            next_id: 0,
            tokens: Vec::new(),
            plain: LogitBlocks::new(device),
            adjusted: Buffer::zeros(device, 0),
            handle: model.clone(),
        }
    }

    /// How many streams are running.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether none is running.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Admits a stream that continues `prompt`, which is read from a zero state; it takes part from the next step on.
    ///
    /// A text that begins anew is best asked for with the token that ends lines as prompt, or at the prompt's
    /// beginning, as [`TextCodec::prompt`](rondo_data::TextCodec::prompt) does.
    ///
    /// # Errors
    /// [`InferError::EmptyPrefix`], as there is nothing to continue then; [`InferError::IdOutOfRange`] if the prompt
    /// has a token that is not the model's; and as [`Sampler::new`].
    pub fn admit(&mut self, prompt: &[u32], sampling: &Sampling, seed: u64) -> Result<StreamId> {
        Ok(self.admit_many(prompt, 1, sampling, seed)?[0])
    }

    /// Admits `count` streams that continue the same prompt, which is read once. The first draws as one admitted alone
    /// would, each of the others from random numbers of its own.
    ///
    /// # Errors
    /// As [`Streams::admit`], and [`InferError::ZeroSize`] for no streams.
    pub fn admit_many(
        &mut self,
        prompt: &[u32],
        count: usize,
        sampling: &Sampling,
        seed: u64,
    ) -> Result<Vec<StreamId>> {
        let settings = self.settings_of(sampling)?;
        let admitted = self.read_prompt(prompt, count);
        let (state, last) = match admitted {
            Ok(read) => read,
            Err(error) => {
                self.drop_unused_settings();
                return Err(error);
            }
        };
        let adjusts = sampling.adjusts_logits();
        let history = || History { generated: prompt.iter().map(|&id| (id, 0)).collect() };
        // Next to those of equal settings.
        let place = self.streams.iter().rposition(|stream| stream.settings == settings);
        let place = place.map_or(self.streams.len(), |before| before + 1);
        let streams = (0..count as u64).map(|number| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(number);
            let id = StreamId(self.next_id + number);
            Stream { id, settings, rng, history: adjusts.then(history) }
        });
        let streams: Vec<Stream> = streams.collect();
        let ids = streams.iter().map(|stream| stream.id).collect();
        self.next_id += count as u64;

        let mut joined = self.state.like(self.handle.device(), self.streams.len() + count);
        for row in 0..self.streams.len() {
            joined.copy_row(if row < place { row } else { row + count }, &self.state, row);
        }
        for row in place..place + count {
            joined.copy_row(row, &state, 0);
        }
        self.state = joined;
        self.streams.splice(place..place, streams);
        self.ids.splice(place..place, std::iter::repeat_n(last, count));
        Ok(ids)
    }

    /// Ends a stream.
    ///
    /// # Errors
    /// [`InferError::NoStream`] if it is not running.
    pub fn retire(&mut self, id: StreamId) -> Result<()> {
        let found = self.streams.iter().position(|stream| stream.id == id);
        let Some(place) = found else { return Err(InferError::NoStream { id: id.0 }) };
        self.streams.remove(place);
        self.ids.remove(place);
        let rows: Vec<usize> = (0..=self.streams.len()).filter(|&row| row != place).collect();
        self.state = self.state.select(self.handle.device(), &rows);
        self.drop_unused_settings();
        Ok(())
    }

    /// Draws the next token of each stream. The order is that of the batch, which changes as streams come and go.
    ///
    /// # Errors
    /// [`InferError::NonFiniteLogits`] if the model predicts no distribution; the streams are of no use then.
    pub fn step(&mut self) -> Result<&[StreamToken]> {
        self.tokens.clear();
        if self.streams.is_empty() {
            return Ok(&self.tokens);
        }
        let model = self.handle.model();
        let vocab_size = model.vocab_size();
        let mut tape = self.workspace.tape(model.parameters(), Mode::Evaluate);
        let hidden = model.forward(&mut tape, &self.ids, &mut self.state);
        let logits = model.logits(&mut tape, hidden);
        let on_host = tape.read(logits)?;
        let logits = tape.values(logits);
        let mut first = 0;
        while first < self.streams.len() {
            let settings = self.streams[first].settings;
            let Settings { sampling, sampler } = &mut self.settings[settings];
            // Rows whose logits are changed are drawn one by one.
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
            // What the blocks weigh is lost in picking.
            let plain = if sampler.weighs_plainly() && streams[0].history.is_none() {
                sampler.blocks()
            } else {
                self.plain.look(vocab_size, own, None, Some(1.0));
                &self.plain
            };
            let log_sums: Vec<f64> = plain.read()?.rows().map(|row| row.log_sum()).collect();
            sampler.pick(drawn_from, &mut |row| streams[row].rng.random(), ids)?;
            for (row, (stream, &token)) in streams.iter_mut().zip(&*ids).enumerate() {
                let logit = on_host[(rows.start + row) * vocab_size + token as usize];
                let log_prob = f64::from(logit) - log_sums[row];
                self.tokens.push(StreamToken { stream: stream.id, token, log_prob });
                if let Some(history) = &mut stream.history {
                    *history.generated.entry(token).or_default() += 1;
                }
            }
            first = rows.end;
        }
        Ok(&self.tokens)
    }

    /// The state before the last token of a prompt, and that token.
    fn read_prompt(&mut self, prompt: &[u32], count: usize) -> Result<(State, u32)> {
        self.handle.check_ids(prompt)?;
        let Some((&last, before)) = prompt.split_last() else {
            return Err(InferError::EmptyPrefix);
        };
        if count == 0 {
            return Err(InferError::ZeroSize { name: "streams" });
        }
        let mut state = self.handle.model().zero_state(1);
        self.handle.read_on(&mut self.workspace, before, &mut state);
        Ok((state, last))
    }

    /// The place of equal settings, which are added if there are none.
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

/// A logit that settings have changed: monstrous ones leave it finite, so that no stream can stop those beside it.
fn bounded(logit: f32) -> f32 {
    logit.clamp(f32::MIN, f32::MAX)
}

impl History {
    /// Changes logits as the settings say.
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
