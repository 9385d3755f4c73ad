//! A cache for a text that someone else reads, piece by piece.

use rondo_nn::{Hidden, Loss, Tape};

use super::Cache;
use super::memory::Memory;
use crate::Result;
use crate::mixture::{self, Mixture};

/// A cache next to a model that may change while the text is read, as in dynamic evaluation.
pub struct CacheReader {
    cache: Cache,
    mixture: Mixture,
    /// The most tokens of a piece.
    longest: usize,
    memory: Option<Memory>,
}

impl CacheReader {
    /// An empty cache, for pieces of at most `longest` tokens.
    ///
    /// # Errors
    /// As [`Cache::check`].
    pub fn new(cache: Cache, longest: usize) -> Result<CacheReader> {
        cache.check()?;
        Ok(CacheReader { cache, mixture: Mixture::new(cache.lambda), longest, memory: None })
    }

    /// The negative log-likelihood of the tokens `next: [R]` of the next piece with the cache, given what a model computed
    /// about it on a tape. The piece then is in the cache.
    ///
    /// # Errors
    /// As [`Tape::read_nll`].
    /// # Panics
    /// If the piece is too long, or the tape's values are not those of the piece.
    pub fn nll_sum(&mut self, tape: &Tape<'_>, hidden: Hidden, loss: Loss, next: &[u32]) -> Result<f64> {
        let CacheReader { cache, mixture, longest, .. } = *self;
        assert!(next.len() <= longest, "a piece of {} tokens, instead of {longest}", next.len());
        let device = tape.parameters().device();
        let width = tape.shape(hidden.dropped).width;
        let memory = self.memory.get_or_insert_with(|| Memory::new(device, cache.window, width, longest));
        let nll = tape.read_nll(loss)?;
        let mut sum = [0.0];
        memory.read(device, tape.values(hidden.dropped), next, &[cache.theta], |_, row, shares| {
            for (&nll, share) in nll[row..].iter().zip(shares) {
                mixture::add(&[mixture], nll, share, &mut sum);
            }
        })?;
        Ok(sum[0])
    }
}
