//! Means of repeated measurements, proportions, and their confidence intervals.

/// The mean of repeated measurements and its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The number of measurements.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Half the width of the interval around the mean; `None` for a single measurement.
    pub half_width: Option<f64>,
}

impl Interval {
    /// The mean of the values, and the interval of Student's t distribution around it: `t · s / √n`, where `s` is the
    /// sample standard deviation and `t` the 97.5 % quantile with `n - 1` degrees of freedom. `None` without values.
    pub fn of(values: &[f64]) -> Option<Interval> {
        let count = values.len();
        let n = count as f64;
        let mean = values.iter().sum::<f64>() / n;
        let half_width = (count > 1).then(|| {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            t_quantile(count - 1) * (squares / (n - 1.0) / n).sqrt()
        });
        (count > 0).then_some(Interval { count, mean, half_width })
    }
}

/// The 95 % confidence interval of a proportion: Wilson's score interval without continuity correction. `successes` of
/// `trials` may count halves. `None` without trials.
///
/// ```text
/// (p + z² / 2n ± z √(p (1 − p) / n + z² / 4n²)) / (1 + z² / n)
/// ```
///
/// *Source*: Wilson 1927. It stays within 0 and 1 and has a width for 0 of `n` too.
///
/// ```
/// let (low, high) = rondo_runs::proportion_interval(10.0, 10).unwrap();
/// assert!((low - 0.7225).abs() < 1e-4 && (high - 1.0).abs() < 1e-9);
/// ```
pub fn proportion_interval(successes: f64, trials: usize) -> Option<(f64, f64)> {
    let n = trials as f64;
    let (p, z2) = (successes / n, NORMAL_QUANTILE * NORMAL_QUANTILE);
    let middle = p + z2 / (2.0 * n);
    let half_width = NORMAL_QUANTILE * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let bound = |bound: f64| (bound / (1.0 + z2 / n)).clamp(0.0, 1.0);
    (trials > 0).then(|| (bound(middle - half_width), bound(middle + half_width)))
}

/// The 97.5 % quantile of the normal distribution.
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// The 97.5 % quantile of Student's t distribution.
///
/// *Source*: the distribution function has a closed form in `θ = atan(t / √ν)`, Abramowitz & Stegun 1964, 26.7.3 and
/// 26.7.4; it is inverted by bisection.
fn t_quantile(degrees: usize) -> f64 {
    let (mut low, mut high) = (0.0, std::f64::consts::FRAC_PI_2);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if within(middle, degrees) < 0.95 {
            low = middle;
        } else {
            high = middle;
        }
    }
    (degrees as f64).sqrt() * low.tan()
}

/// The probability that Student's t is within `±√ν · tan θ`.
fn within(theta: f64, degrees: usize) -> f64 {
    let (sin, cos) = theta.sin_cos();
    let is_odd = degrees % 2 == 1;
    // Even: 1 + 1/2 cos² + 1·3/(2·4) cos⁴ + … ; odd: cos + 2/3 cos³ + 2·4/(3·5) cos⁵ + …; up to cos^(ν-2).
    let (mut term, mut power) = if is_odd { (cos, 1) } else { (1.0, 0) };
    let mut sum = 0.0;
    while power + 2 <= degrees {
        sum += term;
        term *= cos * cos * (power + 1) as f64 / (power + 2) as f64;
        power += 2;
    }
    if is_odd { std::f64::consts::FRAC_2_PI * (theta + sin * sum) } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let table =
            [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (9, 2.2622), (10, 2.2281)];
        for (degrees, quantile) in table.into_iter().chain([(30, 2.0423), (100, 1.9840), (10_000, 1.9602)]) {
            let found = t_quantile(degrees);
            assert!((found - quantile).abs() < 6e-5, "{degrees}: {found}");
        }
    }

    #[test]
    fn an_interval_is_around_the_mean() {
        let interval = Interval::of(&[10.0, 12.0, 14.0]).unwrap();
        assert_eq!((interval.count, interval.mean), (3, 12.0));
        // s = 2: 4.3027 · 2 / √3.
        assert!((interval.half_width.unwrap() - 4.9683).abs() < 1e-4, "{interval:?}");
        assert_eq!(Interval::of(&[3.0, 3.0]).unwrap().half_width, Some(0.0));
        assert_eq!(Interval::of(&[3.0]), Some(Interval { count: 1, mean: 3.0, half_width: None }));
        assert_eq!(Interval::of(&[]), None);
    }

    #[test]
    fn intervals_of_proportions_are_those_of_the_literature() {
        // Newcombe 1998, table I, method 3.
        for (successes, trials, low, high) in [
            (81.0, 263, 0.2553, 0.3662),
            (15.0, 148, 0.0624, 0.1605),
            (0.0, 20, 0.0, 0.1611),
            (1.0, 29, 0.0061, 0.1718),
        ] {
            let found = proportion_interval(successes, trials).unwrap();
            assert!((found.0 - low).abs() < 6e-5 && (found.1 - high).abs() < 6e-5, "{found:?}");
        }
        assert_eq!(proportion_interval(0.0, 0), None);
    }
}
