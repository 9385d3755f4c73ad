//! Searching lattices.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rondo_data::{Arpa, TextCodec, Tokenizer, Vocab};
use rondo_infer::lattice::{Lattice, LatticeFormat, LatticeReader, LatticeWriter, Settings};
use rondo_infer::rescore::{Scored, Weights};
use rondo_infer::{Interpolation, LanguageModel};
use rondo_nn::{Cell, Input};

use crate::{SEED, assert_close, model_with};

/// `zork` is not among them.
const WORDS: [&str; 8] = ["<unk>", "<eos>", "the", "cat", "sat", "on", "mat", "a"];

fn of_words() -> LanguageModel {
    let (handle, _) = model_with(Cell::Lstm, Input::Embedding(9), WORDS.len());
    let vocab = Vocab::from_tokens("test", WORDS, Some("<unk>")).unwrap();
    LanguageModel::new(handle, TextCodec::new(Tokenizer::default(), vocab)).unwrap()
}

/// A model of characters, of which it does not know `z`; a word is several tokens.
fn of_characters() -> LanguageModel {
    let chars: Vec<String> = "\n abcehmnost".chars().map(String::from).collect();
    let vocab = Vocab::from_tokens("test", chars.iter().map(String::as_str), None).unwrap();
    let (handle, _) = model_with(Cell::Gru, Input::Embedding(9), vocab.len());
    LanguageModel::new(handle, TextCodec::new(Tokenizer::chars(), vocab)).unwrap()
}

fn read(format: LatticeFormat, text: &str) -> Lattice {
    let mut found = None;
    let each = &mut |lattice| {
        found = Some(lattice);
        ControlFlow::Continue(())
    };
    LatticeReader::new(format).read(text.as_bytes(), "test", "u", each).unwrap();
    found.unwrap()
}

/// A random lattice with many paths of equal words, as different times make them.
fn random(rng: &mut ChaCha8Rng) -> Lattice {
    random_with(rng, true)
}

/// The same, with or without the scores of an old language model.
fn random_with(rng: &mut ChaCha8Rng, has_lm: bool) -> Lattice {
    let (nodes, mut links) = (rng.random_range(4..8), Vec::new());
    for to in 1..nodes {
        for from in 0..to {
            if from + 1 == to || rng.random_bool(0.5) {
                for _ in 0..rng.random_range(1..3) {
                    let word = ["the", "cat", "sat", "mat", "a", "zork", "!NULL"][rng.random_range(0..7)];
                    let [a, l] = [(); 2].map(|()| -rng.random_range(0.0..4.0));
                    let lm = if has_lm { format!(" l={l}") } else { String::new() };
                    links.push(format!("J={} S={from} E={to} W={word} a={a}{lm}\n", links.len()));
                }
            }
        }
    }
    read(LatticeFormat::Slf, &links.concat())
}

/// All paths, with the log-probability of each as a line: the definition.
fn enumerated(model: &LanguageModel, lattice: &Lattice, weights: &Weights) -> Vec<(Scored, f64)> {
    let mut paths = vec![(0, Scored { scores: vec![0.0; 2], ..Scored::default() })];
    let mut whole = Vec::new();
    while let Some((node, path)) = paths.pop() {
        if node + 1 == lattice.nodes() {
            whole.push(path);
            continue;
        }
        for link in lattice.links().iter().filter(|link| link.from == node) {
            let mut next = path.clone();
            next.scores[0] += link.acoustic;
            next.scores[1] += link.lm;
            if let Some(word) = link.word {
                next.text = format!("{} {}", next.text, lattice.words()[word]).trim().to_owned();
            }
            paths.push((link.to, next));
        }
    }
    let mut scorer = model.list_scorer(7).unwrap();
    let mut lists = [rondo_infer::rescore::List { hypotheses: whole, ..Default::default() }];
    scorer.score(&mut lists).unwrap();
    let mut all: Vec<(Scored, f64)> =
        lists[0].hypotheses.iter().map(|path| (path.clone(), path.combined(weights))).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    // The best path of each text.
    let mut known = std::collections::HashSet::new();
    all.retain(|(path, _)| known.insert(path.text.clone()));
    all
}

fn weights() -> Weights {
    Weights { lm: 0.7, word_bonus: 0.4, scores: vec![0.9, 0.5] }
}

#[test]
fn an_exact_search_finds_the_best_of_all_paths() {
    for model in [of_words(), of_characters()] {
        let (mut scorer, mut rng) = (model.lattice_scorer(), ChaCha8Rng::seed_from_u64(SEED));
        for round in 0..25 {
            let lattice = random(&mut rng);
            let expected = enumerated(&model, &lattice, &weights());
            let possible = expected.iter().filter(|(path, _)| path.lm_log_prob.is_finite()).count();
            for batch_size in [1, 64] {
                let settings = Settings { exact: true, n: 5, batch_size, ..Settings::default() };
                let (_, found) = scorer.search(&lattice, &weights(), &settings).unwrap();
                let count = possible.min(5);
                assert!(found.len() >= count, "round {round}");
                for (found, (expected, score)) in found.iter().zip(&expected).take(count) {
                    assert_close("combined", found.combined(&weights()), *score, 1e-4);
                    assert_eq!(found.text, expected.text, "round {round}");
                    assert_close("log p", found.lm_log_prob, expected.lm_log_prob, 1e-4);
                    assert_close("acoustic", found.scores[0], expected.scores[0], 1e-9);
                }
                for impossible in &found[count..] {
                    assert!(!impossible.lm_log_prob.is_finite() && impossible.text.contains('z'));
                }
            }
        }
    }
}

/// With few histories, nothing is pruned: the beam search is the exact one. With a merge of 0 words it is not, but its
/// scores are still those of its texts.
#[test]
fn scores_are_those_of_the_texts_whatever_is_merged() {
    let model = of_words();
    let (mut scorer, mut rng) = (model.lattice_scorer(), ChaCha8Rng::seed_from_u64(SEED + 1));
    // The model counts most.
    let weights = Weights { lm: 5.0, word_bonus: 3.0, scores: vec![0.5, 0.5] };
    let mut different = 0;
    for _ in 0..60 {
        let lattice = random(&mut rng);
        let exact = Settings { exact: true, n: 3, ..Settings::default() };
        let (_, exact) = scorer.search(&lattice, &weights, &exact).unwrap();
        for merge in [0, 1, 20] {
            // With several paths, what merging has lost is found again among them.
            let n = if merge == 0 { 1 } else { 3 };
            let settings = Settings { merge, beam: 1e9, per_node: 1000, n, ..Settings::default() };
            let (_, found) = scorer.search(&lattice, &weights, &settings).unwrap();
            let lines: Vec<&str> = found.iter().map(|path| path.text.as_str()).collect();
            for (found, line) in found.iter().zip(model.score(&lines).unwrap()) {
                assert_close("log p", found.lm_log_prob, line.score.log_prob_sum, 1e-4);
            }
            let best = |paths: &[Scored]| paths[0].combined(&weights);
            assert!(best(&found) <= best(&exact) + 1e-6);
            if merge == 20 {
                assert_eq!(found[0].text, exact[0].text);
            }
            different += u32::from(found[0].text != exact[0].text);
        }
    }
    assert!(different > 0);
}

#[test]
fn an_exact_search_that_is_too_large_is_refused() {
    let mut text = String::new();
    for node in 0..12 {
        for (place, word) in ["the", "cat", "sat", "on"].into_iter().enumerate() {
            text += &format!("J={} S={node} E={} W={word} a=0\n", 4 * node + place, node + 1);
        }
    }
    let lattice = read(LatticeFormat::Slf, &text);
    let settings = Settings { exact: true, limit: 1000, ..Settings::default() };
    let weights = Weights { lm: 1.0, ..Weights::default() };
    let error = of_words().lattice_scorer().search(&lattice, &weights, &settings).unwrap_err().to_string();
    assert!(error.ends_with("the exact search has more than 1000 hypotheses"), "{error}");
}

/// `p(word) = (1 − W) · p_model + W · e^l`, also for the sentence end.
#[test]
fn the_old_probabilities_are_interpolated_word_by_word() {
    let model = of_words();
    let lattice = read(
        LatticeFormat::Slf,
        "J=0 S=0 E=1 W=the l=-1\nJ=1 S=1 E=2 W=cat l=-2\nJ=2 S=1 E=2 W=mat l=-9\nJ=3 S=2 E=3 W=!SENT_END l=-0.5\n",
    );
    let weights = Weights { lm: 1.0, word_bonus: 0.0, scores: vec![1.0, 0.0] };
    let log_probs = |text: &str| model.score(&[text]).unwrap()[0].score.log_probs.clone();
    let mixed = |text: &str, old: [f64; 3], w: f64| {
        let terms = log_probs(text).into_iter().zip(old);
        terms.map(|(new, old)| ((1.0 - w) * f64::from(new).exp() + w * old.exp()).ln()).sum::<f64>()
    };
    for interpolation in [0.25, 0.999] {
        let settings = Settings { interpolation, n: 2, ..Settings::default() };
        let (_, found) = model.lattice_scorer().search(&lattice, &weights, &settings).unwrap();
        for path in &found {
            let old = if path.text == "the cat" { [-1.0, -2.0, -0.5] } else { [-1.0, -9.0, -0.5] };
            assert_close("log p", path.lm_log_prob, mixed(&path.text, old, interpolation), 1e-5);
        }
        assert!(interpolation < 0.9 || found[0].text == "the cat");
    }
    let plain = read(LatticeFormat::Slf, "J=0 S=0 E=1 W=the\n");
    let settings = Settings { interpolation: 0.5, ..Settings::default() };
    let error = model.lattice_scorer().search(&plain, &weights, &settings).unwrap_err().to_string();
    assert!(error.ends_with("it has no scores of a language model to interpolate with"), "{error}");
}

#[test]
fn an_ngram_model_takes_part() {
    let model = of_words();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/fixtures/arpa/trigrams.arpa");
    let arpa = Arc::new(Arpa::read(std::fs::read(path).unwrap().as_slice(), "trigrams.arpa").unwrap());
    let ngram = Interpolation::new(arpa, model.codec(), 0.6).unwrap();
    let mut scorer = model.lattice_scorer().with_ngram(ngram.clone());
    let lattice = random(&mut ChaCha8Rng::seed_from_u64(SEED));
    let (_, found) = scorer.search(&lattice, &weights(), &Settings { n: 4, ..Settings::default() }).unwrap();
    let mut lists = [rondo_infer::rescore::List { hypotheses: found.clone(), ..Default::default() }];
    model.list_scorer(3).unwrap().with_ngram(ngram).score(&mut lists).unwrap();
    for (found, expected) in found.iter().zip(&lists[0].hypotheses) {
        assert_close("log p", found.lm_log_prob, expected.lm_log_prob, 1e-4);
    }
}

/// What is written is a lattice whose best path, by the scores in it alone, is the one that was found.
#[test]
fn a_written_lattice_has_the_scores_of_its_paths() {
    let model = of_words();
    let (mut scorer, mut rng) = (model.lattice_scorer(), ChaCha8Rng::seed_from_u64(SEED + 2));
    let settings = Settings { exact: true, ..Settings::default() };
    for _ in 0..10 {
        for (format, has_lm) in [(LatticeFormat::Slf, false), (LatticeFormat::Kaldi, true)] {
            let lattice = random_with(&mut rng, has_lm);
            let (searched, found) = scorer.search(&lattice, &weights(), &settings).unwrap();
            let mut written = Vec::new();
            LatticeWriter::new(format, None).lattice(&lattice, &searched, &weights(), &mut written).unwrap();
            let again = read(format, std::str::from_utf8(&written).unwrap());
            let plain = Weights::default();
            let weights_again = match format {
                // The weights are in the header, and that of the acoustic score was applied when it was read.
                LatticeFormat::Slf => {
                    let [lm_scale, word_bonus] = [again.defaults().lm_scale, again.defaults().word_bonus];
                    Weights { scores: vec![1.0, lm_scale], word_bonus, ..plain }
                }
                _ => Weights { scores: vec![weights().scores[0]; 2], ..plain },
            };
            let (_, best) = scorer.search(&again, &weights_again, &settings).unwrap();
            assert_eq!(best[0].text, found[0].text);
            assert_close("score", best[0].combined(&weights_again), found[0].combined(&weights()), 1e-4);
            if format == LatticeFormat::Slf {
                assert_close("log p", best[0].scores[1], found[0].lm_log_prob, 1e-4);
            }
        }
    }
}

/// Lattices of a real recognizer are read, and their best path by acoustic score is among those of a search.
#[test]
fn lattices_of_pocketsphinx_are_searched() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases/lattices");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is absent", folder.display());
        return;
    };
    let model = of_words();
    let mut count = 0;
    for file in
        files.map(|file| file.unwrap().path()).filter(|file| file.extension().is_some_and(|e| e == "slf"))
    {
        let lattice = read(LatticeFormat::Slf, &std::fs::read_to_string(&file).unwrap());
        assert!(lattice.paths() > 1.0 && lattice.has_posteriors());
        let weights = Weights { lm: 1.0, ..Weights::default() };
        let (_, found) = model.lattice_scorer().search(&lattice, &weights, &Settings::default()).unwrap();
        let line = &model.score(&[&found[0].text]).unwrap()[0];
        assert_close("log p", found[0].lm_log_prob, line.score.log_prob_sum, 1e-3);
        count += 1;
    }
    assert_eq!(count, 20);
}
