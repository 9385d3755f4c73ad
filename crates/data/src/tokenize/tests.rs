//! Tests of tokenization and joining: texts split at every position, and unusual texts.

use std::io::{BufRead, BufReader, Cursor, Read};

use proptest::prelude::*;

use super::*;
use crate::{DataError, Joints, Result};

fn words() -> Tokenizer {
    Tokenizer::default()
}

fn skip_blank() -> Tokenizer {
    Tokenizer::words().with_blank_lines(BlankLines::Skip)
}

fn moses_by_line() -> Tokenizer {
    Tokenizer::moses().with_sentences(false).with_joints(Joints::All).with_lowercase(true)
}

fn join<T: AsRef<str>>(tokenizer: &Tokenizer, tokens: impl IntoIterator<Item = T>) -> String {
    let (mut joiner, mut text) = (tokenizer.joiner(), Vec::new());
    tokens.into_iter().for_each(|token| joiner.push(token.as_ref(), &mut text));
    String::from_utf8_lossy(&text).into_owned()
}

/// Tokens and statistics of `text`, read `capacity` bytes at a time without the last `drop` characters.
fn read(tokenizer: &Tokenizer, text: &[u8], capacity: usize, drop: u64) -> Result<(Vec<String>, TextStats)> {
    read_as(tokenizer, text, capacity, Reading { drop_tail_chars: drop, lossy: false })
}

fn read_as(
    tokenizer: &Tokenizer,
    text: &[u8],
    capacity: usize,
    reading: Reading,
) -> Result<(Vec<String>, TextStats)> {
    let mut tokens = Vec::new();
    let reader = BufReader::with_capacity(capacity, text);
    let stats = read_tokens(tokenizer, reader, "text", reading, |token, _| {
        tokens.push(token.to_owned());
        Ok(())
    })?;
    assert_eq!(stats.tokens, tokens.len() as u64);
    Ok((tokens, stats))
}

#[track_caller]
fn check(tokenizer: &Tokenizer, text: &str, expected: &[&str], lines: u64) {
    for capacity in 1..=text.len().max(1) {
        let (tokens, stats) = read(tokenizer, text.as_bytes(), capacity, 0).unwrap();
        assert_eq!(tokens, expected, "read {capacity} bytes at a time");
        assert_eq!((stats.lines, stats.bytes), (lines, text.len() as u64));
    }
}

#[test]
fn words_end_at_white_space_and_lines_in_eos() {
    check(&words(), " a  bc \n \nd", &["a", "bc", "<eos>", "<eos>", "d", "<eos>"], 3);
    check(&words(), "\n", &["<eos>"], 1);
    check(&words(), "", &[], 0);
    check(&words(), "a\t\u{a0}é\u{2028}b\n", &["a", "é", "b", "<eos>"], 1);
}

#[test]
fn a_last_line_is_one_with_or_without_line_end() {
    check(&words(), "a\nb", &["a", "<eos>", "b", "<eos>"], 2);
    check(&words(), "a\nb\n", &["a", "<eos>", "b", "<eos>"], 2);
    check(&words(), "a\n ", &["a", "<eos>", "<eos>"], 2);
}

#[test]
fn blank_lines_can_be_skipped_and_eos_turned_off() {
    check(&skip_blank(), "\na\n \n\r\nb\n ", &["a", "<eos>", "b", "<eos>"], 6);
    let no_eos = Tokenizer::words().with_eos(None);
    check(&no_eos, "a b\n\nc", &["a", "b", "c"], 3);
}

#[test]
fn windows_line_ends_and_byte_order_marks_leave_words_alone() {
    check(&words(), "\u{feff}a b\r\n\r\nc\r\n", &["a", "b", "<eos>", "<eos>", "c", "<eos>"], 3);
    check(&Tokenizer::chars(), "\u{feff}a\u{feff}", &["a", "\u{feff}"], 1);
    check(&words(), "\u{feff}", &[], 0);
}

#[test]
fn characters_and_bytes() {
    check(&Tokenizer::chars(), "aé\n😀", &["a", "é", "\n", "😀"], 2);
    check(&Tokenizer::bytes(), "aé\n", &["a", "<0xC3>", "<0xA9>", "<0x0A>"], 1);
    let (tokens, stats) = read(&Tokenizer::bytes(), &[0, 0xFF, b'\n', b'x'], 2, 0).unwrap();
    assert_eq!(tokens, ["<0x00>", "<0xFF>", "<0x0A>", "x"]);
    assert_eq!((stats.lines, stats.bytes), (2, 4));
}

#[test]
fn running_text_is_cut_by_sentences_whatever_its_lines() {
    let expected = ["Mr.", "Ash", "ran", ".", "<eos>", "It", "'s", "late", "<eos>", "Bye", ".", "<eos>"];
    check(&Tokenizer::moses(), "Mr. Ash\nran. It's\r\nlate\n \n\nBye.", &expected, 6);
    check(&Tokenizer::moses(), "\u{feff}\n \n", &[], 2);
    let expected = ["mr.", "ash", "<eos>", "ran", ".", "it", "is", "x", "@-@", "y", "<eos>"];
    check(&moses_by_line(), "Mr. Ash\n\nran. It is X-y", &expected, 3);
}

#[test]
fn sentences_are_visited_with_their_line() {
    let mut lines = Vec::new();
    let visit = |token: &str, line| {
        lines.push(format!("{line}{token}"));
        Ok(())
    };
    Tokenizer::moses().for_each_token("\nme. Be\nme.\nIt\n\nis".as_bytes(), "text", visit).unwrap();
    assert_eq!(lines.join(" "), "2me 2. 2<eos> 2Be 2me 2. 2<eos> 4It 4<eos> 6is 6<eos>");
}

/// A paragraph of 3 MB is processed in parts without splitting a sentence, or a word if it is one sentence.
#[test]
fn an_endless_paragraph_is_read_in_bounded_memory() {
    let tokenizer = Tokenizer::moses();
    for (sentence, eos_every) in [("the dog ran. ", 5), ("the dog ran ", 0)] {
        let text = sentence.repeat((3 << 20) / sentence.len());
        let mut scanner = Scanner::new(&tokenizer, "text", false);
        let mut tokens = Vec::new();
        let mut visit = |token: &str, _: u64| {
            tokens.push(token.len());
            Ok(())
        };
        for piece in text.as_bytes().chunks(1 << 16) {
            scanner.feed(piece, &mut visit).unwrap();
            assert!(scanner.held_bytes() <= 1 << 20, "{} bytes held", scanner.held_bytes());
        }
        scanner.finish(&mut visit).unwrap();
        let expected = if eos_every > 0 { vec![3, 3, 3, 1, 5] } else { vec![3, 3, 3] };
        let count = text.len() / sentence.len() * expected.len() + usize::from(eos_every == 0);
        assert_eq!(tokens.len(), count);
        let all = tokens.iter().zip(expected.iter().cycle()).all(|(found, expected)| found == expected);
        assert!(all || eos_every == 0 && tokens.pop() == Some(5));
    }
}

/// A word of 3 MB is buffered until it ends.
#[test]
fn a_word_longer_than_a_paragraph_stays_whole() {
    let text = format!("a {} be. C", "x".repeat(3 << 20));
    let (tokens, _) = read(&Tokenizer::moses(), text.as_bytes(), 1 << 16, 0).unwrap();
    let lens: Vec<_> = tokens.iter().map(String::len).collect();
    assert_eq!(lens, [1, 3 << 20, 2, 1, 5, 1, 5]);
}

#[test]
fn tokens_are_visited_with_their_line() {
    let mut lines = Vec::new();
    let visit = |_: &str, line| {
        lines.push(line);
        Ok(())
    };
    words().for_each_token("a b\n\nc".as_bytes(), "text", visit).unwrap();
    assert_eq!(lines, [1, 1, 1, 2, 3, 3]);
}

#[test]
fn text_that_is_not_utf8_is_refused_with_its_place() {
    for text in [b"ab\nc\xFFd".as_slice(), b"ab\nc\xE2\x28\xA1", b"ab\nc\xE2\x82"] {
        for capacity in 1..=text.len() {
            for tokenizer in [words(), Tokenizer::chars()] {
                let error = read(&tokenizer, text, capacity, 0).unwrap_err();
                let expected = "`text` is not UTF-8 text: invalid byte at offset 4 (line 2)";
                assert_eq!(error.to_string(), expected);
            }
        }
    }
}

#[test]
fn binary_files_are_refused_with_their_place() {
    for capacity in 1..=6 {
        let error = read(&words(), b"ab\nc\0d\xFF", capacity, 0).unwrap_err();
        assert_eq!(error.to_string(), "`text` looks like a binary file: NUL byte at offset 4 (line 2)");
    }
}

/// The result of [`String::from_utf8_lossy`], with NUL bytes replaced as well.
fn replaced(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

#[test]
fn lossy_reading_replaces_what_is_no_text_and_counts_it() {
    let lossy = Reading { lossy: true, ..Reading::default() };
    for (text, expected, replaced) in [
        (b"caf\xE9 au\nlait\0".as_slice(), "caf\u{fffd} au\nlait\u{fffd}", 2),
        (b"\xE2\x82", "\u{fffd}", 1),
        (b"\xE2\x82\xE2\x82\xAC", "\u{fffd}\u{20ac}", 1),
        (b"\xF0\x90\xFF\n", "\u{fffd}\u{fffd}\n", 2),
        (b"\xFF\xEF\xBB\xBFa", "\u{fffd}\u{feff}a", 1),
        ("a\u{fffd}".as_bytes(), "a\u{fffd}", 0),
    ] {
        for capacity in 1..=text.len() {
            let (tokens, stats) = read_as(&Tokenizer::chars(), text, capacity, lossy).unwrap();
            assert_eq!((tokens.concat().as_str(), stats.replaced), (expected, replaced));
            assert_eq!(stats.bytes, text.len() as u64);
        }
    }
    let (tokens, stats) = read_as(&Tokenizer::bytes(), b"\xFF\0", 1, lossy).unwrap();
    assert_eq!((tokens.concat().as_str(), stats.replaced), ("<0xFF><0x00>", 0));
}

#[test]
fn the_tail_is_dropped_by_characters() {
    for capacity in 1..=8 {
        for (drop, expected) in [(1, "aé\n😀"), (3, "aé"), (4, "a")] {
            let (tokens, stats) = read(&Tokenizer::chars(), "aé\n😀z".as_bytes(), capacity, drop).unwrap();
            assert_eq!(tokens.concat(), expected);
            assert_eq!((stats.bytes, stats.chars), (9, expected.chars().count() as u64));
        }
        for drop in [5, 6] {
            let error = read(&Tokenizer::chars(), "aé\n😀z".as_bytes(), capacity, drop).unwrap_err();
            let expected = format!("`text` has 5 characters: dropping the last {drop} leaves nothing");
            assert_eq!(error.to_string(), expected);
        }
    }
}

#[test]
fn the_hash_is_that_of_the_whole_source() {
    let (_, stats) = read(&Tokenizer::chars(), b"abc", 2, 1).unwrap();
    assert_eq!(stats.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn what_the_visitor_refuses_ends_the_reading() {
    let refuse = |token: &str, line| Err(crate::vocab::unknown_token(token, "text", line));
    let error = words().for_each_token("a b".as_bytes(), "text", refuse).unwrap_err();
    assert!(matches!(error, DataError::UnknownToken { token, line: 1, .. } if token == "a"));
}

#[test]
fn a_failing_reader_is_reported() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("unplugged"))
        }
    }
    let reader = BufReader::new(Cursor::new("a b ").chain(Broken));
    let error = words().for_each_token(reader, "text", |_, _| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), "could not read `text`");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "unplugged");
}

/// Memory must not grow with a line: 16 MB without a line ending, as characters or as short words.
#[test]
fn one_endless_line_is_read_in_bounded_memory() {
    struct Endless {
        left: usize,
    }
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let len = buffer.len().min(self.left);
            for (index, byte) in buffer[..len].iter_mut().enumerate() {
                *byte = if index % 8 == 7 { b' ' } else { b'x' };
            }
            self.left -= len;
            Ok(len)
        }
    }
    for tokenizer in [words(), Tokenizer::chars(), Tokenizer::bytes()] {
        let mut reader = BufReader::with_capacity(1 << 16, Endless { left: 16 << 20 });
        let mut scanner = Scanner::new(&tokenizer, "text", false);
        let mut tokens = 0u64;
        let mut visit = |_: &str, _: u64| {
            tokens += 1;
            Ok(())
        };
        loop {
            let piece = reader.fill_buf().unwrap();
            if piece.is_empty() {
                break;
            }
            scanner.feed(piece, &mut visit).unwrap();
            assert!(scanner.held_bytes() < 64, "{tokenizer}: {} bytes held", scanner.held_bytes());
            let len = piece.len();
            reader.consume(len);
        }
        scanner.finish(&mut visit).unwrap();
        assert_eq!((scanner.lines(), scanner.tokens()), (1, tokens));
    }
}

#[test]
fn words_are_joined_by_spaces_and_lines_by_line_ends() {
    let joined = join(&words(), ["a", "b", "<eos>", "<eos>", "c", "<eos>"]);
    assert_eq!(joined, "a b\n\nc\n");
    assert_eq!(join(&Tokenizer::chars(), ["a", "\n", "<unk>", "é"]), "a\n<unk>é");
    let tokens = ["\"", "It", "'s", "late", ",", "\"", "he", "said", ".", "<eos>", "Yes"];
    assert_eq!(join(&Tokenizer::moses(), tokens), "\"It's late,\" he said.\nYes");
    assert_eq!(join(&Tokenizer::bytes(), ["<0xFF>", "<unk>", "<0x0A>"]), "\u{fffd}<unk>\n");
}

#[test]
fn serialized_and_read_back_it_is_the_same() {
    let no_eos = Tokenizer::words().with_eos(None);
    let all = [
        words(),
        skip_blank(),
        no_eos,
        Tokenizer::moses(),
        moses_by_line(),
        Tokenizer::chars(),
        Tokenizer::bytes(),
    ];
    for tokenizer in all {
        let json = serde_json::to_string(&tokenizer).unwrap();
        assert_eq!(serde_json::from_str::<Tokenizer>(&json).unwrap(), tokenizer, "{json}");
    }
}

/// Model files contain exactly this text, so it must never change.
#[test]
fn its_json_is_that_of_model_files() {
    for (tokenizer, json) in [
        (words(), r#"{"kind":"words","eos":"<eos>","blank_lines":"keep"}"#),
        (skip_blank().with_eos(None), r#"{"kind":"words","eos":"","blank_lines":"skip"}"#),
        (
            Tokenizer::moses(),
            r#"{"kind":"moses","eos":"<eos>","sentences":true,"joints":"keep","lowercase":false}"#,
        ),
        (
            moses_by_line().with_eos(Some("\n")),
            r#"{"kind":"moses","eos":"\n","sentences":false,"joints":"all","lowercase":true}"#,
        ),
        (Tokenizer::chars(), r#"{"kind":"chars"}"#),
        (Tokenizer::bytes(), r#"{"kind":"bytes"}"#),
    ] {
        assert_eq!(serde_json::to_string(&tokenizer).unwrap(), json);
        assert_eq!(tokenizer.to_json(), json);
        assert_eq!(serde_json::from_str::<Tokenizer>(json).unwrap(), tokenizer);
        let kind_alone = format!("{{\"kind\":\"{tokenizer}\"}}");
        let usual = tokenizer.kind().unwrap().tokenizer(&TokenizerOptions::default());
        assert_eq!(serde_json::from_str::<Tokenizer>(&kind_alone).unwrap(), usual);
    }
    for (json, expected) in [
        (r#"{"eos":"x"}"#, "missing field `kind`"),
        (r#"{"kind":"word"}"#, "unknown variant `word`, expected one of `words`, `moses`, `chars`, `bytes`"),
        (r#"{"kind":"words","eso":"x"}"#, "unknown field `eso`, expected one of `eos`, `blank_lines`, "),
        (
            r#"{"kind":"words","joints":"all"}"#,
            "unknown field `joints`, expected one of `eos`, `blank_lines`, ",
        ),
    ] {
        let error = serde_json::from_str::<Tokenizer>(json).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_kind_is_found_by_its_name_and_made_with_its_options() {
    assert_eq!(TokenizerKind::NAMES, ["words", "moses", "chars", "bytes"]);
    for &name in TokenizerKind::NAMES {
        let kind = TokenizerKind::from_name(name).unwrap();
        let usual = kind.tokenizer(&TokenizerOptions::default());
        assert_eq!((usual.name(), usual.kind(), usual.unit().is_empty()), (name, Some(kind), false));
        assert_eq!(kind.tokenizer(&usual.options()), usual);
    }
    assert_eq!(TokenizerKind::from_name("Words"), None);
    let by_line = moses_by_line().options();
    assert_eq!(Tokenizer::moses().kind().unwrap().tokenizer(&by_line), moses_by_line());
    assert_eq!(Tokenizer::chars().with_options(by_line), Tokenizer::chars(), "it has no options");
    assert_ne!(words(), skip_blank());
}

fn any_tokenizer() -> impl Strategy<Value = Tokenizer> {
    let moses = [Tokenizer::moses(), moses_by_line()];
    let others = [words(), skip_blank(), Tokenizer::chars(), Tokenizer::bytes()];
    prop_oneof![prop::sample::select(others.to_vec()), prop::sample::select(moses.to_vec())]
}

proptest! {
    #[test]
    fn where_the_text_is_cut_does_not_matter(
        tokenizer in any_tokenizer(), text in "[ab \n\ré😀\u{a0}.',]{0,40}", capacity in 1usize..9, drop in 0u64..4,
    ) {
        let pieces = read(&tokenizer, text.as_bytes(), capacity, drop).ok();
        prop_assert_eq!(pieces, read(&tokenizer, text.as_bytes(), 1 << 10, drop).ok());
    }

    #[test]
    fn the_plain_definition_of_words_agrees(text in "[ab \n\ré]{0,40}") {
        let line = |line: &str| line.split_whitespace().chain(["<eos>"]).map(str::to_owned).collect::<Vec<_>>();
        let plain: Vec<String> = text.split_terminator('\n').flat_map(line).collect();
        prop_assert_eq!(read(&words(), text.as_bytes(), 7, 0).unwrap().0, plain);
    }

    #[test]
    fn bytes_and_characters_come_back_exactly(bytes: Vec<u8>, text: String) {
        let mut joined = Vec::new();
        let mut joiner = Tokenizer::bytes().joiner();
        for token in read(&Tokenizer::bytes(), &bytes, 5, 0).unwrap().0 {
            joiner.push(&token, &mut joined);
        }
        prop_assert_eq!(joined, bytes);
        let text = text.replace(['\0', '\u{feff}'], "");
        let tokens = read(&Tokenizer::chars(), text.as_bytes(), 5, 0).unwrap().0;
        prop_assert_eq!(join(&Tokenizer::chars(), tokens), text);
    }

    #[test]
    fn lossy_reading_is_the_reading_of_what_is_replaced(
        bytes in prop::collection::vec(prop::sample::select(b"ab .\n\0\xC3\xA9\xE2\x82\xAC\xF0\x9F\xFF\xEF\xBB\xBF".to_vec()), 0..30),
        capacity in 1usize..9, tokenizer in prop::sample::select(vec![words(), Tokenizer::moses(), Tokenizer::chars()]),
    ) {
        let lossy = Reading { lossy: true, ..Reading::default() };
        let tokens = read_as(&tokenizer, &bytes, capacity, lossy).unwrap().0;
        prop_assert_eq!(tokens, read(&tokenizer, replaced(&bytes).as_bytes(), 1 << 10, 0).unwrap().0);
    }

    #[test]
    fn hostile_bytes_never_panic(bytes: Vec<u8>, capacity in 1usize..9, drop in 0u64..4, tokenizer in any_tokenizer()) {
        let whole = read(&tokenizer, &bytes, 1 << 10, drop).map_err(|error| error.to_string());
        let pieces = read(&tokenizer, &bytes, capacity, drop).map_err(|error| error.to_string());
        prop_assert_eq!(whole, pieces);
    }
}
