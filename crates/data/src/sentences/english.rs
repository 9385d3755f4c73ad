//! What is built in of English: abbreviations, and common words of which it is known that they begin sentences.

use std::sync::LazyLock;

use super::{Orthography, Punkt};

/// Abbreviations without their last full stop, words that begin sentences and common words, below headings in brackets.
const LISTS: &str = include_str!("english.txt");

static ENGLISH: LazyLock<Punkt> = LazyLock::new(|| {
    let mut punkt = Punkt::default();
    let mut heading = "";
    for line in LISTS.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            heading = line;
            continue;
        }
        for word in line.split_whitespace().map(str::to_owned) {
            if heading == "[abbreviations]" {
                punkt.abbreviations.insert(word);
            } else if heading == "[starters]" {
                punkt.starters.insert(word);
            } else {
                // Written small but at the beginning of a sentence.
                let seen = Orthography(Orthography::BEGIN_UPPER.0 | Orthography::INSIDE_LOWER.0);
                punkt.orthography.insert(word, seen);
            }
        }
    }
    punkt
});

impl Punkt {
    /// What is built in of English.
    ///
    /// The lists were written for Rondo and are no one's training. Against NLTK's pretrained English (`punkt_tab`):
    /// see `golden/README.md`, section *Own text*.
    #[must_use]
    pub fn english() -> &'static Self {
        &ENGLISH
    }
}
