//! Built-in English lists: abbreviations, frequent sentence starters, and common words.

use std::sync::LazyLock;

use super::{Orthography, Punkt};

/// Abbreviations without their final period, sentence starters and common words, under headings in brackets.
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
                // Lowercase except at the start of a sentence.
                let seen = Orthography(Orthography::BEGIN_UPPER.0 | Orthography::INSIDE_LOWER.0);
                punkt.orthography.insert(word, seen);
            }
        }
    }
    punkt
});

impl Punkt {
    /// The built-in parameters for English.
    ///
    /// The lists were written for Rondo and were not trained. For a comparison with NLTK's pretrained English
    /// parameters (`punkt_tab`), see `golden/README.md`, section *Own text*.
    #[must_use]
    pub fn english() -> &'static Self {
        &ENGLISH
    }
}
