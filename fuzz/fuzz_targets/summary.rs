//! What a table of runs reads: a summary is read back the same, and a plan of any version is plain values or an error.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use rondo_runs::{RunSummary, parse_settings};

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("summary.json");
    if let Ok(summary) = RunSummary::parse(path, bytes) {
        let written = serde_json::to_vec(&summary).expect("JSON holds a summary");
        let again = RunSummary::parse(path, &written).expect("what is written is read back");
        assert_eq!(again, summary);
    }
    if let Ok(text) = str::from_utf8(bytes) {
        let _ = parse_settings(Path::new("plan.toml"), text);
    }
});
