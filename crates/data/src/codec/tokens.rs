//! The tokens of a line, one after another in a single text: a line of a million characters has a million tokens.

use std::ops::Index;

/// A sequence of tokens.
///
/// ```
/// use rondo_data::Tokens;
///
/// let tokens: Tokens = ["the", "cat", "<eos>"].into_iter().collect();
/// assert_eq!((tokens.len(), &tokens[1], tokens.last()), (3, "cat", Some("<eos>")));
/// assert_eq!(tokens.iter().map(str::len).sum::<usize>(), 11);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    text: String,
    /// Where each token ends in the text.
    ends: Vec<usize>,
}

impl Tokens {
    /// The number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The token at this place; `None` past the end.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&str> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end)
    }

    /// The last token.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        self.get(self.len().checked_sub(1)?)
    }

    /// All tokens, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone + '_ {
        (0..self.len()).map(|place| &self[place])
    }

    /// Adds a token at the end.
    pub fn push(&mut self, token: &str) {
        self.text.push_str(token);
        self.ends.push(self.text.len());
    }
}

impl Index<usize> for Tokens {
    type Output = str;

    fn index(&self, place: usize) -> &str {
        match self.get(place) {
            Some(token) => token,
            None => panic!("token {place} of {}", self.len()),
        }
    }
}

impl<S: AsRef<str>> Extend<S> for Tokens {
    fn extend<I: IntoIterator<Item = S>>(&mut self, tokens: I) {
        tokens.into_iter().for_each(|token| self.push(token.as_ref()));
    }
}

impl<S: AsRef<str>> FromIterator<S> for Tokens {
    fn from_iter<I: IntoIterator<Item = S>>(tokens: I) -> Self {
        let mut all = Self::default();
        all.extend(tokens);
        all
    }
}

impl<S: AsRef<str>, const N: usize> PartialEq<[S; N]> for Tokens {
    fn eq(&self, others: &[S; N]) -> bool {
        self.iter().eq(others.iter().map(AsRef::as_ref))
    }
}
