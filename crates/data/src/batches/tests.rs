//! Tests of batch properties.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

const SEED: u64 = 7;

fn stream(len: usize) -> TokenIds {
    TokenIds::from((0..len as u32).collect::<Vec<_>>())
}

/// The inputs and targets of each column over `epoch`.
fn columns(batches: &Batches, epoch: &[Batch]) -> Vec<(Vec<u32>, Vec<u32>)> {
    let mut columns = vec![(Vec::new(), Vec::new()); batches.batch_size()];
    for &batch in epoch {
        let len = batch.steps * batches.batch_size();
        let (mut inputs, mut targets) = (vec![u32::MAX; len], vec![u32::MAX; len]);
        batches.fill(batch, &mut inputs, &mut targets).unwrap();
        for (index, (input, target)) in inputs.into_iter().zip(targets).enumerate() {
            let column = &mut columns[index % batches.batch_size()];
            column.0.push(input);
            column.1.push(target);
        }
    }
    columns
}

/// Checks that the inputs of the batches in `epoch` are the first `rows` rows of each column, and their targets
/// the next rows.
#[track_caller]
fn check_covers(batches: &Batches, epoch: &[Batch], rows: usize) {
    for (b, (inputs, targets)) in columns(batches, epoch).into_iter().enumerate() {
        let first = (b * batches.column_len()) as u32;
        let expected: Vec<u32> = (first..first + rows as u32).collect();
        assert_eq!(inputs, expected, "inputs of column {b}");
        assert_eq!(targets, expected.iter().map(|id| id + 1).collect::<Vec<_>>(), "targets of column {b}");
    }
}

#[test]
fn the_picture_in_the_header_is_true() {
    let ids = TokenIds::from("abcdefghi".bytes().map(u32::from).collect::<Vec<_>>());
    let batches = Batches::new(&ids, 2, 2, LastBatch::Keep).unwrap();
    let text = |ids: &[u32]| ids.iter().map(|&id| id as u8 as char).collect::<String>();
    let (mut inputs, mut targets) = ([0; 4], [0; 4]);
    batches.fill(batches.batch(0), &mut inputs, &mut targets).unwrap();
    assert_eq!((text(&inputs), text(&targets)), ("aebf".into(), "bfcg".into()));
    let batch = batches.batch(1);
    assert_eq!(batch, Batch { start: 2, steps: 1 });
    batches.fill(batch, &mut inputs[..2], &mut targets[..2]).unwrap();
    assert_eq!((text(&inputs[..2]), text(&targets[..2])), ("cg".into(), "dh".into()));
    assert_eq!(batches.dropped_tokens(), 1);
}

#[test]
fn a_text_too_short_says_what_would_fit() {
    let error = |len, batch_size, bptt, last_batch| {
        Batches::new(&stream(len), batch_size, bptt, last_batch).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(
        error(100, 20, 35, LastBatch::Discard),
        "a text of 100 tokens is too short for batch size 20 and BPTT length 35: \
         the largest batch size for BPTT length 35 is 2, the largest BPTT length for batch size 20 is 4"
    );
    assert_eq!(
        error(30, 20, 35, LastBatch::Discard),
        "a text of 30 tokens is too short for batch size 20 and BPTT length 35: \
         reducing only the batch size or only the BPTT length is not enough"
    );
    assert_eq!(
        error(30, 20, 35, LastBatch::Keep),
        "a text of 30 tokens is too short for batch size 20 and BPTT length 35: \
         the largest batch size for BPTT length 35 is 15"
    );
    assert!(error(1, 1, 1, LastBatch::Keep).contains("too short"));
    assert!(error(0, 1, usize::MAX, LastBatch::Discard).contains("too short"));
    assert_eq!(error(9, 0, 1, LastBatch::Keep), "`batch_size` must be at least 1");
    assert_eq!(error(9, 1, 0, LastBatch::Keep), "`bptt` must be at least 1");
}

#[test]
fn what_the_error_proposes_fits_and_no_more() {
    // With 91 and 90 columns of 180 tokens, the same batch size is proposed.
    for (len, batch_size, bptt) in [(100, 20, 35), (720, 21, 35), (71, 2, 35), (180, 91, 35), (180, 90, 35)] {
        let ids = stream(len);
        for last_batch in [LastBatch::Keep, LastBatch::Discard] {
            let full = |batch_size, bptt| Batches::with_full_batch(&ids, batch_size, bptt, last_batch);
            match full(batch_size, bptt) {
                Err(DataError::CorpusTooShort { largest_batch_size, largest_bptt, .. }) => {
                    assert!(full(largest_batch_size, bptt).is_ok());
                    assert!(full(largest_batch_size + 1, bptt).is_err());
                    assert!(largest_bptt == 0 || full(batch_size, largest_bptt).is_ok());
                    assert!(full(batch_size, largest_bptt + 1).is_err());
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_short_text_can_be_evaluated_but_has_no_full_batch() {
    let ids = stream(20);
    let batches = Batches::new(&ids, 1, 35, LastBatch::Keep).unwrap();
    assert_eq!((batches.batch_count(), batches.target_count()), (1, 19));
    let full = |bptt| Batches::with_full_batch(&ids, 1, bptt, LastBatch::Keep);
    assert!(matches!(full(35), Err(DataError::CorpusTooShort { largest_bptt: 19, .. })));
    assert!(full(19).is_ok());
}

#[test]
fn shuffling_moves_batches_and_loses_none() {
    let ids = stream(101);
    let batches = Batches::new(&ids, 2, 3, LastBatch::Keep).unwrap();
    let epoch = |order, seed| batches.epoch(order, &mut ChaCha8Rng::seed_from_u64(seed));
    let sequential = epoch(BatchOrder::Sequential, SEED);
    let mut shuffled = epoch(BatchOrder::Shuffled, SEED);
    assert_ne!(shuffled, sequential);
    assert_eq!(shuffled, epoch(BatchOrder::Shuffled, SEED));
    assert_ne!(shuffled, epoch(BatchOrder::Shuffled, SEED + 1));
    shuffled.sort_by_key(|batch| batch.start);
    assert_eq!(shuffled, sequential);
}

#[test]
fn variable_lengths_have_the_published_distribution() {
    let ids = stream(2_000_001);
    let batches = Batches::new(&ids, 1, 70, LastBatch::Keep).unwrap();
    let epoch = batches.variable_epoch(&mut ChaCha8Rng::seed_from_u64(SEED));
    let steps: Vec<f64> = epoch.iter().rev().skip(1).map(|batch| batch.steps as f64).collect();
    // Rounding down reduces the mean by half a step. The bounds are six standard errors of about 28,800 draws.
    let mean = steps.iter().sum::<f64>() / steps.len() as f64;
    let expected = 0.95 * 70.0 + 0.05 * 35.0 - 0.5;
    assert!((mean - expected).abs() < 0.35, "mean {mean}, expected {expected}");
    let halves = steps.iter().filter(|&&steps| steps < 52.5).count() as f64 / steps.len() as f64;
    assert!((halves - 0.05).abs() < 0.008, "{halves} are halves");
    let full: Vec<f64> = steps.into_iter().filter(|&steps| steps > 52.5).collect();
    let mean = full.iter().sum::<f64>() / full.len() as f64;
    let deviation = (full.iter().map(|steps| (steps - mean).powi(2)).sum::<f64>() / full.len() as f64).sqrt();
    assert!((deviation - 5.0).abs() < 0.15, "deviation {deviation}");
}

#[test]
fn variable_batches_are_never_shorter_than_five_but_for_the_last() {
    let ids = stream(10_003);
    let batches = Batches::new(&ids, 1, 2, LastBatch::Keep).unwrap();
    let epoch = batches.variable_epoch(&mut ChaCha8Rng::seed_from_u64(SEED));
    assert!(epoch.iter().rev().skip(1).all(|batch| batch.steps >= 5));
    check_covers(&batches, &epoch, batches.column_len() - 1);
}

#[test]
#[should_panic(expected = "batch index 1 is out of range for 1 batches")]
fn a_batch_past_the_end_is_a_bug() {
    let ids = stream(3);
    let _ = Batches::new(&ids, 1, 2, LastBatch::Keep).unwrap().batch(1);
}

#[test]
#[should_panic(expected = "targets must be 2 steps by 1 columns")]
fn a_wrong_length_is_a_bug() {
    let ids = stream(3);
    let batches = Batches::new(&ids, 1, 2, LastBatch::Keep).unwrap();
    batches.fill(batches.batch(0), &mut [0; 2], &mut [0; 3]).unwrap();
}

proptest! {
    #[test]
    fn some_columns_are_those_of_the_batch(
        len in 12usize..60, lines: bool, batch_size in 1usize..6, bptt in 1usize..5, first in 0usize..6, count in 1usize..6,
    ) {
        // Line ends at irregular places.
        let ids = TokenIds::from((0..len as u32).map(|id| id * id % 7).collect::<Vec<_>>());
        let batches = if lines {
            let units = Units::find(&ids, Unit::Line, 0).unwrap();
            Batches::of_units(&ids, &units, None, batch_size, bptt).unwrap()
        } else {
            Batches::new(&ids, batch_size, bptt, LastBatch::Keep).unwrap()
        };
        let first = first.min(batch_size);
        let some = first..batch_size.min(first + count);
        for index in 0..batches.batch_count() {
            let batch = batches.batch(index);
            let (all, own) = (batch.steps * batch_size, batch.steps * some.len());
            let (mut inputs, mut targets, mut resets) = (vec![9; all], vec![9; all], vec![9; all]);
            batches.fill(batch, &mut inputs, &mut targets).unwrap();
            batches.fill_resets(batch, &mut resets).unwrap();
            prop_assert_eq!(
                batches.targets_in(batch),
                targets.iter().filter(|&&target| target != NO_TARGET).count()
            );
            let of_columns = |values: &[u32]| -> Vec<u32> {
                values.chunks(batch_size).flat_map(|step| &step[some.clone()]).copied().collect()
            };
            let (mut some_inputs, mut some_targets) = (vec![9; own], vec![9; own]);
            batches.fill_columns(batch, some.clone(), &mut some_inputs, &mut some_targets).unwrap();
            prop_assert_eq!(some_inputs, of_columns(&inputs));
            prop_assert_eq!(some_targets, of_columns(&targets));
            let mut some_resets = vec![9; own];
            batches.fill_resets_of_columns(batch, some.clone(), &mut some_resets).unwrap();
            prop_assert_eq!(some_resets, of_columns(&resets));
        }
    }

    #[test]
    fn each_token_but_a_columns_first_is_a_target_once_and_in_order(
        len in 2usize..200, batch_size in 1usize..12, bptt in 1usize..20, seed: u64,
    ) {
        let ids = stream(len);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        if let Ok(batches) = Batches::new(&ids, batch_size, bptt, LastBatch::Keep) {
            let rows = batches.column_len() - 1;
            prop_assert!(batches.dropped_tokens() < batch_size);
            prop_assert_eq!(batches.target_count() + batch_size + batches.dropped_tokens(), len);
            prop_assert_eq!(batches.discarded_targets(), 0);
            let epoch = batches.epoch(BatchOrder::Sequential, &mut rng);
            prop_assert_eq!(epoch.len(), batches.batch_count());
            check_covers(&batches, &epoch, rows);
            check_covers(&batches, &batches.variable_epoch(&mut rng), rows);
        } else {
            prop_assert!(len < 2 * batch_size);
        }
    }

    #[test]
    fn discarding_leaves_out_exactly_the_rows_after_the_last_full_batch(
        len in 2usize..200, batch_size in 1usize..12, bptt in 1usize..20,
    ) {
        let ids = stream(len);
        if let Ok(batches) = Batches::new(&ids, batch_size, bptt, LastBatch::Discard) {
            let rows = (batches.column_len() - 1) / bptt * bptt;
            let epoch = batches.epoch(BatchOrder::Sequential, &mut ChaCha8Rng::seed_from_u64(SEED));
            prop_assert!(epoch.iter().all(|batch| batch.steps == bptt));
            check_covers(&batches, &epoch, rows);
            prop_assert_eq!(batches.target_count(), rows * batch_size);
            prop_assert!(batches.discarded_targets() < bptt * batch_size);
        } else {
            prop_assert!(len < batch_size * (bptt + 1));
        }
    }
}
