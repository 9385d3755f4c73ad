//! Counts tokens and keeps the order of their first appearance.

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

/// Token counts, in order of first appearance.
///
/// ```
/// use rondo_data::Counter;
///
/// let counter: Counter = "the cat saw the dog".split(' ').collect();
/// assert_eq!(counter.count("the"), 2);
/// assert_eq!(counter.iter().next(), Some(("the", 2)));
/// assert_eq!(counter.most_common()[1], ("cat", 1)); // ties are in alphabetical order
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counter {
    counts: IndexMap<Box<str>, u64, FxBuildHasher>,
}

impl Counter {
    /// Creates an empty counter.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one occurrence of `token` and returns the token's index in order of first appearance.
    ///
    /// # Panics
    /// On the 2³²th distinct token: indices, like ids, are 32 bits wide.
    pub fn add(&mut self, token: &str) -> u32 {
        self.add_many(token, 1)
    }

    /// Counts `count` occurrences of `token` at once; otherwise like [`add`](Self::add).
    ///
    /// # Panics
    /// On the 2³²th distinct token.
    pub fn add_many(&mut self, token: &str, count: u64) -> u32 {
        // The lookup comes first because an entry would need an owned key, and most tokens are already known.
        let index = if let Some((index, _, known)) = self.counts.get_full_mut(token) {
            *known += count;
            index
        } else {
            self.counts.insert_full(token.into(), count).0
        };
        assert!(index < u32::MAX as usize, "a counter can hold at most {} distinct tokens", u32::MAX);
        index as u32
    }

    /// Counts `count` occurrences of the token with this index.
    #[inline]
    pub(crate) fn add_at(&mut self, index: u32, count: u64) {
        self.counts[index as usize] += count;
    }

    /// The count of `token`; 0 if it never occurred.
    #[must_use]
    pub fn count(&self, token: &str) -> u64 {
        self.counts.get(token).copied().unwrap_or(0)
    }

    /// The index of `token` in order of first appearance.
    pub(crate) fn index(&self, token: &str) -> Option<u32> {
        self.counts.get_index_of(token).map(|index| index as u32)
    }

    /// The number of distinct tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether no tokens were counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The total number of tokens counted, including repetitions.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Tokens and their counts in order of first appearance.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, u64)> + '_ {
        self.counts.iter().map(|(token, &count)| (&**token, count))
    }

    /// Tokens and their counts in order of decreasing frequency, ties alphabetical (by Unicode scalar values).
    #[must_use]
    pub fn most_common(&self) -> Vec<(&str, u64)> {
        let mut tokens: Vec<_> = self.iter().collect();
        tokens.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        tokens
    }

    /// A counter with only the tokens that have a count in `counts`, which has one for each index of this counter.
    pub(crate) fn restricted_to(&self, counts: &[u64]) -> Self {
        let mut restricted = Self::new();
        for ((token, _), &count) in self.iter().zip(counts) {
            if count > 0 {
                restricted.add_many(token, count);
            }
        }
        restricted
    }
}

impl<'a> Extend<&'a str> for Counter {
    fn extend<I: IntoIterator<Item = &'a str>>(&mut self, tokens: I) {
        for token in tokens {
            self.add(token);
        }
    }
}

impl<'a> FromIterator<&'a str> for Counter {
    fn from_iter<I: IntoIterator<Item = &'a str>>(tokens: I) -> Self {
        let mut counter = Self::new();
        counter.extend(tokens);
        counter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_order_of_first_appearance() {
        let mut counter = Counter::new();
        assert!(counter.is_empty());
        assert_eq!([counter.add("b"), counter.add("a"), counter.add("b")], [0, 1, 0]);
        assert_eq!(counter.add_many("c", 5), 2);
        assert_eq!(counter.iter().collect::<Vec<_>>(), [("b", 2), ("a", 1), ("c", 5)]);
        assert_eq!((counter.len(), counter.total(), counter.count("z")), (3, 8, 0));
    }

    #[test]
    fn most_common_breaks_ties_by_scalar_value() {
        let counter: Counter = ["é", "z", "B", "a", "z"].into_iter().collect();
        assert_eq!(counter.most_common(), [("z", 2), ("B", 1), ("a", 1), ("é", 1)]);
    }

    #[test]
    fn restriction_counts_a_part_in_its_own_order() {
        let counter: Counter = "x y z y".split(' ').collect();
        let part = counter.restricted_to(&[0, 2, 1]);
        assert_eq!(part.iter().collect::<Vec<_>>(), [("y", 2), ("z", 1)]);
    }
}
