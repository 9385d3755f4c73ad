//! Metrics of runs: an error with its line, or records that can be plotted and written back the same.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use rondo_runs::metrics::{Record, parse};
use rondo_runs::plot::draw;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("metrics.jsonl");
    let Ok(records) = parse(path, bytes) else { return };
    let written = lines(&records);
    // Compared as text, because NaN does not equal itself.
    let again = parse(path, &written).expect("what is written is read back");
    assert_eq!(lines(&again), written);
    draw("fuzz", &records).expect("any records can be plotted");
});

fn lines(records: &[Record]) -> Vec<u8> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record).expect("JSON holds a record");
        lines.push(b'\n');
    }
    lines
}
