//! Agreement with the libraries that define the formats (`golden/make_tokenizers.py`), and damaged files.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::{BpeOptions, DataError, TextCodec, TextSource, Tokenizer, train_bpe};

const FILES: [&str; 6] = [
    "byte_bpe.json",
    "word_piece.json",
    "unigram.json",
    "sp_unigram.model",
    "sp_bpe.model",
    "sp_bytes.model",
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/tokenizers").join(name)
}

fn expected() -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(golden("expected.json")).unwrap()).unwrap()
}

fn codec(file: &str) -> TextCodec {
    TextCodec::of_tokenizer(Tokenizer::open(golden(file)).unwrap()).unwrap().unwrap()
}

fn lines() -> Vec<String> {
    serde_json::from_value(expected()["lines"].clone()).unwrap()
}

#[test]
fn ids_and_texts_are_those_of_the_libraries() {
    let expected = expected();
    for file in FILES {
        let (codec, of_file) = (codec(file), &expected[file]);
        let line_end = codec.line_end().unwrap();
        let text = lines().iter().map(|line| format!("{line}\n")).collect::<String>();
        let encoded: Vec<Vec<u32>> =
            codec.lines(text.as_bytes(), "lines").map(|line| line.unwrap().ids).collect();
        for (index, (line, ids)) in lines().iter().zip(encoded).enumerate() {
            let of_line: Vec<u32> = serde_json::from_value(of_file["ids"][index].clone()).unwrap();
            assert_eq!(ids, [&of_line[..], &[line_end]].concat(), "{file}: {line:?}");
            // The token for a line ending is one.
            if of_line.contains(&line_end) {
                continue;
            }
            assert_eq!(codec.decode(&of_line).unwrap(), of_file["decoded"][index], "{file}: {line:?}");
        }
        let added = usize::from(file == "word_piece.json");
        let own = of_file["size"].as_u64().unwrap() as usize;
        assert!(codec.vocab().len() == own || codec.vocab().len() == own + added, "{file}");
    }
}

#[test]
fn the_line_end_is_a_token_of_the_tokenizer_if_possible() {
    let ends: Vec<_> = FILES.map(|file| codec(file).tokenizer().eos().unwrap().to_owned()).into();
    assert_eq!(ends, ["Ċ", "[SEP]", "</s>", "</s>", "</s>", "</s>"]);
    let text = r#"{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":null,"post_processor":null,
        "decoder":null,"truncation":null,"padding":null,
        "model":{"type":"WordLevel","vocab":{"a":0,"?":1},"unk_token":"?"}}"#;
    let tokenizer = Tokenizer::from_bytes("mine", text.into()).unwrap();
    let codec = TextCodec::of_tokenizer(tokenizer).unwrap().unwrap();
    assert_eq!(codec.vocab().tokens().collect::<Vec<_>>(), ["a", "?", "<eos>"]);
    assert_eq!(codec.encode("a\nb\n").unwrap().ids, [0, 2, 1, 2]);
    let plain = TextCodec::of_tokenizer(codec.tokenizer().with_eos(None)).unwrap().unwrap();
    assert_eq!((plain.vocab().len(), plain.encode("a\na").unwrap().ids), (2, vec![0, 0]));
}

#[test]
fn a_codec_contains_its_tokenizer() {
    for file in FILES {
        let codec = codec(file);
        let read = TextCodec::from_json("model", &codec.to_json()).unwrap();
        assert_eq!((&read, read.fingerprint()), (&codec, codec.fingerprint()));
        let text = lines().join("\r\n");
        assert_eq!(read.encode(&text).unwrap().ids, codec.encode(&lines().join("\n")).unwrap().ids, "{file}");
        assert_eq!((codec.tokenizer().name(), codec.tokenizer().kind()), ("subwords", None));
        let (name, contents) = read.tokenizer().file().unwrap();
        assert!(name == "tokenizer.json" || file.ends_with(".model"), "{file}");
        assert_eq!(contents, std::fs::read(golden(file)).unwrap());
    }
    let json = codec("sp_bpe.model").to_json();
    let broken = json.replace("\"sentencepiece\":\"", "\"sentencepiece\":\"!");
    assert!(matches!(TextCodec::from_json("model", &broken), Err(DataError::CodecSyntax { .. })));
}

#[test]
fn a_prefix_is_continued() {
    for file in FILES {
        let codec = codec(file);
        let whole = codec.encode("the cat walks\n").unwrap().ids;
        assert_eq!(codec.encode_prefix("the cat walks").unwrap(), whole[..whole.len() - 1], "{file}");
        assert_eq!(codec.prompt("").unwrap(), [codec.line_end().unwrap()], "{file}");
    }
}

#[test]
fn each_token_has_its_part_of_the_line() {
    for file in FILES {
        let codec = codec(file);
        let line = codec.line_encoder("line").encode("the unhappiness".as_bytes()).unwrap();
        let parts = codec.align(&line.text, &line.tokens).unwrap();
        assert_eq!(parts[0], 0..3, "{file}");
        let words: String = parts.iter().map(|part| &"the unhappiness"[part.clone()]).collect();
        assert_eq!(words, "theunhappiness", "{file}");
        let separators = codec.separators();
        let begins = |id: &u32| separators.contains(id);
        assert!(begins(&line.ids[1]), "{file}: {:?}", line.tokens);
        assert_eq!(codec.token_text(line.ids[0]).unwrap().trim_start(), "the", "{file}");
        assert!(separators.len() > 5 && separators.len() < codec.vocab().len(), "{file}");
    }
}

#[test]
fn a_trained_bpe_is_that_of_the_library() {
    // The lines of the golden one are those of its script; here, only what must hold for all of them.
    let line = "the lowest of the low, <unk> the lower é 🦀\n";
    let text = TextSource::Memory { name: "text".into(), text: line.repeat(50) };
    let options = BpeOptions { vocab_size: 300, whole: vec!["<unk>".into()], ..BpeOptions::default() };
    let json = train_bpe(std::slice::from_ref(&text), &options).unwrap();
    assert_eq!(json, train_bpe(std::slice::from_ref(&text), &options).unwrap());
    let tokenizer = Tokenizer::from_bytes("mine", json.into_bytes()).unwrap();
    let codec = TextCodec::of_tokenizer(tokenizer).unwrap().unwrap();
    assert!(codec.vocab().len() > 257 && codec.vocab().len() <= 300);
    assert_eq!(codec.vocab().id("<unk>"), Some(0));
    let encoded = codec.encode(line).unwrap();
    assert!(encoded.ids.contains(&0) && encoded.ids.len() < line.len() / 2);
    assert_eq!(codec.decode(&encoded.ids).unwrap(), line);
    let small = BpeOptions { vocab_size: 256, ..options };
    assert!(matches!(train_bpe(&[text], &small), Err(DataError::VocabTooSmall { .. })));
}

#[test]
fn what_is_no_tokenizer_is_refused() {
    for bytes in [&b""[..], b"{}", b"word\nlist\n", b"\x00\xff\x01", b"{\"model\":", &[0x0a; 100]] {
        let error = Tokenizer::from_bytes("file", bytes.to_vec()).unwrap_err();
        assert!(matches!(error, DataError::TokenizerFile { .. }), "{bytes:?}: {error}");
    }
    assert!(matches!(Tokenizer::open("missing.json"), Err(DataError::Missing { .. })));
}

#[test]
fn truncated_files_are_refused() {
    for file in FILES {
        let bytes = std::fs::read(golden(file)).unwrap();
        for part in 1..40 {
            let _ = Tokenizer::from_bytes("file", bytes[..bytes.len() * part / 40].to_vec());
        }
    }
}

proptest! {
    #[test]
    fn the_result_does_not_depend_on_pieces(
        text in "([a-z é\n\r<>🦀▁]|the |cat|walks){0,60}",
        size in 1..9_usize,
        file in prop::sample::select(FILES.to_vec()),
    ) {
        let codec = codec(file);
        let pieces = codec.encode_reader(BufReader::with_capacity(size, text.as_bytes()), "text").unwrap();
        prop_assert_eq!(&pieces.ids, &codec.encode(&text).unwrap().ids);
        let by_line: Vec<u32> =
            codec.lines(text.as_bytes(), "text").flat_map(|line| line.unwrap().ids).collect();
        prop_assert_eq!(&by_line, &pieces.ids);
    }

    #[test]
    fn byte_tokens_give_every_text_back(text in "\\PC{0,40}") {
        let codec = codec("byte_bpe.json");
        let ids = codec.encode_prefix(&text.replace('\n', " ")).unwrap();
        prop_assert_eq!(codec.decode(&ids).unwrap(), text.trim_start_matches('\u{feff}').replace('\n', " "));
    }

    #[test]
    fn parts_are_in_order(line in "([a-zé <>🦀,ﬁ]|the |cat|walks){0,40}", file in prop::sample::select(FILES.to_vec())) {
        let codec = codec(file);
        let encoded = codec.line_encoder("line").encode(line.as_bytes()).unwrap();
        if let Ok(parts) = codec.align(&encoded.text, &encoded.tokens) {
            let mut end = 0;
            for part in parts {
                prop_assert!(part.start >= end && part.end <= line.len() && line.get(part.clone()).is_some());
                end = part.end;
            }
        }
    }

    #[test]
    fn damaged_files_do_not_panic(
        file in prop::sample::select(FILES.to_vec()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = std::fs::read(golden(file)).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(tokenizer) = Tokenizer::from_bytes("file", bytes)
            && let Ok(Some(codec)) = TextCodec::of_tokenizer(tokenizer)
            && let Ok(encoded) = codec.encode("the cat walks, unhappinesses ﬁ 🦀\n")
        {
            codec.decode(&encoded.ids).unwrap();
        }
    }
}
