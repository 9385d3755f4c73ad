//! Suggests the known name that a misspelled one probably means.

/// The known name most similar to `name`, if any is similar enough.
///
/// Up to half of the longer name may differ: `hiden_size` finds `hidden_size`, `lr` finds nothing.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&name, candidate), candidate))
        .filter(|&(likeness, _)| likeness >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?` for the end of a message, or nothing.
pub(crate) fn or_nearest(name: &str, known: &[&str]) -> String {
    nearest(name, known.iter().copied()).map_or(String::new(), |found| format!("; did you mean `{found}`?"))
}

/// The names as listed in a message: a single name, or `one of …`.
pub(crate) fn listed(names: &[&str]) -> String {
    match names {
        [name] => format!("`{name}`"),
        names => format!("one of `{}`", names.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let known = ["hidden_size", "embedding_size", "cell"];
        assert_eq!(nearest("hiden_size", known), Some("hidden_size"));
        assert_eq!(nearest("Hidden_Size", known), Some("hidden_size"));
        assert_eq!(nearest("celll", known), Some("cell"));
        assert_eq!(nearest("xyzzy", known), None);
        assert_eq!(or_nearest("cel", &known), "; did you mean `cell`?");
        assert_eq!(or_nearest("xyzzy", &known), "");
    }
}
