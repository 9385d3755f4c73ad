//! The English abbreviations after which a period is not a separate token.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Separated by whitespace. Entries ending in `#` apply only before a number; lines starting with `#` are comments.
const LIST: &str = include_str!("prefixes.txt");

struct Prefixes {
    always: HashSet<&'static str>,
    before_numbers: HashSet<&'static str>,
}

static PREFIXES: LazyLock<Prefixes> = LazyLock::new(|| {
    let words = LIST.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    let (before_numbers, always) = words.partition::<HashSet<_>, _>(|word| word.ends_with('#'));
    Prefixes {
        always,
        before_numbers: before_numbers.into_iter().map(|word| word.trim_end_matches('#')).collect(),
    }
});

/// Whether the period after `prefix` belongs to it; some abbreviations require a number after it.
pub(super) fn is_non_breaking(prefix: &[char], number_follows: bool) -> bool {
    if prefix.len() > 8 {
        return false; // Longer than all in the list; this avoids building a string for most words.
    }
    let prefix: String = prefix.iter().collect();
    PREFIXES.always.contains(prefix.as_str())
        || (number_follows && PREFIXES.before_numbers.contains(prefix.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_abbreviations_need_a_number() {
        let is = |prefix: &str, number| is_non_breaking(&prefix.chars().collect::<Vec<_>>(), number);
        assert!(is("Mr", false) && is("A", false) && is("Mr", true));
        assert!(is("No", true) && !is("No", false) && !is("house", true));
        assert!(PREFIXES.always.iter().chain(&PREFIXES.before_numbers).all(|word| word.len() <= 8));
    }
}
