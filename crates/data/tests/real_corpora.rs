//! The measured counts of the public corpora, which are stored next to the checkout and are not part of it.

use std::path::PathBuf;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo_data::{
    BatchOrder, Batches, Corpus, CorpusOptions, CorpusTexts, LastBatch, Split, TextSource, TokenIds,
    Tokenizer, VocabOptions, VocabOrder, VocabSource, VocabSplits,
};

/// The path of a corpus, or `None` with a message if it does not exist.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn corpus_path(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: there is no corpus at `{}`", path.display());
    None
}

/// The known counts of one text: bytes, the start of its SHA-256, characters, lines, tokens with `<eos>`, unknown
/// tokens.
type Known = (u64, &'static str, u64, u64, u64, u64);

#[track_caller]
fn check_sources(corpus: &Corpus, known: &[Known]) {
    assert_eq!(corpus.sources.len(), known.len());
    for (source, &(bytes, sha256, chars, lines, tokens, unknown)) in corpus.sources.iter().zip(known) {
        let (text, stats) = (&source.text, &source.text.stats);
        assert_eq!((stats.bytes, stats.chars, stats.lines), (bytes, chars, lines), "{}", text.origin);
        assert_eq!((stats.tokens, text.unknown_tokens), (tokens, unknown), "{}", text.origin);
        assert_eq!(stats.sha256.len(), 64);
        assert!(stats.sha256.starts_with(sha256), "{}: {}", text.origin, stats.sha256);
        if let Some(split) = source.split {
            assert_eq!(corpus.split(split).map(TokenIds::len), Some(tokens as usize));
        }
    }
}

#[track_caller]
fn check_tokens(corpus: &Corpus, first_tokens: &[&str]) {
    assert_eq!(corpus.vocab().tokens().take(first_tokens.len()).collect::<Vec<_>>(), first_tokens);
}

const WIKITEXT_2: [Known; 3] = [
    (10_797_148, "9e9fa1ad", 10_780_437, 36_718, 2_088_628, 54_625),
    (1_121_681, "f0737ed3", 1_120_192, 3_760, 217_646, 11_718),
    (1_256_449, "d790b833", 1_255_018, 4_358, 245_569, 15_218),
];

const PTB: [Known; 3] = [
    (5_101_618, "fcea919f", 5_101_618, 42_068, 929_589, 45_020),
    (399_782, "c9fe6985", 399_782, 3_370, 73_760, 3_485),
    (449_945, "dd65dff3", 449_945, 3_761, 82_430, 4_794),
];

#[test]
fn wikitext_2_by_frequency_has_the_published_batches() {
    let Some(path) = corpus_path("wikitext-2") else { return };
    let corpus = Corpus::open(path, &CorpusOptions::default()).unwrap();
    check_sources(&corpus, &WIKITEXT_2);
    assert_eq!(corpus.vocab().len(), 33_278);
    // "the", "," and "." are the most frequent words; `<unk>` and `<eos>` always come first.
    check_tokens(&corpus, &["<unk>", "<eos>", "the", ",", "."]);
    assert!(corpus.sources.iter().all(|source| source.text.out_of_vocab_tokens == 0));

    let batches = |last_batch| Batches::new(&corpus.train, 20, 35, last_batch).unwrap();
    assert_eq!(batches(LastBatch::Discard).column_len(), 104_431);
    assert_eq!(batches(LastBatch::Discard).batch_count(), 2_983);
    assert_eq!(batches(LastBatch::Keep).batch_count(), 2_984);
    assert_eq!(batches(LastBatch::Keep).target_count(), 104_430 * 20);

    // Every word has its position: a wrong order of ids would show as a wrong order of counts.
    let mut counts = vec![0u64; corpus.vocab().len()];
    for &id in corpus.train.read(0..corpus.train.len()).unwrap().iter() {
        counts[id as usize] += 1;
    }
    for id in 3..corpus.vocab().len() as u32 {
        let place = |id: u32| (std::cmp::Reverse(counts[id as usize]), corpus.vocab().token(id).unwrap());
        assert!(place(id - 1) < place(id), "{:?} stands before {:?}", place(id - 1), place(id));
    }
}

#[test]
fn wikitext_2_without_blank_lines() {
    let Some(path) = corpus_path("wikitext-2/train.txt") else { return };
    let tokenizer: Tokenizer = serde_json::from_str(r#"{"kind":"words","blank_lines":"skip"}"#).unwrap();
    let mut tokens = 0;
    let reader = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let stats = tokenizer.for_each_token(reader, "train", |_, _| {
        tokens += 1;
        Ok(())
    });
    assert_eq!((tokens, stats.unwrap().lines), (2_075_677, 36_718));
}

#[test]
fn ptb_by_first_appearance_over_all_texts() {
    let Some(path) = corpus_path("ptb") else { return };
    let options = VocabOptions { order: VocabOrder::FirstAppearance, ..VocabOptions::default() };
    let vocab = VocabSource::Build { options, splits: VocabSplits::All };
    let corpus = Corpus::open(path, &CorpusOptions { vocab, ..CorpusOptions::default() }).unwrap();
    check_sources(&corpus, &PTB);
    assert_eq!(corpus.vocab().len(), 10_000);
    check_tokens(&corpus, &["aer", "banknote", "berlitz", "calloway"]);
    // The first line has 24 different words and `<eos>`; the unknown token first occurs in the second line.
    assert_eq!((corpus.vocab().id("<eos>"), corpus.vocab().id("<unk>")), (Some(24), Some(26)));
    let batches = Batches::new(&corpus.train, 32, 35, LastBatch::Keep).unwrap();
    assert_eq!((batches.column_len(), batches.batch_count()), (29_049, 830));
}

#[test]
fn time_machine_without_its_license_has_the_published_batches() {
    let Some(path) = corpus_path("time-machine/timemachine-gutenberg.txt") else { return };
    let options = CorpusOptions {
        drop_tail_chars: 38_083,
        valid_fraction: 0.0,
        test_fraction: 0.0,
        ..CorpusOptions::for_tokenizer(Tokenizer::chars())
    };
    let corpus = Corpus::open(path, &options).unwrap();
    assert_eq!((corpus.train.len(), corpus.vocab().len()), (179_533, 77));
    assert_eq!(corpus.sources[0].text.stats.bytes, 217_616);
    let text = corpus.codec.decode(&corpus.train.read(0..corpus.train.len()).unwrap()).unwrap();
    assert!(text.trim_end().ends_with("of man."));
    let batches = Batches::new(&corpus.train, 32, 64, LastBatch::Discard).unwrap();
    assert_eq!(batches.batch_count(), 87);
}

#[test]
fn a_folder_of_texts_is_one_corpus() {
    let Some(path) = corpus_path("time-machine") else { return };
    let CorpusTexts::Whole(texts) = CorpusTexts::find(&path).unwrap() else { panic!("a divided corpus") };
    let files = ["timemachine-d2l.txt", "timemachine-gutenberg.txt"];
    assert_eq!(texts, files.map(|name| TextSource::File(path.join(name))));
}

#[test]
fn sherlock_holmes_counts_last_lines_without_line_end() {
    let Some(path) = corpus_path("sherlock-holmes") else { return };
    let corpus = Corpus::open(path, &CorpusOptions::default()).unwrap();
    check_sources(
        &corpus,
        &[
            (370_548, "72c34443", 370_540, 4_143, 87_001, 10_863),
            (92_553, "d030a4b9", 92_552, 1_036, 21_756, 2_962),
            (116_430, "8d237646", 116_428, 1_295, 27_195, 4_132),
        ],
    );
    assert_eq!(corpus.vocab().len(), 2_000);
}

#[test]
fn tiny_shakespeare_is_divided_by_characters() {
    let Some(path) = corpus_path("tiny-shakespeare") else { return };
    let corpus = Corpus::open(path, &CorpusOptions::for_tokenizer(Tokenizer::chars())).unwrap();
    check_sources(&corpus, &[(1_115_394, "86c4e6aa", 1_115_394, 40_000, 1_115_394, 0)]);
    assert_eq!(corpus.vocab().len(), 65);
    assert!(corpus.divided);
    let lens = Split::ALL.map(|split| corpus.split(split).unwrap().len());
    assert_eq!(lens, [1_003_854, 55_770, 55_770]);
}

#[test]
fn a_models_vocabulary_reads_another_text() {
    let (Some(wikitext), Some(sherlock)) = (corpus_path("wikitext-2"), corpus_path("sherlock-holmes")) else {
        return;
    };
    let vocab = Corpus::open(wikitext, &CorpusOptions::default()).unwrap().vocab().clone();
    let options = CorpusOptions { vocab: VocabSource::Given(vocab.clone()), ..CorpusOptions::default() };
    let corpus = Corpus::open(&sherlock, &options).unwrap();
    assert_eq!(corpus.vocab().fingerprint(), vocab.fingerprint());
    assert_eq!(corpus.train.len(), 87_001);
    let report = &corpus.sources[0].text;
    assert!(report.out_of_vocab_tokens > 0 && report.unknown_tokens == report.out_of_vocab_tokens + 10_863);

    let texts = CorpusTexts::find(&sherlock).unwrap();
    let valid = texts.split(Split::Valid)[0];
    assert_eq!(Some(corpus.codec.encode_source(valid).unwrap().ids.into()), corpus.valid);
    let lines: Vec<_> = corpus.codec.lines(valid.open().unwrap(), "valid").map(Result::unwrap).collect();
    assert_eq!(lines.len(), 1_036);
    let ids: Vec<u32> = lines.into_iter().flat_map(|line| line.ids).collect();
    assert_eq!(Some(ids.into()), corpus.valid);
}

#[test]
fn every_word_of_ptb_is_a_target_once_in_variable_batches() {
    let Some(path) = corpus_path("ptb") else { return };
    let corpus = Corpus::open(path, &CorpusOptions::default()).unwrap();
    let batches = Batches::new(&corpus.train, 80, 70, LastBatch::Keep).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let variable = batches.variable_epoch(&mut rng);
    let shuffled = batches.epoch(BatchOrder::Shuffled, &mut rng);
    for epoch in [variable, shuffled] {
        let mut seen = vec![0u8; batches.column_len()];
        for batch in &epoch {
            seen[batch.start + 1..=batch.start + batch.steps].iter_mut().for_each(|count| *count += 1);
        }
        assert!(seen[0] == 0 && seen[1..].iter().all(|&count| count == 1));
    }
}
