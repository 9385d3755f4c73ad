//! Reading any files of a run gives a row of a table or an error, never a panic.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use rondo_runs::{EpochResult, ListedRun, RunSummary, parse_settings};

const PLAN: &str = "[model]\ncell = 'gru'\n[training]\nepochs = 2\nseed = 7\n";

fn damaged(mut bytes: Vec<u8>, damage: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (place, byte) in damage {
        let place = place.index(bytes.len());
        bytes[place] = *byte;
    }
    bytes
}

proptest! {
    #[test]
    fn files_of_any_bytes_are_a_run_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300), text: String) {
        let _ = RunSummary::parse(Path::new("summary.json"), &bytes);
        let _ = parse_settings(Path::new("plan.toml"), &text);
    }

    #[test]
    fn damaged_runs_are_a_run_or_an_error(
        loss in any::<f64>(),
        damage in proptest::collection::vec(any::<(prop::sample::Index, u8)>(), 1..8),
        damaged_file in 0..3_usize,
    ) {
        let best = Some(EpochResult::new(1, 10, [Some(loss), Some(loss), None]));
        let summary = serde_json::to_vec(&RunSummary { best, ..RunSummary::default() }).unwrap();
        let metrics = b"{\"epoch\":1,\"step\":1,\"train_loss\":3.0,\"valid_loss\":2.0}\n".to_vec();
        prop_assert_eq!(RunSummary::parse(Path::new("s"), &summary).unwrap().best, best);
        let folder = tempfile::tempdir().unwrap();
        for (index, (name, bytes)) in
            [("plan.toml", PLAN.into()), ("metrics.jsonl", metrics), ("summary.json", summary)].into_iter().enumerate()
        {
            let bytes = if index == damaged_file { damaged(bytes, &damage) } else { bytes };
            // Without a summary, the metrics are read.
            if index < 2 || damaged_file == 2 {
                fs::write(folder.path().join(name), bytes).unwrap();
            }
        }
        let _ = ListedRun::read("x".to_owned(), folder.path());
    }
}
