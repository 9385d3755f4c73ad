//! Counts tokens in bounded memory.
//!
//! ```text
//! the 812  cat 31  zyx 1  …   ── too large ──▶   the 812  cat 31     a token that occurs from now on may
//!                                                                    have occurred once before
//! ```
//!
//! Counts are exact unless the memory is limited and exceeded. Then the rarest tokens are forgotten, and it is known by
//! how much a count can be too low.
//!
//! # Source
//! Manku & Motwani 2002 (lossy counting), with buckets that end when the memory is full.

use crate::Counter;

/// The memory of a token in addition to its text, about: its entry, its place in the table, and what the allocator adds.
const TOKEN_BYTES: u64 = 80;

/// The counts of tokens, and how exact they are.
#[derive(Debug, Default)]
pub(super) struct TokenCounts {
    pub(super) counter: Counter,
    /// The most memory to use, in bytes.
    limit: Option<u64>,
    bytes: u64,
    /// For each token, how often it can have occurred without being counted; empty if all counts are exact.
    missed: Vec<u64>,
    /// How often any other token can have occurred.
    bound: u64,
}

impl TokenCounts {
    /// Starts without tokens.
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Whether tokens are forgotten if they need too much memory.
    pub(super) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// The most that a count can be too low; `None` if all are exact.
    pub(super) fn pruned(&self) -> Option<u64> {
        (self.bound > 0).then_some(self.bound)
    }

    /// The index of a token in the counter, which does not change its count, and whether it is new.
    pub(super) fn index(&mut self, token: &str) -> (u32, bool) {
        let known = self.counter.len();
        let index = self.counter.add_many(token, 0);
        let is_new = self.counter.len() > known;
        if is_new && self.limit.is_some() {
            self.bytes += TOKEN_BYTES + token.len() as u64;
            self.missed.push(self.bound);
        }
        (index, is_new)
    }

    /// Counts a token by its index.
    #[inline]
    pub(super) fn count(&mut self, index: u32) {
        self.counter.add_at(index, 1);
    }

    /// Forgets the rarest tokens if all of them need more memory than allowed, until half of it is free.
    pub(super) fn prune_if_too_large(&mut self) {
        let Some(limit) = self.limit.filter(|limit| self.bytes > *limit) else { return };
        // The most that each token can have occurred, and the memory that forgetting it frees.
        let most = self.counter.iter().zip(&self.missed);
        let mut tokens: Vec<(u64, u64)> =
            most.map(|((token, count), missed)| (count + missed, TOKEN_BYTES + token.len() as u64)).collect();
        tokens.sort_unstable();
        let mut free = 0;
        let enough = tokens.iter().find(|(_, bytes)| {
            free += bytes;
            self.bytes - free <= limit / 2
        });
        let Some(&(bound, _)) = enough.or(tokens.last()) else { return };
        let (mut counter, mut missed) = (Counter::new(), Vec::new());
        self.bytes = 0;
        for ((token, count), at_most) in self.counter.iter().zip(&self.missed) {
            if count + at_most > bound {
                counter.add_many(token, count);
                missed.push(*at_most);
                self.bytes += TOKEN_BYTES + token.len() as u64;
            }
        }
        (self.counter, self.missed, self.bound) = (counter, missed, bound);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn counts(tokens: &[u8], limit: Option<u64>) -> TokenCounts {
        let mut counts = TokenCounts::new(limit);
        for token in tokens {
            let (index, _) = counts.index(&token.to_string());
            counts.count(index);
            counts.prune_if_too_large();
        }
        counts
    }

    #[test]
    fn counts_are_exact_in_enough_memory() {
        let tokens: Vec<u8> = (0..=255).chain(0..9).collect();
        for limit in [None, Some(1 << 20)] {
            let counts = counts(&tokens, limit);
            assert_eq!((counts.pruned(), counts.counter.len(), counts.counter.count("7")), (None, 256, 2));
        }
    }

    proptest! {
        #[test]
        fn no_count_is_too_high_or_lower_than_reported(
            tokens in prop::collection::vec(prop_oneof![0u8..5, 0u8..60], 0..400), limit in 100u64..3000,
        ) {
            let found = counts(&tokens, Some(limit));
            let mut exact: HashMap<String, u64> = HashMap::new();
            for token in &tokens {
                *exact.entry(token.to_string()).or_default() += 1;
            }
            prop_assert!(found.bytes <= limit);
            for (token, count) in exact {
                let counted = found.counter.count(&token);
                prop_assert!(counted <= count);
                prop_assert!(count - counted <= found.pruned().unwrap_or(0), "{token}: {counted} of {count}");
            }
        }
    }
}
