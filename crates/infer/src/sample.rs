//! Samples tokens from a model's logits.
//!
//! ```text
//! logits ─ remove forbidden ─ ÷ temperature ─ top-k ─ softmax ─ top-p ─ min-p ─ renormalize ─ draw
//! ```
//!
//! Every step that reads the whole vocabulary is an operation of `rondo-kernels`, run for all rows at once.
//! When only the most likely tokens are sampled from, only those blocks of the vocabulary that can contain
//! one are searched.
//!
//! Promises: a sample depends only on the logits, the settings, the random number and the processor's
//! instruction set, not on the number of threads or on other rows; among equal logits, the smaller id counts
//! as the larger logit.
//! Not here: computing logits, and penalties for tokens that have occurred before
//! ([`Streams`](crate::Streams)).

use std::cmp::Ordering;

use rand::{Rng, RngExt};
use rondo_kernels::sample::BLOCK;
use rondo_kernels::{Buffer, Device, Slice};
use rondo_nn::NnError;

use crate::distribution::Best;
use crate::logit_blocks::{LogitBlocks, RowBlocks};
use crate::{InferError, Result};

/// How tokens are sampled.
///
/// The penalties and the bias change the logit of a token first:
///
/// ```text
/// logit = penalized(logit) − presence_penalty · [n > 0] − frequency_penalty · n + bias
///                            n: how often the stream has generated the token
/// penalized(logit)         = logit / repetition_penalty if logit > 0, else logit · repetition_penalty,
///                            for tokens in the prompt or the stream
/// ```
/// *Source*: repetition penalty, Keskar et al. 2019 (CTRL); presence and frequency penalties, OpenAI's
/// completions API.
/// *Source*: repetition penalty, Keskar et al. 2019 (CTRL); presence and frequency penalties, OpenAI's completions API.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits: below 1 the distribution becomes sharper, above 1 flatter. 0 is greedy decoding:
    /// the most likely token is always taken.
    pub temperature: f32,
    /// Top-k: sample only from this many of the most likely tokens; `None` is off.
    pub top_k: Option<usize>,
    /// Top-p: sample only from the smallest set of most likely tokens whose total probability, after
    /// temperature and `top_k`, reaches this value; `None` or 1 is off. *Source*: nucleus sampling, Holtzman
    /// et al. 2020.
    pub top_p: Option<f32>,
    /// Min-p: sample only from tokens whose probability, after temperature, is at least this fraction of the
    /// most likely token's; `None` or 0 is off. *Source*: Nguyen et al. 2024.
    pub min_p: Option<f32>,
    /// Above 1, tokens in the prompt or the stream become less likely; 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted from the logit of each token that the stream has generated; 0 is off.
    pub presence_penalty: f32,
    /// Subtracted from the logit of each token once per time the stream has generated it; 0 is off.
    pub frequency_penalty: f32,
    /// Added to the logits of these tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// Tokens that are never sampled.
    pub forbidden: Vec<u32>,
}

impl Default for Sampling {
    /// The model's own distribution.
    fn default() -> Self {
        Sampling {
            temperature: 1.0,
            top_k: None,
            top_p: None,
            min_p: None,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            forbidden: Vec::new(),
        }
    }
}

impl Sampling {
    /// Whether logits are changed before sampling.
    pub(crate) fn adjusts_logits(&self) -> bool {
        self.repetition_penalty != 1.0
            || self.presence_penalty != 0.0
            || self.frequency_penalty != 0.0
            || !self.logit_bias.is_empty()
    }

    /// Checks that every setting is in range, for a vocabulary of `vocab_size` tokens.
    fn check(&self, vocab_size: usize) -> Result<()> {
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(InferError::Temperature { found: self.temperature });
        }
        if self.top_k == Some(0) {
            return Err(InferError::ZeroSize { name: "top_k" });
        }
        if let Some(found) = self.top_p.filter(|&p| !(p > 0.0 && p <= 1.0)) {
            return Err(InferError::TopP { found });
        }
        if let Some(found) = self.min_p.filter(|p| !(0.0..=1.0).contains(p)) {
            return Err(InferError::MinP { found });
        }
        let found = self.repetition_penalty;
        if !(found > 0.0 && found.is_finite()) {
            return Err(InferError::RepetitionPenalty { found });
        }
        for (name, found) in
            [("presence_penalty", self.presence_penalty), ("frequency_penalty", self.frequency_penalty)]
        {
            if !found.is_finite() {
                return Err(InferError::NotFinite { name, found });
            }
        }
        if let Some(&(_, found)) = self.logit_bias.iter().find(|(_, bias)| !bias.is_finite()) {
            return Err(InferError::NotFinite { name: "logit_bias", found });
        }
        let biased = self.logit_bias.iter().map(|&(id, _)| id);
        match self.forbidden.iter().copied().chain(biased).find(|&id| id as usize >= vocab_size) {
            Some(id) => Err(InferError::IdOutOfRange { id, vocab_size }),
            None => Ok(()),
        }
    }
}

/// Samples tokens; owns the memory needed to sample from a whole vocabulary.
#[derive(Debug)]
pub struct Sampler {
    device: Device,
    vocab_size: usize,
    temperature: f32,
    top_k: Option<usize>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    /// ∞ for each token that is allowed, −∞ for the others; `None` if all are allowed.
    caps: Option<Buffer>,
    blocks: LogitBlocks,
    /// The random number and the token of each row.
    points: Vec<f64>,
    ids: Buffer<u32>,
}

/// One of the most likely tokens.
#[derive(Clone, Copy)]
struct Likely {
    id: u32,
    logit: f32,
}

/// A token to sample from.
#[derive(Clone, Copy)]
struct Candidate {
    id: u32,
    /// Its probability up to a common factor.
    weight: f64,
}

impl Sampler {
    /// A sampler over a vocabulary of `vocab_size` tokens, for logits on `device`.
    ///
    /// # Errors
    /// [`InferError::Temperature`], [`InferError::TopP`], [`InferError::MinP`],
    /// [`InferError::RepetitionPenalty`], [`InferError::NotFinite`] or [`InferError::ZeroSize`] if a setting
    /// is out of range, [`InferError::IdOutOfRange`] for a token outside the vocabulary,
    /// [`InferError::AllForbidden`] if every token is forbidden.
    pub fn new(sampling: &Sampling, vocab_size: usize, device: &Device) -> Result<Self> {
        sampling.check(vocab_size)?;
        let mut caps = vec![f32::INFINITY; vocab_size];
        for &id in &sampling.forbidden {
            caps[id as usize] = f32::NEG_INFINITY;
        }
        if !caps.contains(&f32::INFINITY) {
            return Err(InferError::AllForbidden { vocab_size });
        }
        let caps = match sampling.forbidden.is_empty() {
            true => None,
            false => Some(Buffer::from_slice(device, &caps).map_err(NnError::from)?),
        };
        Ok(Sampler {
            device: device.clone(),
            vocab_size,
            temperature: sampling.temperature,
            // A top-k that keeps all tokens is the same as none.
            top_k: sampling.top_k.filter(|&top_k| top_k < vocab_size),
            top_p: sampling.top_p.filter(|&top_p| top_p < 1.0),
            min_p: sampling.min_p.filter(|&min_p| min_p > 0.0),
            caps,
            blocks: LogitBlocks::new(device),
            points: Vec::new(),
            ids: Buffer::zeros(device, 0),
        })
    }

    /// Samples a token from `logits: [V]`.
    ///
    /// # Panics
    /// If the number of logits is not the vocabulary size.
    ///
    /// # Errors
    /// [`InferError::NonFiniteLogits`] if the logit of a token that is not forbidden is NaN or +∞, or all of
    /// them are −∞.
    pub fn draw(&mut self, logits: Slice<'_>, rng: &mut impl Rng) -> Result<u32> {
        let mut id = [0];
        self.draw_rows(logits, &mut |_| rng.random(), &mut id)?;
        Ok(id[0])
    }

    /// Samples a token from each row of `logits: [R, V]` into `ids: [R]`; `point` returns a row's random
    /// number in `[0, 1)` and is called at most once per row, in order.
    ///
    /// # Panics
    /// If the number of logits is not the number of ids times the vocabulary size.
    ///
    /// # Errors
    /// As [`Sampler::draw`], for any row; the ids are undefined then.
    pub fn draw_rows(
        &mut self,
        logits: Slice<'_>,
        point: &mut dyn FnMut(usize) -> f64,
        ids: &mut [u32],
    ) -> Result<()> {
        self.look(logits, ids.len())?;
        self.pick(logits, point, ids)
    }

    /// Whether [`look`](Self::look) computes the sums of the model's own, unmodified distribution.
    pub(crate) fn weighs_plainly(&self) -> bool {
        self.temperature == 1.0 && self.weighed_at().is_some() && self.caps.is_none()
    }

    /// The result of [`look`](Self::look).
    pub(crate) fn blocks(&self) -> &LogitBlocks {
        &self.blocks
    }

    /// Computes the block statistics of `rows` rows of logits.
    pub(crate) fn look(&mut self, logits: Slice<'_>, rows: usize) -> Result<()> {
        assert_eq!(logits.len(), rows * self.vocab_size, "number of logits");
        self.blocks.look(self.vocab_size, logits, self.caps.as_ref(), self.weighed_at());
        let is_distribution = self.blocks.read()?.rows().all(|blocks| blocks.largest().is_finite());
        if is_distribution { Ok(()) } else { Err(InferError::NonFiniteLogits) }
    }

    /// Samples a token from each row that [`look`](Self::look) has processed.
    pub(crate) fn pick(
        &mut self,
        logits: Slice<'_>,
        point: &mut dyn FnMut(usize) -> f64,
        ids: &mut [u32],
    ) -> Result<()> {
        match self.weighed_at() {
            Some(temperature) if self.top_p.is_none() && self.min_p.is_none() => {
                self.pick_from_all(logits, temperature, point, ids)
            }
            _ => {
                let logits = logits.read().map_err(NnError::from)?;
                let caps = self.caps.as_ref().map(Buffer::read).transpose().map_err(NnError::from)?;
                let blocks = self.blocks.read()?;
                let rows = logits.chunks_exact(self.vocab_size).zip(blocks.rows());
                for (index, ((logits, blocks), id)) in rows.zip(ids).enumerate() {
                    let row = self.row(logits, caps.as_deref(), blocks);
                    *id = self.pick_from_likeliest(row, &mut || point(index));
                }
                Ok(())
            }
        }
    }

    /// The temperature for the block sums; `None` where they are not needed: greedy decoding, or top-k.
    fn weighed_at(&self) -> Option<f32> {
        (self.temperature > 0.0 && self.top_k.is_none()).then_some(self.temperature)
    }

    fn pick_from_all(
        &mut self,
        logits: Slice<'_>,
        temperature: f32,
        point: &mut dyn FnMut(usize) -> f64,
        ids: &mut [u32],
    ) -> Result<()> {
        if self.ids.len() != ids.len() {
            self.ids = Buffer::zeros(&self.device, ids.len());
        }
        self.points.clear();
        self.points.extend((0..ids.len()).map(point));
        self.blocks.pick(logits, self.caps.as_ref(), temperature, &self.points, &mut self.ids);
        Ok(self.ids.slice().read_into(ids).map_err(NnError::from)?)
    }

    fn row<'a>(&self, logits: &'a [f32], caps: Option<&'a [f32]>, blocks: RowBlocks<'a>) -> Row<'a> {
        Row { temperature: f64::from(self.temperature), logits, caps, largest: blocks.largest(), blocks }
    }

    fn pick_from_likeliest(&self, row: Row<'_>, point: &mut dyn FnMut() -> f64) -> u32 {
        if self.temperature == 0.0 {
            return row.most_likely(1)[0].id;
        }
        let mut candidates = match (self.top_k, self.top_p) {
            (Some(top_k), None) => row.weighed(top_k),
            (Some(top_k), Some(top_p)) => {
                let mut candidates = row.weighed(top_k);
                let wanted = f64::from(top_p) * weight_sum(&candidates);
                candidates.truncate(nucleus_len(&candidates, wanted).unwrap_or(top_k));
                candidates
            }
            (None, Some(top_p)) => row.nucleus(f64::from(top_p) * row.blocks.weight_sum(row.temperature)),
            (None, None) => row.at_least(f64::from(self.min_p.unwrap_or(0.0))),
        };
        if let Some(min_p) = self.min_p {
            // The most likely token has weight 1.
            candidates.retain(|candidate| candidate.weight >= f64::from(min_p));
        }
        let mut left = point() * weight_sum(&candidates);
        for candidate in &candidates {
            if left < candidate.weight {
                return candidate.id;
            }
            left -= candidate.weight;
        }
        // Rounding can leave the random point just past the last candidate.
        candidates[0].id
    }
}

/// A row of logits with its block statistics; the largest logit is finite.
#[derive(Clone, Copy)]
struct Row<'a> {
    temperature: f64,
    logits: &'a [f32],
    caps: Option<&'a [f32]>,
    largest: f32,
    blocks: RowBlocks<'a>,
}

impl Row<'_> {
    /// The `count` most likely tokens, most likely first: fewer if no more have a nonzero probability, but at
    /// least one.
    fn most_likely(self, count: usize) -> Vec<Likely> {
        let mut best = Best::new(count, by_falling_logit);
        for ((block, logits), &max) in self.logits.chunks(BLOCK).enumerate().zip(self.blocks.maxima) {
            let start = block * BLOCK;
            // No token of the block beats its first id with the block's largest logit.
            if best.refuses(&Likely { id: start as u32, logit: max }) {
                continue;
            }
            for (id, &logit) in (start..).zip(logits) {
                if logit > f32::NEG_INFINITY && self.caps.is_none_or(|caps| logit < caps[id]) {
                    best.offer(Likely { id: id as u32, logit });
                }
            }
        }
        best.into_sorted()
    }

    /// The same with their weights.
    fn weighed(self, count: usize) -> Vec<Candidate> {
        let weighed = |&Likely { id, logit }: &Likely| Candidate { id, weight: self.weight(logit) };
        self.most_likely(count).iter().map(weighed).collect()
    }

    /// The smallest set of most likely tokens whose weight reaches `wanted`, or all tokens.
    fn nucleus(self, wanted: f64) -> Vec<Candidate> {
        // The nucleus is usually small: sorting a few candidates at a time is far cheaper than sorting a
        // whole vocabulary.
        const FIRST_COUNT: usize = 64;
        let mut count = FIRST_COUNT;
        loop {
            let mut candidates = self.weighed(count);
            if let Some(len) = nucleus_len(&candidates, wanted) {
                candidates.truncate(len);
                return candidates;
            }
            if candidates.len() < count {
                return candidates;
            }
            count *= 4;
        }
    }

    /// All tokens with at least this weight, most likely first.
    fn at_least(self, weight: f64) -> Vec<Candidate> {
        let mut count = 64;
        loop {
            let candidates = self.weighed(count);
            if candidates.len() < count || candidates.last().is_some_and(|last| last.weight < weight) {
                return candidates;
            }
            count *= 4;
        }
    }

    fn weight(self, logit: f32) -> f64 {
        ((f64::from(logit) - f64::from(self.largest)) / self.temperature).exp()
    }
}

/// Most likely first. No logit is NaN here.
fn by_falling_logit(a: &Likely, b: &Likely) -> Ordering {
    b.logit.partial_cmp(&a.logit).unwrap_or(Ordering::Equal).then(a.id.cmp(&b.id))
}

fn weight_sum(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|candidate| candidate.weight).sum()
}

/// How many of the first candidates together have the weight `wanted`; `None` if all of them have less.
fn nucleus_len(candidates: &[Candidate], wanted: f64) -> Option<usize> {
    let mut sum = 0.0;
    let reached = candidates.iter().position(|candidate| {
        sum += candidate.weight;
        sum >= wanted
    });
    reached.map(|last| last + 1)
}
