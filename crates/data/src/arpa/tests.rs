//! Values by hand, agreement with KenLM, and files that are none.

use std::path::Path;

use proptest::prelude::*;

use super::*;

const SMALL: &str = "a comment\n\n\\data\\\nngram 1=4\nngram 2=3\nngram 3=2\n\n\\1-grams:\n-99 <s> -0.5\n-0.7 </s>\n\
                     -0.4\ta\t-0.25\n-0.9 b -0.125\n\n\\2-grams:\n-0.3 <s> a -0.75\n-0.6\tb a\n-0.2 a b 0.5\n\n\
                     \\3-grams:\n-0.1 <s> a b\n-0.8 a b a\n\n\\end\\\nwhat follows is not read";

fn read(text: &str) -> std::result::Result<Arpa, String> {
    Arpa::read(text.as_bytes(), "lm.arpa").map_err(|error| error.to_string())
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arpa").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The log-probabilities of the words of a line and of its end, as KenLM's query computes them.
fn line(model: &Arpa, line: &str) -> Vec<f64> {
    let mut context = vec![model.start().unwrap()];
    let words = line.split_whitespace().chain(["</s>"]);
    words
        .map(|word| {
            let id = model.id(word).unwrap_or(model.unknown());
            let log10_prob = model.log10_prob(&context, id);
            context.push(id);
            log10_prob
        })
        .collect()
}

#[test]
fn it_agrees_with_kenlm() {
    let model = read(&fixture("trigrams.arpa")).unwrap();
    assert_eq!((model.order(), model.lists_unknown()), (3, true));
    let expected = fixture("kenlm.tsv");
    let mut compared = 0;
    for expected in expected.lines() {
        let (sentence, expected) = expected.split_once('\t').unwrap();
        let found = line(&model, sentence);
        let expected: Vec<f64> = expected.split('\t').map(|score| score.parse().unwrap()).collect();
        assert_eq!(found.len(), expected.len(), "{sentence}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{sentence}: {found}, expected {expected}");
        }
        compared += found.len();
    }
    assert!(compared > 50);
}

/// What discounting takes from the seen words is what backoff gives to the others.
#[test]
fn probabilities_after_any_context_sum_to_one() {
    let model = read(&fixture("trigrams.arpa")).unwrap();
    let ids = 0..model.words().len() as u32;
    for first in ids.clone() {
        for second in ids.clone() {
            let sum: f64 = ids.clone().map(|word| 10f64.powf(model.log10_prob(&[first, second], word))).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{first} {second}: {sum}");
        }
    }
}

#[test]
fn values_are_listed_or_backed_off_by_hand() {
    let model = read(SMALL).unwrap();
    assert_eq!((model.order(), model.counts().collect::<Vec<_>>()), (3, vec![4, 3, 2]));
    assert_eq!(model.words().collect::<Vec<_>>(), ["<s>", "</s>", "a", "b"]);
    let [start, end, a, b] = ["<s>", "</s>", "a", "b"].map(|word| model.id(word).unwrap());
    let unknown = model.unknown();
    assert!(!model.lists_unknown());
    for (context, word, expected) in [
        (&[][..], a, -0.4),
        (&[start], a, -0.3),
        (&[start, a], b, -0.1),
        // Only the last two words count.
        (&[b, b, start, a], b, -0.1),
        (&[a, b], a, -0.8),
        // Backoff from `b a` (none is listed), then from `a`, to `b` after `a`.
        (&[b, a], b, -0.2),
        (&[start, a], a, -0.75 - 0.25 - 0.4),
        (&[a, b], end, 0.5 - 0.125 - 0.7),
        // A context that is not listed has no backoff.
        (&[b, b], a, -0.6),
        (&[end, start], a, -0.3),
        (&[a, unknown], b, -0.9),
        (&[unknown, a], unknown, -0.25 - 100.0),
    ] {
        let found = model.log10_prob(context, word);
        assert!((found - expected).abs() < 1e-5, "{context:?} {word}: {found}, expected {expected}");
    }
}

#[test]
fn a_single_order_has_no_contexts() {
    let model =
        read("\\data\\\r\nngram 1=2\r\n\r\n\\1-grams:\r\n-0.5\ta\r\n-inf\t<UNK>\r\n\\end\\\r\n").unwrap();
    assert_eq!((model.order(), model.id("<UNK>"), model.start()), (1, Some(model.unknown()), None));
    assert!((model.log10_prob(&[0, 1, 7], 0) - -0.5).abs() < 1e-6);
    assert!((model.log10_prob(&[0], 1) - -100.0).abs() < 1e-6);
}

#[test]
fn what_is_wrong_has_its_line() {
    let check = |from: &str, to: &str, line: u64, expected: &str| {
        assert!(SMALL.contains(from), "{from}");
        let expected = format!("`lm.arpa`, line {line}: {expected}");
        assert_eq!(read(&SMALL.replacen(from, to, 1)).unwrap_err(), expected, "{from} → {to}");
    };
    check("ngram 2=3", "ngram 3=3", 5, "expected `ngram 2=` and a count, found `ngram 3=3`");
    check("ngram 2=3", "ngram 2=x", 5, "expected `ngram 2=` and a count, found `ngram 2=x`");
    check(
        "ngram 2=3",
        "ngram 2=4294967295",
        5,
        "4294967295 2-grams are more than the 4294967295 that can be read",
    );
    check("ngram 2=3", "ngram 2=4", 19, "found 3 2-grams, but the header promises 4");
    check("\\2-grams:", "\\4-grams:", 14, "expected `\\2-grams:`, found `\\4-grams:`");
    check("\\end\\", "\\fin\\", 23, "expected `\\end\\`, found `\\fin\\`");
    check(
        "-0.2 a b 0.5",
        "-0.2 a b 0.5 1",
        17,
        "expected a log-probability, 2 words and at most one backoff, found 5 fields",
    );
    check(
        "-0.2 a b 0.5",
        "-0.2 a",
        17,
        "expected a log-probability, 2 words and at most one backoff, found 2 fields",
    );
    check("-0.2 a b 0.5", "x a b 0.5", 17, "the log-probability `x` is not a finite number");
    check("-0.2 a b 0.5", "nan a b 0.5", 17, "the log-probability `nan` is not a finite number");
    check("-0.2 a b 0.5", "-0.2 a b inf", 17, "the backoff `inf` is not a finite number");
    check("-0.2 a b 0.5", "0.2 a b 0.5", 17, "the log-probability 0.2 is above 0: no probability is above 1");
    check("-0.2 a b 0.5", "-0.2 a c", 17, "the word `c` is not among the 1-grams");
    check("-0.8 a b a", "-0.8 a a b", 21, "the context `a a` is not among the 2-grams");
    check(
        "-0.8 a b a",
        "-0.8 a b a -1",
        21,
        "n-grams of the highest order cannot have a backoff, but found `-1`",
    );
    check("-0.9 b", "-0.9 a", 12, "a 1-gram of this section is listed twice: `a`");
    check("-0.2 a b", "-0.2 b a", 19, "a 2-gram of this section is listed twice: `b a`");
    check("-0.8 a b a", "-0.8 <s> a b", 23, "a 3-gram of this section is listed twice: `<s> a b`");
    check("\\end\\\nwhat follows is not read", "", 22, "the file ends here, before the line `\\end\\`");
    assert_eq!(
        read("").unwrap_err(),
        "`lm.arpa`, line 0: this is not an ARPA file: it has no line `\\data\\`"
    );
    let binary = read("mmap lm http://kheafield.com/code format version 5\n\0\0").unwrap_err();
    assert!(binary.contains("line 1: this is a binary file of KenLM"), "{binary}");
    let latin = Arpa::read(&b"\\data\\\nngram 1=1\n\\1-grams:\n-1 caf\xE9\n"[..], "lm.arpa").unwrap_err();
    assert_eq!(latin.to_string(), "`lm.arpa` is not UTF-8 text: invalid byte at offset 33 (line 4)");
}

/// Words in any Unicode, whose spaces are not separators.
#[test]
fn only_spaces_and_tabs_separate_words() {
    let model = read("\u{feff}\\data\\\nngram 1=2\n\\1-grams:\n-1\ta\u{a0}b\n-2\tस्कूल\n\\end\\").unwrap();
    assert_eq!(model.words().collect::<Vec<_>>(), ["a\u{a0}b", "स्कूल"]);
}

/// A header can promise what it likes: nothing is allocated for it.
#[test]
fn promised_counts_cost_no_memory() {
    let promises: String = (1..=32).map(|order| format!("ngram {order}=4000000000\n")).collect();
    let error = read(&format!("\\data\\\n{promises}\\1-grams:\n-1 a\n\\2-grams:\n")).unwrap_err();
    assert!(error.ends_with("found 1 1-grams, but the header promises 4000000000"), "{error}");
}

proptest! {
    #[test]
    fn hostile_files_never_panic(
        cuts in prop::collection::vec((0..SMALL.len(), 0..12usize, "[-0-9a-c\\\\ \t\n<>/s=.]{0,6}"), 0..4),
        bytes in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut text = SMALL.as_bytes().to_vec();
        for (at, len, replacement) in cuts {
            let at = at.min(text.len());
            let end = (at + len).min(text.len());
            text.splice(at..end, replacement.bytes());
        }
        for bytes in [text, bytes] {
            let Ok(model) = Arpa::read(bytes.as_slice(), "lm.arpa") else { continue };
            let ids = model.words().len() as u32;
            for word in 0..ids {
                let found = model.log10_prob(&[word, ids, 0, word], word);
                prop_assert!(found.is_finite());
            }
        }
    }
}
