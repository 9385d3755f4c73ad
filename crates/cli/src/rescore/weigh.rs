//! The weights of scores: those given, those tuned on references, and how they are reported.

use std::collections::HashMap;
use std::str::FromStr;

use anyhow::Result;
use rondo_data::nearest;
use rondo_infer::rescore::{
    CrossValidated, Edge, ErrorUnit, Format, Free, List, Reference, Scored, Tuned, Tuning, Weights,
    WordErrors, errors, oracle, tune_free,
};

use crate::console::Console;
use crate::error::CliError;
use crate::{describe, output};

/// The name of the model's own score.
const MODEL: &str = "model";
/// The names of scores that are the sum of the others.
const TOTALS: [&str; 2] = ["total", "score"];

/// A weight as a flag: `0.5` is the model's, `lm=0.5` that of a score.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NamedWeight {
    name: String,
    value: f64,
}

impl FromStr for NamedWeight {
    type Err = String;

    fn from_str(text: &str) -> Result<NamedWeight, String> {
        // Names of features can contain `=`.
        let (name, value) = text.rsplit_once('=').unwrap_or((MODEL, text));
        let value = value.trim().parse().ok().filter(|value: &f64| value.is_finite());
        let value = value.ok_or("expected a number, or NAME=NUMBER")?;
        Ok(NamedWeight { name: name.trim().to_owned(), value })
    }
}

/// The weights that are given.
pub(super) struct Given {
    weights: HashMap<String, f64>,
    word_bonus: Option<f64>,
}

impl Given {
    pub(super) fn new(weights: &[NamedWeight], word_bonus: Option<f64>) -> Given {
        let weights = weights.iter().map(|weight| (weight.name.clone(), weight.value)).collect();
        Given { weights, word_bonus }
    }

    /// The model's weight.
    pub(super) fn lm(&self) -> Option<f64> {
        self.weights.get(MODEL).copied()
    }

    /// The names that are not among those of scores.
    pub(super) fn unknown(&self, names: &[String]) -> Vec<&str> {
        let is_known = |name: &String| name == MODEL || names.contains(name);
        let mut unknown: Vec<&str> =
            self.weights.keys().filter(|name| !is_known(name)).map(String::as_str).collect();
        unknown.sort_unstable();
        unknown
    }

    /// Checks that each name is that of a score. Features of Moses can appear later.
    pub(super) fn check(&self, format: Option<Format>, names: &[String]) -> Result<()> {
        match self.unknown(names).first() {
            Some(&name) if format != Some(Format::Moses) => {
                let known = || names.iter().map(String::as_str).chain([MODEL]);
                let nearest = nearest(name, known()).map(str::to_owned);
                let known = known().map(str::to_owned).collect();
                Err(CliError::UnknownScore { name: name.to_owned(), known, nearest }.into())
            }
            _ => Ok(()),
        }
    }

    /// The weights of the scores with these names, as far as they are not to be tuned: 1 for each; if the first is the
    /// total of the others, 1 for the total and 0 for the others.
    fn scores(&self, names: &[String]) -> Vec<f64> {
        let has_total = names.first().is_some_and(|first| TOTALS.contains(&first.as_str()));
        let default = |place: usize| if has_total && place > 0 { 0.0 } else { 1.0 };
        let weight = |(place, name)| self.weights.get(name).copied().unwrap_or(default(place));
        names.iter().enumerate().map(weight).collect()
    }

    /// The weights without tuning.
    pub(super) fn weights(&self, names: &[String]) -> Weights {
        Weights {
            lm: self.lm().unwrap_or(1.0),
            word_bonus: self.word_bonus.unwrap_or(0.0),
            scores: self.scores(names),
        }
    }

    /// The weights that are given, and others where they are not.
    pub(super) fn weights_or(&self, names: &[String], default: &Weights) -> Weights {
        let score = |(name, &default): (&String, &f64)| self.weights.get(name).copied().unwrap_or(default);
        Weights {
            lm: self.lm().unwrap_or(default.lm),
            word_bonus: self.word_bonus.unwrap_or(default.word_bonus),
            scores: names.iter().zip(&default.scores).map(score).collect(),
        }
    }

    /// Tunes the weights that are not given on lists with references, from where to start, and whether weights of scores
    /// can be negative; prints them and the error rates.
    pub(super) fn tuned(
        &self,
        pairs: &[(&[Scored], &str)],
        unit: ErrorUnit,
        names: &[String],
        (start, signed): (&Weights, bool),
        console: Option<Console>,
    ) -> Weights {
        let other = Weights { scores: start.scores.clone(), ..Weights::default() };
        let before = errors(pairs, unit, &other);
        let is_alone = names.len() <= 1;
        let free = Free {
            // The weight of a single score sets the scale.
            scores: names.iter().map(|name| !is_alone && !self.weights.contains_key(name)).collect(),
            lm: self.lm().is_none(),
            word_bonus: self.word_bonus.is_none(),
            signed,
        };
        let Tuning { tuned: Tuned { weights, after }, cross_validated, at_edge } =
            tune_free(pairs, unit, start, &free);
        let Some(console) = console else { return weights };
        let row = |name: String, value: f64, given: bool| {
            vec![name, value.to_string(), if given { "given" } else { "tuned" }.to_owned()]
        };
        let mut rows = Vec::new();
        if names.len() > 1 {
            for (name, &value) in names.iter().zip(&weights.scores) {
                rows.push(row(format!("weight of {name}"), value, self.weights.contains_key(name)));
            }
        }
        rows.push(row("weight".to_owned(), weights.lm, self.lm().is_some()));
        rows.push(row("word bonus".to_owned(), weights.word_bonus, self.word_bonus.is_some()));
        let (rate, units) = match unit {
            ErrorUnit::Words => ("word error rate", "words"),
            ErrorUnit::Characters => ("character error rate", "characters"),
        };
        let rate_row = |name: String, found: WordErrors| {
            let [errors, length] = [found.errors, found.words].map(|count| describe::count(count as usize));
            vec![
                name,
                format!("{:.2} %", 100.0 * found.rate()),
                format!("{errors} errors in {length} {units}"),
            ]
        };
        rows.push(rate_row(format!("{rate} before"), before));
        rows.push(rate_row(format!("{rate} after"), after));
        if let Some(CrossValidated { errors, folds }) = cross_validated {
            let mut row = rate_row("cross-validated".to_owned(), errors);
            row[2].push_str(&format!(", each of {folds} parts with weights of the others"));
            rows.push(row);
        }
        rows.push(rate_row("oracle (best possible)".to_owned(), oracle(pairs, unit)));
        console.say(output::columns(&rows, &[1]).trim_end());
        for edge in at_edge {
            let name = match edge {
                Edge::Model => "weight".to_owned(),
                Edge::WordBonus => "word bonus".to_owned(),
                Edge::Score(place) => format!("weight of {}", names[place]),
            };
            console.say(&format!(
                "note: the {name} is at the edge of what makes a difference: ten times as much gives no more errors"
            ));
        }
        weights
    }
}

/// The lists that have a reference, with it, and the references that have no list.
pub(super) fn paired<'a>(
    lists: &'a [List],
    references: &'a [Reference],
) -> (Vec<(&'a [Scored], &'a str)>, Vec<&'a Reference>) {
    let by_id: HashMap<&str, &List> = lists.iter().map(|list| (list.id.as_str(), list)).collect();
    let (mut pairs, mut unknown) = (Vec::new(), Vec::new());
    for reference in references {
        match by_id.get(reference.id.as_str()) {
            Some(list) => pairs.push((list.hypotheses.as_slice(), reference.text.as_str())),
            None => unknown.push(reference),
        }
    }
    (pairs, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(weights: &[&str]) -> Given {
        let weights: Vec<NamedWeight> = weights.iter().map(|weight| weight.parse().unwrap()).collect();
        Given::new(&weights, None)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn weights_are_given_by_name() {
        let of = |weights: &[&str], of: &[&str]| {
            let found = given(weights).weights(&names(of));
            (found.lm, found.scores)
        };
        assert_eq!(of(&[], &["score"]), (1.0, vec![1.0]));
        assert_eq!(of(&["0.5"], &[]), (0.5, vec![]));
        assert_eq!(of(&["model=-2", "lm=0"], &["acoustic", "lm"]), (-2.0, vec![1.0, 0.0]));
        assert_eq!(of(&["TM.1=3"], &["total", "LM", "TM.1"]), (1.0, vec![1.0, 0.0, 3.0]));
        assert_eq!(of(&["a=b=3"], &["a=b"]), (1.0, vec![3.0]));
        for wrong in ["x", "lm=", "lm=nan", "inf", ""] {
            assert_eq!(wrong.parse::<NamedWeight>(), Err("expected a number, or NAME=NUMBER".to_owned()));
        }
    }

    #[test]
    fn a_name_that_no_score_has_is_refused() {
        let names = names(&["acoustic", "lm"]);
        given(&["lm=2"]).check(Some(Format::Srilm), &names).unwrap();
        let error = given(&["acustic=2"]).check(Some(Format::Srilm), &names).unwrap_err().to_string();
        assert_eq!(error, "no score of the list is named `acustic`; it has `acoustic`, `lm` and `model`");
        given(&["later=2"]).check(Some(Format::Moses), &names).unwrap();
        assert_eq!(given(&["later=2", "lm=1"]).unknown(&names), ["later"]);
    }
}
