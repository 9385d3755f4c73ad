//! Whole texts, lines and prefixes give the same ids.

use proptest::prelude::*;

use super::*;
use crate::BlankLines;

fn vocab(tokens: &[&str], unknown: Option<&str>) -> Vocab {
    Vocab::from_tokens("test", tokens.iter().copied(), unknown).unwrap()
}

#[test]
fn unknown_tokens_are_counted_as_written_and_as_replaced() {
    let (vocab, tokenizer) = (vocab(&["a", "<unk>", "<eos>"], Some("<unk>")), Tokenizer::default());
    let encoded = Encoder::new(&vocab, &tokenizer).encode_reader("a <unk> z\nz".as_bytes(), "text").unwrap();
    assert_eq!(encoded.ids, [0, 1, 1, 2, 1, 2]);
    let report = encoded.report;
    assert_eq!((report.unknown_tokens, report.out_of_vocab_tokens), (3, 2));
    assert_eq!((report.stats.tokens, report.stats.lines, &*report.origin), (6, 2, "text"));
}

#[test]
fn without_an_unknown_token_the_error_names_word_file_and_line() {
    let (vocab, tokenizer) = (vocab(&["a", "<eos>"], None), Tokenizer::default());
    let encoder = Encoder::new(&vocab, &tokenizer);
    let error = encoder.encode_reader("a\na z\n".as_bytes(), "my.txt").unwrap_err();
    let expected = "`z` is not in the vocabulary, which has no unknown token: line 2 of `my.txt`";
    assert_eq!(error.to_string(), expected);
    let mut lines = encoder.lines("a\na z\na\n".as_bytes(), "my.txt");
    assert!(lines.next().unwrap().is_ok());
    assert_eq!(lines.next().unwrap().unwrap_err().to_string(), expected);
    assert!(lines.next().is_none(), "an error ends the lines");
}

#[test]
fn a_prefix_stays_open() {
    let vocab = vocab(&["<unk>", "<eos>", "a", "b", "\n"], Some("<unk>"));
    let words = Tokenizer::default();
    let prefix = |text| Encoder::new(&vocab, &words).encode_prefix(text).unwrap();
    assert_eq!(prefix("a b"), [2, 3]);
    assert_eq!(prefix("a\nb "), [2, 1, 3]);
    assert_eq!(prefix("a\n"), [2, 1]);
    assert_eq!(prefix(""), [0u32; 0]);
    let moses = Tokenizer::moses();
    let prefix = |text| Encoder::new(&vocab, &moses).encode_prefix(text).unwrap();
    assert_eq!(prefix("a? b"), [2, 0, 1, 3]);
    assert_eq!(prefix("a\nb?"), [2, 3, 0]);
    assert_eq!(prefix("a b?\n"), [2, 3, 0, 1]);
    assert_eq!(Encoder::new(&vocab, &Tokenizer::Chars).encode_prefix("a\nb").unwrap(), [2, 4, 3]);
}

#[test]
fn lines_show_the_words_as_they_stand() {
    let (vocab, tokenizer) = (vocab(&["<unk>", "<eos>", "a"], Some("<unk>")), Tokenizer::default());
    let encoder = Encoder::new(&vocab, &tokenizer);
    let lines: Vec<_> = encoder.lines("a z\n\na".as_bytes(), "text").map(Result::unwrap).collect();
    assert_eq!(lines[0].tokens, ["a", "z", "<eos>"]);
    assert_eq!((lines[0].ids.as_slice(), lines[0].out_of_vocab_tokens), ([2, 0, 1].as_slice(), 1));
    assert_eq!(lines[1].tokens, ["<eos>"]);
    assert_eq!((lines[2].number, lines.len()), (3, 3));
    assert_eq!(encoder.lines("".as_bytes(), "text").count(), 0);
    assert_eq!(encoder.lines("\u{feff}".as_bytes(), "text").count(), 0);
}

#[test]
fn skipped_blank_lines_are_still_lines() {
    let vocab = vocab(&["<eos>", "a"], None);
    let tokenizer = Tokenizer::Words { eos: Some("<eos>".into()), blank_lines: BlankLines::Skip };
    let encoder = Encoder::new(&vocab, &tokenizer);
    let lines: Vec<_> = encoder.lines("a\n \na\n".as_bytes(), "text").map(|line| line.unwrap().ids).collect();
    assert_eq!(lines, [vec![1, 0], vec![], vec![1, 0]]);
}

#[test]
fn sentences_of_running_text_are_its_lines() {
    let vocab = vocab(&["<unk>", "<eos>", "a", "?"], Some("<unk>"));
    let moses = Tokenizer::moses();
    let encoder = Encoder::new(&vocab, &moses);
    let found: Vec<_> = encoder.lines("a\nz? Ah? \n\n\na".as_bytes(), "text").map(Result::unwrap).collect();
    let shown: Vec<_> = found.iter().map(|line| (line.number, line.tokens.join(" "))).collect();
    let expected = [(1, "a z ? <eos>"), (2, "Ah ? <eos>"), (5, "a <eos>")];
    assert_eq!(shown, expected.map(|(number, tokens)| (number, tokens.to_owned())));
    assert_eq!((found[0].ids.as_slice(), found[0].out_of_vocab_tokens), ([2, 0, 3, 1].as_slice(), 1));
}

proptest! {
    #[test]
    fn sentences_put_together_are_the_whole(text in "[abA \n.?']{0,40}", with_eos: bool) {
        let vocab = vocab(&["<unk>", "a", "b", ".", "<eos>"], Some("<unk>"));
        let eos = with_eos.then(|| "<eos>".to_owned());
        let tokenizer = Tokenizer::Moses { eos, sentences: true, joints: crate::Joints::Keep, lowercase: false };
        let encoder = Encoder::new(&vocab, &tokenizer);
        let whole = encoder.encode_reader(text.as_bytes(), "text").unwrap();
        let sentences: Vec<_> = encoder.lines(text.as_bytes(), "text").map(Result::unwrap).collect();
        prop_assert!(sentences.iter().all(|sentence| !sentence.tokens.is_empty()));
        prop_assert_eq!(sentences.into_iter().flat_map(|sentence| sentence.ids).collect::<Vec<_>>(), whole.ids);
    }

    #[test]
    fn lines_put_together_are_the_whole(text in "[ab \n\ré]{0,40}", by_words: bool) {
        let vocab = vocab(&["<unk>", "a", "b", "é"], Some("<unk>"));
        let tokenizer = if by_words { Tokenizer::default() } else { Tokenizer::Chars };
        let encoder = Encoder::new(&vocab, &tokenizer);
        let whole = encoder.encode_reader(text.as_bytes(), "text").unwrap();
        let lines: Vec<_> = encoder.lines(text.as_bytes(), "text").map(Result::unwrap).collect();
        prop_assert_eq!(lines.len() as u64, whole.report.stats.lines);
        prop_assert!(lines.iter().zip(1..).all(|(line, number)| line.number == number));
        prop_assert_eq!(lines.iter().flat_map(|line| line.ids.clone()).collect::<Vec<_>>(), whole.ids);
    }
}
