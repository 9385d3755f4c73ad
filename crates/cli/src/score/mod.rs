//! `rondo score`: the log-probability of each sentence.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rondo_data::TextCodec;
use rondo_infer::{ScoredLine, Scoring};
use serde_json::{Value, json};

use crate::console::Console;
use crate::input::Input;
use crate::model_args::ModelArgs;
use crate::ngram_args::NgramArgs;
use crate::output;
use crate::text_args::ReadingArgs;

mod html;

/// Score sentences, one per line: log-probability, number of tokens, out-of-vocabulary words
#[derive(Args, Debug)]
#[command(after_help = "\
For each line of the text, prints four tab-separated columns: the log-probability (natural logarithm), the number of \
scored tokens (the line end counts as one), the number of out-of-vocabulary words, and the sentence.")]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Text files with one sentence per line; - is stdin [default: stdin]
    #[arg(value_name = "FILE")]
    texts: Vec<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Carry the hidden state from each sentence to the next, instead of scoring each from the initial state
    #[arg(long, help_heading = "Scoring")]
    carry_state: bool,
    /// Batch size: sentences to score in parallel; affects only speed and memory
    #[arg(long, value_name = "SENTENCES", default_value_t = 32, help_heading = "Scoring")]
    batch_size: usize,
    #[command(flatten)]
    ngram: NgramArgs,
    /// Also print the log-probability of each token
    #[arg(long, help_heading = "Output")]
    per_token: bool,
    /// Print JSON, one object per line
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Write an HTML page that colors each token by its surprisal, instead of printing scores
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["json", "per_token", "batch_size", "ngram"],
        help_heading = "Output"
    )]
    html: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: ScoreArgs) -> Result<ExitCode> {
    let mut loaded = args.model.load(Console::new(false))?;
    loaded.model = loaded.model.with_codec(args.reading.codec(&loaded, false)?)?;
    let inputs = Input::all(&args.texts);
    if let Some(path) = &args.html {
        html::write(&inputs, args.carry_state, &loaded, path)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Someone typing sentences wants each score before writing the next.
    let typed = inputs == [Input::Stdin] && std::io::stdin().is_terminal();
    let default = Scoring::default();
    let scoring = Scoring {
        start: loaded.codec().line_end(),
        carry_state: args.carry_state,
        batch_size: args.batch_size,
        lookahead_tokens: if typed { 1 } else { default.lookahead_tokens },
    };
    let mut scorer = loaded.model.scorer(scoring)?;
    if let Some(ngram) = args.ngram.load(&loaded, Console::new(false))? {
        scorer = scorer.with_ngram(ngram.interpolation);
    }
    output::write(|out| {
        for input in &inputs {
            let origin = input.origin();
            let reader = input.open(Console::new(false))?;
            for scored in scorer.lines(loaded.codec().lines(reader, &origin)) {
                print(&args, &scored?, loaded.codec(), out)?;
                if typed {
                    out.flush()?;
                }
            }
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn print(args: &ScoreArgs, scored: &ScoredLine, codec: &TextCodec, out: &mut dyn Write) -> Result<()> {
    let ScoredLine { line, score } = scored;
    let text = codec.join(&line.tokens);
    let text = text.trim_end_matches(['\n', '\r']);
    let tokens = line.tokens.iter().skip(score.unscored_tokens).zip(&score.log_probs);
    if args.json {
        let mut object = json!({
            "line": line.number,
            "text": text,
            "log_prob": output::number(score.log_prob_sum),
            "tokens": score.log_probs.len(),
            "unknown_words": line.out_of_vocab_tokens,
        });
        if args.per_token {
            let token = |(token, &log_prob): (&String, &f32)| json!({ "token": token, "log_prob": output::number(log_prob.into()) });
            object["log_probs"] = tokens.map(token).collect::<Value>();
        }
        writeln!(out, "{object}")?;
        return Ok(());
    }
    writeln!(
        out,
        "{:.4}\t{}\t{}\t{text}",
        score.log_prob_sum,
        score.log_probs.len(),
        line.out_of_vocab_tokens
    )?;
    if args.per_token {
        for (token, log_prob) in tokens {
            // A line end is a token too, and would break the line.
            writeln!(out, "\t{log_prob:.4}\t{}", token.escape_debug())?;
        }
    }
    Ok(())
}
