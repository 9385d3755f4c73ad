//! Scales: where a value is on an axis, and where the axis has labels.

use std::ops::Range;

use plotters::coord::ranged1d::{BoldPoints, DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;

/// A vertical axis, linear or logarithmic.
///
/// Not plotters' own logarithmic axis: it labels only powers of ten, and most perplexities of a run are between two of
/// them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) range: Range<f64>,
    pub(super) logarithmic: bool,
}

impl Scale {
    /// A value in units in which the axis is linear.
    pub(super) fn place(&self, value: f64) -> f64 {
        if self.logarithmic { value.ln() } else { value }
    }

    /// The label of a value.
    pub(super) fn label(&self, value: f64) -> String {
        match self.spans_decades() {
            true => log_tick(value),
            false => tick(value, self.range.end - self.range.start),
        }
    }

    /// Whether its labels are at powers of ten and between them. A logarithmic axis over less has evenly spaced labels.
    fn spans_decades(&self) -> bool {
        self.logarithmic && self.range.end > 10.0 * self.range.start
    }
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let [start, end, value] = [self.range.start, self.range.end, *value].map(|value| self.place(value));
        RangedCoordf64::from(start..end).map(&value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match self.spans_decades() {
            true => log_ticks(&self.range, hint.max_num_points()),
            false => RangedCoordf64::from(self.range.clone()).key_points(BoldPoints(hint.max_num_points())),
        }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// At most `most` round numbers in a range over more than a decade.
fn log_ticks(range: &Range<f64>, most: usize) -> Vec<f64> {
    const DIGITS: [&[f64]; 3] = [&[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
    let [first, last] = [range.start, range.end].map(|value| value.log10().floor() as i32);
    let ticks = |digits: &[f64], stride: i32| -> Vec<f64> {
        (first..=last)
            .filter(|decade| decade.rem_euclid(stride) == 0)
            .flat_map(|decade| digits.iter().map(move |digit| digit * 10f64.powi(decade)))
            .filter(|value| range.contains(value))
            .collect()
    };
    let stride = (last - first) / (most.max(1) as i32) + 1;
    let all = DIGITS.iter().map(|digits| ticks(digits, 1));
    all.into_iter().find(|ticks| ticks.len() <= most).unwrap_or_else(|| ticks(&[1.0], stride))
}

/// A label of an axis that spans `span`, with enough decimals to distinguish neighbors.
pub(super) fn tick(value: f64, span: f64) -> String {
    let decimals = (1.0 - span.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

/// A label of a logarithmic axis with two digits; in scientific notation if it would be long.
fn log_tick(value: f64) -> String {
    let short = format!("{value:.1e}").parse().unwrap_or(value);
    if (1e-4..1e5).contains(&short) { format!("{short}") } else { format!("{short:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(range: Range<f64>) -> Scale {
        Scale { range, logarithmic: true }
    }

    #[test]
    fn a_logarithmic_axis_has_round_labels_whatever_it_spans() {
        let labels = |range: Range<f64>| -> Vec<String> {
            let scale = scale(range);
            scale.key_points(BoldPoints(8)).into_iter().map(|value| scale.label(value)).collect()
        };
        assert_eq!(labels(80.0..420.0), ["100", "150", "200", "250", "300", "350", "400"]);
        assert_eq!(labels(9.0..110.0), ["10", "20", "50", "100"]);
        assert_eq!(labels(1.0..8000.0), ["1", "3", "10", "30", "100", "300", "1000", "3000"]);
        assert_eq!(labels(0.5..3e7).len(), 8);
        let many = labels(1e-300..1e100);
        assert!((2..=8).contains(&many.len()), "{many:?}");
    }

    #[test]
    fn equal_factors_are_equal_distances_on_a_logarithmic_axis() {
        let scale = scale(1.0..100.0);
        assert_eq!([1.0, 10.0, 100.0].map(|value| scale.map(&value, (300, 100))), [300, 200, 100]);
        let linear = Scale { logarithmic: false, ..scale };
        assert_eq!([1.0, 50.5, 100.0].map(|value| linear.map(&value, (300, 100))), [300, 200, 100]);
    }

    #[test]
    fn labels_are_as_long_as_needed() {
        assert_eq!(
            (tick(5.25, 3.0), tick(150.0, 400.0), tick(0.125, 0.05)),
            ("5.2".into(), "150".into(), "0.125".into())
        );
        let labels = [0.1 + 0.2, 20.0, 1e-6, 0.001].map(log_tick);
        assert_eq!(labels, ["0.3", "20", "1e-6", "0.001"]);
    }
}
