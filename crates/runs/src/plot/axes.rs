//! Axes: ranges that a run which diverges does not change, thinning of points, and clipping of lines at the top edge.

use std::ops::Range;

use super::scale::Scale;
use crate::Perplexity;

/// A point in a chart.
pub(super) type Point = (f64, f64);

/// Larger values cannot be drawn: the span between two of the largest floating-point numbers would be infinite, and the
/// ticks of an infinite axis would never end.
const LARGEST: f64 = 1e100;

/// Whether a value can be drawn.
pub(super) fn can_be_drawn(value: f64) -> bool {
    value.abs() <= LARGEST
}

/// The perplexities of losses. One that is too large to be drawn becomes the largest that can be, above every axis.
pub(super) fn perplexities(losses: &[Point]) -> Vec<Point> {
    let perplexity = |&(x, loss): &Point| (x, Perplexity::from_nll_mean(loss).value().min(LARGEST));
    losses.iter().map(perplexity).filter(|point| point.1 > 0.0).collect()
}

/// More points than this are indistinguishable in a plot and only make the file larger.
const MOST_POINTS: usize = 1000;

/// At most [`MOST_POINTS`] of the points, including the last.
pub(super) fn thinned(points: Vec<Point>) -> Vec<Point> {
    let stride = points.len().div_ceil(MOST_POINTS).max(1);
    let last = points.len().saturating_sub(1);
    points
        .into_iter()
        .enumerate()
        .filter(|(i, _)| (last - i).is_multiple_of(stride))
        .map(|(_, point)| point)
        .collect()
}

/// At most [`MOST_POINTS`] means of consecutive points, each at the end of its points. Means over intervals become
/// means over longer intervals.
pub(super) fn averaged(points: Vec<Point>) -> Vec<Point> {
    let stride = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |part: &[Point]| {
        let sum: f64 = part.iter().map(|point| point.1).sum();
        Some((part.last()?.0, sum / part.len() as f64))
    };
    // The first part is the shorter one, so that the last point is at the end.
    let (first, rest) = points.split_at(points.len() % stride);
    mean(first).into_iter().chain(rest.chunks(stride).filter_map(mean)).collect()
}

/// From the lowest to the highest value, with a margin; never empty.
pub(super) fn range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let (low, high) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let air = (0.05 * (high - low)).max(1e-3 * high.abs()).max(1e-6);
    (low <= high).then_some(low - air..high + air)
}

/// The range of positive values on a logarithmic axis, with a margin, and wide enough for two labels.
pub(super) fn log_range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let span = range(values.filter(|&value| value > 0.0).map(f64::log10))?;
    let missing = (1.2 - (span.end - span.start)).max(0.0) / 2.0;
    Some(10f64.powf(span.start - missing)..10f64.powf(span.end + missing))
}

/// The values of all lines.
fn values<'a>(lines: &'a [&[Point]]) -> impl Iterator<Item = f64> + 'a {
    lines.iter().copied().flatten().map(|point| point.1)
}

/// The value below which a fraction of the line's values is.
fn quantile(line: &[Point], fraction: f64) -> Option<f64> {
    let mut values: Vec<f64> = line.iter().map(|point| point.1).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get((fraction * (values.len().saturating_sub(1)) as f64) as usize).copied()
}

/// The highest of the lines' limits that is not out of proportion to the lowest: at most `tolerance` times as high, or
/// below `normal`.
fn highest_limit(limits: impl Iterator<Item = f64>, tolerance: f64, normal: f64) -> f64 {
    let limits: Vec<f64> = limits.collect();
    let lowest = limits.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = (tolerance * lowest).max(normal);
    limits.into_iter().filter(|&limit| limit <= highest).fold(lowest, f64::max)
}

/// The range of losses. It ends where runs that learn end: values of a run that diverges, and spikes, are above it.
///
/// A line's limit is twice its lower quartile, or its first value if that is higher: training starts near ln V, the
/// loss of a uniform guess, and no vocabulary is so large that this exceeds 15 nats. If only one run diverges, its
/// limit is out of proportion to the others'; if all diverge, the axis shows where they are.
pub(super) fn loss_range(lines: &[&[Point]]) -> Option<Range<f64>> {
    const MOST_NATS: f64 = 15.0;
    let limit = |line: &&[Point]| {
        let first = line.first()?.1;
        Some((2.0 * quantile(line, 0.25)?).max((1.2 * first).min(MOST_NATS)))
    };
    let top = highest_limit(lines.iter().filter_map(limit), 2.0, MOST_NATS);
    range(values(lines).filter(|&value| value <= top))
}

/// The range of perplexities on a logarithmic axis. It ends at a small multiple of the lowest, since the first
/// perplexities of a run are many times the last, or just above the lowest of the worst run that learns.
pub(super) fn perplexity_range(lines: &[&[Point]]) -> Option<Range<f64>> {
    /// The axis ends at this multiple of the lowest perplexity, if no run needs more.
    const SPAN: f64 = 5.0;
    /// A line whose lowest perplexity is more than this multiple of the overall lowest does not count.
    const LOST: f64 = 20.0;
    let lowest_of = |line: &&[Point]| line.iter().map(|point| point.1).reduce(f64::min);
    let lowest = lines.iter().filter_map(lowest_of).fold(f64::INFINITY, f64::min);
    let worst = lines.iter().filter_map(lowest_of).filter(|&low| low <= LOST * lowest).fold(0.0, f64::max);
    let top = (SPAN * lowest).max(1.5 * worst);
    let shown = values(lines).filter(|&value| value <= top && value < LARGEST);
    let logs = range(shown.map(f64::ln))?;
    // A line that barely changes is drawn as one.
    let missing = (0.1 - (logs.end - logs.start)).max(0.0) / 2.0;
    Some((logs.start - missing).exp()..(logs.end + missing).exp())
}

/// The range of gradient norms on a logarithmic axis, without those of a run whose norms explode.
pub(super) fn norm_range(lines: &[&[Point]]) -> Option<Range<f64>> {
    let limit = |line: &&[Point]| Some(30.0 * quantile(line, 0.5)?).filter(|&limit| limit > 0.0);
    let top = highest_limit(lines.iter().filter_map(limit), 1000.0, 0.0);
    log_range(values(lines).filter(|&value| value <= top))
}

/// A line on an axis that ends below some of its points.
#[derive(Debug, PartialEq)]
pub(super) struct Visible {
    /// The parts of the line below the top, each clipped exactly where the line crosses it.
    pub(super) parts: Vec<Vec<Point>>,
    /// Where the line leaves through the top; the last point of a line that is above the top everywhere. A line that
    /// only starts above the top, as the first losses of a run can, does not leave.
    pub(super) exits: Vec<f64>,
}

impl Visible {
    /// The visible parts of a line.
    pub(super) fn of(points: &[Point], scale: &Scale) -> Visible {
        let top = scale.range.end;
        let (mut parts, mut exits): (Vec<Vec<Point>>, Vec<f64>) = (vec![], vec![]);
        let mut part = vec![];
        for (i, &(x, y)) in points.iter().enumerate() {
            let before = i.checked_sub(1).and_then(|before| points.get(before)).copied();
            let crossing = |(x0, y0): Point| {
                let [y0, y, top] = [y0, y, top].map(|value| scale.place(value));
                x0 + (x - x0) * (y0 - top) / (y0 - y)
            };
            match before {
                Some(before) if before.1 > top && y <= top => part.push((crossing(before), top)),
                Some(before) if before.1 <= top && y > top => {
                    part.push((crossing(before), top));
                    exits.push(crossing(before));
                    parts.push(std::mem::take(&mut part));
                }
                _ => {}
            }
            if y <= top {
                part.push((x, y));
            }
        }
        parts.push(part);
        parts.retain(|part| !part.is_empty());
        if parts.is_empty() {
            exits.extend(points.last().map(|last| last.0));
        }
        Visible { parts, exits }
    }
}

/// An integer with thousands separators: `12 000`.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line with these values, at 1, 2, 3, …
    fn line(values: impl IntoIterator<Item = f64>) -> Vec<Point> {
        (1..).map(f64::from).zip(values).collect()
    }

    /// A run of 40 records that learns: from the loss `from` to the loss `to`.
    fn learning(from: f64, to: f64) -> Vec<Point> {
        line((0..40).map(|n| to + (from - to) * (-f64::from(n) / 5.0).exp()))
    }

    fn top(range: fn(&[&[Point]]) -> Option<Range<f64>>, lines: &[Vec<Point>]) -> f64 {
        let lines: Vec<&[Point]> = lines.iter().map(Vec::as_slice).collect();
        range(&lines).unwrap().end
    }

    #[test]
    fn long_runs_are_thinned_to_their_end() {
        let points: Vec<Point> = (0..12_345).map(|step| (f64::from(step), f64::from(step % 13))).collect();
        for thinned in [thinned(points.clone()), averaged(points.clone())] {
            assert!(thinned.len() <= MOST_POINTS && thinned.len() > MOST_POINTS / 2);
            assert_eq!(thinned.last().unwrap().0, 12_344.0);
        }
        // Thirteen points in a row have the mean 6.
        let averaged = averaged(points);
        assert!(averaged[1..].iter().all(|point| point.1 == 6.0), "{averaged:?}");
        assert_eq!(super::averaged(vec![]), []);
        assert_eq!(super::averaged(vec![(1.0, 2.0)]), [(1.0, 2.0)]);
    }

    #[test]
    fn what_has_no_place_on_an_axis_is_told() {
        assert!([0.0, -5.0, 1e-320, 1e100].into_iter().all(can_be_drawn));
        assert!(![f64::NAN, f64::INFINITY, -1e308, f64::MAX].into_iter().any(can_be_drawn));
    }

    #[test]
    fn a_line_enters_and_leaves_through_the_top() {
        let points = [(0.0, 30.0), (1.0, 20.0), (2.0, 10.0), (3.0, 9.0)];
        let visible =
            |points: &[Point], end| Visible::of(points, &Scale { range: 0.0..end, logarithmic: false });
        let found = visible(&points, 15.0);
        assert_eq!(found.parts, [vec![(1.5, 15.0), (2.0, 10.0), (3.0, 9.0)]]);
        assert!(found.exits.is_empty());
        assert_eq!(visible(&points, 40.0), Visible { parts: vec![points.to_vec()], exits: vec![] });
        assert_eq!(visible(&points, 5.0), Visible { parts: vec![], exits: vec![3.0] });
        let spike = [(0.0, 1.0), (1.0, 3.0), (2.0, 1.0)];
        let parts = vec![vec![(0.0, 1.0), (0.5, 2.0)], vec![(1.5, 2.0), (2.0, 1.0)]];
        assert_eq!(visible(&spike, 2.0), Visible { parts, exits: vec![0.5] });
        // On a logarithmic axis, the line from 1 to 100 is at 10 halfway.
        let rise = [(0.0, 1.0), (1.0, 100.0)];
        let found = Visible::of(&rise, &Scale { range: 0.5..10.0, logarithmic: true });
        assert_eq!(found.exits, [0.5]);
    }

    #[test]
    fn a_run_that_diverges_does_not_set_the_range() {
        let good = learning(9.2, 4.8);
        let alone = top(loss_range, std::slice::from_ref(&good));
        assert!((9.2..9.6).contains(&alone), "{alone}");
        let diverged =
            |at: usize| line(good.iter().enumerate().map(|(n, p)| if n < at { p.1 } else { 1e5 + n as f64 }));
        for at in [0, 1, 10, 30, 39] {
            let with = top(loss_range, &[good.clone(), diverged(at)]);
            assert!(with < 10.0, "diverged at {at}: {with}");
            let with = top(loss_range, &[diverged(at), good.clone(), learning(9.0, 5.0)]);
            assert!(with < 10.0, "diverged at {at}: {with}");
        }
        // Alone, it shows what it learned before; if it never learned, it shows where it is.
        assert!(top(loss_range, &[diverged(20)]) < 10.0);
        assert!(top(loss_range, &[diverged(0)]) > 1e5);
        // A run that is stuck near a uniform guess is shown, and a spike is not.
        assert!(top(loss_range, &[good.clone(), line([9.2; 40])]) < 9.7);
        let spike = line(good.iter().enumerate().map(|(n, p)| if n == 20 { 1e9 } else { p.1 }));
        assert!(top(loss_range, &[spike]) < 9.7);
    }

    #[test]
    fn runs_of_different_losses_are_shown_whole() {
        // Characters and words.
        let with = top(loss_range, &[learning(2.6, 1.3), learning(7.0, 4.8)]);
        assert!((7.0..7.5).contains(&with), "{with}");
        // A text that is memorized.
        let with = top(loss_range, &[learning(3.0, 0.01)]);
        assert!((3.0..3.3).contains(&with), "{with}");
        assert_eq!(loss_range(&[]), None);
    }

    #[test]
    fn a_bad_run_does_not_hide_a_good_one_nor_a_good_one_it() {
        let top = |lowest: &[f64]| {
            let lines: Vec<Vec<Point>> =
                lowest.iter().map(|&lowest| line([100.0 * lowest, lowest])).collect();
            top(perplexity_range, &lines)
        };
        assert!((100.0..110.0).contains(&top(&[100.0])));
        assert!(top(&[80.0, 1000.0]) > 1000.0);
        assert!(top(&[80.0, 1e7]) < 500.0);
    }

    #[test]
    fn norms_that_explode_do_not_set_the_range() {
        let good = || line((0..40).map(|n| 0.3 + 0.01 * f64::from(n)));
        let exploding = || line((0..40).map(|n| if n < 5 { 1.0 } else { 10f64.powi(n) }));
        assert!(top(norm_range, &[good(), exploding()]) < 100.0);
        // The sum of the losses instead of their mean has larger norms, which are shown.
        assert!(top(norm_range, &[good(), line([150.0; 40])]) > 150.0);
        assert!(top(norm_range, &[exploding()]) > 1e9);
    }

    #[test]
    fn a_logarithmic_range_has_room_for_labels_and_none_for_zero() {
        let span = log_range([0.0, 20.0, 20.0].into_iter()).unwrap();
        assert!(span.start > 1.0 && span.end / span.start > 10.0, "{span:?}");
        let span = log_range([1e-6, 1.0].into_iter()).unwrap();
        assert!(span.start > 1e-7 && span.end < 10.0, "{span:?}");
        assert_eq!(log_range([0.0].into_iter()), None);
    }

    #[test]
    fn numbers_of_steps_are_grouped() {
        assert_eq!(grouped(1_234_567.0), "1\u{2009}234\u{2009}567");
        assert_eq!(grouped(200.0), "200");
    }
}
