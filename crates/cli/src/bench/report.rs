//! Benchmark results, as text in columns or as one line of JSON.

use anyhow::Result;
use rondo_kernels::{Device, Precision};
use rondo_nn::{Dropout, DropoutSite, Input, RnnLmConfig};
use rondo_train::throughput::{Benchmark, Phase, Profile, ProfilePart, Report, Round, Workload};
use serde_json::{Map, Value, json};

use crate::{describe, output};

/// The results of a benchmark and its settings.
pub(super) struct Found<'a> {
    pub(super) benchmark: &'a Benchmark,
    pub(super) phases: &'a [Phase],
    pub(super) device: &'a Device,
    pub(super) report: Report,
    pub(super) peak_rss_mib: Option<f64>,
}

impl Found<'_> {
    /// Prints one line, so that results can be collected in a file.
    pub(super) fn print_json(&self) -> Result<()> {
        let Found { benchmark, device, ref report, .. } = *self;
        let Workload { name, ref config, batch_size, bptt, clip_norm, learning_rate, sampled, .. } =
            benchmark.workload;
        let RnnLmConfig { vocab_size, input, cell, ref hidden_sizes, tied, ref dropout, .. } = *config;
        let giga = |flop: Option<f64>| rounded(flop.map(|flop| flop / 1e9));
        let mut line = json!({
            "workload": name,
            "train_tok_s": rounded(report.tokens_per_s(Phase::Train)),
            "eval_tok_s": rounded(report.tokens_per_s(Phase::Evaluate)),
            "gen_tok_s": rounded(report.tokens_per_s(Phase::Generate)),
            "train_ms": rounded(report.step_ms()),
            "train_gflops": giga(report.flop_per_s(Phase::Train)),
            "eval_gflops": giga(report.flop_per_s(Phase::Evaluate)),
            "fma_peak_gflops": giga(Some(report.fma_peak())),
            "multiplication_peak_gflops": giga(Some(report.multiplication_peak())),
            "share_of_fma_peak": rounded(report.share_of_fma_peak(Phase::Train)),
            "eval_share_of_fma_peak": rounded(report.share_of_fma_peak(Phase::Evaluate)),
            "copy_gb_s": giga(Some(report.copy_bandwidth())),
            "peak_rss_mib": rounded(self.peak_rss_mib),
            "threads": device.threads(),
            "instructions": instructions(device),
            "precision": device.precision().to_string(),
            "version": env!("CARGO_PKG_VERSION"),
            "streams": benchmark.streams,
            "batch_size": batch_size,
            "bptt": bptt,
            "vocab_size": vocab_size,
            "cell": cell.name(),
            "embedding_size": match input {
                Input::Embedding(width) => Some(width),
                Input::OneHot => None,
            },
            "hidden_sizes": hidden_sizes,
            "tied": tied,
            "dropout": dropout_json(dropout),
            "clip_norm": clip_norm,
            "learning_rate": learning_rate,
            "sampled": sampled.map(|sampled| json!({ "draws": sampled.draws, "sampler": sampled.sampler.to_string() })),
            "cutoffs": config.adaptive_softmax.as_ref().map(|softmax| softmax.cutoffs()),
            "parameters": config.parameter_count(),
            "train_step_gflop": rounded(Some(benchmark.workload.step_flop() / 1e9)),
            "rounds": report.rounds.iter().map(round_json).collect::<Value>(),
        });
        if benchmark.profile {
            // Training is the phase most people want: its key has no prefix.
            for profile in &report.profiles {
                let key = match profile.phase {
                    Phase::Train => "profile",
                    Phase::Evaluate => "eval_profile",
                    Phase::Generate => "gen_profile",
                };
                line[key] = profile_json(profile);
            }
        }
        output::text(&format!("{line}\n"))
    }

    /// Prints a table, and one for each profile.
    pub(super) fn print_text(&self) -> Result<()> {
        let Found { benchmark, report, .. } = self;
        let header = ["", "tokens/s", "ms", "GFLOP/s", "of FMA peak"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(self.phases.iter().filter_map(|&phase| self.row(phase)));
        let mut text = output::columns(&rows, &[1, 2, 3, 4]);
        // The limits of a GPU are not measured.
        let (peak, copy) = (report.fma_peak() / 1e9, report.copy_bandwidth() / 1e9);
        let limits = peak.is_finite().then(|| {
            let rounded = match self.device.precision() {
                Precision::F32 => String::new(),
                precision => format!(", {precision} peak {:.1} GFLOP/s", report.multiplication_peak() / 1e9),
            };
            format!("FMA peak {peak:.1} GFLOP/s{rounded}, copy {copy:.1} GB/s")
        });
        let memory = self.peak_rss_mib.map(|mib| format!("peak memory {mib:.0} MiB"));
        text.push_str(&format!(
            "\n{}\n",
            [limits, memory].into_iter().flatten().collect::<Vec<_>>().join("; ")
        ));
        text.push_str(&format!(
            "median of {} rounds on {}; a step is {} × {} tokens\n",
            report.rounds.len(),
            self.device,
            benchmark.workload.batch_size,
            benchmark.workload.bptt,
        ));
        for profile in &report.profiles {
            text.push_str(&format!("\n{}", profile_text(profile)));
        }
        output::text(&text)
    }

    /// A phase's line of the table.
    fn row(&self, phase: Phase) -> Option<Vec<String>> {
        let Found { benchmark, report, .. } = self;
        let tokens_per_s = report.tokens_per_s(phase)?;
        let (what, unit_tokens) = match phase {
            Phase::Train => ("train, per step".to_owned(), benchmark.workload.step_tokens()),
            Phase::Evaluate => ("evaluate, same tokens".to_owned(), benchmark.workload.step_tokens()),
            Phase::Generate => (format!("generate, {} in parallel", benchmark.streams), benchmark.streams),
        };
        Some(vec![
            what,
            describe::count(tokens_per_s.round() as usize),
            format!("{:.3}", 1e3 * unit_tokens as f64 / tokens_per_s),
            format!("{:.1}", report.flop_per_s(phase)? / 1e9),
            match 100.0 * report.share_of_fma_peak(phase)? {
                share if share.is_finite() => format!("{share:.1} %"),
                _ => "–".to_owned(),
            },
        ])
    }
}

/// The vector instructions in use.
fn instructions(device: &Device) -> Option<String> {
    match device {
        Device::Cpu(cpu) => Some(cpu.instructions().to_string()),
        _ => None,
    }
}

/// The probabilities at the sites of activations: workloads drop nothing else.
fn dropout_json(dropout: &Dropout) -> Value {
    let probability = |site: DropoutSite| rounded(Some(f64::from(site.probability)));
    let Dropout { input, between, output, .. } = *dropout;
    let locked = [input, between, output].iter().any(|site| site.locked);
    json!({
        "input": probability(input),
        "between": probability(between),
        "output": probability(output),
        "locked": locked,
    })
}

fn round_json(round: &Round) -> Value {
    json!({
        "fma_peak_gflops": rounded(Some(round.fma_peak / 1e9)),
        "multiplication_peak_gflops": rounded(Some(round.multiplication_peak / 1e9)),
        "copy_gb_s": rounded(Some(round.copy_bandwidth / 1e9)),
        "train_tok_s": rounded(round.train_tokens_per_s),
        "eval_tok_s": rounded(round.eval_tokens_per_s),
        "gen_tok_s": rounded(round.gen_tokens_per_s),
    })
}

fn profile_json(profile: &Profile) -> Value {
    let part = |part: &ProfilePart| {
        let value = json!({ "ms": rounded(Some(part.unit_ms)), "share": rounded(Some(part.share)) });
        (part.name.clone(), value)
    };
    Value::Object(profile.parts.iter().map(part).collect::<Map<_, _>>())
}

fn profile_text(profile: &Profile) -> String {
    let unit = match profile.phase {
        Phase::Train => "train, per step",
        Phase::Evaluate => "evaluate, per batch",
        Phase::Generate => "generate, per step",
    };
    let mut rows = vec![[unit, "ms", "share"].map(str::to_owned).to_vec()];
    rows.extend(profile.parts.iter().map(|part| {
        vec![part.name.clone(), format!("{:.3}", part.unit_ms), format!("{:.1} %", 100.0 * part.share)]
    }));
    output::columns(&rows, &[1, 2])
}

/// A number rounded to five significant digits, more than any clock resolves.
fn rounded(number: Option<f64>) -> Value {
    let Some(number) = number else { return Value::Null };
    if number == 0.0 || !number.is_finite() {
        return output::number(number);
    }
    let scale = 10f64.powi(4 - number.abs().log10().floor() as i32);
    output::number((number * scale).round() / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_five_digits() {
        let shown =
            [3_123.456_7, 0.812_345_6, 226.0, 0.0, f64::NAN].map(|number| rounded(Some(number)).to_string());
        assert_eq!(shown, ["3123.5", "0.81235", "226.0", "0.0", "null"]);
        assert_eq!(rounded(None), Value::Null);
    }
}
