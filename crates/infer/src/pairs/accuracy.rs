//! How many tests a model passes.

use rondo_runs::proportion_interval;

/// The outcome of a test for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The model is right.
    Right,
    /// The model is wrong.
    Wrong,
    /// The scores are equal, which counts as half right.
    Equal,
    /// Both sentences have the same tokens, so that the model cannot tell them apart.
    SameTokens,
    /// A sentence has characters that the model's vocabulary does not contain.
    Impossible,
}

/// How many tests a model passes. Tests with the outcomes [`Outcome::SameTokens`] and [`Outcome::Impossible`] are counted
/// apart: they say nothing about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// The number of tests that it passes.
    pub right: usize,
    /// The number of tests that it fails.
    pub wrong: usize,
    /// The number of tests with equal scores.
    pub equal: usize,
    /// The number of tests with the same tokens.
    pub same_tokens: usize,
    /// The number of tests that have characters unknown to the model.
    pub impossible: usize,
    /// The number of tests, of any outcome, that have unknown tokens.
    pub with_unknown_tokens: usize,
}

impl Outcome {
    /// Its name: `right`, `wrong`, `equal`, `same_tokens` or `impossible`.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Right => "right",
            Outcome::Wrong => "wrong",
            Outcome::Equal => "equal",
            Outcome::SameTokens => "same_tokens",
            Outcome::Impossible => "impossible",
        }
    }
}

impl Accuracy {
    /// The number of all tests.
    pub fn tests(&self) -> usize {
        self.counted() + self.same_tokens + self.impossible
    }

    /// The number of tests that count.
    pub fn counted(&self) -> usize {
        self.right + self.wrong + self.equal
    }

    /// The fraction of right outcomes, where equal scores are half right; `None` if no test counts.
    pub fn value(&self) -> Option<f64> {
        (self.counted() > 0).then(|| self.credit() / self.counted() as f64)
    }

    /// Wilson's 95 % confidence interval of [`value`](Self::value), with the tests as independent draws.
    pub fn interval(&self) -> Option<(f64, f64)> {
        proportion_interval(self.credit(), self.counted())
    }

    fn credit(&self) -> f64 {
        self.right as f64 + self.equal as f64 / 2.0
    }
}

impl FromIterator<(Outcome, usize)> for Accuracy {
    /// From outcomes, each with the number of unknown tokens of its test.
    fn from_iter<I: IntoIterator<Item = (Outcome, usize)>>(outcomes: I) -> Self {
        let mut accuracy = Accuracy::default();
        for (outcome, unknown_tokens) in outcomes {
            *match outcome {
                Outcome::Right => &mut accuracy.right,
                Outcome::Wrong => &mut accuracy.wrong,
                Outcome::Equal => &mut accuracy.equal,
                Outcome::SameTokens => &mut accuracy.same_tokens,
                Outcome::Impossible => &mut accuracy.impossible,
            } += 1;
            accuracy.with_unknown_tokens += usize::from(unknown_tokens > 0);
        }
        accuracy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_are_half_right_and_what_says_nothing_is_left_out() {
        let outcomes = [Outcome::Right, Outcome::Equal, Outcome::Wrong, Outcome::Right];
        let apart = [Outcome::SameTokens, Outcome::Impossible, Outcome::SameTokens];
        let accuracy: Accuracy = outcomes.into_iter().chain(apart).zip([0, 2, 0, 0, 1, 0, 0]).collect();
        assert_eq!((accuracy.tests(), accuracy.counted(), accuracy.value()), (7, 4, Some(0.625)));
        assert_eq!((accuracy.same_tokens, accuracy.impossible, accuracy.with_unknown_tokens), (2, 1, 2));
        assert_eq!(accuracy.interval(), proportion_interval(2.5, 4));
        let none: Accuracy = [(Outcome::SameTokens, 0)].into_iter().collect();
        assert_eq!((none.value(), none.interval()), (None, None));
    }
}
