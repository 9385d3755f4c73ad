//! Corpora of any bytes: an error with its position, or the same tokens when read in blocks, as a whole or by lines.
//! The first four bytes are the options, the rest is the text.

#![no_main]

use std::io::BufReader;

use libfuzzer_sys::fuzz_target;
use rondo_data::{
    BlankLines, Corpus, CorpusOptions, CorpusTexts, DataError, Joints, Normalization, Punctuation, TextCodec,
    TextLines, TextSource, TokenizerKind, TokenizerOptions, Vocab, read_text,
};

fuzz_target!(|input: &[u8]| {
    let [kind, lossy, capacity, drop_tail_chars, bytes @ ..] = input else { return };
    let &kind = kind;
    let options = TokenizerOptions {
        blank_lines: Some(if kind & 4 == 0 { BlankLines::Keep } else { BlankLines::Skip }),
        sentences: Some(kind & 4 == 0),
        joints: Some([Joints::Keep, Joints::Dashes, Joints::All][usize::from(kind >> 4) % 3]),
        lowercase: Some(kind & 128 != 0),
        punctuation: Some(if kind & 64 == 0 { Punctuation::Keep } else { Punctuation::Remove }),
        number_token: Some(if kind & 32 == 0 { "" } else { "<num>" }.to_owned()),
        normalization: Some(Normalization::ALL[usize::from(lossy / 2) % 3]),
    };
    let lossy = lossy % 2 == 1;
    let name = ["words", "moses", "chars", "bytes"][usize::from(kind % 4)];
    let tokenizer = TokenizerKind::from_name(name).expect("it is registered").tokenizer(&options);
    let tokenizer = tokenizer.with_eos((kind & 8 != 0).then_some("<eos>"));
    let vocab = Vocab::from_tokens("fuzz", ["<unk>", "<eos>", "a", " "], Some("<unk>"))
        .expect("no token stands twice");
    let codec = TextCodec::new(tokenizer.clone(), vocab).lossy(lossy);
    let pieces = BufReader::with_capacity(usize::from(*capacity).max(1), bytes);
    let cut = codec.encode_reader(pieces, "fuzz").map_err(place);
    let whole = codec.encode_reader(bytes, "fuzz").map_err(place);
    assert_eq!(cut, whole);
    assert!(!lossy || whole.is_ok());
    let lines = codec.lines(bytes, "fuzz").collect::<Result<Vec<_>, _>>();
    match (lines, whole) {
        (Ok(lines), Ok(whole)) => {
            assert_eq!(lines.into_iter().flat_map(|line| line.ids).collect::<Vec<_>>(), whole.ids);
        }
        (lines, whole) => assert_eq!(lines.is_err(), whole.is_err()),
    }
    let text = read_text(bytes, "fuzz", lossy).map_err(place);
    let lines = TextLines::new(bytes, "fuzz", lossy).collect::<Result<Vec<_>, _>>().map_err(place);
    assert_eq!(text.is_ok(), lines.is_ok());

    let options = CorpusOptions {
        drop_tail_chars: (*drop_tail_chars).into(),
        lossy,
        ..CorpusOptions::for_tokenizer(tokenizer.clone())
    };
    let text = String::from_utf8_lossy(bytes).into_owned();
    let texts = CorpusTexts::Whole(vec![TextSource::Memory { name: "fuzz".to_owned(), text }]);
    if let Ok(corpus) = Corpus::read(&texts, &options) {
        let most = corpus.vocab().len() as u32;
        let splits = [Some(&corpus.train), corpus.valid.as_ref(), corpus.test.as_ref()];
        for block in splits.into_iter().flatten().flat_map(|ids| ids.blocks()) {
            assert!(block.expect("it is in memory").iter().all(|&id| id < most));
        }
    }
});

/// What is wrong with a text, and its position.
fn place(error: DataError) -> String {
    assert!(matches!(error, DataError::InvalidUtf8 { .. } | DataError::Binary { .. }), "{error}");
    error.to_string()
}
