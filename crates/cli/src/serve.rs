//! `rondo serve`: models over HTTP, for programs and for people with a browser.

use std::env;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use rondo_kernels::Work;
use rondo_serve::{ApiKeys, Limits, ServeOptions, Server};
use tracing_subscriber::filter::LevelFilter;

use crate::console::Console;
use crate::error::CliError;
use crate::model_args::DeviceArgs;
use crate::signals;

/// The environment variable with API keys, separated by commas.
const KEYS_VARIABLE: &str = "RONDO_API_KEYS";

/// Serve models over HTTP: OpenAI's completions API, scores, suggestions, and a web page
#[derive(Args, Debug)]
#[command(after_help = "\
The server prints its address. There, a browser finds a page to write, generate and inspect text with a model, and to watch \
runs; programs find OpenAI's completions API at /v1/completions, and /openapi.json describes all routes.

It listens on this machine only, unless --host says otherwise; then clients need API keys: one per line in --api-key-file, or \
in the environment variable RONDO_API_KEYS, separated by commas. Use a proxy for TLS. Ctrl-C or SIGTERM stops the server \
after the requests that run.")]
pub(crate) struct ServeArgs {
    /// Models: run folders or model files, each as PATH or NAME=PATH. The first one is the default
    #[arg(value_name = "MODEL", required = true)]
    models: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), help_heading = "Server")]
    host: IpAddr,
    /// Port to listen on; 0 is any free one
    #[arg(long, value_name = "PORT", default_value_t = 8080, help_heading = "Server")]
    port: u16,
    /// File with the API keys of clients, one per line
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    api_key_file: Option<PathBuf>,
    /// Folder of the runs that the page shows, also while they are trained
    #[arg(long, value_name = "DIR", help_heading = "Server")]
    runs: Option<PathBuf>,
    /// Seconds that requests may still take after the server was asked to stop
    #[arg(long, value_name = "SECONDS", default_value_t = 10, help_heading = "Server")]
    grace: u64,
    /// Log the prompts of completions, too
    #[arg(long, conflicts_with = "quiet", help_heading = "Server")]
    log_prompts: bool,
    /// Do not log requests to stderr
    #[arg(long, short, help_heading = "Server")]
    quiet: bool,
    /// Maximum number of texts that a model generates at the same time; more wait
    #[arg(long, value_name = "TEXTS", default_value = "64", help_heading = "Limits")]
    max_streams: NonZeroUsize,
    /// Maximum number of requests that wait for a model; more get status 429
    #[arg(long, value_name = "REQUESTS", default_value_t = 256, help_heading = "Limits")]
    max_queue: usize,
    /// Maximum number of tokens of a generated text
    #[arg(long, value_name = "TOKENS", default_value_t = 4096, help_heading = "Limits")]
    max_tokens: usize,
    /// Maximum number of tokens of a prompt, or of all texts of a request to score
    #[arg(long, value_name = "TOKENS", default_value_t = 100_000, help_heading = "Limits")]
    max_prompt_tokens: usize,
    /// Maximum size of a request in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, help_heading = "Limits")]
    max_body: usize,
    /// Seconds that a client may take to send a request, or to receive a part of the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30, help_heading = "Limits")]
    client_timeout: u64,
}

/// Runs the command.
pub(crate) fn run(args: ServeArgs) -> Result<ExitCode> {
    let console = Console::new(false);
    let keys = keys(args.api_key_file.as_deref())?;
    if keys.is_empty() && !args.host.is_loopback() {
        return Err(CliError::NoKeys { host: args.host }.into());
    }
    let (names, paths): (Vec<String>, Vec<PathBuf>) = args.models.iter().map(|model| named(model)).unzip();
    let models = args.device.load_all(&paths, Work::Streams, console)?;
    let models = names.into_iter().zip(models).map(|(name, loaded)| (name, loaded.model)).collect();
    let options = ServeOptions {
        host: args.host,
        port: args.port,
        keys,
        limits: Limits {
            body_bytes: args.max_body,
            prompt_tokens: args.max_prompt_tokens,
            max_tokens: args.max_tokens,
            streams: args.max_streams.get(),
            queue: args.max_queue,
            client_timeout: Duration::from_secs(args.client_timeout.max(1)),
        },
        grace: Duration::from_secs(args.grace),
        runs: args.runs,
        log_prompts: args.log_prompts,
    };
    let level = if args.quiet { LevelFilter::ERROR } else { LevelFilter::INFO };
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_max_level(level).init();
    let server = Server::bind(models, options)?;
    let stopper = server.stopper();
    signals::on_first(move || stopper.stop())?;
    console.say(&format!("listening on http://{}", server.address()));
    server.run()?;
    console.say("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The keys in a file and in the environment.
fn keys(file: Option<&Path>) -> Result<ApiKeys> {
    let mut lines = env::var(KEYS_VARIABLE).unwrap_or_default().replace(',', "\n");
    if let Some(file) = file {
        let read = std::fs::read_to_string(file);
        lines = lines + "\n" + &read.with_context(|| format!("could not read `{}`", file.display()))?;
        if ApiKeys::from_lines(&lines).is_empty() {
            return Err(CliError::EmptyKeyFile { file: file.to_owned() }.into());
        }
    }
    Ok(ApiKeys::from_lines(&lines))
}

/// The name and the path of a model. Without a name, it is that of its folder, or of its file without the extension.
fn named(model: &str) -> (String, PathBuf) {
    if let Some((name, path)) =
        model.split_once('=').filter(|(name, _)| !name.is_empty() && !name.contains('/'))
    {
        return (name.to_owned(), path.into());
    }
    let path = Path::new(model);
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = if path.is_dir() { absolute.file_name() } else { absolute.file_stem() };
    (name.map_or_else(|| model.to_owned(), |name| name.to_string_lossy().into_owned()), path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_after_their_folders_or_as_given() {
        let name = |model: &str| named(model).0;
        assert_eq!(name("a/b/model.safetensors"), "model");
        assert_eq!(named("small=runs/a=b"), ("small".to_owned(), "runs/a=b".into()));
        assert_eq!(named("runs/a=b"), ("a=b".to_owned(), "runs/a=b".into()));
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("v1.2")).unwrap();
        assert_eq!(name(folder.path().join("v1.2/").to_str().unwrap()), "v1.2");
    }
}
