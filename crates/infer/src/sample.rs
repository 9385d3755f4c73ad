//! Draws a token from a model's logits.
//!
//! ```text
//! logits ─ forbidden out ─ ÷ temperature ─ top-k ─ softmax ─ top-p ─ softmax again ─ draw
//! ```
//!
//! All that looks at a whole vocabulary is an operation of `kernels`, for all rows at once. Where only the likeliest
//! tokens are drawn from, they are looked for in those blocks of the vocabulary that can have one.
//!
//! Promises: a draw is a function of logits, settings, the random numbers and the processor's instruction set alone, not
//! of its threads or of the rows beside it; where logits are equal, the smaller id counts as the larger logit.
//! Not here: where logits come from (`generate`).

use std::cmp::Ordering;

use rand::{Rng, RngExt};
use rondo_kernels::draw::BLOCK;
use rondo_kernels::{Buffer, Device, Slice};
use rondo_nn::NnError;

use crate::blocks::{LogitBlocks, RowBlocks};
use crate::distribution::Best;
use crate::{InferError, Result};

/// How tokens are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it: below 1 likely tokens become likelier, above 1 all become alike. At 0 the likeliest
    /// token is taken, without chance.
    pub temperature: f32,
    /// Only this many of the likeliest tokens are drawn from; none is off.
    pub top_k: Option<usize>,
    /// Only the smallest set of likeliest tokens that has this much probability, at temperature and after `top_k`,
    /// is drawn from; none or 1 is off. *Source*: nucleus sampling, Holtzman et al. 2020.
    pub top_p: Option<f32>,
    /// Tokens that are never drawn.
    pub forbidden: Vec<u32>,
}

impl Default for Sampling {
    /// The model's own distribution.
    fn default() -> Self {
        Sampling { temperature: 1.0, top_k: None, top_p: None, forbidden: Vec::new() }
    }
}

/// Draws tokens; it keeps the memory that drawing from a whole vocabulary needs.
#[derive(Debug)]
pub struct Sampler {
    device: Device,
    vocab_size: usize,
    temperature: f32,
    top_k: Option<usize>,
    top_p: Option<f32>,
    /// ∞ for each token that may be drawn, −∞ for the others; none if all may.
    caps: Option<Buffer>,
    blocks: LogitBlocks,
    /// A random number and the token of each row.
    points: Vec<f64>,
    ids: Buffer<u32>,
}

/// One of the likeliest tokens.
#[derive(Clone, Copy)]
struct Likely {
    id: u32,
    logit: f32,
}

/// A token that is drawn from.
#[derive(Clone, Copy)]
struct Candidate {
    id: u32,
    /// Its probability times some factor that is the same for all.
    weight: f64,
}

impl Sampler {
    /// A sampler over a vocabulary of `vocab_size` tokens, for logits on `device`.
    ///
    /// # Errors
    /// [`InferError::Temperature`], [`InferError::TopP`] or [`InferError::ZeroSize`] if a setting is out of its
    /// range, [`InferError::IdOutOfRange`] for a forbidden token that does not exist, [`InferError::AllForbidden`] if
    /// no token is left.
    pub fn new(sampling: &Sampling, vocab_size: usize, device: &Device) -> Result<Self> {
        let Sampling { temperature, top_k, top_p, ref forbidden } = *sampling;
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return Err(InferError::Temperature { found: temperature });
        }
        if top_k == Some(0) {
            return Err(InferError::ZeroSize { name: "top_k" });
        }
        if let Some(found) = top_p.filter(|&p| !(p > 0.0 && p <= 1.0)) {
            return Err(InferError::TopP { found });
        }
        let mut caps = vec![f32::INFINITY; vocab_size];
        for &id in forbidden {
            match caps.get_mut(id as usize) {
                Some(cap) => *cap = f32::NEG_INFINITY,
                None => return Err(InferError::IdOutOfRange { id, vocab_size }),
            }
        }
        if !caps.contains(&f32::INFINITY) {
            return Err(InferError::AllForbidden { vocab_size });
        }
        let caps = match forbidden.is_empty() {
            true => None,
            false => Some(Buffer::from_slice(device, &caps).map_err(NnError::from)?),
        };
        Ok(Sampler {
            device: device.clone(),
            vocab_size,
            temperature,
            // What leaves all tokens is the same as none.
            top_k: top_k.filter(|&top_k| top_k < vocab_size),
            top_p: top_p.filter(|&top_p| top_p < 1.0),
            caps,
            blocks: LogitBlocks::new(device),
            points: Vec::new(),
            ids: Buffer::zeros(device, 0),
        })
    }

    /// Draws a token from `logits: [V]`.
    ///
    /// # Panics
    /// If there are not as many logits as the vocabulary has tokens.
    ///
    /// # Errors
    /// [`InferError::NonFiniteLogits`] if the logit of a token that is not forbidden is NaN or +∞, or all of them are
    /// −∞.
    pub fn draw(&mut self, logits: Slice<'_>, rng: &mut impl Rng) -> Result<u32> {
        let mut id = [0];
        self.draw_rows(logits, std::slice::from_mut(rng), &mut id)?;
        Ok(id[0])
    }

    /// Draws a token from each row of `logits: [R, V]`, with the row's own random numbers, into `ids: [R]`.
    ///
    /// # Panics
    /// If there are not as many logits as there are rows times tokens, or not as many ids as rows.
    ///
    /// # Errors
    /// As [`Sampler::draw`], if so for any row; the ids are of no meaning then.
    pub fn draw_rows(&mut self, logits: Slice<'_>, rngs: &mut [impl Rng], ids: &mut [u32]) -> Result<()> {
        assert_eq!(logits.len(), rngs.len() * self.vocab_size, "number of logits");
        assert_eq!(ids.len(), rngs.len(), "number of ids");
        // At temperature 0 nothing is weighed, and after top-k only few tokens are.
        let weighed_at = (self.temperature > 0.0 && self.top_k.is_none()).then_some(self.temperature);
        self.blocks.look(self.vocab_size, logits, self.caps.as_ref(), weighed_at);
        let blocks = self.blocks.read()?;
        if !blocks.rows().all(|blocks| blocks.largest().is_finite()) {
            return Err(InferError::NonFiniteLogits);
        }
        match weighed_at {
            Some(temperature) if self.top_p.is_none() => self.draw_from_all(logits, temperature, rngs, ids),
            _ => {
                let logits = logits.read().map_err(NnError::from)?;
                let caps = self.caps.as_ref().map(Buffer::read).transpose().map_err(NnError::from)?;
                let rows = logits.chunks_exact(self.vocab_size).zip(blocks.rows());
                for ((logits, blocks), (rng, id)) in rows.zip(rngs.iter_mut().zip(ids)) {
                    *id = self.draw_from_likeliest(self.row(logits, caps.as_deref(), blocks), rng);
                }
                Ok(())
            }
        }
    }

    fn draw_from_all(
        &mut self,
        logits: Slice<'_>,
        temperature: f32,
        rngs: &mut [impl Rng],
        ids: &mut [u32],
    ) -> Result<()> {
        if self.ids.len() != ids.len() {
            self.ids = Buffer::zeros(&self.device, ids.len());
        }
        self.points.clear();
        self.points.extend(rngs.iter_mut().map(|rng| rng.random::<f64>()));
        self.blocks.pick(logits, self.caps.as_ref(), temperature, &self.points, &mut self.ids);
        Ok(self.ids.slice().read_into(ids).map_err(NnError::from)?)
    }

    fn row<'a>(&self, logits: &'a [f32], caps: Option<&'a [f32]>, blocks: RowBlocks<'a>) -> Row<'a> {
        Row { temperature: f64::from(self.temperature), logits, caps, largest: blocks.largest(), blocks }
    }

    fn draw_from_likeliest(&self, row: Row<'_>, rng: &mut impl Rng) -> u32 {
        if self.temperature == 0.0 {
            return row.likeliest(1)[0].id;
        }
        let candidates = match (self.top_k, self.top_p) {
            (Some(top_k), None) => row.weighed(top_k),
            (Some(top_k), Some(top_p)) => {
                let mut candidates = row.weighed(top_k);
                let wanted = f64::from(top_p) * weight_sum(&candidates);
                candidates.truncate(nucleus_len(&candidates, wanted).unwrap_or(top_k));
                candidates
            }
            (None, top_p) => {
                row.nucleus(f64::from(top_p.unwrap_or(1.0)) * row.blocks.weight_sum(row.temperature))
            }
        };
        let mut left = rng.random::<f64>() * weight_sum(&candidates);
        for candidate in &candidates {
            if left < candidate.weight {
                return candidate.id;
            }
            left -= candidate.weight;
        }
        // Rounding can leave a last trace of the sum to no candidate.
        candidates[0].id
    }
}

/// A row of logits whose blocks have been looked at, the largest of them finite.
#[derive(Clone, Copy)]
struct Row<'a> {
    temperature: f64,
    logits: &'a [f32],
    caps: Option<&'a [f32]>,
    largest: f32,
    blocks: RowBlocks<'a>,
}

impl Row<'_> {
    /// The `count` likeliest tokens, the likeliest first: fewer if no more have a probability, but at least one.
    fn likeliest(self, count: usize) -> Vec<Likely> {
        let mut best = Best::new(count, by_falling_logit);
        for ((block, logits), &max) in self.logits.chunks(BLOCK).enumerate().zip(self.blocks.maxima) {
            let start = block * BLOCK;
            // No token of the block is better than its first one with the largest of its logits.
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
        self.likeliest(count).iter().map(weighed).collect()
    }

    /// The smallest set of likeliest tokens that has the weight `wanted`, or all.
    fn nucleus(self, wanted: f64) -> Vec<Candidate> {
        // The nucleus is small as a rule: sorting a few candidates at a time is far cheaper than a whole vocabulary.
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

    fn weight(self, logit: f32) -> f64 {
        ((f64::from(logit) - f64::from(self.largest)) / self.temperature).exp()
    }
}

/// The likelier one first. No logit is a NaN here.
fn by_falling_logit(a: &Likely, b: &Likely) -> Ordering {
    b.logit.partial_cmp(&a.logit).unwrap_or(Ordering::Equal).then(a.id.cmp(&b.id))
}

fn weight_sum(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|candidate| candidate.weight).sum()
}

/// How many of the candidates, from the first, have the weight `wanted` together; none if all have less.
fn nucleus_len(candidates: &[Candidate], wanted: f64) -> Option<usize> {
    let mut sum = 0.0;
    let reached = candidates.iter().position(|candidate| {
        sum += candidate.weight;
        sum >= wanted
    });
    reached.map(|last| last + 1)
}
