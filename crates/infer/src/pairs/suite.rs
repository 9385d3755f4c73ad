//! Test suites in the format of SyntaxGym.
//!
//! ```text
//! {"meta": {"name": "number", "metric": "sum"},
//!  "predictions": [{"type": "formula", "formula": "(2;%mismatch%) > (2;%match%)"}],
//!  "region_meta": {"1": "subject", "2": "verb"},
//!  "items": [{"item_number": 1, "conditions": [
//!     {"condition_name": "match",    "regions": [{"region_number": 1, "content": "the woman"},
//!                                                {"region_number": 2, "content": "plays"}]},
//!     {"condition_name": "mismatch", "regions": [{"region_number": 1, "content": "the woman"},
//!                                                {"region_number": 2, "content": "play"}]}]}]}
//! ```
//!
//! The sentence of a condition consists of its regions in order, joined by single spaces; empty regions add nothing. The
//! surprisal of a region, in bits, is the sum over its tokens, or their mean if the metric is `mean`. `(*;%match%)` is the
//! whole sentence with its line end, which belongs to no other region.
//!
//! Promises: a suite that was read can be evaluated: its formulas refer to conditions and regions that each item has.
//! Not here: formulas (`formula`), which surprisal a region has (`regions`).
//!
//! *Source*: Gauthier et al. 2020; the documentation of syntaxgym-core, "Test suite JSON representation".

use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;

use super::formula::{Formula, FormulaFault, RegionReference};
use super::regions::{RegionScore, region_log_probs};
use super::{Accuracy, Outcome};
use crate::{InferError, LanguageModel, RegionUnit, Result};

/// A test suite in the format of SyntaxGym.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    name: String,
    metric: Metric,
    predictions: Vec<Prediction>,
    items: Vec<Item>,
}

/// A prediction of a suite: a statement that holds for the items in which a model behaves as expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The formula as it is in the file.
    pub text: String,
    /// The formula.
    pub formula: Formula,
}

/// The results of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemResult {
    /// The item's number, as it is in the file.
    pub item: String,
    /// For each prediction, [`Outcome::Right`] if it holds and [`Outcome::Wrong`] if not; [`Outcome::Impossible`] if a
    /// sentence of the item has characters that the model's vocabulary does not contain.
    pub outcomes: Vec<Outcome>,
    /// The number of unknown tokens in the sentences of the item.
    pub unknown_tokens: usize,
}

/// Why a file is no test suite, or none that can be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteFault {
    /// It is not in the format.
    #[error("not a test suite of SyntaxGym: {0}")]
    Json(serde_json::Error),
    /// It has no items, or no predictions.
    #[error("the suite has no {0}")]
    Without(&'static str),
    /// The surprisals of tokens are to be combined in a way that is not supported.
    #[error("the metric {0} is not supported: `sum` and `mean` are")]
    Metric(Value),
    /// A prediction is of a type that is not supported.
    #[error("prediction {prediction} has the type `{found}`, which is not supported: `formula` is")]
    PredictionType {
        /// The number of the prediction, from 1.
        prediction: usize,
        /// The type.
        found: String,
    },
    /// A formula cannot be parsed.
    #[error("prediction {prediction}: {fault}")]
    Formula {
        /// The number of the prediction, from 1.
        prediction: usize,
        /// What is wrong.
        fault: FormulaFault,
    },
    /// A formula refers to a condition that an item does not have.
    #[error(
        "item {item} has no condition `{condition}`, which prediction {prediction} refers to: it has {}",
        listed(known)
    )]
    NoCondition {
        /// The number of the item.
        item: String,
        /// The name of the condition.
        condition: String,
        /// The number of the prediction, from 1.
        prediction: usize,
        /// The item's conditions.
        known: Vec<String>,
    },
    /// A formula refers to a region that a condition does not have.
    #[error(
        "item {item}, condition `{condition}` has no region {region}, which prediction {prediction} refers to"
    )]
    NoRegion {
        /// The number of the item.
        item: String,
        /// The name of the condition.
        condition: String,
        /// The number of the region.
        region: u32,
        /// The number of the prediction, from 1.
        prediction: usize,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { format!("`{}`", names.join("`, `")) }
}

/// How the surprisals of a region's tokens are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    Sum,
    Mean,
}

#[derive(Clone, Debug, PartialEq)]
struct Item {
    number: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    name: String,
    sentence: String,
    /// The number of each region and its place in the sentence.
    regions: Vec<(u32, Range<usize>)>,
}

#[derive(Deserialize)]
struct SuiteFile {
    meta: Meta,
    predictions: Vec<PredictionField>,
    items: Vec<ItemField>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    name: String,
    #[serde(default)]
    metric: Value,
}

#[derive(Deserialize)]
struct PredictionField {
    #[serde(rename = "type", default = "formula")]
    kind: String,
    formula: String,
}

fn formula() -> String {
    "formula".to_owned()
}

#[derive(Deserialize)]
struct ItemField {
    item_number: Value,
    conditions: Vec<ConditionField>,
}

#[derive(Deserialize)]
struct ConditionField {
    condition_name: String,
    regions: Vec<RegionField>,
}

#[derive(Deserialize)]
struct RegionField {
    region_number: u32,
    content: String,
}

impl Suite {
    /// Reads a suite; `origin` is the name of its file in errors.
    ///
    /// # Errors
    /// [`InferError::Suite`] if it is none, or refers to what it does not have.
    pub fn parse(text: &str, origin: &str) -> Result<Suite> {
        Suite::parsed(text).map_err(|fault| InferError::Suite { origin: origin.to_owned(), fault })
    }

    fn parsed(text: &str) -> std::result::Result<Suite, SuiteFault> {
        let file: SuiteFile = serde_json::from_str(text).map_err(SuiteFault::Json)?;
        let metric = Metric::named(file.meta.metric)?;
        let mut predictions = vec![];
        for (PredictionField { kind, formula: text }, prediction) in file.predictions.into_iter().zip(1..) {
            if kind != formula() {
                return Err(SuiteFault::PredictionType { prediction, found: kind });
            }
            let formula = text.parse().map_err(|fault| SuiteFault::Formula { prediction, fault })?;
            predictions.push(Prediction { text, formula });
        }
        let items: Vec<Item> = file.items.into_iter().map(Item::new).collect();
        for (name, is_empty) in [("predictions", predictions.is_empty()), ("items", items.is_empty())] {
            if is_empty {
                return Err(SuiteFault::Without(name));
            }
        }
        for item in &items {
            for (prediction, number) in predictions.iter().zip(1..) {
                prediction.formula.regions().into_iter().try_for_each(|region| item.check(region, number))?;
            }
        }
        Ok(Suite { name: file.meta.name, metric, predictions, items })
    }

    /// Its name; empty if it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its predictions.
    pub fn predictions(&self) -> &[Prediction] {
        &self.predictions
    }

    /// The number of its items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it has no items, which no suite that was read has.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Which predictions hold in which items.
    ///
    /// # Errors
    /// [`InferError::Data`] for a text that cannot be encoded; [`InferError::Unaligned`] if the model's tokens cannot be
    /// assigned to regions; [`InferError::NeedsDistribution`] if an approximate model's tokens are characters;
    /// [`InferError::NonFiniteLogits`].
    pub fn evaluate(&self, model: &LanguageModel) -> Result<Vec<ItemResult>> {
        let conditions = self.items.iter().flat_map(|item| &item.conditions);
        let ranges =
            |condition: &Condition| condition.regions.iter().map(|(_, range)| range.clone()).collect();
        let texts: Vec<(String, Vec<Range<usize>>)> =
            conditions.map(|condition| (condition.sentence.clone(), ranges(condition))).collect();
        let mut scores = region_log_probs(model, &texts, RegionUnit::Word)?.into_iter();
        let results = self.items.iter().map(|item| {
            let scores: Vec<_> = scores.by_ref().take(item.conditions.len()).collect();
            self.result(item, &scores)
        });
        Ok(results.collect())
    }

    fn result(&self, item: &Item, scores: &[Vec<RegionScore>]) -> ItemResult {
        let all = || scores.iter().flatten();
        let is_possible = all().all(|score| score.log_prob.is_finite());
        let surprisal = |region: &RegionReference| item.surprisal(region, scores, self.metric);
        let outcome = |prediction: &Prediction| match prediction.formula.holds(&surprisal) {
            _ if !is_possible => Outcome::Impossible,
            true => Outcome::Right,
            false => Outcome::Wrong,
        };
        ItemResult {
            item: item.number.clone(),
            outcomes: self.predictions.iter().map(outcome).collect(),
            unknown_tokens: all().map(|score| score.unknown_tokens).sum(),
        }
    }

    /// The fraction of items in which each prediction holds.
    pub fn accuracies(&self, results: &[ItemResult]) -> Vec<Accuracy> {
        (0..self.predictions.len())
            .map(|prediction| {
                let outcomes =
                    results.iter().map(|result| (result.outcomes[prediction], result.unknown_tokens));
                outcomes.collect()
            })
            .collect()
    }
}

impl Metric {
    /// The metric of the predictions. If a suite asks for several, its predictions are about the sum.
    fn named(metric: Value) -> std::result::Result<Metric, SuiteFault> {
        let is = |value: &Value, name: &str| value.as_str() == Some(name);
        match &metric {
            Value::Null => Ok(Metric::Sum),
            metric if is(metric, "sum") || is(metric, "all") => Ok(Metric::Sum),
            metric if is(metric, "mean") => Ok(Metric::Mean),
            Value::Array(metrics) if metrics.iter().any(|metric| is(metric, "sum")) => Ok(Metric::Sum),
            _ => Err(SuiteFault::Metric(metric)),
        }
    }
}

impl Item {
    fn new(field: ItemField) -> Item {
        let number = match field.item_number {
            Value::String(number) => number,
            number => number.to_string(),
        };
        Item { number, conditions: field.conditions.into_iter().map(Condition::new).collect() }
    }

    fn place(&self, condition: &str) -> Option<usize> {
        self.conditions.iter().position(|known| known.name == condition)
    }

    /// Fails unless it has this region.
    fn check(&self, region: &RegionReference, prediction: usize) -> std::result::Result<(), SuiteFault> {
        let (item, condition) = (self.number.clone(), region.condition.clone());
        let Some(place) = self.place(&condition) else {
            let known = self.conditions.iter().map(|condition| condition.name.clone()).collect();
            return Err(SuiteFault::NoCondition { item, condition, prediction, known });
        };
        match region.region {
            Some(region) if self.conditions[place].place(region).is_none() => {
                Err(SuiteFault::NoRegion { item, condition, region, prediction })
            }
            _ => Ok(()),
        }
    }

    /// The surprisal of a region, in bits; 0 for one without tokens.
    fn surprisal(&self, region: &RegionReference, scores: &[Vec<RegionScore>], metric: Metric) -> f64 {
        let Some(place) = self.place(&region.condition) else { return f64::NAN };
        let scores = match region.region.map(|region| self.conditions[place].place(region)) {
            Some(Some(region)) => &scores[place][region..=region],
            Some(None) => return f64::NAN,
            None => &scores[place],
        };
        let nats: f64 = scores.iter().map(|score| -score.log_prob).sum();
        let tokens: usize = scores.iter().map(|score| score.tokens).sum();
        let bits = nats / std::f64::consts::LN_2;
        if metric == Metric::Mean && tokens > 0 { bits / tokens as f64 } else { bits }
    }
}

impl Condition {
    fn new(field: ConditionField) -> Condition {
        let (mut sentence, mut regions) = (String::new(), vec![]);
        for RegionField { region_number, content } in field.regions {
            let content = content.split_whitespace().collect::<Vec<_>>().join(" ");
            // A region begins where the one before it ends.
            let start = sentence.len();
            if !content.is_empty() && !sentence.is_empty() {
                sentence.push(' ');
            }
            sentence.push_str(&content);
            regions.push((region_number, start..sentence.len()));
        }
        Condition { name: field.condition_name, sentence, regions }
    }

    fn place(&self, region: u32) -> Option<usize> {
        self.regions.iter().position(|(number, _)| *number == region)
    }
}
