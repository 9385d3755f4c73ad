//! Approximate normalizers, fitted to small trained models of the built-in language.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::ops::ControlFlow;
use std::path::Path;

use rondo_data::{Corpus, TokenIds};
use rondo_infer::{InferError, LanguageModel, Scoring};
use rondo_kernels::Device;
use rondo_train::{NormalizerOptions, Session, SessionOptions, Settings, TrainError, fit_normalizer};

/// Some of the some 300 words, and fewer units than by default.
const OPTIONS: NormalizerOptions =
    NormalizerOptions { frequent: 40, units: 32, positions: 20_000, passes: 4, seed: 1 };

/// The model of a short run, and its corpus.
fn trained(folder: &Path, tied: bool) -> (LanguageModel, Corpus) {
    let settings = format!(
        "[model]\nembedding_size = 32\nhidden_size = 32\nlayers = 1\ntied = {tied}\n\
         [training]\nepochs = 1\nmax_batches = 150\nthreads = 2\n[optimization]\noptimizer = 'adam'\nlearning_rate = 0.01"
    );
    let settings = Settings::parse("test", &settings).unwrap();
    let options = SessionOptions { out: Some(folder.join("run")), ..SessionOptions::default() };
    let mut session = Session::start(settings, options).unwrap();
    let trained = session.run(&mut ()).unwrap();
    let model = LanguageModel::open(trained.folder.path(), &Device::cpu(2).unwrap()).unwrap();
    (model, session.corpus().clone())
}

fn loss(model: &LanguageModel, text: &TokenIds) -> f64 {
    model.evaluate_ids(text, 20, 35, &mut |_| ControlFlow::Continue(())).unwrap().nll_mean()
}

#[test]
fn an_approximate_model_scores_as_the_exact_one_and_says_how_exactly() {
    for tied in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (model, corpus) = trained(folder.path(), tied);
        let (valid, test) = (corpus.valid.clone().unwrap(), corpus.test.clone().unwrap());
        let normalizer = fit_normalizer(&model, &corpus.train, &valid, OPTIONS).unwrap();
        assert!(normalizer.statistics.positions > 5_000);
        assert!(normalizer.statistics.deviation < 0.1, "{:?}", normalizer.statistics);
        // Without the units, the rest of the sum is missing.
        let mut without = normalizer.clone();
        without.output_weight.fill(0.0);
        without.output_bias = f32::NEG_INFINITY;

        let fitted = model.with_normalizer(normalizer);
        assert_eq!(loss(&fitted, &test), loss(&model, &test), "it is used only if asked for");
        let approximate = fitted.approximate().unwrap();
        let (exact, found) = (loss(&model, &test), loss(&approximate, &test));
        assert!((found - exact).abs() < 0.02, "{found}, exact {exact}");
        let poor = model.with_normalizer(without).approximate().unwrap();
        assert!((loss(&poor, &test) - exact).abs() > 0.05);
        assert!(poor.normalizer_check().unwrap().is_poor());

        let check = approximate.normalizer_check().unwrap();
        // One position in 1,000 of some 20,000.
        assert!((18..=22).contains(&check.here.positions), "{check:?}");
        assert!(check.here.deviation < 0.2 && !check.is_poor(), "{check:?}");
        assert!(model.normalizer_check().is_none());

        // Sentences, in batches and alone.
        let lines = corpus.codec.decode(&test.read(0..2_000).unwrap()).unwrap();
        let ids: Vec<Vec<u32>> =
            lines.lines().map(|line| corpus.codec.encode(&format!("{line}\n")).unwrap().ids).collect();
        let scores = |model: &LanguageModel, batch_size| {
            let scoring = Scoring { start: model.codec().line_end(), batch_size, ..Scoring::default() };
            let scores = model.scorer(scoring).unwrap().score(&ids).unwrap();
            scores.iter().map(|score| score.log_prob_sum).collect::<Vec<_>>()
        };
        let (exact, found, alone) = (scores(&model, 32), scores(&approximate, 32), scores(&approximate, 1));
        for ((exact, found), alone) in exact.iter().zip(&found).zip(&alone) {
            assert!((exact - found).abs() < 0.05 * exact.abs(), "{found}, exact {exact}");
            assert!((found - alone).abs() < 1e-3, "{found}, alone {alone}");
        }
        // Sentences begin with states that running text does not have.
        let errors = exact.iter().zip(&found).map(|(exact, found)| (exact - found).abs() / exact.abs());
        let mean = errors.sum::<f64>() / exact.len() as f64;
        assert!(mean < 0.01, "{mean}");
    }
}

#[test]
fn the_same_fit_is_the_same_and_is_stored_with_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let (model, corpus) = trained(folder.path(), true);
    let valid = corpus.valid.clone().unwrap();
    let fit = |options| fit_normalizer(&model, &corpus.train, &valid, options).unwrap();
    let (first, again) = (fit(OPTIONS), fit(OPTIONS));
    assert_eq!(first, again);
    assert_ne!(first, fit(NormalizerOptions { seed: 2, ..OPTIONS }));

    let path = model.path().unwrap().to_owned();
    assert!(model.normalizer().is_none());
    model.with_normalizer(first.clone()).save(&path).unwrap();
    let opened = LanguageModel::open(&path, &Device::cpu(1).unwrap()).unwrap();
    assert_eq!(opened.normalizer(), Some(&first));
    assert_eq!(opened.metadata().collect::<Vec<_>>(), model.metadata().collect::<Vec<_>>());
    // A different codec keeps it.
    assert!(opened.with_codec(opened.codec().clone().lossy(true)).unwrap().approximate().is_ok());
}

/// A run with the setting stores what a separate fit with the same options gives; its training is the same without.
#[test]
fn a_run_can_end_with_a_fit() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("text.txt"),
        "the cat sat on a mat .\na dog saw the cat .\n".repeat(60),
    )
    .unwrap();
    let start = |name: &str, normalizer: usize| {
        let text = folder.path().join("text.txt").display().to_string();
        let settings = format!(
            "[text]\ndata = ['{text}']\n[model]\nhidden_size = 8\nlayers = 1\n[training]\nepochs = 2\nbatch_size = 4\nthreads = 1\nnormalizer = {normalizer}"
        );
        let options = SessionOptions { out: Some(folder.path().join(name)), ..SessionOptions::default() };
        Session::start(Settings::parse("test", &settings).unwrap(), options)
    };
    let mut session = start("with", 4).unwrap();
    let trained = session.run(&mut ()).unwrap();
    let device = Device::cpu(1).unwrap();
    let path = trained.folder.best_model();
    let opened = LanguageModel::open(&path, &device).unwrap();
    let normalizer = opened.normalizer().unwrap().clone();
    assert_eq!(normalizer.frequent.len(), 4);
    assert_eq!(trained.model.unwrap().normalizer(), Some(&normalizer));
    let corpus = session.corpus();
    let seed = session.plan().training.seed;
    let options = NormalizerOptions { frequent: 4, seed, ..NormalizerOptions::default() };
    let again = fit_normalizer(&opened, &corpus.train, corpus.valid.as_ref().unwrap(), options).unwrap();
    assert_eq!(again, normalizer);

    let without = start("without", 0).unwrap().run(&mut ()).unwrap();
    let plain = LanguageModel::open(without.folder.best_model(), &device).unwrap();
    assert!(plain.normalizer().is_none());
    let metadata =
        |model: &LanguageModel| model.metadata().map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>();
    assert_eq!(metadata(&plain), metadata(&opened));
    let ids = corpus.train.read(0..50).unwrap().into_owned();
    let score = |model: &LanguageModel| model.scorer(Scoring::default()).unwrap().score(&[&ids]).unwrap();
    assert_eq!(score(&plain), score(&opened));
    assert!(matches!(start("small", 999), Err(TrainError::SmallVocabulary { frequent: 999, .. })));
    assert!(!folder.path().join("small").exists(), "it is refused before anything is trained");
}

#[test]
fn what_cannot_be_approximated_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (model, corpus) = trained(folder.path(), true);
    assert!(matches!(model.approximate(), Err(InferError::NoNormalizer { path: Some(_) })));
    let valid = corpus.valid.clone().unwrap();
    let error = |options| fit_normalizer(&model, &corpus.train, &valid, options).unwrap_err();
    let all = NormalizerOptions { frequent: model.codec().vocab().len(), ..OPTIONS };
    assert!(matches!(error(all), TrainError::SmallVocabulary { .. }));
    let none = NormalizerOptions { units: 0, ..OPTIONS };
    assert!(matches!(error(none), TrainError::Infer(InferError::ZeroSize { name: "units" })));
    let short = TokenIds::from(vec![1]);
    let short = fit_normalizer(&model, &short, &valid, OPTIONS).unwrap_err();
    assert!(matches!(short, TrainError::Infer(InferError::TextTooShort { .. })));
}
