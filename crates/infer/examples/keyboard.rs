//! Types a text key by key with three suggestions at a time, and prints how long a keystroke takes: the shortest time of several
//! passes, so that other work on the machine does not count.
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
/// How often they are typed.
const PASSES: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err("usage: keyboard MODEL TEXT".into());
    };
    let model = LanguageModel::open(model, &Device::cpu(1)?)?;
    let preferences = Preferences { words_only: true, capitalize: true, ..Preferences::default() };
    let completing = Completing { top: 3, partial: true, ..Completing::default() };
    let text = std::fs::read_to_string(text)?;

    let mut times: Vec<Duration> = Vec::new();
    for pass in 0..PASSES {
        let mut suggester = Suggester::new(model.completer().with_preferences(preferences.clone())?);
        let mut key_number = 0;
        for line in text.lines().take(LINES).map(str::trim_start) {
            for (at, key) in line.char_indices() {
                let begun = Instant::now();
                suggester.suggest(&line[..at + key.len_utf8()], &completing)?;
                let time = begun.elapsed();
                if pass == 0 {
                    times.push(time);
                }
                times[key_number] = times[key_number].min(time);
                key_number += 1;
            }
            suggester.learn(line)?;
        }
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
