//! Tests with corpora from small texts.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::{VocabOrder, hash::sha256};

fn memory(name: &str, text: &str) -> TextSource {
    TextSource::Memory { name: name.to_owned(), text: text.to_owned() }
}

fn splits(train: &str, valid: &str, test: &str) -> CorpusTexts {
    CorpusTexts::Splits {
        train: memory("train", train),
        valid: Some(memory("valid", valid)),
        test: Some(memory("test", test)),
    }
}

fn whole(text: &str) -> CorpusTexts {
    CorpusTexts::Whole(vec![memory("text", text)])
}

fn build(options: VocabOptions, splits: VocabSplits) -> CorpusOptions {
    CorpusOptions { vocab: VocabSource::Build { options, splits }, ..CorpusOptions::default() }
}

fn read(ids: &TokenIds) -> Vec<u32> {
    ids.read(0..ids.len()).unwrap().into_owned()
}

fn words(corpus: &Corpus, split: Split) -> String {
    corpus.codec.decode(&read(corpus.split(split).unwrap())).unwrap()
}

#[test]
fn three_texts_share_the_vocabulary_of_train() {
    let corpus = Corpus::read(&splits("b a b\n", "a z\n", "<unk> z z\n"), &CorpusOptions::default()).unwrap();
    assert_eq!(corpus.vocab().tokens().collect::<Vec<_>>(), ["<unk>", "<eos>", "b", "a"]);
    assert_eq!(read(&corpus.train), [2, 3, 2, 1]);
    assert_eq!(corpus.split(Split::Valid).map(read), Some(vec![3, 0, 1]));
    assert_eq!(words(&corpus, Split::Test), "<unk> <unk> <unk>\n");
    let counts: Vec<_> = corpus.sources.iter().map(|source| &source.text).collect();
    assert_eq!(counts.iter().map(|text| text.unknown_tokens).collect::<Vec<_>>(), [0, 1, 3]);
    assert_eq!(counts.iter().map(|text| text.out_of_vocab_tokens).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(corpus.sources.iter().map(|source| source.split).collect::<Vec<_>>(), Split::ALL.map(Some));
    assert!(!corpus.divided);
}

#[test]
fn ids_are_a_corpus_if_the_vocabulary_has_them() {
    let codec = || {
        let vocab = Vocab::from_tokens("test", ["<eos>", "a", "b"], None).unwrap();
        TextCodec::new(Tokenizer::words(), vocab)
    };
    let ids = vec![1, 2, 0, 2, 0, 1, 0, 1, 0, 2, 0];
    let corpus = Corpus::of_divided_ids(codec(), ids.clone(), 0.1, 0.3).unwrap();
    let parts = [Some(&corpus.train), corpus.valid.as_ref(), corpus.test.as_ref()].map(|part| part.map(read));
    assert_eq!(parts, [Some(vec![1, 2, 0, 2, 0]), Some(vec![1, 0]), Some(vec![1, 0, 2, 0])]);
    assert_eq!((corpus.vocab().counts(), corpus.divided), (Some(&[2, 1, 2][..]), true));
    let whole = Corpus::of_divided_ids(codec(), ids, 0.0, 0.0).unwrap();
    assert_eq!((whole.train.len(), whole.valid, whole.divided), (11, None, false));
    let error = |train: Vec<u32>, valid: Option<Vec<u32>>| {
        Corpus::of_ids(codec(), train.into(), valid.map(TokenIds::from), None).unwrap_err().to_string()
    };
    assert_eq!(error(vec![0, 3], None), "token id 3 is out of range for a vocabulary of 3 tokens");
    assert_eq!(error(vec![0], Some(vec![])), error(vec![], None));
}

#[test]
fn a_split_has_a_fingerprint_of_its_ids() {
    let read = |valid| Corpus::read(&splits("b a b\n", valid, "a\n"), &CorpusOptions::default()).unwrap();
    let (one, other) = (read("a z\n"), read("z a\n"));
    assert_eq!(one.fingerprint(Split::Train).unwrap(), other.fingerprint(Split::Train).unwrap());
    assert_ne!(one.fingerprint(Split::Valid).unwrap(), other.fingerprint(Split::Valid).unwrap());
    let ids: Vec<u8> = [2_u32, 3, 2, 1].into_iter().flat_map(u32::to_le_bytes).collect();
    assert_eq!(one.fingerprint(Split::Train).unwrap(), Some(sha256(ids)));
}

#[test]
fn the_vocabulary_can_come_from_all_texts_in_order_of_appearance() {
    let order = VocabOrder::FirstAppearance;
    let options = build(VocabOptions { order, unknown: None, ..VocabOptions::default() }, VocabSplits::All);
    let corpus = Corpus::read(&splits("b a\n", "c a\n", "a <unk>\n"), &options).unwrap();
    assert_eq!(corpus.vocab().tokens().collect::<Vec<_>>(), ["b", "a", "<eos>", "c", "<unk>"]);
    assert_eq!(corpus.test, Some(vec![1, 4, 2].into()));
}

#[test]
fn a_word_without_id_is_named_with_its_place() {
    let options = build(VocabOptions { unknown: None, ..VocabOptions::default() }, VocabSplits::Train);
    let error = Corpus::read(&splits("a\n", "a\na z\n", "a\n"), &options).unwrap_err().to_string();
    assert_eq!(
        error,
        "out-of-vocabulary token `z` on line 2 of `valid`: the vocabulary has no unknown token"
    );
    let rare = VocabOptions { unknown: None, min_freq: 2, ..VocabOptions::default() };
    let error =
        Corpus::read(&splits("a a\nz\n", "a\n", "a\n"), &build(rare, VocabSplits::Train)).unwrap_err();
    let expected = "out-of-vocabulary token `z` on line 2 of `train`: the vocabulary has no unknown token";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_given_vocabulary_is_used_as_it_is() {
    let vocab = Vocab::from_tokens("test", ["<eos>", "<unk>", "a"], Some("<unk>")).unwrap();
    let options = CorpusOptions { vocab: VocabSource::Given(vocab.clone()), ..CorpusOptions::default() };
    let corpus = Corpus::read(&splits("a b\n", "b\n", "a\n"), &options).unwrap();
    assert_eq!(read(&corpus.train), [2, 1, 0]);
    assert_eq!(corpus.vocab(), &vocab);
    assert_eq!(corpus.sources[0].text.out_of_vocab_tokens, 1);
}

#[test]
fn one_text_is_divided_at_line_ends_and_says_so() {
    let text: String = (0..20).map(|line| format!("line {line}\n")).collect();
    let corpus = Corpus::read(&whole(&text), &CorpusOptions::default()).unwrap();
    assert!(corpus.divided);
    assert_eq!(words(&corpus, Split::Valid), "line <unk>\n");
    let lens = [Split::Train, Split::Valid, Split::Test].map(|split| corpus.split(split).unwrap().len());
    assert_eq!(lens, [54, 3, 3]);
    assert!(
        corpus.vocab().id("17").is_some() && corpus.vocab().id("18").is_none(),
        "the vocabulary is train's"
    );
    assert_eq!(corpus.sources[0].split, None);
    assert_eq!(corpus.sources[0].text.unknown_tokens, 2);

    let undivided = CorpusOptions { valid_fraction: 0.0, test_fraction: 0.0, ..CorpusOptions::default() };
    let corpus = Corpus::read(&whole(&text), &undivided).unwrap();
    assert_eq!((corpus.train.len(), corpus.valid, corpus.test, corpus.divided), (60, None, None, false));
}

#[test]
fn characters_and_bytes_are_divided_anywhere() {
    for tokenizer in [Tokenizer::chars(), Tokenizer::bytes()] {
        let options = CorpusOptions::for_tokenizer(tokenizer);
        let corpus = Corpus::read(&whole(&"abcdefghij".repeat(10)), &options).unwrap();
        assert_eq!((corpus.train.len(), words(&corpus, Split::Valid).as_str()), (90, "abcde"));
        assert_eq!(words(&corpus, Split::Test), "fghij");
    }
}

/// The end of a sorted list would be a test of the last letters only.
#[test]
fn lines_of_characters_are_drawn_at_random() {
    let names: Vec<String> = (b'a'..=b'z').map(|letter| format!("{}\n", char::from(letter))).collect();
    for tokenizer in [Tokenizer::chars(), Tokenizer::bytes()] {
        let options = CorpusOptions {
            division: Division::RandomLines,
            valid_fraction: 0.2,
            test_fraction: 0.2,
            ..CorpusOptions::for_tokenizer(tokenizer)
        };
        let corpus = Corpus::read(&whole(&names.concat()), &options).unwrap();
        for split in [Split::Valid, Split::Test] {
            let text = words(&corpus, split);
            let lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
            assert_eq!((lines.len(), lines.is_sorted()), (6, true), "{text}");
            assert!(lines.iter().all(|line| names.contains(line)), "{text}");
            assert!(!names.concat().contains(&text), "these lines are neighbors: {text}");
        }
    }
    let options =
        CorpusOptions { division: Division::RandomLines, ..CorpusOptions::for_tokenizer(Tokenizer::chars()) };
    assert!(matches!(Corpus::read(&whole("one line"), &options), Err(DataError::CannotDivide { .. })));
}

#[test]
fn several_files_are_one_text() {
    let texts = CorpusTexts::Whole(vec![memory("one", "a b\nc"), memory("two", "d\ne\n")]);
    let options = CorpusOptions { valid_fraction: 0.0, test_fraction: 0.2, ..CorpusOptions::default() };
    let corpus = Corpus::read(&texts, &options).unwrap();
    assert_eq!(words(&corpus, Split::Train), "a b\nc\nd\n");
    assert_eq!(corpus.sources.iter().map(|source| source.text.stats.tokens).collect::<Vec<_>>(), [5, 4]);
}

#[test]
fn folders_and_files_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("my.train.txt", "a b\n");
    write("my.dev.txt", "b\n");
    let corpus = Corpus::open(folder.path(), &CorpusOptions::default()).unwrap();
    assert_eq!((corpus.train.len(), corpus.valid, corpus.test), (3, Some(vec![3, 1].into()), None));
    assert_eq!(corpus.sources[1].text.origin, folder.path().join("my.dev.txt").display().to_string());

    let error = |name: &str| {
        let error =
            Corpus::open(folder.path().join(name), &CorpusOptions::default()).unwrap_err().to_string();
        error.replace(&folder.path().display().to_string(), "DIR").replace('\\', "/")
    };
    write("empty.txt", "");
    assert_eq!(error("empty.txt"), "`DIR/empty.txt` is empty: it contains no tokens");
    fs::write(folder.path().join("image.txt"), [0x89, b'P', b'N', b'G', 0, 0]).unwrap();
    assert_eq!(error("image.txt"), "`DIR/image.txt` is not UTF-8 text: invalid byte at offset 0 (line 1)");
    fs::write(folder.path().join("image.txt"), b"P\0").unwrap();
    assert_eq!(error("image.txt"), "`DIR/image.txt` looks like a binary file: NUL byte at offset 1 (line 1)");
    write("short.txt", "short");
    assert_eq!(
        error("short.txt"),
        "a text of 2 tokens is too short to be split with validation fraction 0.05 and test fraction 0.05"
    );
    assert_eq!(error("no.txt"), "no such file or folder: `DIR/no.txt`");
}

#[test]
fn a_dropped_tail_is_not_counted() {
    let options =
        CorpusOptions { drop_tail_chars: 8, valid_fraction: 0.0, test_fraction: 0.0, ..Default::default() };
    let corpus = Corpus::read(&whole("a b\na\nlicense\n"), &options).unwrap();
    assert_eq!(words(&corpus, Split::Train), "a b\na\n");
    let stats = &corpus.sources[0].text.stats;
    assert_eq!((stats.bytes, stats.chars, stats.lines, stats.tokens), (14, 6, 2, 5));
    assert!(corpus.vocab().id("license").is_none());
}

#[test]
fn fractions_that_leave_nothing_are_refused_for_any_texts() {
    let options = CorpusOptions { valid_fraction: 0.5, test_fraction: 0.5, ..CorpusOptions::default() };
    let error = Corpus::read(&splits("a\n", "a\n", "a\n"), &options).unwrap_err().to_string();
    assert_eq!(
        error,
        "validation fraction 0.5 and test fraction 0.5 must each be at least 0 and add up to less than 1"
    );
}

proptest! {
    /// Building through indices and encoding with the finished vocabulary give the same ids.
    #[test]
    fn built_and_given_vocabularies_agree(
        text in "[a-e \n]{1,60}", other in "[a-g \n]{1,30}", by_frequency: bool, all: bool, min_freq in 0u64..3,
    ) {
        let order = if by_frequency { VocabOrder::Frequency } else { VocabOrder::FirstAppearance };
        let vocab_splits = if all { VocabSplits::All } else { VocabSplits::Train };
        let texts = splits(&text, &other, &text);
        let options = build(VocabOptions { order, min_freq, ..VocabOptions::default() }, vocab_splits);
        let built = Corpus::read(&texts, &options).unwrap();
        let given = CorpusOptions { vocab: VocabSource::Given(built.vocab().clone()), ..options };
        prop_assert_eq!(&Corpus::read(&texts, &given).unwrap(), &built);
    }
}

#[test]
fn a_vocabulary_is_extended_by_the_training_text_alone() {
    let texts = CorpusTexts::Splits {
        train: TextSource::Memory { name: "train".into(), text: "new cat new\n".into() },
        valid: Some(TextSource::Memory { name: "valid".into(), text: "cat unseen\n".into() }),
        test: None,
    };
    let vocab = Vocab::from_tokens("test", ["<unk>", "<eos>", "cat"], Some("<unk>")).unwrap();
    let vocab = VocabSource::Extend { vocab, min_freq: 1, max_size: None, splits: VocabSplits::Train };
    let corpus = Corpus::read(&texts, &CorpusOptions { vocab, ..CorpusOptions::default() }).unwrap();
    assert_eq!(corpus.vocab().tokens().collect::<Vec<_>>(), ["<unk>", "<eos>", "cat", "new"]);
    assert_eq!((corpus.train, corpus.valid), (vec![3, 2, 3, 1].into(), Some(vec![2, 0, 1].into())));
    assert_eq!(corpus.sources[1].text.out_of_vocab_tokens, 1);
}

#[test]
fn a_word_list_is_the_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("words.txt");
    fs::write(&list, "cat\nthe\n").unwrap();
    let vocab = VocabSource::List { list, options: VocabOptions::for_tokenizer(&Tokenizer::words()) };
    let options = CorpusOptions { vocab, ..CorpusOptions::default() };
    let corpus = Corpus::read(&splits("the cat\n", "the dog\n", "cat\n"), &options).unwrap();
    assert_eq!(corpus.vocab().tokens().collect::<Vec<_>>(), ["<unk>", "<eos>", "cat", "the"]);
    assert_eq!(words(&corpus, Split::Valid), "the <unk>\n");
    assert_eq!(corpus.sources[1].text.out_of_vocab_tokens, 1);
}

/// So that they can be compared with another text, whichever texts the vocabulary is from.
#[test]
fn counts_are_those_of_the_training_text() {
    let texts = splits("b a b\n", "a z z\n", "z\n");
    let counts = |options: &CorpusOptions| {
        let corpus = Corpus::read(&texts, options).unwrap();
        let tokens = corpus.vocab().tokens().map(str::to_owned).collect::<Vec<_>>().join(" ");
        (tokens, corpus.vocab().counts().map(<[u64]>::to_vec))
    };
    let built =
        |splits| counts(&build(VocabOptions { max_size: Some(3), ..VocabOptions::default() }, splits));
    assert_eq!(built(VocabSplits::Train), ("<unk> b <eos>".into(), Some(vec![1, 2, 1])));
    assert_eq!(built(VocabSplits::All), ("<unk> <eos> z".into(), Some(vec![3, 1, 0])));
    let given = |counts: Option<Vec<u64>>| {
        let vocab = Vocab::from_tokens("test", ["<unk>", "<eos>", "a"], Some("<unk>")).unwrap();
        counts.map_or(vocab.clone(), |counts| vocab.with_counts(counts).unwrap())
    };
    let with = |vocab| counts(&CorpusOptions { vocab, ..CorpusOptions::default() });
    let (min_freq, max_size, splits) = (1, None, VocabSplits::All);
    for known in [None, Some(vec![7, 8, 9])] {
        assert_eq!(with(VocabSource::Given(given(known.clone()))).1, known);
        let vocab = given(known.clone());
        let (tokens, extended) = with(VocabSource::Extend { vocab, min_freq, max_size, splits });
        assert_eq!(tokens, "<unk> <eos> a z b");
        assert_eq!(extended, known.map(|known| [&known[..], &[0, 2]].concat()));
    }
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("words.txt");
    fs::write(&list, "a\nq\n").unwrap();
    let options = VocabOptions::for_tokenizer(&Tokenizer::words());
    let listed = with(VocabSource::List { list, options });
    assert_eq!(listed, ("<unk> <eos> a q".into(), Some(vec![2, 1, 1, 0])));
    let divided = Corpus::read(&whole(&"a b\n".repeat(20)), &CorpusOptions::default()).unwrap();
    assert_eq!(divided.vocab().counts(), Some(&[0, 18, 18, 18][..]));
}

#[test]
fn a_part_of_a_text_is_read_without_the_characters_that_have_no_id() {
    let vocab = Vocab::from_tokens("test", ["a", "b", "\n"], None).unwrap();
    let codec = TextCodec::new(Tokenizer::chars(), vocab);
    let text = format!("{}a\u{e9}b\u{e9}\nb\u{e9}a\n", "ab\u{e9}\n".repeat(8));
    let usual = CorpusOptions::for_tokenizer(Tokenizer::chars());
    let options = CorpusOptions { valid_fraction: 0.1, test_fraction: 0.1, ..usual };
    let part = |split, strict| Corpus::read_part(&whole(&text), &codec, &options, split, strict);
    let found = [Split::Train, Split::Valid, Split::Test].map(|split| part(split, false).unwrap().unwrap());
    assert_eq!(found.each_ref().map(|part| part.out_of_vocab_tokens), [8, 2, 1]);
    // The text is divided with all its characters: `\na\u{e9}b\u{e9}` and `\nb\u{e9}a\n`.
    assert_eq!((read(&found[1].ids), read(&found[2].ids)), (vec![2, 0, 1], vec![2, 1, 0, 2]));
    let error = part(Split::Test, true).unwrap_err().to_string();
    assert_eq!(
        error,
        "out-of-vocabulary token `\u{e9}` on line 1 of `text`: the vocabulary has no unknown token"
    );
    // With an unknown token, nothing is left out, and what is spelled like it is not out of vocabulary.
    let vocab = Vocab::from_tokens("test", ["<unk>", "<eos>", "a"], Some("<unk>")).unwrap();
    let codec = TextCodec::new(Tokenizer::words(), vocab);
    let texts = splits("a\n", "a\n", "b a <unk> b\n");
    for strict in [false, true] {
        let part = Corpus::read_part(&texts, &codec, &options, Split::Test, strict).unwrap().unwrap();
        assert_eq!((read(&part.ids), part.out_of_vocab_tokens), (vec![0, 2, 0, 0, 1], 2));
    }
    let texts = CorpusTexts::Splits { train: memory("train", "a\n"), valid: None, test: None };
    assert_eq!(Corpus::read_part(&texts, &codec, &options, Split::Test, false).unwrap(), None);
}

#[test]
fn texts_are_read_compressed_and_from_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let gzip = flate2::Compression::fast();
    let mut encoder = flate2::write::GzEncoder::new(fs::File::create(path("a.jsonl.gz")).unwrap(), gzip);
    std::io::Write::write_all(&mut encoder, b"{\"text\": \"a b\"}\n{\"text\": \"c\"}\n").unwrap();
    encoder.finish().unwrap();
    fs::write(path("b.csv"), "id,text\n1,d\n").unwrap();
    let text_field = Some("text".to_owned());
    let options =
        CorpusOptions { text_field, valid_fraction: 0.0, test_fraction: 0.1, ..CorpusOptions::default() };
    let corpus = Corpus::open(folder.path(), &options).unwrap();
    assert_eq!(words(&corpus, Split::Train), "a b\nc\n");
    assert_eq!(words(&corpus, Split::Test), "<unk>\n");
    assert_eq!(corpus.sources[0].look.notes(corpus.tokenizer()), []);

    let plain = CorpusOptions { text_field: None, ..options };
    let corpus = Corpus::open(folder.path(), &plain).unwrap();
    assert_eq!(corpus.sources[0].look.notes(corpus.tokenizer()).len(), 1);
}

#[test]
fn texts_of_a_split_are_read_in_their_order() {
    let text = |split, text: &str| (split, memory(text, text));
    let texts = CorpusTexts::Assigned(vec![
        text(Split::Valid, "v\n"),
        text(Split::Train, "b\n"),
        text(Split::Train, "a"),
        text(Split::Valid, "a\n"),
    ]);
    let all = build(VocabOptions::default(), VocabSplits::All);
    let corpus = Corpus::read(&texts, &all).unwrap();
    assert_eq!(
        (words(&corpus, Split::Train), words(&corpus, Split::Valid)),
        ("b\na\n".into(), "v\na\n".into())
    );
    assert_eq!((corpus.test.is_some(), corpus.divided), (false, false));
    assert_eq!(texts.split(Split::Valid).len(), 2);
}

#[test]
fn normalized_texts_are_the_same_composed_and_decomposed() {
    let read = |text: &str| {
        let tokenizer = Tokenizer::chars().with_normalization(crate::Normalization::Nfc);
        Corpus::read(&whole(&text.repeat(20)), &CorpusOptions::for_tokenizer(tokenizer)).unwrap()
    };
    let (composed, decomposed) = (read("caf\u{e9} "), read("cafe\u{301} "));
    assert_eq!(composed.train, decomposed.train);
    assert_eq!(composed.codec, decomposed.codec);
}

#[test]
fn each_kind_of_note_is_given_once() {
    let texts = CorpusTexts::Whole(vec![
        memory("a", "<s> x </s>\n"),
        memory("b", "y\n"),
        memory("c", "<s> z </s>\n"),
    ]);
    let corpus = Corpus::read(&texts, &CorpusOptions::default()).unwrap();
    let [(origin, note, others)] = corpus.notes().try_into().unwrap();
    assert_eq!((origin, others), ("a", 1));
    assert!(matches!(note, crate::TextNote::Markers { .. }));

    let late = format!("{}\r\n", "a line\n".repeat(10_000));
    let corpus = Corpus::read(&whole(&late), &CorpusOptions::for_tokenizer(Tokenizer::chars())).unwrap();
    assert_eq!(corpus.notes(), [("text", crate::TextNote::CarriageReturns, 0)]);
    assert_eq!(Corpus::read(&whole(&late), &CorpusOptions::default()).unwrap().notes(), []);
}
