//! Choosing among the hypotheses of another system.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rondo_infer::rescore::{
    ErrorUnit, Free, Scored, Tuned, Weights, WordErrors, errors, oracle, ranking, search, tune,
};

use crate::{SEED, assert_close};

const WORDS: ErrorUnit = ErrorUnit::Words;

fn scored(text: &str, score: f64, lm_log_prob: f64) -> Scored {
    Scored { text: text.to_owned(), scores: vec![score], lm_log_prob, ..Scored::default() }
}

fn weights(lm: f64, word_bonus: f64) -> Weights {
    Weights { lm, word_bonus, scores: Vec::new() }
}

/// Random lists with references, of few words, so that many are equal.
fn lists() -> Vec<(Vec<Scored>, String)> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let text = |rng: &mut ChaCha8Rng| {
        let len = rng.random_range(0..6);
        (0..len).map(|_| ["a", "b", "c"][rng.random_range(0..3)]).collect::<Vec<_>>().join(" ")
    };
    let list = |rng: &mut ChaCha8Rng| {
        let len = rng.random_range(1..9);
        let one = |rng: &mut ChaCha8Rng, text: String| {
            scored(&text, f64::from(rng.random_range(-4..0)), f64::from(rng.random_range(-9..0)))
        };
        let hypotheses = (0..len).map(|_| {
            let text = text(rng);
            one(rng, text)
        });
        let hypotheses = hypotheses.collect();
        (hypotheses, text(rng))
    };
    (0..40).map(|_| list(&mut rng)).collect()
}

fn borrowed(lists: &[(Vec<Scored>, String)]) -> Vec<(&[Scored], &str)> {
    lists.iter().map(|(list, reference)| (list.as_slice(), reference.as_str())).collect()
}

/// The fewest edits, by trying all: the definition.
fn edits(reference: &[&str], text: &[&str]) -> u64 {
    match (reference, text) {
        ([], rest) | (rest, []) => rest.len() as u64,
        ([a, reference_rest @ ..], [b, text_rest @ ..]) => {
            let kept = edits(reference_rest, text_rest) + u64::from(a != b);
            kept.min(1 + edits(reference_rest, text)).min(1 + edits(reference, text_rest))
        }
    }
}

#[test]
fn word_errors_are_the_fewest_edits() {
    let found = |reference, text| WordErrors::of(reference, text).errors;
    assert_eq!(found("the cat sat", "the cat sat"), 0);
    assert_eq!(found("the cat sat", " the  cat\tsat\n"), 0);
    assert_eq!(found("the cat sat", "cat sat on"), 2);
    assert_eq!(found("", "a b"), 2);
    assert_eq!(found("a b", ""), 2);
    for (list, reference) in &lists() {
        for hypothesis in list {
            let [reference_words, words] =
                [reference, &hypothesis.text].map(|text| text.split_whitespace().collect::<Vec<_>>());
            let found = WordErrors::of(reference, &hypothesis.text);
            let expected = (edits(&reference_words, &words), reference_words.len() as u64);
            assert_eq!((found.errors, found.words), expected);
        }
    }
    assert_close("rate", WordErrors { errors: 3, words: 4 }.rate(), 0.75, 0.0);
}

#[test]
fn without_weights_the_order_is_the_other_systems() {
    for (list, _) in lists() {
        let ranking = ranking(&list, &Weights::default());
        // By falling score, equals by their place: as a stable sort has it.
        let mut expected: Vec<usize> = (0..list.len()).collect();
        expected.sort_by(|&a, &b| list[b].scores[0].total_cmp(&list[a].scores[0]));
        assert_eq!(ranking, expected);
    }
    // Even where the language model finds something impossible.
    let impossible = [scored("a", -2.0, -1.0), scored("b", -1.0, f64::NEG_INFINITY)];
    assert_eq!(ranking(&impossible, &Weights::default()), [1, 0]);
    assert_eq!(ranking(&impossible, &weights(0.1, 0.0)), [0, 1]);
}

#[test]
fn scores_are_combined_linearly() {
    let one = scored("a b c", -2.0, -10.0);
    assert_close("combined", one.combined(&weights(0.5, 0.25)), -2.0 - 5.0 + 0.75, 1e-12);
    let lists = [scored("a", -1.0, -9.0), scored("b", -2.0, -3.0), scored("c d", -2.0, -3.0)];
    assert_eq!(ranking(&lists, &weights(1.0, 0.0)), [1, 2, 0]);
    assert_eq!(ranking(&lists, &weights(1.0, 1.0)), [2, 1, 0]);
    assert_eq!(ranking(&lists, &weights(1.0, -1.0)), [1, 2, 0]);
}

#[test]
fn what_is_no_number_comes_last() {
    let list = [scored("a", f64::NAN, 0.0), scored("b", -9.0, 0.0), scored("c", f64::NEG_INFINITY, 0.0)];
    assert_eq!(ranking(&list, &weights(1.0, 0.0)), [1, 2, 0]);
    // Nor is what would be better than everything else.
    let list = [scored("a", f64::INFINITY, 0.0), scored("b", f64::NEG_INFINITY, 0.0), scored("c", -9.0, 0.0)];
    assert_eq!(ranking(&list, &weights(1.0, 0.0)), [2, 1, 0]);
    let without = Weights { scores: vec![0.0], ..weights(1.0, 0.0) };
    assert_eq!(ranking(&list, &without), [0, 1, 2]);
}

#[test]
fn characters_are_counted_without_spaces() {
    let found = |reference, text| {
        let WordErrors { errors, words } = WordErrors::in_units(ErrorUnit::Characters, reference, text);
        (errors, words)
    };
    // One wrong character of four, but one wrong word of one.
    assert_eq!(found("再见朋友", "再见明友"), (1, 4));
    assert_eq!(WordErrors::in_units(WORDS, "再见朋友", "再见明友"), WordErrors { errors: 1, words: 1 });
    assert_eq!(found("再见 朋友", "再 见 朋友"), (0, 4));
    assert_eq!(found("", "日本"), (2, 0));
    assert_eq!(found("ก็ดี", "ก็ด"), (1, 4));
}

/// Lists with several scores, of which one, in another scale, knows the errors; another misleads.
fn several(scale: f64) -> Vec<(Vec<Scored>, String)> {
    let mut lists = lists();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED + 1);
    for (list, reference) in &mut lists {
        for one in list {
            let errors = WordErrors::of(reference, &one.text).errors as f64;
            let noise: f64 = rng.random_range(-0.3..0.3);
            let misleading: f64 = scale.max(1.0) * (100.0 * errors + rng.random_range(0.0..10.0));
            one.scores = vec![misleading, scale * (noise - errors), rng.random_range(-1.0..1.0)];
        }
    }
    lists
}

fn all_free(scores: usize, signed: bool) -> Free {
    Free { scores: vec![true; scores], lm: true, word_bonus: true, signed }
}

#[test]
fn weights_are_found_in_any_scale() {
    for scale in [1e-6, 1.0, 1e5] {
        let lists = several(scale);
        let lists = borrowed(&lists);
        let start = Weights { scores: vec![1.0; 3], ..Weights::default() };
        let before = errors(&lists, WORDS, &start);
        let best = oracle(&lists, WORDS);
        for signed in [false, true] {
            let Tuned { weights, after } = search(&lists, WORDS, &start, &all_free(3, signed));
            assert_eq!(errors(&lists, WORDS, &weights), after);
            // The noise is smaller than an error.
            assert!(after.errors == best.errors && before.errors > 2 * best.errors, "{scale}: {weights:?}");
            assert!(signed || weights.scores.iter().all(|&weight| weight >= 0.0), "{weights:?}");
        }
    }
}

#[test]
fn weights_that_are_given_do_not_change() {
    let lists = several(1.0);
    let lists = borrowed(&lists);
    let start = Weights { lm: 0.25, word_bonus: -1.5, scores: vec![0.123_456_789, 1.0, 1.0] };
    let free = Free { scores: vec![false, true, true], lm: false, word_bonus: false, signed: false };
    let Tuned { weights, after } = search(&lists, WORDS, &start, &free);
    assert_eq!((weights.lm, weights.word_bonus, weights.scores[0]), (0.25, -1.5, 0.123_456_789));
    assert!(after.errors < errors(&lists, WORDS, &start).errors);
    let none = Free { scores: vec![false; 3], ..Free::default() };
    assert_eq!(search(&lists, WORDS, &start, &none).weights, start);
}

#[test]
fn scores_that_are_not_finite_take_no_part_in_the_search() {
    let mut lists = several(1.0);
    for (list, _) in &mut lists {
        let worst = scored("c c c c c c c c", 0.0, 0.0);
        list.insert(0, Scored { scores: vec![f64::NEG_INFINITY, f64::NAN, 0.0], ..worst });
    }
    // A list in which none is finite, and one without any difference.
    lists.push((vec![Scored { scores: vec![f64::NAN; 3], ..scored("a", 0.0, 0.0) }], "a b".to_owned()));
    lists.push((vec![Scored { scores: vec![1.0; 3], ..scored("a", 0.0, 0.0) }; 2], "a b".to_owned()));
    let lists = borrowed(&lists);
    let start = Weights { scores: vec![1.0; 3], ..Weights::default() };
    let found = search(&lists, WORDS, &start, &all_free(3, false));
    assert_eq!(found.after.errors, oracle(&lists, WORDS).errors);
    let same = [(vec![Scored { scores: vec![1.0; 3], ..scored("a", 0.0, 0.0) }; 2], "a b".to_owned())];
    assert_eq!(search(&borrowed(&same), WORDS, &start, &all_free(3, false)).weights, start);
}

#[test]
fn tuning_finds_the_best_of_its_grid() {
    let lists = lists();
    let lists = borrowed(&lists);
    let (lm_weights, word_bonuses) = ([0.0, 0.1, 0.5, 2.0, 8.0], [0.0, -1.0, 1.0, 3.0]);
    let Tuned { weights: best, after } = tune(&lists, WORDS, &[1.0], &lm_weights, &word_bonuses).unwrap();
    assert_eq!(errors(&lists, WORDS, &best), after);
    let mut equals = Vec::new();
    for lm in lm_weights {
        for word_bonus in word_bonuses {
            let found = errors(&lists, WORDS, &Weights { scores: vec![1.0], ..weights(lm, word_bonus) });
            assert_eq!(found.words, after.words);
            assert!(found.errors >= after.errors, "{lm} {word_bonus}");
            if found == after {
                equals.push((word_bonus.abs(), lm));
            }
        }
    }
    equals.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!((best.word_bonus.abs(), best.lm), equals[0]);
    assert!(oracle(&lists, WORDS).errors <= after.errors);
    assert!(after.errors < errors(&lists, WORDS, &Weights::default()).errors, "{best:?}");
    assert_eq!(tune(&lists, WORDS, &[], &[], &word_bonuses), None);
}

#[test]
fn what_makes_no_difference_stays_off() {
    let list = vec![scored("a", -1.0, -1.0)];
    let tuned = tune(&[(&list, "a b")], WORDS, &[], &[4.0, 0.5, 0.0], &[2.0, 0.0, -2.0]).unwrap();
    assert_eq!(tuned.weights, Weights::default());
    assert_eq!(tuned.after, WordErrors { errors: 1, words: 2 });
}

#[test]
fn the_oracle_chooses_the_fewest_errors_of_each_list() {
    let lists = [
        (vec![scored("a", -1.0, 0.0), scored("a b", -9.0, 0.0)], "a b"),
        (vec![scored("x", -1.0, 0.0)], "c"),
    ];
    assert_eq!(oracle(&lists, WORDS), WordErrors { errors: 1, words: 3 });
    assert_eq!(errors(&lists, WORDS, &Weights::default()), WordErrors { errors: 2, words: 3 });
}
