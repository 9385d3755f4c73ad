//! Vocabularies of other tools.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::fs;
use std::path::Path;

use rondo_convert::{Vocabulary, VocabularySource};

fn parsed(text: &str, tokens: usize) -> Vocabulary {
    Vocabulary::parse("list", text, tokens).unwrap()
}

fn error(text: &str) -> String {
    Vocabulary::parse("list", text, 3).unwrap_err().to_string()
}

fn tokens(vocabulary: &Vocabulary) -> String {
    vocabulary.vocab.tokens().collect::<Vec<_>>().join("|")
}

#[test]
fn a_token_per_line() {
    let vocabulary = parsed("<unk>\nthe\r\ncat\n</s>\n\n", 4);
    assert_eq!(tokens(&vocabulary), "<unk>|the|cat|</s>");
    assert_eq!((vocabulary.vocab.unknown_id(), vocabulary.line_end.as_deref()), (Some(0), Some("</s>")));
    assert_eq!(tokens(&parsed(" \na\nb\n", 3)), " |a|b");
    assert_eq!(error("a\n\nb\n"), "line 2 of `list` is empty: a list has one token per line");
    assert!(error("a\nb c\n").starts_with("line 2 of `list` has several words"));
    assert_eq!(error("a\nb\na\n"), "`list` lists token `a` twice, with ids 0 and 2");
}

#[test]
fn a_token_and_its_id_per_line() {
    let words = "<eps> 0\n<s> 3\n</s> 4\nthe 1\ncat 2\n";
    assert_eq!(tokens(&parsed(words, 5)), "<eps>|the|cat|<s>|</s>");
    assert_eq!(parsed(words, 5).line_end.as_deref(), Some("</s>"));
    let pieces = parsed("<blk> 0\n<sos/eos> 1\n<unk> 2\n▁the 3\n#0 4\n#1 5\n", 4);
    assert_eq!(tokens(&pieces), "<blk>|<sos/eos>|<unk>|▁the");
    assert_eq!(pieces.notes, ["left out 2 disambiguation symbols after the tokens"]);
    assert_eq!(error("a 0\nb 2\n"), "the ids of `list` are not 0 to 1: the token `b` has id 2");
    assert_eq!(error("a 0\nb 0\n"), "the ids of `list` are not 0 to 1: the token `b` has id 0");
}

#[test]
fn vocabularies_of_gluon() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/convert");
    let new = parsed(&fs::read_to_string(golden.join("gluon.json")).unwrap(), 11);
    assert_eq!(tokens(&new), "<unk>|<eos>|the|a|cat|sat|on|mat|dog|saw|.");
    assert_eq!((new.vocab.unknown_token(), new.line_end.as_deref()), (Some("<unk>"), Some("<eos>")));
    let old = parsed(&fs::read_to_string(golden.join("gluon_old.json")).unwrap(), 11);
    assert_eq!(tokens(&old), "<unk>|<eos>|the|a|cat|sat|on|mat|dog|saw|<unk>#10");
    assert_eq!(old.notes, ["the token `<unk>` is listed twice; id 10 is named `<unk>#10`"]);
    assert_eq!(error("{\"idx_to_token\": 3}"), "`list` is not a valid vocabulary of GluonNLP");
}

#[test]
fn the_words_of_a_corpus_in_order_of_first_appearance() {
    let folder = tempfile::tempdir().unwrap();
    let source = VocabularySource::Corpus(folder.path().to_owned());
    assert!(Vocabulary::read(&source, 5).is_err());
    for (name, text) in [("train.txt", "\n b  a b\n"), ("valid.txt", "a <unk> c\n"), ("test.txt", "d")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let vocabulary = Vocabulary::read(&source, 6).unwrap();
    assert_eq!(tokens(&vocabulary), "<eos>|b|a|<unk>|c|d");
    assert_eq!(vocabulary.vocab.unknown_token(), Some("<unk>"));
    assert_eq!(vocabulary.tokenizer.unwrap().name(), "words");
}
