//! The ranks of tokens, compared with sorting all log-probabilities, and with PyTorch.

use std::ops::ControlFlow;

use rondo_data::{TextCodec, Tokenizer, Unit, Vocab};
use rondo_infer::{
    EvaluationPart, InferError, LanguageModel, ModelHandle, RankSums, Ranking, Ranks, Resets, Scoring,
    column_count,
};
use rondo_nn::{Cell, Input};
use safetensors::SafeTensors;

use crate::{VOCAB_SIZE, assert_close, log_probs_after, model_of, numbers, pytorch_model, text, token_ids};

const UNKNOWN: u32 = 0;
const LINE_END: u32 = 1;
const CUTOFFS: [usize; 4] = [1, 3, 5, 10];

fn codec() -> TextCodec {
    let words = (2..VOCAB_SIZE).map(|id| format!("w{id}"));
    let words: Vec<String> = ["<unk>".to_owned(), "<eos>".to_owned()].into_iter().chain(words).collect();
    TextCodec::new(Tokenizer::words(), Vocab::from_tokens("test", words, Some("<unk>")).unwrap())
}

fn language_model(resets: Option<Unit>) -> LanguageModel {
    let (handle, _) = model_of(Cell::Lstm, Input::Embedding(9));
    let handle = handle.with_resets(resets.map(|unit| Resets { unit, line_end: LINE_END }));
    LanguageModel::new(handle, codec()).unwrap()
}

fn ranking(excluded: &[u32]) -> Ranking {
    Ranking { cutoffs: CUTOFFS.to_vec(), excluded: excluded.to_vec() }
}

/// The place of the target among all tokens that can be suggested, in order of probability; `None` for a miss.
fn rank(log_probs: &[f64], target: u32, excluded: &[u32]) -> Option<u32> {
    let mut ids: Vec<u32> = (0..log_probs.len() as u32).filter(|id| !excluded.contains(id)).collect();
    ids.sort_by(|a, b| log_probs[*b as usize].total_cmp(&log_probs[*a as usize]));
    let place = ids.iter().position(|id| *id == target)?;
    (target != UNKNOWN).then_some(place as u32 + 1)
}

fn sums<'a>(ranks: impl Iterator<Item = &'a Option<u32>> + Clone) -> RankSums {
    let found = |cutoff: usize| ranks.clone().flatten().filter(|rank| **rank as usize <= cutoff).count();
    RankSums {
        tokens: ranks.clone().count() as u64,
        found: CUTOFFS.iter().map(|&cutoff| found(cutoff) as u64).collect(),
        reciprocal_sum: ranks.flatten().map(|rank| 1.0 / f64::from(*rank)).sum(),
    }
}

#[track_caller]
fn assert_same(found: &RankSums, expected: &RankSums) {
    assert_eq!((found.tokens, &found.found), (expected.tokens, &expected.found));
    assert_close("reciprocal sum", found.reciprocal_sum, expected.reciprocal_sum, 1e-9);
}

fn measure(model: &LanguageModel, ids: &[u32], batch_size: usize, excluded: &[u32]) -> Ranks {
    let part = EvaluationPart::WHOLE;
    let mut go_on = |_| ControlFlow::Continue(());
    let ids = token_ids(ids);
    let (measures, ranks) =
        model.measure_ranks(&ids, (batch_size, 7), part, &ranking(excluded), &mut go_on).unwrap();
    let plain = model.measure(&ids, batch_size, 7, &mut go_on).unwrap();
    assert_eq!((measures.counts, measures.all.tokens), (plain.counts, plain.all.tokens));
    assert_close("nll", measures.all.nll_sum, plain.all.nll_sum, 1e-5 * plain.all.nll_sum);
    assert_close("unknown", measures.unknown.nll_sum, plain.unknown.nll_sum, 1e-5 * plain.all.nll_sum);
    ranks
}

/// The position of each token in its line, from 0.
fn positions(ids: &[u32]) -> Vec<usize> {
    let mut position = 0;
    let next = |&id: &u32| {
        let own = position;
        position = if id == LINE_END { 0 } else { position + 1 };
        own
    };
    ids.iter().map(next).collect()
}

fn check(found: &Ranks, ranks: &[(usize, Option<u32>)]) {
    assert_same(&found.all, &sums(ranks.iter().map(|(_, rank)| rank)));
    assert_eq!(found.by_position.len(), 20);
    for (place, found) in found.by_position.iter().enumerate() {
        let here = |position: usize| position == place || (place == 19 && position > 19);
        assert_same(found, &sums(ranks.iter().filter(|(at, _)| here(*at)).map(|(_, rank)| rank)));
    }
}

#[test]
fn ranks_are_places_in_the_order_of_probabilities() {
    let model = language_model(None);
    let ids = text(1000, 5);
    let (log_probs, positions) = (log_probs_after(model.handle(), &ids), positions(&ids));
    for excluded in [&[][..], &[3], &[UNKNOWN, LINE_END, 7, 8]] {
        let rank_of = |at: usize| (positions[at], rank(&log_probs[at - 1], ids[at], excluded));
        for batch_size in [1, 3] {
            let columns = column_count(ids.len(), batch_size);
            let len = ids.len() / columns;
            let ranks: Vec<_> = (0..columns).flat_map(|b| b * len + 1..(b + 1) * len).map(rank_of).collect();
            check(&measure(&model, &ids, batch_size, excluded), &ranks);
        }
    }
}

#[test]
fn the_ranks_of_independent_lines_are_those_of_each_line() {
    let model = language_model(Some(Unit::Line));
    let plain: &ModelHandle = &model.handle().clone().with_resets(None);
    let mut ids = text(400, 6);
    ids.push(LINE_END);
    let mut ranks = vec![];
    for line in ids.split_inclusive(|id| *id == LINE_END) {
        let read: Vec<u32> = [LINE_END].iter().chain(line).copied().collect();
        let log_probs = log_probs_after(plain, &read);
        let line = line.iter().enumerate();
        ranks.extend(line.map(|(at, &id)| (at, rank(&log_probs[at], id, &[4]))));
    }
    for batch_size in [1, 4] {
        check(&measure(&model, &ids, batch_size, &[4]), &ranks);
    }
}

#[test]
fn the_sums_over_parts_are_those_of_the_whole() {
    let model = language_model(None);
    let ids = text(1300, 8);
    let whole = measure(&model, &ids, 4, &[5]);
    let mut sums = vec![0.0; whole.to_numbers().len()];
    for index in 0..3 {
        let part = EvaluationPart { index, count: 3 };
        let mut go_on = |_| ControlFlow::Continue(());
        let (_, ranks) =
            model.measure_ranks(&token_ids(&ids), (4, 7), part, &ranking(&[5]), &mut go_on).unwrap();
        sums.iter_mut().zip(ranks.to_numbers()).for_each(|(sum, number)| *sum += number);
    }
    let mut all = whole.clone();
    all.set_numbers(&sums);
    assert_same(&all.all, &whole.all);
    let positions = all.by_position.iter().zip(&whole.by_position);
    positions.for_each(|(all, whole)| assert_same(all, whole));
    assert_close("mean", whole.all.mean_reciprocal_rank(), whole.all.reciprocal_sum / 1296.0, 1e-12);
    assert_close("accuracy", whole.all.accuracies()[2], whole.all.found[2] as f64 / 1296.0, 1e-12);
}

#[test]
fn a_scored_token_has_its_rank() {
    let model = language_model(None);
    let sentences = [text(30, 9), text(3, 10), vec![], text(11, 11)];
    let scoring = Scoring { start: Some(LINE_END), batch_size: 3, ..Scoring::default() };
    let mut scorer = model.scorer(scoring.clone()).unwrap().with_ranks().unwrap();
    let scores = scorer.score(&sentences).unwrap();
    let plain = model.scorer(scoring.clone()).unwrap().score(&sentences).unwrap();
    for ((sentence, score), plain) in sentences.iter().zip(&scores).zip(&plain) {
        let read: Vec<u32> = [LINE_END].iter().chain(sentence).copied().collect();
        let log_probs = log_probs_after(model.handle(), &read);
        // By sorting as well; here unknown tokens have a rank.
        let expected = |(at, id): (usize, &u32)| {
            1 + log_probs[at].iter().filter(|log_prob| **log_prob > log_probs[at][*id as usize]).count()
                as u32
        };
        assert_eq!(score.ranks, sentence.iter().enumerate().map(expected).collect::<Vec<_>>());
        assert_close("score", score.log_prob_sum, plain.log_prob_sum, 1e-4);
        assert!(plain.ranks.is_empty());
    }
    let text: Vec<u32> = sentences.concat();
    let scoring = Scoring { carry_state: true, ..scoring };
    let mut scorer = model.scorer(scoring.clone()).unwrap().with_ranks().unwrap();
    let of_parts: Vec<u32> =
        scorer.score(&sentences).unwrap().into_iter().flat_map(|score| score.ranks).collect();
    let mut scorer = model.scorer(scoring).unwrap().with_ranks().unwrap();
    assert_eq!(of_parts, scorer.score(&[text]).unwrap()[0].ranks);
}

/// Tokens with equal rows of the decoder are exactly as likely: each has the best rank, there and here.
#[test]
fn a_model_of_pytorch_ranks_the_same_and_ties_as_well() {
    let golden =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/torch_ranks.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&golden).unwrap();
    let ids = |name: &str| numbers(&golden.tensor(name).unwrap(), u32::from_le_bytes);

    let words: Vec<String> = (2..23).map(|id| format!("w{id}")).collect();
    let words = ["<unk>", "<eos>"].into_iter().chain(words.iter().map(String::as_str));
    let codec = TextCodec::new(Tokenizer::words(), Vocab::from_tokens("test", words, Some("<unk>")).unwrap());
    let model = LanguageModel::new(pytorch_model(&golden), codec).unwrap();

    let text = ids("ids");
    let (read, targets) = (text[0], &text[1..]);
    let scoring = Scoring { start: Some(read), ..Scoring::default() };
    let mut scorer = model.scorer(scoring).unwrap().with_ranks().unwrap();
    let scored = scorer.score(&[targets]).unwrap().remove(0).ranks;
    for (place, (&scored, &expected)) in scored.iter().zip(&ids("all.ranks")).enumerate() {
        // In PyTorch's, an unknown token is a miss.
        let expected = if targets[place] == UNKNOWN { scored } else { expected };
        assert_eq!(scored, expected, "token {place}");
    }
    for (name, excluded) in [("all", &[][..]), ("suggested", &[LINE_END, 5, 11])] {
        let found = measure(&model, &text, 1, excluded).all;
        assert_eq!(found.tokens, targets.len() as u64);
        assert_eq!(found.found, ids(&format!("{name}.found")).into_iter().map(u64::from).collect::<Vec<_>>());
        let name = format!("{name}.mean_reciprocal_rank");
        let expected = numbers(&golden.tensor(&name).unwrap(), f64::from_le_bytes)[0];
        assert_close("mean reciprocal rank", found.mean_reciprocal_rank(), expected, 1e-9);
    }
}

#[test]
fn what_cannot_be_ranked_is_refused() {
    let model = language_model(None);
    let ids = token_ids(&text(20, 12));
    let refusal = |ranking: Ranking| {
        let mut go_on = |_| ControlFlow::Continue(());
        model.measure_ranks(&ids, (1, 7), EvaluationPart::WHOLE, &ranking, &mut go_on).unwrap_err()
    };
    let zero = Ranking { cutoffs: vec![1, 0], excluded: vec![] };
    assert_eq!(refusal(zero).to_string(), "`cutoffs` must be at least 1");
    assert!(matches!(refusal(ranking(&[99])), InferError::IdOutOfRange { id: 99, .. }));
}
