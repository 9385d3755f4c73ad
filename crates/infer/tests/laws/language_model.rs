//! A language model as one value: opening, saving, and texts in and out.

use std::path::Path;

use rondo_data::{Spacing, TextCodec, Tokenizer, Vocab};
use rondo_infer::rescore::{Entry, List, Weights};
use rondo_infer::{
    InferError, LanguageModel, OpenOptions, Piece, Sampling, Scoring, StopReason, StopRule, StreamOptions,
};
use rondo_kernels::Device;
use rondo_nn::{Cell, Input, Model, ModelContext, ModelFile, WeightFormat};

use crate::{assert_close, log_probs_of, rnn_lm};

const WORDS: [&str; 8] = ["<unk>", "<eos>", "the", "cat", "sat", ",", ".", "mat"];

fn vocab(tokens: &[&str]) -> Vocab {
    let unknown = tokens.contains(&"<unk>").then_some("<unk>");
    Vocab::from_tokens("test", tokens.iter().copied(), unknown).unwrap()
}

fn language_model(tokens: &[&str], tokenizer: Tokenizer) -> LanguageModel {
    let model = rnn_lm(Cell::Lstm, Input::Embedding(6), tokens.len());
    LanguageModel::new(model, TextCodec::new(tokenizer, vocab(tokens))).unwrap()
}

fn of_words() -> LanguageModel {
    language_model(&WORDS, Tokenizer::words())
}

fn device() -> Device {
    Device::cpu(1).unwrap()
}

#[test]
fn what_is_saved_is_opened_with_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for tokenizer in [Tokenizer::words(), Tokenizer::moses()] {
        let model = language_model(&WORDS, tokenizer);
        model.save(&path).unwrap();
        let opened = LanguageModel::open(&path, &device()).unwrap();
        assert_eq!(opened.codec(), model.codec());
        assert_eq!(opened.path(), Some(path.as_path()));
        let lines = ["the cat sat", "the dog"];
        let scores = [&opened, &model].map(|model| model.score(&lines).unwrap());
        for (opened, saved) in scores[0].iter().zip(&scores[1]) {
            assert_close("score", opened.score.log_prob_sum, saved.score.log_prob_sum, 1e-5);
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_mapped_model_is_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let lines = ["the cat sat", "the dog"];
    let options = OpenOptions { mmap: true, ..OpenOptions::default() };
    for format in [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::Int8] {
        of_words().save_as(&path, format).unwrap();
        let read = LanguageModel::open(&path, &device()).unwrap();
        let mut mapped = LanguageModel::open_with(&path, &options, &device()).unwrap();
        let scores = |model: &LanguageModel| {
            model
                .score(&lines)
                .unwrap()
                .iter()
                .map(|line| line.score.log_prob_sum.to_bits())
                .collect::<Vec<_>>()
        };
        let expected = scores(&read);
        assert_eq!(scores(&mapped), expected);
        // The file is replaced, not overwritten: what is mapped stays.
        mapped.save_as(&path, format).unwrap();
        assert_eq!(scores(&mapped), expected);
        // Its weights can be changed, and the file stays as it is.
        let before = std::fs::read(&path).unwrap();
        let parameters = mapped.model_mut().unwrap().parameters_mut();
        let id = parameters.find("embedding.weight").unwrap();
        parameters.values_mut(id).fill(0.5);
        assert!(parameters.values(id).read().unwrap().iter().all(|&value| value == 0.5));
        assert_ne!(scores(&mapped), expected);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

/// A model file of version 0.1.0: no codec in it, the vocabulary in a file beside it.
fn write_old(path: &Path, model: &LanguageModel) {
    let codec = model.codec();
    let context = ModelContext {
        vocab_fingerprint: codec.vocab().fingerprint(),
        metadata: [("tokenizer".to_owned(), codec.tokenizer().to_json())].into(),
        ..ModelContext::default()
    };
    let mut bytes = vec![];
    ModelFile::write(model.model(), &context, &mut bytes).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_model_of_the_first_version_is_opened_with_its_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    let model = of_words();
    write_old(&path, &model);
    let error = LanguageModel::open(folder.path(), &device()).unwrap_err();
    assert!(matches!(error, InferError::NoVocabulary(_)), "{error}");
    model.codec().vocab().save(folder.path().join("vocab.json")).unwrap();
    assert_eq!(LanguageModel::open(folder.path(), &device()).unwrap().codec(), model.codec());
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = of_words();
    let mut swapped = WORDS;
    swapped.swap(2, 3);
    let other = folder.path().join("other.json");
    vocab(&swapped).save(&other).unwrap();
    for old in [false, true] {
        if old {
            write_old(&path, &model)
        } else {
            model.save(&path).unwrap()
        }
        let options = OpenOptions { vocab: Some(other.clone()), ..OpenOptions::default() };
        let error = LanguageModel::open_with(&path, &options, &device()).unwrap_err().to_string();
        assert!(error.contains("is not the model's vocabulary"), "{error}");
    }
    let error = LanguageModel::new(rnn_lm(Cell::Gru, Input::OneHot, 9), model.codec().clone()).unwrap_err();
    assert_eq!(error.to_string(), "the codec has 8 tokens, but the model has 9");
    let error = LanguageModel::open(folder.path(), &device()).unwrap_err().to_string();
    assert!(error.ends_with(": it contains no `best.safetensors`"), "{error}");
}

#[test]
fn a_model_of_ones_own_is_given_the_weights_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = of_words();
    model.save(&path).unwrap();
    let mut zeros = rnn_lm(Cell::Lstm, Input::Embedding(6), WORDS.len());
    for id in zeros.parameters().ids() {
        zeros.parameters_mut().values_mut(id).fill(0.0);
    }
    let opened = LanguageModel::open_into(zeros, &path).unwrap();
    assert_eq!(opened.score(&["the cat"]).unwrap()[0].score, model.score(&["the cat"]).unwrap()[0].score);
    let other = rnn_lm(Cell::Gru, Input::Embedding(6), WORDS.len());
    assert!(LanguageModel::open_into(other, &path).is_err());
}

#[test]
fn lines_are_scored_as_what_follows_a_line_end() {
    let model = of_words();
    let scored = model.score(&["the cat sat", "", "the dog"]).unwrap();
    let expected = log_probs_of(model.handle(), &[1, 2, 3, 4, 1]).iter().sum::<f64>();
    assert_close("score", scored[0].score.log_prob_sum, expected, 1e-4);
    assert_eq!((scored[1].line.ids.as_slice(), scored[1].score.log_probs.len()), (&[1][..], 1));
    assert_eq!((scored[2].line.number, scored[2].line.out_of_vocab_tokens), (3, 1));
    // A model of running text takes a line for one, too.
    let moses = language_model(&WORDS, Tokenizer::moses());
    let scored = moses.score(&["The cat sat. The cat.", "the mat"]).unwrap();
    assert_eq!(scored.len(), 2);
    assert_eq!(scored[0].line.tokens.last(), Some("<eos>"));
}

#[test]
fn lists_are_rescored_with_the_best_first() {
    let model = of_words();
    let entry = |line, id: &str, score, text: &str| {
        let (id, scores) = (id.into(), vec![score]);
        Entry { line, id, scores, text: text.into(), source: String::new() }
    };
    let entries = vec![
        entry(1, "a", -1.0, "the cat"),
        entry(2, "b", -1.0, "sat ,"),
        entry(3, "a", -9.0, "the mat sat"),
    ];
    let lists = model.rescore(entries, &Weights { lm: 0.1, ..Weights::default() }).unwrap();
    assert_eq!(lists.iter().map(|list| list.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(lists[0].hypotheses[0].text, "the cat");
    let expected = model.score(&["the cat"]).unwrap()[0].score.log_prob_sum;
    assert_close("log-probability", lists[0].hypotheses[0].lm_log_prob, expected, 1e-6);
}

/// The pieces of a text of up to `max_tokens` tokens.
fn pieces(model: &LanguageModel, prompt: &str, stop: StopRule) -> Vec<Piece> {
    let sampling = Sampling { temperature: 1.5, ..Sampling::default() };
    let options = StreamOptions { sampling, seed: 3, stop, spacing: Spacing::AsRead };
    model.stream(prompt, options).unwrap().map(Result::unwrap).collect()
}

fn joined(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect()
}

fn up_to(max_tokens: usize) -> StopRule {
    StopRule { max_tokens: Some(max_tokens), ..StopRule::default() }
}

#[test]
fn a_stream_says_token_by_token_what_it_writes_and_why_it_ends() {
    let model = of_words();
    let all = pieces(&model, "the cat", up_to(40));
    assert_eq!((all.len(), &all[39].stop), (40, &Some(StopReason::Length)));
    assert!(all[..39].iter().all(|piece| piece.stop.is_none()));
    let ids: Vec<u32> = [1, 2, 3].into_iter().chain(all.iter().map(|piece| piece.token)).collect();
    // The pieces are what follows the prompt, with the space before the first of them.
    assert_eq!(format!("the cat{}", joined(&all)), model.codec().decode(&ids[1..]).unwrap());
    let log_probs = log_probs_of(model.handle(), &ids);
    for (piece, expected) in all.iter().zip(&log_probs[2..]) {
        assert_close("log-probability", piece.log_prob, *expected, 2e-4);
    }

    // A token that ends it: its text is left out.
    let end = all.iter().position(|piece| piece.token == 1).unwrap();
    let ended = pieces(&model, "the cat", StopRule { tokens: vec![1], ..up_to(40) });
    assert_eq!((ended.len(), &ended[end].stop), (end + 1, &Some(StopReason::Token(1))));
    assert_eq!(joined(&ended), joined(&all[..end]));
    assert!(pieces(&model, "the cat", up_to(0)).is_empty());
}

/// A model of texts without line ends has nothing to start from but how often each token occurs.
#[test]
fn a_text_without_a_prompt_begins_with_a_frequent_token() {
    let of = |counts: Option<Vec<u64>>| {
        let vocab = vocab(&["a", "b", "c"]);
        let vocab = counts.map_or(vocab.clone(), |counts| vocab.with_counts(counts).unwrap());
        let model = rnn_lm(Cell::Lstm, Input::Embedding(6), 3);
        LanguageModel::new(model, TextCodec::new(Tokenizer::chars(), vocab)).unwrap()
    };
    let error = of(None).stream("", StreamOptions::default()).unwrap_err();
    assert!(matches!(error, InferError::EmptyPrefix), "{error}");
    let model = of(Some(vec![0, 9, 1]));
    let all = pieces(&model, "", up_to(30));
    assert_eq!((all.len(), &all[29].stop), (30, &Some(StopReason::Length)));
    assert_eq!((all[0].text.as_str(), all[0].token), ("b", 1));
    assert_close("frequency", all[0].log_prob, 0.9_f64.ln(), 1e-9);
    let ids: Vec<u32> = all.iter().map(|piece| piece.token).collect();
    for (piece, expected) in all[1..].iter().zip(&log_probs_of(model.handle(), &ids)) {
        assert_close("log-probability", piece.log_prob, *expected, 2e-4);
    }
    assert_eq!(joined(&pieces(&model, "", up_to(1))), "b");
    // A prompt is continued as before.
    assert_eq!(joined(&pieces(&model, "c", up_to(20))), joined(&pieces(&of(None), "c", up_to(20))));
}

#[test]
fn a_stop_string_ends_a_text_wherever_it_is_cut() {
    let characters: Vec<String> = "\nab cé".chars().map(String::from).collect();
    let characters: Vec<&str> = characters.iter().map(String::as_str).collect();
    let bytes = ["<0x0A>", " ", "a", "b", "<0xC3>", "<0xA9>"];
    for model in [language_model(&characters, Tokenizer::chars()), language_model(&bytes, Tokenizer::bytes())]
    {
        let whole = joined(&pieces(&model, "a", up_to(300)));
        let mut starts: Vec<usize> = whole.char_indices().map(|(at, _)| at).collect();
        starts.truncate(60);
        for len in 1..=3 {
            for window in starts.windows(len + 1).skip(5).step_by(7) {
                let string = whole[window[0]..window[len]].to_owned();
                if string.contains('\u{fffd}') {
                    continue; // That is how bytes that are no character are shown, not what they are.
                }
                let stop = StopRule { strings: vec!["zzz".to_owned(), string.clone()], ..up_to(300) };
                let ended = pieces(&model, "a", stop);
                let at = whole.find(&string).unwrap();
                assert_eq!(joined(&ended), whole[..at], "{string:?}");
                assert_eq!(ended.last().unwrap().stop, Some(StopReason::String(string)));
            }
        }
    }
    let options = StreamOptions {
        stop: StopRule { strings: vec![String::new()], ..up_to(1) },
        ..StreamOptions::default()
    };
    assert!(matches!(of_words().stream("", options), Err(InferError::EmptyStopString)));
}

#[test]
fn half_a_character_waits_for_its_other_half() {
    let model = language_model(&["<0x0A>", "<0xC3>", "<0xA9>"], Tokenizer::bytes());
    let pieces = pieces(&model, "\u{e9}", up_to(200));
    // What is no character is shown as U+FFFD, and no character is torn.
    for (before, after) in pieces.iter().zip(&pieces[1..]) {
        if before.token == 1 && after.token == 2 {
            assert!(after.text.ends_with('\u{e9}'), "{before:?} {after:?}");
        }
    }
    let ids: Vec<u32> = pieces.iter().map(|piece| piece.token).collect();
    assert_eq!(joined(&pieces), model.codec().decode(&ids).unwrap());
}

/// Where there is no unknown token, a text with an unknown one is impossible, and no end of the job.
#[test]
fn a_hypothesis_of_unknown_tokens_is_impossible() {
    let model = language_model(&["\n", "a", "b"], Tokenizer::chars());
    let entry =
        |text: &str| Entry { id: "1".into(), scores: vec![-1.0], text: text.into(), ..Entry::default() };
    let mut scorer = model.list_scorer(2).unwrap();
    let scored = ["ab", "ax", "", "b"].map(entry).map(|mut one| (std::mem::take(&mut one.id), one.into()));
    let mut lists = List::group(scored);
    scorer.score(&mut lists).unwrap();
    let found: Vec<f64> = lists[0].hypotheses.iter().map(|one| one.lm_log_prob).collect();
    let expected = ["ab", "", "b"].map(|text| model.score(&[text]).unwrap()[0].score.log_prob_sum);
    assert_eq!(found, [expected[0], f64::NEG_INFINITY, expected[1], expected[2]]);
    assert_eq!(scorer.impossible(), 1);
    lists[0].sort(&Weights { lm: 1.0, ..Weights::default() });
    assert_eq!(lists[0].hypotheses[3].text, "ax");
}

#[test]
fn a_hypothesis_is_scored_as_the_same_line_is() {
    let words = ["<unk>", "<eos>", "the", "cat", "."];
    for tokenizer in [Tokenizer::words(), Tokenizer::moses()] {
        let model = language_model(&words, tokenizer.clone());
        let texts = ["", "the cat . the cat .", "the"];
        let scored = model.score(&texts).unwrap();
        let entry = |(line, text): (usize, &&str)| Entry {
            line,
            id: line.to_string(),
            scores: vec![0.0],
            text: (*text).into(),
            source: String::new(),
        };
        let scoring = Scoring { carry_state: true, ..Scoring::default() };
        let lists = model.score_lists(texts.iter().enumerate().map(entry).collect(), &scoring).unwrap();
        for (list, line) in lists.iter().zip(&scored) {
            assert_eq!(list.hypotheses[0].lm_log_prob, line.score.log_prob_sum, "{tokenizer:?}");
            // Even a line of no words has an end, which is not certain.
            assert!(line.line.ids.ends_with(&[1]) && line.score.log_prob_sum < 0.0, "{line:?}");
        }
    }
}

#[test]
fn completions_are_words() {
    let completions = of_words().complete("the", WORDS.len()).unwrap();
    let words: Vec<&str> = completions.iter().map(|completion| completion.word.as_str()).collect();
    assert_eq!(words.len(), WORDS.len() - 2, "{words:?}");
    assert!(!words.contains(&"<unk>") && !words.contains(&"<eos>"), "{words:?}");
}
