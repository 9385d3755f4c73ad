//! Tests that encoding a whole text, its lines, and prefixes gives the same ids.

use proptest::prelude::*;

use super::*;
use crate::BlankLines;

fn vocab(tokens: &[&str], unknown: Option<&str>) -> Vocab {
    Vocab::from_tokens("test", tokens.iter().copied(), unknown).unwrap()
}

#[test]
fn unknown_tokens_are_counted_as_written_and_as_replaced() {
    let (vocab, tokenizer) = (vocab(&["a", "<unk>", "<eos>"], Some("<unk>")), Tokenizer::default());
    let encoded = TextCodec::new(tokenizer, vocab).encode_reader("a <unk> z\nz".as_bytes(), "text").unwrap();
    assert_eq!(encoded.ids, [0, 1, 1, 2, 1, 2]);
    let report = encoded.report;
    assert_eq!((report.unknown_tokens, report.out_of_vocab_tokens), (3, 2));
    assert_eq!((report.stats.tokens, report.stats.lines, &*report.origin), (6, 2, "text"));
}

#[test]
fn without_an_unknown_token_the_error_names_word_file_and_line() {
    let (vocab, tokenizer) = (vocab(&["a", "<eos>"], None), Tokenizer::default());
    let codec = TextCodec::new(tokenizer, vocab);
    let error = codec.encode_reader("a\na z\n".as_bytes(), "my.txt").unwrap_err();
    let expected = "out-of-vocabulary token `z` on line 2 of `my.txt`: the vocabulary has no unknown token";
    assert_eq!(error.to_string(), expected);
    let mut lines = codec.lines("a\na z\na\n".as_bytes(), "my.txt");
    assert!(lines.next().unwrap().is_ok());
    assert_eq!(lines.next().unwrap().unwrap_err().to_string(), expected);
    assert!(lines.next().is_none(), "an error ends the lines");
}

#[test]
fn a_prefix_stays_open() {
    let vocab = vocab(&["<unk>", "<eos>", "a", "b", "\n"], Some("<unk>"));
    let words = Tokenizer::default();
    let prefix = |text| TextCodec::new(words.clone(), vocab.clone()).encode_prefix(text).unwrap();
    assert_eq!(prefix("a b"), [2, 3]);
    assert_eq!(prefix("a\nb "), [2, 1, 3]);
    assert_eq!(prefix("a\n"), [2, 1]);
    assert_eq!(prefix(""), [0u32; 0]);
    let moses = Tokenizer::moses();
    let prefix = |text| TextCodec::new(moses.clone(), vocab.clone()).encode_prefix(text).unwrap();
    assert_eq!(prefix("a? b"), [2, 0, 1, 3]);
    assert_eq!(prefix("a\nb?"), [2, 3, 0]);
    assert_eq!(prefix("a b?\n"), [2, 3, 0, 1]);
    assert_eq!(TextCodec::new(Tokenizer::chars(), vocab).encode_prefix("a\nb").unwrap(), [2, 4, 3]);
}

#[test]
fn lines_show_the_words_as_they_stand() {
    let (vocab, tokenizer) = (vocab(&["<unk>", "<eos>", "a"], Some("<unk>")), Tokenizer::default());
    let codec = TextCodec::new(tokenizer, vocab);
    let lines: Vec<_> = codec.lines("a z\n\na".as_bytes(), "text").map(Result::unwrap).collect();
    assert_eq!(lines[0].tokens, ["a", "z", "<eos>"]);
    assert_eq!((lines[0].ids.as_slice(), lines[0].out_of_vocab_tokens), ([2, 0, 1].as_slice(), 1));
    assert_eq!(lines[1].tokens, ["<eos>"]);
    assert_eq!((lines[2].number, lines.len()), (3, 3));
    assert_eq!(codec.lines("".as_bytes(), "text").count(), 0);
    assert_eq!(codec.lines("\u{feff}".as_bytes(), "text").count(), 0);
}

#[test]
fn skipped_blank_lines_are_still_lines() {
    let vocab = vocab(&["<eos>", "a"], None);
    let tokenizer = Tokenizer::words().with_blank_lines(BlankLines::Skip);
    let codec = TextCodec::new(tokenizer, vocab);
    let lines: Vec<_> = codec.lines("a\n \na\n".as_bytes(), "text").map(|line| line.unwrap().ids).collect();
    assert_eq!(lines, [vec![1, 0], vec![], vec![1, 0]]);
}

#[test]
fn sentences_of_running_text_are_its_lines() {
    let vocab = vocab(&["<unk>", "<eos>", "a", "?"], Some("<unk>"));
    let moses = Tokenizer::moses();
    let codec = TextCodec::new(moses, vocab);
    let found: Vec<_> = codec.lines("a\nz? Ah? \n\n\na".as_bytes(), "text").map(Result::unwrap).collect();
    let shown: Vec<_> =
        found.iter().map(|line| (line.number, line.tokens.iter().collect::<Vec<_>>().join(" "))).collect();
    let expected = [(1, "a z ? <eos>"), (2, "Ah ? <eos>"), (5, "a <eos>")];
    assert_eq!(shown, expected.map(|(number, tokens)| (number, tokens.to_owned())));
    assert_eq!((found[0].ids.as_slice(), found[0].out_of_vocab_tokens), ([2, 0, 3, 1].as_slice(), 1));
}

proptest! {
    #[test]
    fn sentences_put_together_are_the_whole(text in "[abA \n.?']{0,40}", with_eos: bool) {
        let vocab = vocab(&["<unk>", "a", "b", ".", "<eos>"], Some("<unk>"));
        let tokenizer = Tokenizer::moses().with_eos(with_eos.then_some("<eos>"));
        let codec = TextCodec::new(tokenizer, vocab);
        let whole = codec.encode_reader(text.as_bytes(), "text").unwrap();
        let sentences: Vec<_> = codec.lines(text.as_bytes(), "text").map(Result::unwrap).collect();
        prop_assert!(sentences.iter().all(|sentence| !sentence.tokens.is_empty()));
        prop_assert_eq!(sentences.into_iter().flat_map(|sentence| sentence.ids).collect::<Vec<_>>(), whole.ids);
    }

    #[test]
    fn lines_put_together_are_the_whole(text in "[ab \n\ré]{0,40}", by_words: bool) {
        let vocab = vocab(&["<unk>", "a", "b", "é"], Some("<unk>"));
        let tokenizer = if by_words { Tokenizer::default() } else { Tokenizer::chars() };
        let codec = TextCodec::new(tokenizer, vocab);
        let whole = codec.encode_reader(text.as_bytes(), "text").unwrap();
        let lines: Vec<_> = codec.lines(text.as_bytes(), "text").map(Result::unwrap).collect();
        prop_assert_eq!(lines.len() as u64, whole.report.stats.lines);
        prop_assert!(lines.iter().zip(1..).all(|(line, number)| line.number == number));
        prop_assert_eq!(lines.iter().flat_map(|line| line.ids.clone()).collect::<Vec<_>>(), whole.ids);
    }
}

#[test]
fn a_prompt_begins_a_line() {
    let words = ["<unk>", "<eos>", "a", "\n", "<0x0A>"];
    let codec = |tokenizer: &Tokenizer, tokens: &[&str]| {
        TextCodec::new(tokenizer.clone(), vocab(tokens, Some("<unk>")))
    };
    for (tokenizer, line_end, unit) in [
        (Tokenizer::default(), 1, "token"),
        (Tokenizer::moses(), 1, "token"),
        (Tokenizer::chars(), 3, "character"),
        (Tokenizer::bytes(), 4, "byte"),
    ] {
        let with = codec(&tokenizer, &words);
        assert_eq!((with.line_end(), with.unit()), (Some(line_end), unit));
        assert_eq!(with.prompt("a").unwrap(), [line_end, 2]);
        assert_eq!(with.prompt("").unwrap(), [line_end]);
        let without = codec(&tokenizer, &["<unk>", "a"]);
        assert_eq!(without.line_end(), None, "the unknown token is not a line-end token");
        assert_eq!((without.prompt("a").unwrap(), without.prompt("").unwrap()), (vec![1], vec![]));
    }
}

#[test]
fn without_an_end_of_line_token_no_token_ends_a_line() {
    let tokenizer = Tokenizer::words().with_eos(None);
    assert_eq!(TextCodec::new(tokenizer, vocab(&["a", "\n"], None)).line_end(), None);
}

#[test]
fn ids_become_text_with_the_spacing_asked_for() {
    let words = vocab(&["<eos>", "It", "'s", "late", "."], None);
    let text = |codec: &TextCodec, spacing| {
        let (mut decoder, mut text) = (codec.decoder(spacing), Vec::new());
        [1, 2, 3, 4, 0, 1].into_iter().for_each(|id| decoder.push(id, &mut text).unwrap());
        String::from_utf8(text).unwrap()
    };
    let spaced = TextCodec::new(Tokenizer::default(), words);
    let running = spaced.with_tokenizer(Tokenizer::moses());
    assert_eq!(spaced.decode(&[1, 2, 3, 4, 0, 1]).unwrap(), "It 's late .\nIt");
    for (codec, as_read) in [(&spaced, "It 's late .\nIt"), (&running, "It's late.\nIt")] {
        assert_eq!(text(codec, Spacing::AsRead), as_read);
        assert_eq!(text(codec, Spacing::Natural), "It's late.\nIt");
        assert_eq!(text(codec, Spacing::Tokens), "It 's late .\nIt");
    }
    let bytes = TextCodec::new(Tokenizer::bytes(), vocab(&["<0xC3>", "<0xA9>"], None));
    for spacing in [Spacing::AsRead, Spacing::Natural, Spacing::Tokens] {
        let (mut decoder, mut text) = (bytes.decoder(spacing), Vec::new());
        [0, 1, 0].into_iter().for_each(|id| decoder.push(id, &mut text).unwrap());
        assert_eq!(text, b"\xC3\xA9\xC3");
        assert!(decoder.push(2, &mut text).is_err());
    }
    assert_eq!(bytes.decode(&[0, 1, 0]).unwrap(), "\u{e9}\u{fffd}");
    assert_eq!(bytes.join(["<0xC3>", "<0xA9>", "<unk>"]), "\u{e9}<unk>");
}

#[test]
fn a_codec_can_be_sent_to_another_thread() {
    fn check<T: Send + Sync + 'static>() {}
    check::<TextCodec>();
    fn check_send<T: Send + 'static>() {}
    check_send::<TextDecoder>();
    check_send::<Lines<std::io::Empty>>();
}

#[test]
fn a_line_keeps_its_bytes_and_is_read_with_replacements() {
    let codec = TextCodec::new(Tokenizer::words(), vocab(&["<unk>", "<eos>", "a"], Some("<unk>")));
    let line = b"a \xff\0 a";
    assert!(codec.line_encoder("text").encode(line).is_err());
    let lossy = codec.lossy(true);
    let encoded = lossy.line_encoder("text").encode(line).unwrap();
    assert_eq!((encoded.text.as_slice(), &encoded.tokens[1]), (&line[..], "\u{fffd}\u{fffd}"));
    assert_eq!(&*lossy.as_read(line), "a \u{fffd}\u{fffd} a".as_bytes());
    let bytes = TextCodec::new(Tokenizer::bytes(), vocab(&["<0x61>"], None)).lossy(true);
    assert_eq!(&*bytes.as_read(line), line);
}
