//! The weights of scores: those given, those tuned on references, and how they are reported.

use std::collections::HashMap;
use std::str::FromStr;

use anyhow::Result;
use rondo_data::nearest;
use rondo_infer::rescore::{
    ErrorUnit, Format, Free, List, Reference, Scored, Tuned, Weights, WordErrors, errors, oracle, search,
    tune,
};

use crate::console::Console;
use crate::error::CliError;
use crate::{describe, output};

/// The grid of weights: the scores of other systems differ in scale by orders of magnitude.
const LM_WEIGHTS: [f64; 20] = [
    0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0,
    20.0,
];
const WORD_BONUSES: [f64; 17] =
    [0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, -0.1, -0.2, -0.5, -1.0, -2.0, -5.0, -10.0, -20.0];

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

    fn lm(&self) -> Option<f64> {
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

    /// Tunes the weights that are not given on lists with references, and prints them and the error rates.
    pub(super) fn tuned(
        &self,
        pairs: &[(&[Scored], &str)],
        unit: ErrorUnit,
        names: &[String],
        format: Option<Format>,
        console: Console,
    ) -> Weights {
        let scores = self.scores(names);
        let start = Weights {
            lm: self.lm().unwrap_or(0.0),
            word_bonus: self.word_bonus.unwrap_or(0.0),
            scores: scores.clone(),
        };
        let other = Weights { scores: scores.clone(), ..Weights::default() };
        let before = errors(pairs, unit, &other);
        let Tuned { weights, after } = if names.len() > 1 {
            let free = Free {
                scores: names.iter().map(|name| !self.weights.contains_key(name)).collect(),
                lm: self.lm().is_none(),
                word_bonus: self.word_bonus.is_none(),
                signed: format.is_some_and(Format::has_features),
            };
            search(pairs, unit, &start, &free)
        } else {
            let grid = |value: Option<f64>, grid: &[f64]| value.map_or(grid.to_vec(), |value| vec![value]);
            let (lm, bonus) = (grid(self.lm(), &LM_WEIGHTS), grid(self.word_bonus, &WORD_BONUSES));
            tune(pairs, unit, &scores, &lm, &bonus).unwrap_or(Tuned { weights: start, after: before })
        };
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
        rows.push(rate_row("oracle (best possible)".to_owned(), oracle(pairs, unit)));
        console.say(output::columns(&rows, &[1]).trim_end());
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
