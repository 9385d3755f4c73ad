//! Sentences, together and one at a time.

use rondo_data::{BlankLines, DataError, EncodedLine, TextCodec, Tokenizer, Vocab};
use rondo_infer::{InferError, Scorer, Scoring, SentenceScore, evaluate};

use crate::{assert_close, log_probs_of, model, text, token_ids};

const EOS: u32 = 1;

/// Sentences of many lengths, an empty, a short and a long one among them.
fn sentences() -> Vec<Vec<u32>> {
    let lengths = [5, 0, 1, 9, 2, 2000, 3, 17, 30, 30, 8, 1, 12, 41, 2];
    lengths.iter().zip(10..).map(|(&len, seed)| text(len, seed)).collect()
}

fn score(sentences: &[Vec<u32>], scoring: Scoring) -> Vec<SentenceScore> {
    let (model, _) = model();
    Scorer::new(&model, scoring).unwrap().score(sentences).unwrap()
}

/// Fails unless `score` is that of the last tokens of `ids`, of a sentence that has `len` tokens.
#[track_caller]
fn check(score: &SentenceScore, expected: &[f64], len: usize) {
    assert_eq!(score.log_probs.len(), expected.len());
    assert_eq!(score.unscored_tokens, len - expected.len());
    for (&found, &expected) in score.log_probs.iter().zip(expected) {
        assert_close("log-probability", f64::from(found), expected, 2e-4);
    }
    let sum: f64 = expected.iter().sum();
    assert_close("sum", score.log_prob_sum, sum, 1e-5 * (1.0 - sum));
}

#[test]
fn each_sentence_has_the_score_it_has_alone() {
    let (model, _) = model();
    let sentences = sentences();
    for start in [None, Some(EOS)] {
        for batch_size in [1, 4, 100] {
            let scores = score(&sentences, Scoring { start, batch_size, ..Scoring::default() });
            assert_eq!(scores.len(), sentences.len());
            for (score, sentence) in scores.iter().zip(&sentences) {
                let read: Vec<u32> = start.iter().chain(sentence).copied().collect();
                let expected = if read.is_empty() { Vec::new() } else { log_probs_of(&model, &read) };
                check(score, &expected, sentence.len());
            }
        }
    }
}

#[test]
fn with_the_state_carried_the_sentences_are_one_text() {
    let (model, _) = model();
    let sentences = sentences();
    for start in [None, Some(EOS)] {
        let whole: Vec<u32> = start.iter().chain(sentences.iter().flatten()).copied().collect();
        let mut expected = log_probs_of(&model, &whole).into_iter();
        let scoring = Scoring { start, carry_state: true, ..Scoring::default() };
        let mut scorer = Scorer::new(&model, scoring).unwrap();
        // In two calls, the second of which continues the first.
        let mut scores = scorer.score(&sentences[..4]).unwrap();
        scores.extend(scorer.score(&sentences[4..]).unwrap());
        for (index, (score, sentence)) in scores.iter().zip(&sentences).enumerate() {
            let unscored = usize::from(start.is_none() && index == 0);
            let expected: Vec<f64> = expected.by_ref().take(sentence.len() - unscored).collect();
            check(score, &expected, sentence.len());
        }
        assert_eq!(expected.len(), 0);
    }
}

#[test]
fn a_text_as_one_sentence_has_the_sum_of_its_evaluation() {
    let (model, mut workspace) = model();
    let ids = text(1500, 3);
    let evaluation = evaluate(model.model(), &mut workspace, &token_ids(&ids), 1, 35).unwrap();
    let score = &score(&[ids], Scoring::default())[0];
    assert_eq!(score.log_probs.len() as u64, evaluation.tokens);
    assert_close("sum", -score.log_prob_sum, evaluation.nll_sum, 1e-6 * evaluation.nll_sum);
    assert_close("perplexity", score.perplexity(), evaluation.perplexity(), 1e-3);
}

#[test]
fn lines_come_in_order_however_far_is_read_ahead() {
    let tokens = std::iter::once("<eos>".to_owned()).chain((1..23).map(|n| format!("w{n}")));
    let vocab = Vocab::from_tokens("test", tokens, None).unwrap();
    let tokenizer = Tokenizer::words().with_blank_lines(BlankLines::Skip);
    let codec = TextCodec::new(tokenizer, vocab);
    let text = "w1 w2 w3\n\nw4\nw5 w6 w7 w8 w9\nw10 w11";
    let start = codec.line_end();
    assert_eq!(start, Some(0));
    let (model, _) = model();
    for lookahead_tokens in [1, 5, 1000] {
        let scoring = Scoring { start, lookahead_tokens, ..Scoring::default() };
        let mut scorer = Scorer::new(&model, scoring).unwrap();
        let lines: Vec<_> =
            scorer.lines(codec.lines(text.as_bytes(), "test")).map(|line| line.unwrap()).collect();
        assert_eq!(lines.iter().map(|line| line.line.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        for line in &lines {
            let ids: Vec<u32> = std::iter::once(0).chain(line.line.ids.iter().copied()).collect();
            check(&line.score, &log_probs_of(&model, &ids), line.line.ids.len());
        }
        assert_eq!(lines[1].score.log_prob_sum, 0.0);
    }
}

#[test]
fn no_more_is_read_than_looked_ahead_for() {
    let read = std::cell::Cell::new(0);
    let line = |number| {
        read.set(read.get() + 1);
        let tokens = vec!["w".to_owned(); 2];
        Ok(EncodedLine {
            number,
            tokens: tokens.into_iter().collect(),
            ids: vec![3, 4],
            ..EncodedLine::default()
        })
    };
    let (model, _) = model();
    let scoring = Scoring { lookahead_tokens: 6, ..Scoring::default() };
    let mut scorer = Scorer::new(&model, scoring).unwrap();
    let mut lines = scorer.lines((1..).map(line));
    for (number, expected_read) in [(1, 3), (2, 3), (3, 3), (4, 6)] {
        assert_eq!(lines.next().unwrap().unwrap().line.number, number);
        assert_eq!(read.get(), expected_read);
    }
}

#[test]
fn an_error_comes_after_the_lines_before_it() {
    let good = EncodedLine {
        number: 1,
        tokens: ["a"].into_iter().collect(),
        ids: vec![2],
        ..EncodedLine::default()
    };
    let bad = DataError::Empty { origin: "test".into() };
    let (model, _) = model();
    let mut scorer = Scorer::new(&model, Scoring::default()).unwrap();
    let mut lines = scorer.lines([Ok(good.clone()), Err(bad), Ok(good)]);
    assert!(lines.next().unwrap().is_ok());
    assert_eq!(lines.next().unwrap().unwrap_err().to_string(), "`test` is empty: it contains no tokens");
    assert!(lines.next().is_none());
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let (model, _) = model();
    let refusal = |scoring| Scorer::new(&model, scoring).unwrap_err().to_string();
    let default = Scoring::default;
    assert_eq!(refusal(Scoring { batch_size: 0, ..default() }), "`batch_size` must be at least 1");
    assert_eq!(
        refusal(Scoring { lookahead_tokens: 0, ..default() }),
        "`lookahead_tokens` must be at least 1"
    );
    let error = refusal(Scoring { start: Some(23), ..default() });
    assert_eq!(error, "token id 23 is out of range: the model's vocabulary has 23 tokens");
    let mut scorer = Scorer::new(&model, default()).unwrap();
    assert!(matches!(scorer.score(&[[1, 2], [3, 99]]), Err(InferError::IdOutOfRange { id: 99, .. })));
}
