//! The `rondo` command.
//!
//! ```text
//! arguments ─▶ Command ─▶ recipe, settings ─▶ Plan ─▶ one call into the libraries ─▶ text or JSON
//!    └ clap_error: errors of the command line                error: errors of the libraries ┘
//! ```
//!
//! One module per command. Promises: results go to stdout, everything else to stderr; the exit code is 0 on success, one
//! for each class of errors (`exit`), and 128 + signal after a signal (`signals`).
//! Not here: any mathematics. This is the only crate that prints, or ends the process.

use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};

mod base;
mod bench;
mod clap_error;
mod compare;
mod complete;
mod completions;
mod console;
mod convert;
mod corpus_lookup;
mod datasets;
mod describe;
mod device;
mod devices;
mod error;
mod eval;
mod exclusion;
mod exit;
mod filter;
mod generate;
mod input;
mod lines;
mod man;
mod measures;
mod model_args;
mod models;
mod neighbors;
mod ngram_args;
mod normalizer;
mod output;
mod pairs;
mod plot;
mod quantize;
mod ranks;
mod recipes;
#[cfg(test)]
mod reference;
mod reproduce;
mod rescore;
mod runs;
mod score;
mod serve;
mod several_models;
mod signals;
mod surprisal;
mod table;
mod terminal;
mod text_args;
#[cfg(feature = "tokenizers")]
mod tokenizer;
mod train;

/// Train, evaluate and use recurrent language models
#[derive(Debug, Parser)]
#[command(
    name = "rondo",
    bin_name = "rondo",
    version,
    max_term_width = 110,
    args_override_self = true,
    disable_help_flag = true,
    after_help = "To start: `rondo train` trains a small model in about a minute and suggests what to try next."
)]
struct Cli {
    /// Print help
    #[arg(long, short, global = true, display_order = 1000, action = ArgAction::HelpShort)]
    help: Option<bool>,
    /// Print help with all options
    #[arg(long, global = true, hide = true, action = ArgAction::HelpLong)]
    help_all: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(Box<train::TrainArgs>),
    Eval(eval::EvalArgs),
    Score(score::ScoreArgs),
    Surprisal(Box<surprisal::SurprisalArgs>),
    Rescore(rescore::RescoreArgs),
    Pairs(pairs::PairsArgs),
    Compare(compare::CompareArgs),
    Filter(filter::FilterArgs),
    Complete(complete::CompleteArgs),
    Generate(generate::GenerateArgs),
    Serve(serve::ServeArgs),
    Reproduce(reproduce::ReproduceArgs),
    Runs(runs::RunsArgs),
    Plot(plot::PlotArgs),
    Bench(bench::BenchArgs),
    Datasets(datasets::DatasetsArgs),
    Devices(devices::DevicesArgs),
    Recipes(recipes::RecipesArgs),
    Models(models::ModelsArgs),
    Quantize(quantize::QuantizeArgs),
    Convert(convert::ConvertArgs),
    #[cfg(feature = "tokenizers")]
    Tokenizer(tokenizer::TokenizerArgs),
    Neighbors(neighbors::NeighborsArgs),
    Normalizer(normalizer::NormalizerArgs),
    Completions(completions::CompletionsArgs),
    #[command(hide = true)]
    Man(man::ManArgs),
}

fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => {
            if !error.use_stderr() && rondo_collective::launched_rank().unwrap_or(0) > 0 {
                return ExitCode::SUCCESS; // One process prints help.
            }
            ranks::before_error();
            return clap_error::report(&error);
        }
    };
    let (name, is_divided) = command.name();
    if let Err(error) = ranks::start(name, is_divided) {
        ranks::before_error();
        return error::report(&error);
    }
    let result = match command {
        Command::Train(args) => train::run(*args),
        Command::Eval(args) => eval::run(args),
        Command::Score(args) => score::run(args),
        Command::Surprisal(args) => surprisal::run(*args),
        Command::Rescore(args) => rescore::run(args),
        Command::Pairs(args) => pairs::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Filter(args) => filter::run(args),
        Command::Complete(args) => complete::run(args),
        Command::Generate(args) => generate::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Reproduce(args) => reproduce::run(args),
        Command::Runs(args) => runs::run(args),
        Command::Plot(args) => plot::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Datasets(args) => datasets::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Recipes(args) => recipes::run(args),
        Command::Models(args) => models::run(args),
        Command::Quantize(args) => quantize::run(args),
        Command::Convert(args) => convert::run(&args),
        #[cfg(feature = "tokenizers")]
        Command::Tokenizer(args) => tokenizer::run(args),
        Command::Neighbors(args) => neighbors::run(args),
        Command::Normalizer(args) => normalizer::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    };
    match result {
        Ok(code) => {
            ranks::finish();
            code
        }
        Err(error) => {
            ranks::before_error();
            error::report(&error)
        }
    }
}

impl Command {
    /// Its name, and whether several processes can run it together.
    fn name(&self) -> (&'static str, bool) {
        match self {
            Command::Train(_) => ("train", true),
            Command::Eval(_) => ("eval", true),
            Command::Score(_) => ("score", true),
            Command::Surprisal(_) => ("surprisal", false),
            Command::Rescore(_) => ("rescore", false),
            Command::Pairs(_) => ("pairs", false),
            Command::Compare(_) => ("compare", false),
            Command::Filter(_) => ("filter", false),
            Command::Complete(_) => ("complete", false),
            Command::Generate(_) => ("generate", false),
            Command::Serve(_) => ("serve", false),
            Command::Reproduce(_) => ("reproduce", false),
            Command::Runs(_) => ("runs", false),
            Command::Plot(_) => ("plot", false),
            Command::Bench(_) => ("bench", false),
            Command::Datasets(_) => ("datasets", false),
            Command::Devices(_) => ("devices", false),
            Command::Recipes(_) => ("recipes", false),
            Command::Models(_) => ("models", false),
            Command::Quantize(_) => ("quantize", false),
            Command::Convert(_) => ("convert", false),
            #[cfg(feature = "tokenizers")]
            Command::Tokenizer(_) => ("tokenizer", false),
            Command::Neighbors(_) => ("neighbors", false),
            Command::Normalizer(_) => ("normalizer", false),
            Command::Completions(_) => ("completions", false),
            Command::Man(_) => ("man", false),
        }
    }
}
