//! Sentence tables, and sentences split with them: an error with its line, or sentences that lose no character. NUL
//! bytes separate the four tables and the text.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rondo_data::sentences::Punkt;

/// A folder for the table files, in memory if possible.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("there is a temporary folder")
});

const TABLES: [&str; 4] = ["abbrev_types.txt", "sent_starters.txt", "collocations.tab", "ortho_context.tab"];

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(5, |&byte| byte == 0);
    let tables: Vec<&[u8]> = parts.by_ref().take(4).collect();
    let Ok(text) = std::str::from_utf8(parts.next().unwrap_or_default()) else { return };
    for (name, table) in TABLES.iter().zip(tables) {
        std::fs::write(FOLDER.path().join(name), table).expect("the folder can be written to");
    }
    let learned = Punkt::train(text);
    check(&learned, text);
    check(Punkt::english(), text);
    if let Ok(punkt) = Punkt::read_tables(FOLDER.path()) {
        check(&punkt, text);
    }
});

fn check(punkt: &Punkt, text: &str) {
    let mut end = 0;
    for range in punkt.ranges(text) {
        assert!(range.start >= end && range.start < range.end, "{range:?} after {end} in {text:?}");
        assert!(is_space(&text[end..range.start]), "lost {:?}", &text[end..range.start]);
        end = range.end;
    }
    assert!(is_space(&text[end..]), "lost {:?}", &text[end..]);
}

/// The four separator control characters count as whitespace here, as in NLTK.
fn is_space(text: &str) -> bool {
    text.chars().all(|char| char.is_whitespace() || matches!(char, '\u{1c}'..='\u{1f}'))
}
