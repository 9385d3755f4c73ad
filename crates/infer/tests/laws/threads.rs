//! What may be sent to other threads, and shared between them.

use std::fs;
use std::path::Path;

use rondo_infer::*;

use crate::{model, text};

fn is_send<T: Send>() {}
fn is_sync<T: Sync>() {}

/// The names of the public types in the source files of a folder.
fn public_types(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.append(&mut public_types(&path));
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let declared = |line: &str| {
            let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
            rest.split(|char: char| !char.is_alphanumeric()).next().map(str::to_owned)
        };
        names.extend(text.lines().filter_map(declared));
    }
    names
}

#[test]
fn the_list_below_has_every_public_type() {
    let list = include_str!("threads.rs");
    let names = public_types(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let listed =
            [format!("<{name}>"), format!("{name}<'_>>"), format!("::{name}>"), format!("<{name}<'_, ")];
        assert!(listed.iter().any(|listed| list.contains(listed)), "`{name}` is missing");
    }
}

#[test]
fn every_public_type_can_be_sent_to_another_thread() {
    is_send::<BeamSearch>();
    is_send::<Buckets>();
    is_send::<Cache>();
    is_send::<CacheEvaluation>();
    is_send::<CachePoint>();
    is_send::<CacheReader>();
    is_send::<CacheTuning>();
    is_send::<Candidate>();
    is_send::<Completer>();
    is_send::<Completing>();
    is_send::<Completion>();
    is_send::<Decoder>();
    is_send::<DecoderState>();
    is_send::<Distribution<'_>>();
    is_send::<Evaluation>();
    is_send::<EvaluationPart>();
    is_send::<Filter>();
    is_send::<FilterSummary>();
    is_send::<FilterUnit>();
    is_send::<Filtering>();
    is_send::<Hypothesis>();
    is_send::<InferError>();
    is_send::<Interpolation>();
    is_send::<Keystrokes>();
    is_send::<LanguageModel>();
    is_send::<LogProbs>();
    is_send::<Measures>();
    is_send::<ModelHandle>();
    is_send::<ModelParts>();
    is_send::<Neighbor>();
    is_send::<NgramEvaluation>();
    is_send::<OpenOptions>();
    is_send::<Passage>();
    is_send::<Piece>();
    is_send::<Predictor>();
    is_send::<Preferences>();
    is_send::<RankSums>();
    is_send::<Ranking>();
    is_send::<Ranks>();
    is_send::<Region>();
    is_send::<RegionFault>();
    is_send::<RegionScore>();
    is_send::<RegionUnit>();
    is_send::<Resets>();
    is_send::<Sampler>();
    is_send::<Sampling>();
    is_send::<ScoredLine>();
    is_send::<ScoredLines<'_, &[u8]>>();
    is_send::<Scorer>();
    is_send::<Scoring>();
    is_send::<SentenceScore>();
    is_send::<Start>();
    is_send::<StopReason>();
    is_send::<StopRule>();
    is_send::<StreamId>();
    is_send::<StreamOptions>();
    is_send::<StreamToken>();
    is_send::<Streams>();
    is_send::<Suggester>();
    is_send::<SurprisalOptions>();
    is_send::<Surprisals>();
    is_send::<TextAssembler>();
    is_send::<TextCounts>();
    is_send::<TextSample>();
    is_send::<TextStream>();
    is_send::<TypedText>();
    is_send::<Typing>();
    is_send::<UnknownWords>();
    is_send::<UserWords>();
    is_send::<Verdict>();
    is_send::<lattice::Defaults>();
    is_send::<lattice::Lattice>();
    is_send::<lattice::LatticeFault>();
    is_send::<lattice::LatticeFormat>();
    is_send::<lattice::LatticeReader>();
    is_send::<lattice::LatticeScorer>();
    is_send::<lattice::LatticeWriter<'_>>();
    is_send::<lattice::Link>();
    is_send::<lattice::Searched>();
    is_send::<lattice::Settings>();
    is_send::<lattice::SymbolTable>();
    is_send::<rescore::CrossValidated>();
    is_send::<rescore::Edge>();
    is_send::<rescore::Entry>();
    is_send::<rescore::ErrorUnit>();
    is_send::<rescore::Format>();
    is_send::<rescore::Free>();
    is_send::<rescore::LineFault>();
    is_send::<rescore::List>();
    is_send::<rescore::ListReader>();
    is_send::<rescore::ListScorer>();
    is_send::<rescore::ListWriter>();
    is_send::<rescore::Reference>();
    is_send::<rescore::ScoreFile>();
    is_send::<rescore::Scored>();
    is_send::<rescore::Tuned>();
    is_send::<rescore::Tuning>();
    is_send::<rescore::Weights>();
    is_send::<Normalizer>();
    is_send::<NormalizerCheck>();
    is_send::<NormalizerSamples>();
    is_send::<NormalizerStatistics>();
    is_send::<compare::Bootstrap>();
    is_send::<compare::CompareUnit>();
    is_send::<compare::ComparedText<'_>>();
    is_send::<compare::Comparer>();
    is_send::<compare::Comparing>();
    is_send::<compare::Comparison>();
    is_send::<pairs::Accuracy>();
    is_send::<pairs::Formula>();
    is_send::<pairs::FormulaFault>();
    is_send::<pairs::ItemResult>();
    is_send::<pairs::Outcome>();
    is_send::<pairs::Pair>();
    is_send::<pairs::PairScore>();
    is_send::<pairs::Prediction>();
    is_send::<pairs::RegionReference>();
    is_send::<pairs::Scope>();
    is_send::<pairs::Suite>();
    is_send::<pairs::SuiteFault>();
    is_send::<pairs::Tests>();
    is_send::<rescore::WordErrors>();
}

#[test]
fn a_language_model_can_be_shared_between_threads() {
    is_sync::<LanguageModel>();
    is_sync::<ModelHandle>();
}

#[test]
fn threads_that_share_a_model_find_what_one_finds() {
    let (model, _) = model();
    let sentences: Vec<Vec<u32>> = (0..20).map(|seed| text(30, seed)).collect();
    let score =
        |model: &ModelHandle| Scorer::new(model, Scoring::default()).unwrap().score(&sentences).unwrap();
    let expected = score(&model);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let model = model.clone();
                scope.spawn(move || score(&model))
            })
            .collect();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), expected);
        }
    });
}
