//! Tests of unusual texts, and of properties that hold for all texts.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(Punkt::english().split(text).collect::<Vec<_>>(), expected);
}

#[test]
fn full_stops_of_abbreviations_initials_and_numbers_end_nothing() {
    check("Dr. J. S. Bach, i.e. him, saw it. Yes.", &["Dr. J. S. Bach, i.e. him, saw it.", "Yes."]);
    check("It cost 3. 5 of them left. He ran.", &["It cost 3.", "5 of them left.", "He ran."]);
    check("They sell fruit etc. The shop is old.", &["They sell fruit etc.", "The shop is old."]);
}

#[test]
fn what_closes_a_sentence_belongs_to_it() {
    check("\"Stop!\" he said. (He ran.) Then", &["\"Stop!\"", "he said.", "(He ran.)", "Then"]);
    check("What?! No... Really?", &["What?!", "No... Really?"]);
    check("One.Two three.\" Four", &["One.Two three.\"", "Four"]);
}

#[test]
fn white_space_is_between_sentences() {
    check("  A dog.\n\nIt\nbarks.  ", &["A dog.", "It\nbarks."]);
    check("", &[]);
    check(" \n ", &[]);
    check(".", &["."]);
}

#[test]
fn an_abbreviation_is_learnt_from_its_text() {
    let text = "He met Xr. Smith and Xr. Jones. Later Xr. Brown came. The dog saw Xr. White. ".repeat(8);
    let punkt = Punkt::train(&text);
    assert!(punkt.abbreviations.contains("xr"), "{:?}", punkt.abbreviations);
    assert!(!punkt.abbreviations.contains("jones"));
    assert_eq!(punkt.split("I saw Xr. White. Good.").collect::<Vec<_>>(), ["I saw Xr. White.", "Good."]);
}

#[test]
fn tables_are_read_and_their_errors_have_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("abbrev_types.txt", "xr\n");
    write("sent_starters.txt", "the");
    write("collocations.tab", "##number##\tlate\n");
    assert!(matches!(Punkt::read_tables(folder.path()), Err(crate::DataError::Missing { .. })));
    write("ortho_context.tab", "dog\t36\n");
    let punkt = Punkt::read_tables(folder.path()).unwrap();
    assert_eq!(punkt.orthography_of("dog"), Orthography(36));
    assert!(punkt.collocations.contains(&("##number##".to_owned(), "late".to_owned())));
    write("ortho_context.tab", "dog\t36\ncat\tx\n");
    let error = Punkt::read_tables(folder.path()).unwrap_err().to_string();
    assert!(
        error.starts_with("line 2 of `") && error.ends_with("is not a valid Punkt table entry"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn no_character_is_lost(text in "([ABab5.?!,;:'\")(\\- \n…é”“]|Mr\\.|\\.\\.\\.){0,60}") {
        let without_space = |text: &str| text.split_whitespace().collect::<String>();
        let together: String = Punkt::english().split(&text).map(without_space).collect();
        prop_assert_eq!(together, without_space(&text));
    }

    #[test]
    fn any_text_is_split(text: String) {
        let ranges = Punkt::english().ranges(&text);
        prop_assert!(ranges.iter().all(|range| !text[range.clone()].trim().is_empty()));
        prop_assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
        let trained = Punkt::train(&text);
        prop_assert_eq!(trained.split(&text).count() == 0, text.trim().is_empty());
    }
}
