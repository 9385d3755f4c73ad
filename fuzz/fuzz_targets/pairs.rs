//! Minimal pairs and test suites: an error, or tests that a model can be given.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo_infer::pairs::{Formula, Tests};

fuzz_target!(|input: &[u8]| {
    if let Ok(formula) = String::from_utf8_lossy(input).parse::<Formula>() {
        formula.holds(&|region| f64::from(region.region.unwrap_or(0)));
    }
    match Tests::read(input, "tests", true, None) {
        Ok(Tests::Pairs(pairs)) => assert!(pairs.iter().all(|pair| !pair.good.contains('\n'))),
        Ok(Tests::Suite(suite)) => assert!(!suite.is_empty() && !suite.predictions().is_empty()),
        Err(_) => {}
    }
});
