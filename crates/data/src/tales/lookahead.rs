//! The expansion of a nonterminal that the next word determines.
//!
//! This is the standard construction of a predictive parser: an expansion is selected by the words it can start with
//! and, if it can be empty, by the words that can follow the nonterminal. A grammar in which no word selects two
//! expansions of one nonterminal is LL(1).
//! # Source
//! Aho, Lam, Sethi & Ullman, *Compilers*, 2nd edition, section 4.4.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::grammar::{Expansion, Symbol};

/// The next word, or `None` for the end of the sentence.
type Lookahead = Option<usize>;

/// The parsing table: the expansion for each nonterminal and next word.
pub(super) struct Choices(FxHashMap<(usize, Lookahead), usize>);

impl Choices {
    /// The index of the only expansion of `nonterminal` that is possible before `next`, if there is one.
    pub(super) fn get(&self, nonterminal: usize, next: Lookahead) -> Option<usize> {
        self.0.get(&(nonterminal, next)).copied()
    }
}

/// A nonterminal with two expansions that the same word selects.
#[derive(Debug)]
pub(super) struct Conflict {
    pub(super) nonterminal: usize,
    pub(super) word: Lookahead,
}

/// Builds the parsing table for a grammar whose sentences are the expansions of `start`.
///
/// # Errors
/// The first [`Conflict`] if the grammar is not LL(1).
pub(super) fn choices(expansions: &[Vec<Expansion>], start: usize) -> Result<Choices, Conflict> {
    let begins = Begins::new(expansions);
    let follows = follows(expansions, start, &begins);
    let mut table = FxHashMap::default();
    for (nonterminal, alternatives) in expansions.iter().enumerate() {
        for (index, expansion) in alternatives.iter().enumerate() {
            let first = begins.of(&expansion.symbols);
            let mut calls: BTreeSet<Lookahead> = first.words.into_iter().map(Some).collect();
            if first.vanishes {
                calls.extend(&follows[nonterminal]);
            }
            for word in calls {
                if table.insert((nonterminal, word), index).is_some() {
                    return Err(Conflict { nonterminal, word });
                }
            }
        }
    }
    Ok(Choices(table))
}

/// The words an expansion can start with (its FIRST set).
#[derive(Clone, Default, PartialEq)]
struct Beginning {
    words: BTreeSet<usize>,
    /// Whether it can be empty.
    vanishes: bool,
}

/// The FIRST sets of all nonterminals.
struct Begins(Vec<Beginning>);

impl Begins {
    fn new(expansions: &[Vec<Expansion>]) -> Self {
        let mut begins = Begins(vec![Beginning::default(); expansions.len()]);
        until_nothing_changes(|| {
            let mut changed = false;
            for (nonterminal, alternatives) in expansions.iter().enumerate() {
                for expansion in alternatives {
                    let found = begins.of(&expansion.symbols);
                    let known = &mut begins.0[nonterminal];
                    let before = (known.words.len(), known.vanishes);
                    known.words.extend(found.words);
                    known.vanishes |= found.vanishes;
                    changed |= before != (known.words.len(), known.vanishes);
                }
            }
            changed
        });
        begins
    }

    fn of(&self, symbols: &[Symbol]) -> Beginning {
        let mut beginning = Beginning::default();
        for symbol in symbols {
            match *symbol {
                Symbol::Word(word) => {
                    beginning.words.insert(word);
                    return beginning;
                }
                Symbol::Nonterminal(nonterminal) => {
                    beginning.words.extend(&self.0[nonterminal].words);
                    if !self.0[nonterminal].vanishes {
                        return beginning;
                    }
                }
            }
        }
        beginning.vanishes = true;
        beginning
    }
}

/// The words that can follow each nonterminal (its FOLLOW set).
fn follows(expansions: &[Vec<Expansion>], start: usize, begins: &Begins) -> Vec<BTreeSet<Lookahead>> {
    let mut follows = vec![BTreeSet::new(); expansions.len()];
    follows[start].insert(None);
    until_nothing_changes(|| {
        let mut changed = false;
        for (from, alternatives) in expansions.iter().enumerate() {
            for expansion in alternatives {
                for (position, symbol) in expansion.symbols.iter().enumerate() {
                    let Symbol::Nonterminal(nonterminal) = *symbol else { continue };
                    let rest = begins.of(&expansion.symbols[position + 1..]);
                    let before = follows[nonterminal].len();
                    let inherited = if rest.vanishes { follows[from].clone() } else { BTreeSet::new() };
                    follows[nonterminal].extend(rest.words.into_iter().map(Some).chain(inherited));
                    changed |= before != follows[nonterminal].len();
                }
            }
        }
        changed
    });
    follows
}

/// Repeats a step until it returns false (no changes). The sets only grow, so this terminates.
fn until_nothing_changes(mut step: impl FnMut() -> bool) {
    while step() {}
}
