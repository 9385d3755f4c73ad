//! Reading any metrics file gives records or an error, never a panic.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::path::Path;

use proptest::prelude::*;
use rondo_runs::metrics::{Record, parse};

proptest! {
    #[test]
    fn metrics_of_any_bytes_are_records_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(Path::new("metrics.jsonl"), &bytes);
    }

    #[test]
    fn damaged_metrics_are_records_or_an_error(
        step in any::<u64>(),
        loss in any::<f64>(),
        damage in proptest::collection::vec(any::<(prop::sample::Index, u8)>(), 1..8),
    ) {
        let record = Record { epoch: 1, step, interval_loss: Some(loss), ..Record::default() };
        let mut line = serde_json::to_vec(&record).unwrap();
        line.push(b'\n');
        prop_assert_eq!(parse(Path::new("m"), &line).unwrap().len(), 1);
        for (place, byte) in damage {
            let place = place.index(line.len());
            line[place] = byte;
        }
        let _ = parse(Path::new("m"), &line);
    }
}
