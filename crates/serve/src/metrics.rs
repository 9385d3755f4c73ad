//! What the server counts, in the text format of Prometheus.

use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::http::StatusCode;
use std::collections::BTreeMap;

/// The upper bounds of the buckets of latencies, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// The upper bounds of the buckets of batch sizes.
const STREAMS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// The counters of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// By route and status.
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    latency: Histogram<12>,
    /// From the arrival of a request to its first token.
    pub(crate) first_token: Histogram<12>,
    /// The number of texts of each step of a model.
    pub(crate) batch: Histogram<8>,
    pub(crate) prompt_tokens: AtomicU64,
    pub(crate) generated_tokens: AtomicU64,
    pub(crate) scored_tokens: AtomicU64,
    /// Texts whose client went away.
    pub(crate) abandoned: AtomicU64,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        Metrics {
            requests: Mutex::default(),
            latency: Histogram::new(&SECONDS),
            first_token: Histogram::new(&SECONDS),
            batch: Histogram::new(&STREAMS),
            prompt_tokens: AtomicU64::new(0),
            generated_tokens: AtomicU64::new(0),
            scored_tokens: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
        }
    }

    /// Counts an answered request.
    pub(crate) fn answered(&self, route: &'static str, status: StatusCode, after: Duration) {
        if let Ok(mut requests) = self.requests.lock() {
            *requests.entry((route, status.as_u16())).or_default() += 1;
        }
        self.latency.add(after.as_secs_f64());
    }

    /// All counters; for each model its name, the texts that it generates, and the requests that wait for it.
    pub(crate) fn text<'m>(&self, models: impl Iterator<Item = (&'m str, usize, usize)> + Clone) -> String {
        let mut text = String::new();
        let mut counter = |name: &str, help: &str, value: u64| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n");
        };
        counter("rondo_prompt_tokens_total", "Tokens of prompts.", self.prompt_tokens.load(Relaxed));
        counter(
            "rondo_generated_tokens_total",
            "Tokens that were generated.",
            self.generated_tokens.load(Relaxed),
        );
        counter("rondo_scored_tokens_total", "Tokens that were scored.", self.scored_tokens.load(Relaxed));
        counter("rondo_abandoned_total", "Texts whose client went away.", self.abandoned.load(Relaxed));
        text.push_str("# HELP rondo_requests_total Requests by route and status.\n# TYPE rondo_requests_total counter\n");
        for ((route, status), count) in self.requests.lock().iter().flat_map(|requests| requests.iter()) {
            let _ = writeln!(text, "rondo_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}");
        }
        for (name, help) in [
            ("rondo_streams", "Texts that a model generates now."),
            ("rondo_queue_length", "Requests that wait for a model."),
        ] {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
            for (model, streams, waiting) in models.clone() {
                let value = if name == "rondo_streams" { streams } else { waiting };
                let _ = writeln!(text, "{name}{{model=\"{}\"}} {value}", escaped(model));
            }
        }
        self.latency.write("rondo_request_seconds", "Time to answer, for streams to begin to.", &mut text);
        self.first_token.write("rondo_first_token_seconds", "Time to the first token of a text.", &mut text);
        self.batch.write("rondo_batch_size", "Texts of each step of a model.", &mut text);
        text
    }
}

/// The value of a label.
fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Counts of values up to some bounds, and their sum.
#[derive(Debug)]
pub(crate) struct Histogram<const N: usize> {
    bounds: &'static [f64; N],
    counts: [AtomicU64; N],
    count: AtomicU64,
    /// In millionths.
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    fn new(bounds: &'static [f64; N]) -> Histogram<N> {
        Histogram {
            bounds,
            counts: [const { AtomicU64::new(0) }; N],
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    pub(crate) fn add(&self, value: f64) {
        if let Some(bucket) = self.bounds.iter().position(|&bound| value <= bound) {
            self.counts[bucket].fetch_add(1, Relaxed);
        }
        self.sum.fetch_add((value * 1e6) as u64, Relaxed);
        self.count.fetch_add(1, Relaxed);
    }

    fn write(&self, name: &str, help: &str, text: &mut String) {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} histogram\n");
        let mut below = 0;
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            below += count.load(Relaxed);
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        let (count, sum) = (self.count.load(Relaxed), self.sum.load(Relaxed) as f64 / 1e6);
        let _ =
            write!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let histogram = Histogram::new(&STREAMS);
        [0.5, 1.0, 3.0, 1000.0].into_iter().for_each(|value| histogram.add(value));
        let mut text = String::new();
        histogram.write("size", "Sizes.", &mut text);
        for line in [
            "size_bucket{le=\"1\"} 2",
            "size_bucket{le=\"4\"} 3",
            "size_bucket{le=\"+Inf\"} 4",
            "size_sum 1004.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn labels_cannot_break_the_format() {
        let text = Metrics::new().text([("a\"b\\c\nd", 1, 2)].into_iter());
        assert!(text.contains("rondo_streams{model=\"a\\\"b\\\\c\\nd\"} 1\n"), "{text}");
        assert!(text.contains("rondo_queue_length{model=\"a\\\"b\\\\c\\nd\"} 2\n"), "{text}");
    }
}
