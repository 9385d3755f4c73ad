//! Tests of models on minimal pairs and test suites.
//!
//! ```text
//! a file ─ read ─┬─▶ Pairs   good and bad sentences ─ score_pairs ─▶ which of them is more probable ─┬─▶ Accuracy
//!                └─▶ Suite   regions and formulas  ─ evaluate    ─▶ which predictions hold          ─┘
//! ```
//!
//! Promises: sentences are independent of each other, and each begins after a line end.
//! Not here: printing.

mod accuracy;
mod formula;
mod minimal;
mod regions;
mod suite;

use std::io::BufRead;

use rondo_data::read_text;
use serde_json::{Deserializer, Value};

pub use accuracy::{Accuracy, Outcome};
pub use formula::{Formula, FormulaFault, RegionReference};
pub use minimal::{Pair, PairScore, Scope, accuracies, score_pairs};
pub use suite::{ItemResult, Prediction, Suite, SuiteFault};

use crate::Result;

/// What a file of tests contains.
#[derive(Clone, Debug, PartialEq)]
pub enum Tests {
    /// Minimal pairs.
    Pairs(Vec<Pair>),
    /// A test suite in the format of SyntaxGym.
    Suite(Suite),
}

impl Tests {
    /// Reads a file: a JSON object with `items` is a test suite, JSON Lines and tables are minimal pairs.
    ///
    /// The pairs are in the fields or columns `sentence_good` and `sentence_bad`. A table without columns of these names
    /// has two columns, the good and the bad sentence, and no header. `group` is the field with the group of a pair; by
    /// default, that is `UID`, if the pair has it. `origin` is the name of the file in errors; invalid UTF-8 is an
    /// error, or replaced if `lossy`.
    ///
    /// # Errors
    /// [`InferError::Suite`](crate::InferError::Suite), [`InferError::PairColumns`](crate::InferError::PairColumns),
    /// [`InferError::NoPairs`](crate::InferError::NoPairs); [`InferError::Data`](crate::InferError::Data) for a file
    /// that cannot be read, and a record without the fields, with its line.
    pub fn read(reader: impl BufRead, origin: &str, lossy: bool, group: Option<&str>) -> Result<Tests> {
        let text = read_text(reader, origin, lossy)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if is_suite(text) {
            return Suite::parse(text, origin).map(Tests::Suite);
        }
        minimal::read(text, origin, group).map(Tests::Pairs)
    }
}

/// Whether a text is one JSON object with `items`, or a damaged one over several lines.
fn is_suite(text: &str) -> bool {
    if !text.trim_ascii_start().starts_with('{') {
        return false;
    }
    match Deserializer::from_str(text).into_iter::<Value>().next() {
        Some(Ok(object)) => object.get("items").is_some(),
        _ => !text.trim_ascii_start().lines().next().is_some_and(|line| line.trim_ascii_end().ends_with('}')),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(is_suite(text), expected, "{text}");
    }

    #[test]
    fn a_suite_is_an_object_with_items() {
        check("{\"meta\": {}, \"items\": []}", true);
        check("\n{\n\"items\": [\n", true);
        check("{\"sentence_good\": \"a\"}\n{\"items\": 1}\n", false);
        check("{\"sentence_good\": \"items}\n", false);
        check("items\tothers\n", false);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            text in "[a{}\\[\\](),:;%*<>=&|+\t\n\"1.-]{0,40}",
            start in prop::sample::select(vec!["", "{\"sentence_good\": \"a\", \"sentence_bad\": ", "{\"items\": [", "(1;%a%)"]),
        ) {
            let text = format!("{start}{text}");
            if let Ok(formula) = text.parse::<Formula>() {
                prop_assert!(formula.regions().len() <= text.len());
            }
            if let Ok(Tests::Pairs(pairs)) = Tests::read(text.as_bytes(), "file", false, None) {
                prop_assert!(pairs.iter().all(|pair| !pair.good.contains('\n')));
            }
        }
    }
}
