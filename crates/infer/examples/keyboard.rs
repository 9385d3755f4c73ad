//! Types a text key by key with three suggestions at a time, and prints how long a keystroke takes.
//!
//! ```text
//! cargo run --release -p rondo-infer --example keyboard -- runs/ptb-1 ptb.test.txt
//! ```

#![allow(clippy::print_stdout)] // It is a command.

use std::error::Error;
use std::time::{Duration, Instant};

use rondo_infer::{Completing, LanguageModel, Preferences, Suggester};
use rondo_kernels::Device;

/// Lines that are typed; each is a text of its own.
const LINES: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err("usage: keyboard MODEL TEXT".into());
    };
    let model = LanguageModel::open(model, &Device::cpu(1)?)?;
    let preferences = Preferences { words_only: true, capitalize: true, ..Preferences::default() };
    let mut suggester = Suggester::new(model.completer().with_preferences(preferences)?);
    let completing = Completing { top: 3, partial: true, ..Completing::default() };

    let mut times: Vec<Duration> = Vec::new();
    for line in std::fs::read_to_string(text)?.lines().take(LINES) {
        for (at, key) in line.trim_start().char_indices() {
            let begun = Instant::now();
            suggester.suggest(&line.trim_start()[..at + key.len_utf8()], &completing)?;
            times.push(begun.elapsed());
        }
        suggester.learn(line)?;
    }
    times.sort_unstable();
    let percentile = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "{} keystrokes: median {:?}, 99th percentile {:?}, longest {:?}",
        times.len(),
        percentile(50),
        percentile(99),
        percentile(100)
    );
    Ok(())
}
