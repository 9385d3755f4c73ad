//! `rondo generate`: samples text from a model.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use rondo_data::{Spacing, TextDecoder, read_text};
use rondo_infer::Sampling;
use serde_json::{Value, json};

use crate::console::Console;
use crate::input::Input;
use crate::model_args::{Loaded, ModelArgs};
use crate::output;
use crate::text_args::ReadingArgs;

mod search;

/// The line between samples.
const SEPARATOR: &str = "----------";

/// Generate text with a model
#[derive(Args, Debug)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// File with the prompt; - is stdin [default: the text of --prefix]
    #[arg(value_name = "FILE", conflicts_with = "prefix")]
    text: Option<PathBuf>,
    /// Prompt [default: the start of a line]
    #[arg(
        long,
        short,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        help_heading = "Text"
    )]
    prefix: String,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Number of tokens to generate per sample
    #[arg(long, short = 'n', value_name = "TOKENS", default_value_t = 100, help_heading = "Text")]
    tokens: usize,
    /// Number of samples to generate
    #[arg(long, value_name = "COUNT", default_value = "1", help_heading = "Text")]
    samples: NonZeroUsize,
    /// Sampling temperature; 0 is greedy
    #[arg(
        long,
        short,
        value_name = "T",
        default_value_t = 1.0,
        allow_negative_numbers = true,
        help_heading = "Sampling"
    )]
    temperature: f32,
    /// Top-k sampling: sample only from the K most likely tokens; 0 is off
    #[arg(long, value_name = "K", default_value_t = 0, help_heading = "Sampling")]
    top_k: usize,
    /// Top-p (nucleus) sampling: sample only from the most likely tokens whose probabilities add up to P; 1 is off
    #[arg(long, value_name = "P", default_value_t = 1.0, help_heading = "Sampling")]
    top_p: f32,
    /// Never generate the unknown token
    #[arg(long, help_heading = "Sampling")]
    forbid_unk: bool,
    /// Random seed [default: a new one each time, printed]
    #[arg(long, value_name = "SEED", help_heading = "Sampling")]
    seed: Option<u64>,
    #[command(flatten)]
    search: search::SearchArgs,
    /// Print tokens separated by spaces, without detokenizing
    #[arg(long, help_heading = "Output")]
    raw: bool,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: GenerateArgs) -> Result<ExitCode> {
    let console = Console::new(false);
    let loaded = args.model.load(console)?;
    let prefix = prefix_ids(&args, &loaded, console)?;
    let sampling = Sampling {
        temperature: args.temperature,
        top_k: (args.top_k > 0).then_some(args.top_k),
        top_p: (args.top_p != 1.0).then_some(args.top_p),
        forbidden: loaded.forbidden(args.forbid_unk),
        ..Sampling::default()
    };
    // A text begins after the end of a line.
    let start: Vec<u32> = loaded.codec().line_end().into_iter().chain(prefix.iter().copied()).collect();
    let spacing = if args.raw { Spacing::Tokens } else { Spacing::Natural };
    if let Some(beams) = args.search.beam {
        search::run(&args, beams, &loaded, &prefix, &start, spacing)?;
        return Ok(ExitCode::SUCCESS);
    }
    let seed = args.seed.unwrap_or_else(new_seed);
    let codec = loaded.codec();
    let samples = args.samples.get();
    let mut streams = loaded.model.streams();
    streams.admit_many(&start, samples, &sampling, seed)?;
    if args.seed.is_none() {
        console.say(&format!("seed {seed}"));
    }

    let mut decoders: Vec<TextDecoder> = (0..samples).map(|_| codec.decoder(spacing)).collect();
    let mut texts = vec![Vec::new(); samples];
    let mut tokens: Vec<Vec<&str>> = vec![Vec::new(); samples];
    output::write(|out| {
        for (decoder, text) in decoders.iter_mut().zip(&mut texts) {
            prefix.iter().try_for_each(|&id| decoder.push(id, text))?;
        }
        let mut shown = 0;
        for step in 0..=args.tokens {
            if !args.json {
                // The first sample is shown as it is generated; the others follow when it is complete.
                out.write_all(&texts[0][shown..])?;
                out.flush()?;
                shown = texts[0].len();
            }
            if step == args.tokens {
                break;
            }
            // They stay in the order in which they were admitted.
            for (sample, drawn) in streams.step()?.iter().enumerate() {
                let token = codec.vocab().token(drawn.token).unwrap_or_default();
                decoders[sample].push_token(token, &mut texts[sample]);
                tokens[sample].push(token);
            }
        }
        if args.json {
            let sample = |(text, tokens): (&Vec<u8>, &Vec<&str>)| json!({ "text": String::from_utf8_lossy(text), "tokens": tokens });
            let samples: Value = texts.iter().zip(&tokens).map(sample).collect();
            return Ok(writeln!(out, "{:#}", json!({ "seed": seed, "samples": samples }))?);
        }
        end_line(&texts[0], out)?;
        for text in &texts[1..] {
            writeln!(out, "{SEPARATOR}")?;
            out.write_all(text)?;
            end_line(text, out)?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn end_line(text: &[u8], out: &mut dyn Write) -> Result<()> {
    if text.last() != Some(&b'\n') {
        writeln!(out)?;
    }
    Ok(())
}

fn prefix_ids(args: &GenerateArgs, loaded: &Loaded, console: Console) -> Result<Vec<u32>> {
    let text = match &args.text {
        None => args.prefix.clone(),
        Some(path) => {
            let input = &Input::all(std::slice::from_ref(path))[0];
            read_text(input.open(console)?, &input.origin(), args.reading.is_lossy())?
        }
    };
    let codec = args.reading.codec(loaded, false)?;
    let ids = codec.encode_prefix(&text).with_context(|| format!("cannot continue `{text}`"))?;
    let unknown = ids.iter().filter(|&&id| Some(id) == loaded.codec().unknown_id()).count();
    if unknown > 0 {
        console.say(&format!(
            "note: {unknown} of the {} tokens of the prompt are not in the vocabulary",
            ids.len()
        ));
    }
    Ok(ids)
}

/// A random seed, short enough to type.
fn new_seed() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000
}
