//! Suggests the known names that a misspelled one probably means.

/// Two names are similar if at most this part of the longer one differs.
const MOST_DIFFERENT: f64 = 0.4;

/// The beginning of a name is similar to it from this many bytes on.
const SHORTEST_BEGINNING: usize = 3;

/// The known name most similar to `name`, if any is similar enough.
///
/// Case does not matter, and up to 40 % of the longer name may differ, or more at its end: `hiden_size` finds
/// `hidden_size`, `PTB` finds `ptb`, `sherlock` finds `sherlock-holmes`, `lr` finds nothing.
///
/// ```
/// assert_eq!(rondo_data::nearest("ltsm", ["gru", "lstm"]), Some("lstm"));
/// assert_eq!(rondo_data::nearest("cosine", ["plateau", "constant"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (_, found) = similar(name, known).min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(found)
}

/// The known names similar to `name`, the most similar first, at most `most`.
#[must_use]
pub fn nearest_names<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let mut found: Vec<(f64, &str)> = similar(name, known).collect();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.into_iter().take(most).map(|(_, name)| name).collect()
}

/// `; did you mean …?` for the end of a message, or nothing.
#[must_use]
pub fn or_nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or(String::new(), |found| format!("; did you mean `{found}`?"))
}

/// The similar names, each with the part of it that differs.
fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = (f64, &'a str)> {
    let name = name.to_lowercase();
    let difference = move |known: &str| {
        let known = known.to_lowercase();
        let difference = 1.0 - strsim::normalized_damerau_levenshtein(&name, &known);
        let is_its_beginning = name.len() >= SHORTEST_BEGINNING && known.starts_with(&name);
        if is_its_beginning { difference.min(MOST_DIFFERENT) } else { difference }
    };
    known
        .into_iter()
        .map(move |known| (difference(known), known))
        .filter(|&(difference, _)| difference <= MOST_DIFFERENT)
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
        assert_eq!(nearest("embed", known), Some("embedding_size"));
        assert_eq!(nearest("em", known), None);
        assert_eq!(nearest("hors", ["House", "horse", "Mouse"]), Some("horse"));
        assert_eq!(nearest_names("hors", ["House", "cow", "horse"], 2), ["horse", "House"]);
        assert_eq!(or_nearest("cel", known), "; did you mean `cell`?");
        assert_eq!(or_nearest("xyzzy", known), "");
    }
}
