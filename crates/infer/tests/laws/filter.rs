//! Perplexities of lines and documents, the ranks of their tokens, and what becomes of them.

use std::num::NonZeroU32;

use rondo_data::{TextCodec, Tokenizer, Vocab};
use rondo_infer::{Buckets, Filter, FilterUnit, Filtering, InferError, LanguageModel, Scoring};
use rondo_nn::{Cell, Input};

use crate::{VOCAB_SIZE, assert_close, damaged_model, rnn_lm};

const WORDS: [&str; 6] = ["<unk>", "<eos>", "the", "cat", "sat", "."];

fn model(counts: Option<Vec<u64>>) -> LanguageModel {
    let vocab = Vocab::from_tokens("test", WORDS, Some("<unk>")).unwrap();
    let vocab = match counts {
        Some(counts) => vocab.with_counts(counts).unwrap(),
        None => vocab,
    };
    let model = rnn_lm(Cell::Lstm, Input::Embedding(6), WORDS.len());
    LanguageModel::new(model, TextCodec::new(Tokenizer::default(), vocab)).unwrap()
}

fn perplexity(model: &LanguageModel, options: Filtering, text: &str) -> f64 {
    Filter::new(model, options).unwrap().perplexities(&[text.as_bytes()]).unwrap()[0]
}

/// The negative log-likelihood of a line, and its unknown words and its words, the line end included.
fn nll(model: &LanguageModel, line: &str) -> (f64, f64, f64) {
    let encoded = model.codec().line_encoder("line").encode(line.as_bytes()).unwrap();
    let scoring = Scoring { start: model.codec().line_end(), ..Scoring::default() };
    let score = model.scorer(scoring).unwrap().score(&[&encoded.ids]).unwrap()[0].log_prob_sum;
    (-score, encoded.unknown_tokens as f64, line.split_whitespace().count() as f64 + 1.0)
}

#[test]
fn an_unknown_word_costs_what_an_unseen_word_costs() {
    let (line, lines) = ("the dog sat xq .", Filtering::default());
    // The number of unknown words in the training text, or the one that is given, or else the size of the vocabulary.
    for (counts, given, words) in [
        (Some(vec![40, 9, 8, 7, 6, 5]), None, 40.0),
        (Some(vec![40, 9, 8, 7, 6, 5]), Some(7), 7.0),
        (Some(vec![0, 9, 8, 7, 6, 5]), None, 6.0),
        (None, None, 6.0),
    ] {
        let model = model(counts);
        let (nll, unknown, units) = nll(&model, line);
        let expected = ((nll + unknown * f64::ln(words)) / units).exp();
        let options = Filtering { unknown_words: given, ..lines.clone() };
        assert_close("perplexity", perplexity(&model, options, line), expected, 1e-4);
        assert_eq!(unknown, 2.0);
    }
}

#[test]
fn a_document_has_the_perplexity_of_its_lines() {
    let model = model(None);
    let document = Filtering { unit: FilterUnit::Document, ..Filtering::default() };
    let lines = ["the cat sat .", "sat the cat the sat", "the dog ."];
    let (mut nlls, mut units) = (0.0, 0.0);
    for line in lines {
        let (nll, unknown, words) = nll(&model, line);
        nlls += nll + unknown * f64::ln(6.0);
        units += words;
    }
    let text = format!("\n{}\n \n{}\r\n{}\n\n", lines[0], lines[1], lines[2]);
    assert_close("document", perplexity(&model, document.clone(), &text), (nlls / units).exp(), 1e-4);
    let alone = |options: &Filtering, text| perplexity(&model, options.clone(), text);
    assert_close("one line", alone(&document, lines[0]), alone(&Filtering::default(), lines[0]), 1e-5);
    assert_close("none", alone(&document, "\n\n"), alone(&Filtering::default(), ""), 1e-5);
}

#[test]
fn every_text_is_counted_once_and_in_its_bucket() {
    let model = model(None);
    let texts: Vec<String> = (0..200)
        .map(|text| {
            WORDS.iter().cycle().skip(text * 5 + 2).take(text % 9 + 1).copied().collect::<Vec<_>>().join(" ")
        })
        .collect();
    let mut filter = Filter::new(&model, Filtering::default()).unwrap();
    let sample = filter.perplexities(&texts).unwrap();
    let names: Vec<String> = ["head", "middle", "tail"].map(str::to_owned).to_vec();
    let buckets = Buckets::of_sample(names, &Buckets::even_quantiles(3), sample.clone()).unwrap();
    let mut sorted = sample.clone();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (sorted[50], sorted[150]);
    let bounds = Filtering { min_perplexity: min, max_perplexity: max, ..Filtering::default() };
    let mut kept = 0;
    for invert in [false, true] {
        let options = Filtering { invert, batch_size: 7, ..bounds.clone() };
        let mut filter = Filter::new(&model, options).unwrap().with_buckets(buckets.clone());
        for (texts, perplexities) in texts.chunks(64).zip(sample.chunks(64)) {
            for (verdict, perplexity) in filter.judge(texts).unwrap().into_iter().zip(perplexities) {
                assert_close("in another batch", verdict.perplexity, *perplexity, 1e-3);
                assert_eq!(verdict.bucket, Some(buckets.place(verdict.perplexity)));
                assert_eq!(verdict.is_kept, (min..=max).contains(&verdict.perplexity) != invert);
            }
        }
        let summary = filter.summary();
        assert_eq!((summary.texts(), summary.histogram.iter().sum::<u64>()), (200, 200));
        assert_eq!(summary.buckets.iter().sum::<u64>(), summary.kept);
        assert!(summary.kept > 0 && summary.dropped > 0, "{summary:?}");
        kept += summary.kept;
    }
    assert_eq!(kept, 200);
}

#[test]
fn texts_of_likely_tokens_are_kept() {
    let model = model(None);
    let texts = ["the cat sat .", "cat the . sat", "the dog sat .", "sat", "the cat\n. sat sat"];
    let start = model.codec().line_end();
    let mut scorer = model.scorer(Scoring { start, ..Scoring::default() }).unwrap().with_ranks().unwrap();
    let mut unlikely_tokens = |text: &str, max_rank: u32| {
        let count = |line: &str| {
            let ids = model.codec().line_encoder("line").encode(line.as_bytes()).unwrap().ids;
            let ranks = scorer.score(&[&ids]).unwrap().remove(0).ranks;
            ids.iter().zip(ranks).filter(|(id, rank)| **id == 0 || *rank > max_rank).count()
        };
        text.lines().map(count).sum::<usize>()
    };
    let mut kept = 0;
    for max_rank in 1..=WORDS.len() as u32 {
        let max_rank_given = NonZeroU32::new(max_rank);
        let options =
            Filtering { unit: FilterUnit::Document, max_rank: max_rank_given, ..Filtering::default() };
        let verdicts = Filter::new(&model, options.clone()).unwrap().judge(&texts).unwrap();
        let inverted = Filtering { invert: true, ..options };
        let inverted = Filter::new(&model, inverted).unwrap().judge(&texts).unwrap();
        for ((text, verdict), inverted) in texts.iter().zip(&verdicts).zip(&inverted) {
            let unlikely = unlikely_tokens(text, max_rank);
            assert_eq!((verdict.unlikely_tokens, verdict.is_kept), (unlikely, unlikely == 0), "{text}");
            assert_eq!(inverted.is_kept, unlikely > 0);
            kept += usize::from(verdict.is_kept);
        }
        // However many tokens may be likely, an unknown one is not.
        assert_eq!(verdicts[2].unlikely_tokens.min(1), 1);
    }
    assert!(kept > 0);
    let verdicts = Filter::new(&model, Filtering::default()).unwrap().judge(&texts).unwrap();
    assert!(verdicts.iter().all(|verdict| verdict.is_kept && verdict.unlikely_tokens == 0));
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let model = model(None);
    let error = |options| Filter::new(&model, options).unwrap_err();
    for (min_perplexity, max_perplexity) in [(3.0, 2.0), (f64::NAN, 2.0), (1.0, f64::NAN)] {
        let error = error(Filtering { min_perplexity, max_perplexity, ..Filtering::default() });
        assert!(matches!(error, InferError::Bounds { .. }), "{error}");
    }
    for options in [
        Filtering { unknown_words: Some(0), ..Filtering::default() },
        Filtering { batch_size: 0, ..Filtering::default() },
    ] {
        assert!(matches!(error(options), InferError::ZeroSize { .. }));
    }
    let tokens: Vec<String> = (1..VOCAB_SIZE).map(|token| format!("w{token}")).collect();
    let vocab =
        Vocab::from_tokens("test", ["<eos>"].into_iter().chain(tokens.iter().map(String::as_str)), None)
            .unwrap();
    let damaged = LanguageModel::new(damaged_model(), TextCodec::new(Tokenizer::default(), vocab)).unwrap();
    let mut filter = Filter::new(&damaged, Filtering::default()).unwrap();
    assert!(matches!(filter.judge(&["w1 w2"]), Err(InferError::NonFiniteLogits)));
    assert_eq!(filter.summary().texts(), 0);
}
