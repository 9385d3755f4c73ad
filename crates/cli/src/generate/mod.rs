//! `rondo generate`: samples text from a model.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use rondo_data::{Spacing, TextCodec, nearest, read_text};
use rondo_infer::{InferError, Sampler, Sampling};
use rondo_kernels::Work;
use serde_json::{Value, json};

use crate::console::Console;
use crate::error::CliError;
use crate::input::Input;
use crate::lines::LineBatches;
use crate::model_args::{Loaded, ModelArgs};
use crate::output;
use crate::text_args::ReadingArgs;
use texts::{Ending, Generating, Prompt, Stop, Text};

mod search;
mod texts;

/// The default number of tokens of a text.
const TOKENS: usize = 100;
/// The same for a text that is to end with its line.
const TOKENS_OF_A_LINE: usize = 1000;
/// Lines that are generated for each one that is wanted, if they must be unique.
const MOST_TRIES: u64 = 50;

/// The name of the line end for `--until`.
const LINE_END: &str = "line-end";

/// The line between samples.
const SEPARATOR: &str = "----------";

/// Generate text with a model
#[derive(Args, Debug)]
#[command(after_help = "\
A prompt is printed as it was given; words of it that are not in the vocabulary are read as the unknown token. The line \
end at the end of stdin is not part of the prompt. With --json, `stop` says why a text ended: `token`, `string` or \
`length`.")]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// File with the prompt; - is stdin [default: the text of --prefix]
    #[arg(value_name = "FILE", conflicts_with = "prefix")]
    text: Option<PathBuf>,
    /// Prompt [default: the start of a line; for a model without line ends, a first token drawn by its frequency in the
    /// training text]
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
    /// File with one prompt per line, each answered on one line; - is stdin. Implies --until line-end
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "prefix"], help_heading = "Text")]
    prompts: Option<PathBuf>,
    /// Maximum number of tokens to generate per sample [default: 100; 1000 with --lines and --prompts]
    #[arg(long, short = 'n', value_name = "TOKENS", help_heading = "Text")]
    tokens: Option<usize>,
    /// Number of samples to generate
    #[arg(long, value_name = "COUNT", default_value = "1", help_heading = "Text")]
    samples: NonZeroUsize,
    /// Generate this many independent lines and print one per line. Implies --until line-end
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["samples", "prompts", "beam"], help_heading = "Text")]
    lines: Option<NonZeroUsize>,
    /// Print no line twice
    #[arg(long, requires = "lines", help_heading = "Text")]
    unique: bool,
    /// End a text with this token, or with the line end: line-end; can be repeated
    #[arg(long, value_name = "TOKEN", conflicts_with = "beam", help_heading = "Text")]
    until: Vec<String>,
    /// End a text before this string; can be repeated
    #[arg(long, value_name = "STRING", conflicts_with = "beam", help_heading = "Text")]
    stop: Vec<String>,
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
    /// Min-p sampling: sample only from tokens that are at least this fraction as likely as the most likely one; 0 is off
    #[arg(long, value_name = "P", default_value_t = 0.0, help_heading = "Sampling")]
    min_p: f32,
    /// Repetition penalty: above 1, tokens of the prompt and the text become less likely; 1 is off
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, help_heading = "Sampling")]
    repetition_penalty: f32,
    /// Add a number to the logit of a token, such as `the:-2.5`; can be repeated
    #[arg(long, value_name = "TOKEN:BIAS", allow_hyphen_values = true, help_heading = "Sampling")]
    logit_bias: Vec<String>,
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
    let loaded = args.model.load(Work::Streams, console)?;
    let spacing = if args.raw { Spacing::Tokens } else { Spacing::Natural };
    if let Some(beams) = args.search.beam {
        let prompt = single_prompt(&args, &loaded, console)?;
        let line_end = loaded.codec().line_end();
        let start: Vec<u32> = line_end.into_iter().chain(prompt.ids.iter().copied()).collect();
        search::run(&args, beams, &loaded, &prompt.ids, &start, spacing)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (sampling, ending) = (sampling(&args, &loaded)?, ending(&args, loaded.codec())?);
    let seed = args.seed.unwrap_or_else(new_seed);
    let model = &loaded.model;
    let generating = Generating { model, sampling: &sampling, seed, ending: &ending, spacing };
    let job = Job { args: &args, loaded: &loaded, console, generating };
    match (&args.prompts, args.lines) {
        (Some(path), _) => job.answer_prompts(path)?,
        (None, Some(count)) => job.print_lines(count)?,
        (None, None) => job.print_samples()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn sampling(args: &GenerateArgs, loaded: &Loaded) -> Result<Sampling> {
    let bias = |text: &String| {
        let parsed = text.rsplit_once(':').and_then(|(token, bias)| Some((token, bias.parse().ok()?)));
        let (token, bias) = parsed.ok_or_else(|| CliError::LogitBias { text: text.clone() })?;
        Ok((token_id(loaded.codec(), token, "--logit-bias")?, bias))
    };
    let sampling = Sampling {
        temperature: args.temperature,
        top_k: (args.top_k > 0).then_some(args.top_k),
        top_p: (args.top_p != 1.0).then_some(args.top_p),
        min_p: (args.min_p != 0.0).then_some(args.min_p),
        repetition_penalty: args.repetition_penalty,
        logit_bias: args.logit_bias.iter().map(bias).collect::<Result<_>>()?,
        forbidden: loaded.forbidden(args.forbid_unk),
        ..Sampling::default()
    };
    // Refuses invalid settings before anything is printed.
    Sampler::new(&sampling, loaded.codec().vocab().len(), loaded.model.device())?;
    Ok(sampling)
}

/// When a text ends.
fn ending(args: &GenerateArgs, codec: &TextCodec) -> Result<Ending> {
    let by_line = args.lines.is_some() || args.prompts.is_some();
    let line_end = || {
        let no_line_end = || CliError::NoLineEnd { flag: if by_line { "--lines" } else { "--until" } };
        codec.line_end().ok_or_else(no_line_end)
    };
    let mut tokens = vec![];
    for name in &args.until {
        tokens.push(if name == LINE_END { line_end()? } else { token_id(codec, name, "--until")? });
    }
    // Without line ends, prompts can still be continued.
    match (by_line, codec.line_end(), args.lines) {
        (true, Some(line_end), _) => tokens.push(line_end),
        (true, None, Some(_)) => tokens.push(line_end()?),
        _ => {}
    }
    if args.stop.iter().any(String::is_empty) {
        return Err(InferError::EmptyStopString.into());
    }
    let most = args.tokens.unwrap_or(if by_line { TOKENS_OF_A_LINE } else { TOKENS });
    Ok(Ending { tokens, strings: args.stop.clone(), most })
}

/// The id of a token that a flag names.
fn token_id(codec: &TextCodec, token: &str, flag: &'static str) -> Result<u32> {
    codec.vocab().id(token).ok_or_else(|| {
        let nearest = nearest(token, codec.vocab().tokens()).map(str::to_owned);
        CliError::UnknownToken { flag, token: token.to_owned(), nearest }.into()
    })
}

/// What is generated, and how.
struct Job<'a> {
    args: &'a GenerateArgs,
    loaded: &'a Loaded,
    console: Console,
    generating: Generating<'a>,
}

impl Job<'_> {
    fn codec(&self) -> &TextCodec {
        self.loaded.codec()
    }

    fn say_seed(&self) {
        if self.args.seed.is_none() {
            self.console.say(&format!("seed {}", self.generating.seed));
        }
    }

    /// Samples of one prompt. The first is shown as it is generated.
    fn print_samples(&self) -> Result<()> {
        let prompt = single_prompt(self.args, self.loaded, self.console)?;
        let count = self.args.samples.get() as u64;
        let prompt_of = |number: u64| (number < count).then_some(&prompt);
        let mut samples = vec![];
        self.say_seed();
        output::write(|out| {
            let out = std::cell::RefCell::new(out);
            let (shown, is_json) = (std::cell::Cell::new(None), self.args.json);
            let see = |text: &Text| -> Result<()> {
                if is_json {
                    return Ok(());
                }
                let out = &mut **out.borrow_mut();
                let from = match shown.get() {
                    Some(from) => from,
                    None => self.begin(&prompt, text, out)?,
                };
                let certain = text.certain(self.generating.ending).max(from);
                out.write_all(&text.bytes[from..certain])?;
                shown.set(Some(certain));
                Ok(out.flush()?)
            };
            self.generating.run(0, prompt_of, see, |number, text| {
                if is_json {
                    samples.push(self.object(&prompt, &text)?);
                    return Ok(true);
                }
                let out = &mut **out.borrow_mut();
                let from = match shown.take() {
                    Some(from) => from,
                    None => self.begin(&prompt, &text, out)?,
                };
                out.write_all(&text.bytes[from..])?;
                let last = text.bytes.last().or(prompt.text.last().filter(|_| text.bytes.is_empty()));
                if last != Some(&b'\n') {
                    writeln!(out)?;
                }
                if number + 1 < count {
                    writeln!(out, "{SEPARATOR}")?;
                }
                out.flush()?;
                Ok(true)
            })?;
            if is_json {
                writeln!(
                    out.borrow_mut(),
                    "{:#}",
                    json!({ "seed": self.generating.seed, "samples": samples })
                )?;
            }
            Ok(())
        })
    }

    /// Independent lines.
    fn print_lines(&self, count: NonZeroUsize) -> Result<()> {
        let prompt = single_prompt(self.args, self.loaded, self.console)?;
        let count = count.get() as u64;
        let tries = if self.args.unique { count.saturating_mul(MOST_TRIES) } else { count };
        let (mut seen, mut printed, mut overlong) = (HashSet::new(), 0, 0);
        self.say_seed();
        output::write(|out| {
            let prompt_of = |number: u64| (number < tries).then_some(&prompt);
            self.generating.run(
                0,
                prompt_of,
                |_| Ok(()),
                |_, text| {
                    let line = self.line(&prompt, &text);
                    if self.args.unique && !seen.insert(line.clone()) {
                        return Ok(printed < count);
                    }
                    overlong += u64::from(text.stop == Some(Stop::Length));
                    if self.args.json {
                        writeln!(out, "{}", self.object(&prompt, &text)?)?;
                    } else {
                        out.write_all(&line)?;
                        writeln!(out)?;
                    }
                    printed += 1;
                    Ok(printed < count)
                },
            )
        })?;
        if overlong > 0 {
            let most = self.generating.ending.most;
            self.console.say(&format!("note: {overlong} lines were cut off after {most} tokens (--tokens)"));
        }
        if printed < count {
            self.console.say(&format!("note: only {printed} different lines were found among {tries}"));
        }
        Ok(())
    }

    /// One answer for each prompt, or several; prompts from a pipe are answered as they arrive.
    fn answer_prompts(&self, path: &PathBuf) -> Result<()> {
        let input = &Input::all(std::slice::from_ref(path))[0];
        let codec = self.args.reading.codec(self.loaded, false)?;
        let samples = self.args.samples.get() as u64;
        self.say_seed();
        let (mut first, mut unreadable) = (0, 0);
        output::write(|out| {
            let mut batches = LineBatches::open(input, None, Some(&codec), self.console)?;
            loop {
                let lines = batches.next()?;
                if lines.is_empty() {
                    break;
                }
                let prompts: Vec<(Prompt, bool)> =
                    lines.into_iter().map(|line| prompt_of_line(&codec, line)).collect();
                let prompt_of = |number: u64| {
                    prompts.get(((number - first) / samples) as usize).map(|(prompt, _)| prompt)
                };
                self.generating.run(
                    first,
                    prompt_of,
                    |_| Ok(()),
                    |number, text| {
                        let (prompt, is_readable) = &prompts[((number - first) / samples) as usize];
                        if self.args.json {
                            let mut object = self.object(prompt, &text)?;
                            object["prompt"] = String::from_utf8_lossy(&prompt.text).into();
                            if !is_readable {
                                object["unreadable"] = true.into();
                            }
                            writeln!(out, "{object}")?;
                        } else {
                            out.write_all(&self.line(prompt, &text))?;
                            writeln!(out)?;
                        }
                        Ok(true)
                    },
                )?;
                unreadable += prompts.iter().filter(|(_, is_readable)| !is_readable).count();
                first += prompts.len() as u64 * samples;
                if batches.is_interactive() {
                    out.flush()?;
                }
            }
            Ok(())
        })?;
        if unreadable > 0 {
            let prompts = if unreadable == 1 { "prompt has" } else { "prompts have" };
            self.console.say(&format!(
                "note: {unreadable} {prompts} characters that the model's vocabulary does not contain; they were left out"
            ));
        }
        Ok(())
    }

    /// Writes the prompt. Returns how many bytes of the text are then written: a space that the prompt already ends with.
    fn begin(&self, prompt: &Prompt, text: &Text, out: &mut dyn Write) -> Result<usize> {
        out.write_all(&prompt.text)?;
        Ok(repeated_space(prompt, text))
    }

    /// A text in one line, without its end.
    fn line(&self, prompt: &Prompt, text: &Text) -> Vec<u8> {
        let mut line = prompt.text.clone();
        line.extend(&text.bytes[repeated_space(prompt, text)..]);
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        line.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        line
    }

    fn object(&self, prompt: &Prompt, text: &Text) -> Result<Value> {
        let vocab = self.codec().vocab();
        let whole = [&prompt.text, &text.bytes[repeated_space(prompt, text)..]].concat();
        let stop = match &text.stop {
            Some(Stop::Token(token)) => json!({ "reason": "token", "token": vocab.token(*token) }),
            Some(Stop::String(string)) => json!({ "reason": "string", "string": string }),
            Some(Stop::Length) | None => json!({ "reason": "length" }),
        };
        Ok(json!({
            "text": String::from_utf8_lossy(&whole),
            "tokens": vocab.decode(&text.tokens)?,
            "log_probs": text.log_probs.iter().map(|&log_prob| output::number(log_prob)).collect::<Value>(),
            "log_prob": output::number(text.log_probs.iter().sum()),
            "stop": stop,
        }))
    }
}

/// 1 if a text begins with the space that its prompt ends with.
fn repeated_space(prompt: &Prompt, text: &Text) -> usize {
    let ends = prompt.text.last().is_some_and(u8::is_ascii_whitespace);
    usize::from(ends && text.bytes.first() == Some(&b' '))
}

/// The prompt of a line, and whether it could be read; what cannot be read of it is left out.
fn prompt_of_line(codec: &TextCodec, line: Vec<u8>) -> (Prompt, bool) {
    let line = line.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(line);
    let text = line.strip_suffix(b"\r").map(<[u8]>::to_vec).unwrap_or(line);
    match codec.encode_prefix_bytes(&text) {
        Ok(ids) => (Prompt { text, ids }, true),
        Err(_) => {
            let readable = String::from_utf8_lossy(&text);
            let ids =
                readable.chars().filter_map(|char| codec.encode_prefix(char.encode_utf8(&mut [0; 4])).ok());
            (Prompt { ids: ids.flatten().collect(), text }, false)
        }
    }
}

fn single_prompt(args: &GenerateArgs, loaded: &Loaded, console: Console) -> Result<Prompt> {
    let codec = args.reading.codec(loaded, false)?;
    let mut text = match &args.text {
        None => args.prefix.clone().into_bytes(),
        Some(path) => {
            let input = &Input::all(std::slice::from_ref(path))[0];
            let mut reader = input.open(console)?;
            let mut bytes = vec![];
            if codec.unit() == "byte" {
                reader
                    .read_to_end(&mut bytes)
                    .with_context(|| format!("could not read {}", input.origin()))?;
            } else {
                bytes = read_text(reader, &input.origin(), args.reading.is_lossy())?.into_bytes();
            }
            if *input == Input::Stdin && bytes.last() == Some(&b'\n') {
                bytes.pop();
                if bytes.last() == Some(&b'\r') {
                    bytes.pop();
                }
            }
            bytes
        }
    };
    let ids = codec
        .encode_prefix_bytes(&text)
        .with_context(|| format!("cannot continue `{}`", String::from_utf8_lossy(&text)))?;
    let unknown = ids.iter().filter(|&&id| Some(id) == loaded.codec().unknown_id()).count();
    if unknown > 0 {
        console.say(&format!(
            "note: {unknown} of the {} tokens of the prompt are not in the vocabulary",
            ids.len()
        ));
    }
    if args.raw {
        // As tokens, like what follows.
        let (mut decoder, mut tokens) = (codec.decoder(Spacing::Tokens), vec![]);
        ids.iter().try_for_each(|&id| decoder.push(id, &mut tokens))?;
        text = tokens;
    }
    Ok(Prompt { text, ids })
}

fn end_line(text: &[u8], out: &mut dyn Write) -> Result<()> {
    if text.last() != Some(&b'\n') {
        writeln!(out)?;
    }
    Ok(())
}

/// A random seed, short enough to type.
fn new_seed() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000
}
