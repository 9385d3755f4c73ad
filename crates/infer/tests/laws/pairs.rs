//! Minimal pairs and a test suite, whose answers for a bigram model are known.

use rondo_data::{TextCodec, Tokenizer, Vocab};
use rondo_infer::pairs::{Accuracy, Outcome, Pair, Scope, Suite, Tests, accuracies, score_pairs};
use rondo_infer::{LanguageModel, Scoring};
use rondo_nn::{Cell, Input};

use crate::{assert_close, bigram, rnn_lm};

const PAIRS: &str = include_str!("../fixtures/pairs/agreement.jsonl");
const SUITE: &str = include_str!("../fixtures/pairs/number.json");

fn pairs() -> Vec<Pair> {
    match Tests::read(PAIRS.as_bytes(), "agreement.jsonl", false, None).unwrap() {
        Tests::Pairs(pairs) => pairs,
        Tests::Suite(_) => panic!("these are pairs"),
    }
}

fn suite() -> Suite {
    match Tests::read(SUITE.as_bytes(), "number.json", false, None).unwrap() {
        Tests::Pairs(_) => panic!("this is a suite"),
        Tests::Suite(suite) => suite,
    }
}

fn pair(good: &str, bad: &str) -> Pair {
    Pair { line: 1, good: good.to_owned(), bad: bad.to_owned(), group: None }
}

#[test]
fn a_bigram_model_is_right_where_the_nearest_noun_says_so() {
    let pairs = pairs();
    let scores = score_pairs(&bigram::model(), &pairs, Scope::Sentence).unwrap();
    let (all, groups) = accuracies(&pairs, &scores);
    let none = Accuracy::default();
    let expected = [
        ("adjacent", Accuracy { right: 40, ..none }),
        ("distractor", Accuracy { wrong: 40, ..none }),
        ("no_distractor", Accuracy { right: 40, ..none }),
        ("relative_clause", Accuracy { equal: 40, ..none }),
        ("unknown_words", Accuracy { same_tokens: 40, with_unknown_tokens: 40, ..none }),
    ];
    assert_eq!(groups, expected.map(|(name, accuracy)| (name.to_owned(), accuracy)));
    assert_eq!((all.tests(), all.counted(), all.value()), (200, 160, Some(100.0 / 160.0)));
    for (pair, score) in pairs.iter().zip(&scores).filter(|(_, score)| score.unknown_tokens == 0) {
        assert_close("good", score.good, bigram::log_prob(&pair.good), 1e-4);
        assert_close("bad", score.bad, bigram::log_prob(&pair.bad), 1e-4);
    }
}

#[test]
fn a_region_is_scored_alone() {
    let pairs = [
        pair("the king sleeps .", "the king sleep ."),
        pair("the king sleeps .", "the king near sleeps ."),
        pair("the king", "the king ."),
        pair("the king  sleeps .", "the king sleeps ."),
    ];
    let scores = score_pairs(&bigram::model(), &pairs, Scope::Region).unwrap();
    let next = bigram::next_log_prob;
    assert_close("one word", scores[0].good, next("king", "sleeps"), 1e-4);
    assert_close("one word", scores[0].bad, next("king", "sleep"), 1e-4);
    assert_close("and the next", scores[1].good, next("king", "sleeps"), 1e-4);
    assert_close("and the next", scores[1].bad, next("king", "near") + next("near", "sleeps"), 1e-4);
    assert_close("the line end", scores[2].good, next("king", "<eos>"), 1e-4);
    assert_close("the line end", scores[2].bad, next("king", ".") + next(".", "<eos>"), 1e-4);
    assert_eq!(scores[3].outcome, Outcome::SameTokens);
}

#[test]
fn a_suite_has_the_results_that_follow_from_the_bigrams() {
    let (suite, model) = (suite(), bigram::model());
    assert_eq!((suite.name(), suite.len(), suite.predictions().len()), ("number", 8, 5));
    let results = suite.evaluate(&model).unwrap();
    let right: Vec<usize> = suite.accuracies(&results).iter().map(|accuracy| accuracy.right).collect();
    assert_eq!(right, [8, 2, 8, 8, 0]);
    let modifier = |item: usize| (results[item].item.as_str(), results[item].outcomes[1]);
    assert_eq!([modifier(5), modifier(6)], [("6", Outcome::Wrong), ("7", Outcome::Right)]);
    // The modifier has three words and the subject two, but per word they differ only in that the modifier begins after
    // a noun.
    let mean = SUITE.replace("\"metric\": \"sum\"", "\"metric\": \"mean\"");
    assert_ne!(mean, SUITE);
    let mean = mean.replace(
        "(2;%match_modifier%) < (1;%match_modifier%)",
        "(2;%match_modifier%) - (1;%match_modifier%) < 0.2",
    );
    let mean = Suite::parse(&mean, "mean").unwrap();
    assert_eq!(mean.accuracies(&mean.evaluate(&model).unwrap())[4].right, 8);
}

#[track_caller]
fn check_suite_error(from: &str, to: &str, expected: &str) {
    let text = SUITE.replacen(from, to, 1);
    assert_ne!(text, SUITE);
    assert_eq!(Suite::parse(&text, "file").unwrap_err().to_string(), expected);
}

#[test]
fn what_is_no_suite_says_why() {
    check_suite_error(
        "\"metric\": \"sum\"",
        "\"metric\": \"median\"",
        "`file`: the metric \"median\" is not supported: `sum` and `mean` are",
    );
    check_suite_error(
        "(3;%mismatch%) > (3;%match%)",
        "(3;%mismatch%) >> (3;%match%)",
        "`file`: prediction 1: expected a number, a region such as `(2;%match%)`, or a parenthesis at character 17 of \
         `(3;%mismatch%) >> (3;%match%)`",
    );
    check_suite_error(
        "(3;%mismatch%)",
        "(3;%no_match%)",
        "`file`: item 1 has no condition `no_match`, which prediction 1 refers to: it has `match`, `mismatch`, \
         `match_modifier`, `mismatch_modifier`",
    );
    check_suite_error(
        "(3;%mismatch%)",
        "(5;%mismatch%)",
        "`file`: item 1, condition `mismatch` has no region 5, which prediction 1 refers to",
    );
    check_suite_error(
        "\"formula\",",
        "\"regression\",",
        "`file`: prediction 1 has the type `regression`, which is not supported: `formula` is",
    );
    let error = Suite::parse("{\"meta\": {}, \"predictions\": [],\n\"items\": [{}]}", "file")
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "`file`: not a test suite of SyntaxGym: missing field `item_number` at line 2 column 12"
    );
    let error =
        Suite::parse("{\"meta\": {}, \"predictions\": [], \"items\": []}", "file").unwrap_err().to_string();
    assert_eq!(error, "`file`: the suite has no predictions");
}

/// A model of characters with random parameters.
fn character_model() -> LanguageModel {
    let tokens = "abcdefghijklmnopqrstu \n".chars().map(String::from).collect::<Vec<_>>();
    let model = rnn_lm(Cell::Lstm, Input::OneHot, tokens.len());
    let vocab = Vocab::from_tokens("test", tokens, None).unwrap();
    LanguageModel::new(model, TextCodec::new(Tokenizer::chars(), vocab)).unwrap()
}

#[test]
fn a_model_of_characters_scores_regions_too() {
    let model = character_model();
    let pairs = [pair("a cat sat", "a cats sat"), pair("a cat", "a cat."), pair("a", "b")];
    let scores = score_pairs(&model, &pairs, Scope::Region).unwrap();
    let line = |text: &str| {
        let ids = model.codec().encode(text).unwrap().ids;
        let scoring = Scoring { start: model.codec().line_end(), ..Scoring::default() };
        model.scorer(scoring).unwrap().score(&[ids]).unwrap().remove(0).log_probs
    };
    let sum = |text: &str, from: usize, to: usize| {
        line(text)[from..to].iter().map(|&log_prob| f64::from(log_prob)).sum()
    };
    // The region is the second word, which includes its end.
    let second = |text: &str| model.surprisals(&[text]).unwrap()[0][1].scores[0].log_prob.unwrap();
    assert_close("region", scores[0].good, second("a cat sat"), 1e-4);
    assert_close("region", scores[0].bad, second("a cats sat"), 1e-4);
    assert_eq!(scores[1].outcome, Outcome::Impossible);
    let wholes = score_pairs(&model, &pairs, Scope::Sentence).unwrap();
    assert_close("whole", wholes[0].good, sum("a cat sat\n", 0, 10), 1e-4);
    assert_close("whole", wholes[2].bad, sum("b\n", 0, 2), 1e-4);
    let (all, groups) = accuracies(&pairs, &wholes);
    assert_eq!((all.counted(), all.impossible, groups.len()), (2, 1, 0));
}
