//! Stochastic context-free grammars that can be parsed with one word of lookahead.
//!
//! ```text
//! rules (weights)  ──▶  choose at random          ──▶  a sentence
//! rules + the next word  ──▶  the only possible expansion  ──▶  its probability
//! ```
//!
//! Promises: [`Rules::build`] rejects a grammar in which the next word does not determine the expansion of a
//! nonterminal. A grammar that it accepts is LL(1), hence unambiguous: each sentence has one derivation, so that its
//! probability is a product and the entropy of sentences equals the entropy of derivations (`expectation`).
//! Random choices use only integer arithmetic, so that a seed always gives the same sentences, on every machine.

use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use rustc_hash::FxHashMap;

use super::{expectation::Expectations, lookahead};

/// A symbol in an expansion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    /// A nonterminal to be expanded further, as its index.
    Nonterminal(usize),
    /// A word of the language, as its index.
    Word(usize),
}

/// One way to expand a nonterminal.
pub(super) struct Expansion {
    /// Its weight, relative to the other expansions of the same nonterminal.
    pub(super) weight: u32,
    /// The symbols that replace the nonterminal.
    pub(super) symbols: Vec<Symbol>,
}

/// The rules of a grammar under construction.
#[derive(Default)]
pub(super) struct Rules {
    nonterminals: Names,
    words: Names,
    expansions: Vec<Vec<Expansion>>,
}

impl Rules {
    /// Adds an expansion of `nonterminal`: symbols separated by spaces. Symbols that start with an uppercase letter
    /// are nonterminals, the others are words. An empty `expansion` removes the nonterminal.
    pub(super) fn add(&mut self, nonterminal: &str, weight: u32, expansion: &str) {
        let from = self.nonterminal(nonterminal);
        let symbols = expansion
            .split_whitespace()
            .map(|name| {
                if name.starts_with(|first: char| first.is_uppercase()) {
                    Symbol::Nonterminal(self.nonterminal(name))
                } else {
                    Symbol::Word(self.words.id(name))
                }
            })
            .collect();
        self.expansions[from].push(Expansion { weight, symbols });
    }

    fn nonterminal(&mut self, name: &str) -> usize {
        let id = self.nonterminals.id(name);
        self.expansions.resize_with(self.nonterminals.list.len(), Vec::new);
        id
    }

    /// Builds the grammar whose sentences are the expansions of `start`.
    ///
    /// # Panics
    /// If a nonterminal has no expansion, if one word of lookahead is not enough to choose one, or if sentences
    /// have no finite expected length. The rules are constants of this crate, not user input.
    pub(super) fn build(mut self, start: &str) -> Grammar {
        let start = self.nonterminal(start);
        for (name, expansions) in self.nonterminals.list.iter().zip(&self.expansions) {
            assert!(expansions.iter().any(|one| one.weight > 0), "`{name}` has no expansion");
        }
        let choices = lookahead::choices(&self.expansions, start).unwrap_or_else(|conflict| {
            let nonterminal = &self.nonterminals.list[conflict.nonterminal];
            let word = conflict.word.map_or("the end", |word| &self.words.list[word]);
            panic!("`{nonterminal}` can be expanded in two ways before `{word}`")
        });
        let expectations = Expectations::new(&self.expansions);
        let totals = self.expansions.iter().map(|all| all.iter().map(|one| one.weight).sum()).collect();
        Grammar { start, words: self.words, expansions: self.expansions, totals, choices, expectations }
    }
}

/// A grammar that can generate and parse sentences and compute their statistics.
pub(super) struct Grammar {
    start: usize,
    words: Names,
    expansions: Vec<Vec<Expansion>>,
    totals: Vec<u32>,
    choices: lookahead::Choices,
    expectations: Expectations,
}

impl Grammar {
    /// The words of all sentences, in the order of the rules.
    pub(super) fn words(&self) -> &[String] {
        &self.words.list
    }

    /// The entropy of a sentence, in nats.
    pub(super) fn entropy_nats(&self) -> f64 {
        self.expectations.entropy_nats(self.start)
    }

    /// The expected number of words in a sentence.
    pub(super) fn expected_words(&self) -> f64 {
        self.expectations.words(self.start)
    }

    /// Generates a random sentence, its words separated by single spaces.
    pub(super) fn generate(&self, rng: &mut ChaCha8Rng) -> String {
        let mut sentence = String::new();
        let mut open = vec![Symbol::Nonterminal(self.start)];
        while let Some(symbol) = open.pop() {
            match symbol {
                Symbol::Word(word) => {
                    if !sentence.is_empty() {
                        sentence.push(' ');
                    }
                    sentence.push_str(&self.words.list[word]);
                }
                Symbol::Nonterminal(from) => {
                    let mut left = below(rng, self.totals[from]);
                    let chosen = self.expansions[from].iter().find(|expansion| {
                        let hit = left < expansion.weight;
                        left = left.saturating_sub(expansion.weight);
                        hit
                    });
                    open.extend(chosen.into_iter().flat_map(|expansion| expansion.symbols.iter().rev()));
                }
            }
        }
        sentence
    }

    /// The natural log-probability of each word of a sentence given the previous words, followed by that of the end;
    /// `None` if the sentence has no derivation.
    pub(super) fn log_probabilities<'a>(
        &self,
        sentence: impl IntoIterator<Item = &'a str>,
    ) -> Option<Vec<f64>> {
        let mut open = vec![Symbol::Nonterminal(self.start)];
        let words = sentence.into_iter().map(|word| self.words.find(word).map(Some));
        words.chain([Some(None)]).map(|next| self.read(&mut open, next?)).collect()
    }

    /// Parses the next word or, for `None`, the end.
    ///
    /// The next word determines the expansions of the open nonterminals before it, so its probability is the
    /// product of their probabilities.
    fn read(&self, open: &mut Vec<Symbol>, next: Option<usize>) -> Option<f64> {
        let mut log_probability = 0.0;
        loop {
            match open.pop() {
                Some(Symbol::Nonterminal(from)) => {
                    let expansion = &self.expansions[from][self.choices.get(from, next)?];
                    log_probability += (f64::from(expansion.weight) / f64::from(self.totals[from])).ln();
                    open.extend(expansion.symbols.iter().rev());
                }
                Some(Symbol::Word(expected)) => return (next == Some(expected)).then_some(log_probability),
                None => return next.is_none().then_some(log_probability),
            }
        }
    }
}

/// A uniform random integer from 0 to `bound` - 1.
///
/// Implemented here because a library could change how it draws the same distribution from random bits.
fn below(rng: &mut ChaCha8Rng, bound: u32) -> u32 {
    let fair = u32::MAX - u32::MAX % bound;
    loop {
        let drawn = rng.next_u32();
        if drawn < fair {
            return drawn % bound;
        }
    }
}

/// Names and their ids, in order of first occurrence.
#[derive(Default)]
struct Names {
    list: Vec<String>,
    ids: FxHashMap<String, usize>,
}

impl Names {
    fn id(&mut self, name: &str) -> usize {
        if let Some(id) = self.find(name) {
            return id;
        }
        let id = self.list.len();
        self.list.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.ids.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn grammar(rules: &[(&str, u32, &str)]) -> Grammar {
        let mut all = Rules::default();
        for (nonterminal, weight, expansion) in rules {
            all.add(nonterminal, *weight, expansion);
        }
        all.build("S")
    }

    fn log_probability(grammar: &Grammar, sentence: &str) -> Option<f64> {
        grammar.log_probabilities(sentence.split_whitespace()).map(|tokens| tokens.iter().sum())
    }

    /// `a` n times, then `b` n times, with probability 1/4 · (3/4)ⁿ⁻¹ for n = 1, 2, …
    fn nested() -> Grammar {
        grammar(&[("S", 1, "a Inner b"), ("Inner", 3, "S"), ("Inner", 1, "")])
    }

    #[test]
    fn probabilities_of_a_nested_language_are_geometric() {
        let grammar = nested();
        for (sentence, probability) in
            [("a b", 0.25), ("a a b b", 0.1875), ("a a a a b b b b", 0.25 * 0.75 * 0.75 * 0.75)]
        {
            let found = log_probability(&grammar, sentence).map(f64::exp);
            assert!(found.is_some_and(|found| (found - probability).abs() < 1e-15), "{sentence}: {found:?}");
        }
        for outside in ["", "a", "b", "a a b", "a b b", "a b a b", "a c b"] {
            assert_eq!(log_probability(&grammar, outside), None, "{outside}");
        }
    }

    #[test]
    fn expectations_of_a_nested_language_are_those_of_the_geometric_distribution() {
        let grammar = nested();
        let entropy_nats = -(0.25_f64 * 0.25_f64.ln() + 0.75 * 0.75_f64.ln()) / 0.25;
        assert!((grammar.expected_words() - 2.0 / 0.25).abs() < 1e-12);
        assert!((grammar.entropy_nats() - entropy_nats).abs() < 1e-12);
    }

    #[test]
    fn sentences_come_with_their_probabilities() {
        let grammar = grammar(&[("S", 1, "x T"), ("S", 2, "y"), ("T", 5, "x"), ("T", 3, "z")]);
        let mut rng = ChaCha8Rng::from_seed([7; 32]);
        let mut counts = FxHashMap::<String, u32>::default();
        const DRAWN: u32 = 100_000;
        for _ in 0..DRAWN {
            *counts.entry(grammar.generate(&mut rng)).or_default() += 1;
        }
        assert_eq!(counts.len(), 3);
        for (sentence, count) in counts {
            let probability = log_probability(&grammar, &sentence).map(f64::exp).unwrap();
            let deviation = (probability * (1.0 - probability) / f64::from(DRAWN)).sqrt();
            let error = (f64::from(count) / f64::from(DRAWN) - probability).abs();
            assert!(error < 4.0 * deviation, "{sentence}: {count} times, probability {probability}");
        }
    }

    #[test]
    fn probabilities_of_the_next_word_sum_to_one_wherever_a_tale_can_lead() {
        let grammar = super::super::rules::grammar();
        let mut rng = ChaCha8Rng::from_seed([5; 32]);
        for _ in 0..50 {
            let sentence = grammar.generate(&mut rng);
            let mut open = vec![Symbol::Nonterminal(grammar.start)];
            for word in sentence.split(' ') {
                let every_word = (0..grammar.words().len()).map(Some);
                let probability = |next| grammar.read(&mut open.clone(), next).map_or(0.0, f64::exp);
                let sum: f64 = every_word.chain([None]).map(probability).sum();
                assert!((sum - 1.0).abs() < 1e-9, "{sum} before `{word}` in `{sentence}`");
                grammar.read(&mut open, grammar.words.find(word)).unwrap();
            }
        }
    }

    #[test]
    fn small_numbers_are_drawn_evenly() {
        let mut rng = ChaCha8Rng::from_seed([1; 32]);
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[below(&mut rng, 6) as usize] += 1;
        }
        // Four standard deviations of a binomial count.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 4 * 92), "{counts:?}");
    }

    #[test]
    #[should_panic(expected = "`S` can be expanded in two ways before `a`")]
    fn two_expansions_that_begin_alike_are_refused() {
        grammar(&[("S", 1, "a b"), ("S", 1, "Other c"), ("Other", 1, "a")]);
    }

    #[test]
    #[should_panic(expected = "`Tail` can be expanded in two ways before `a`")]
    fn an_optional_part_that_begins_as_what_follows_is_refused() {
        grammar(&[("S", 1, "b Tail a"), ("Tail", 1, ""), ("Tail", 1, "a")]);
    }

    #[test]
    #[should_panic(expected = "`S` can be expanded in two ways before `the end`")]
    fn two_ways_to_say_nothing_are_refused() {
        grammar(&[("S", 1, ""), ("S", 1, "Nothing"), ("Nothing", 1, "")]);
    }

    #[test]
    #[should_panic(expected = "sentences have no finite expected length")]
    fn endless_growth_is_refused() {
        grammar(&[("S", 1, "a S S"), ("S", 1, "b")]);
    }

    #[test]
    #[should_panic(expected = "`T` has no expansion")]
    fn a_forgotten_nonterminal_is_refused() {
        grammar(&[("S", 1, "a T")]);
    }
}
