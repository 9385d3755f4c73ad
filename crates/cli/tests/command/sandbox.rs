//! A folder to run the command in, and what it said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use insta::internals::SettingsBindDropGuard;

/// A text that a small model learns in an instant.
pub(crate) const SENTENCES: [&str; 4] =
    ["the cat sat on the mat .", "a dog sat on a mat .", "the dog saw a cat .", "a cat saw the dog ."];

/// Flags for a model and a run of no more than a moment.
pub(crate) const TINY: [&str; 14] = [
    "--hidden-size",
    "16",
    "--layers",
    "1",
    "--dropout",
    "0",
    "--optimizer",
    "adam",
    "--learning-rate",
    "0.02",
    "--batch-size",
    "4",
    "--bptt",
    "8",
];

/// A temporary folder.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

/// What a command printed and returned.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

impl Sandbox {
    pub(crate) fn new() -> Sandbox {
        Sandbox { folder: tempfile::tempdir().unwrap() }
    }

    /// One with a small text, `text.txt`.
    pub(crate) fn with_text() -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.write("text.txt", text(100));
        sandbox
    }

    /// One with the run of a small model, `run`, and its text.
    pub(crate) fn with_run() -> Sandbox {
        let sandbox = Sandbox::with_text();
        fs::create_dir(sandbox.path("run")).unwrap();
        for file in fs::read_dir(trained()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), sandbox.path("run").join(file.file_name())).unwrap();
        }
        // The plan knows where the text was when the model was trained.
        let plan = fs::read_to_string(sandbox.path("run/plan.toml")).unwrap();
        let from = std::path::absolute(trained().parent().unwrap().join("text.txt")).unwrap();
        let from = from.display().to_string();
        let moved = plan.replace(&from, &sandbox.path("text.txt").display().to_string());
        assert_ne!(moved, plan);
        sandbox.write("run/plan.toml", moved);
        sandbox
    }

    /// One with the run of version 0.1.0 that the tests of `train` keep, `run`, and its text. Its model file has no
    /// vocabulary: that is beside it.
    pub(crate) fn with_run_of_0_1_0() -> Sandbox {
        let sandbox = Sandbox::new();
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../train/tests/fixtures/v0.1.0");
        sandbox.write("text.txt", fs::read(kept.join("text.txt")).unwrap());
        for file in fs::read_dir(kept.join("run")).unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap();
            sandbox.write(&format!("run/{name}"), fs::read(&file).unwrap());
        }
        // The plan knows where the text was when the model was trained.
        let plan = fs::read_to_string(sandbox.path("run/plan.toml")).unwrap();
        let moved = plan.replace("/tmp/base/tiny8.txt", &sandbox.path("text.txt").display().to_string());
        assert_ne!(moved, plan);
        sandbox.write("run/plan.toml", moved);
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(with_slashes(&self.folder.path().join(name).display().to_string()))
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The names of what is in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The command, to be run in it: without the user's corpora, and with the same numbers on every processor.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        command_in(self.folder.path(), arguments)
    }

    /// The command as what another program, such as a shell, is to start.
    pub(crate) fn through(&self, program: Command, arguments: &[&str]) -> Command {
        let mut program = program;
        program.arg(env!("CARGO_BIN_EXE_rondo"));
        prepared(program, self.folder.path(), arguments)
    }

    /// Another program, such as a shell, to be run in the same surroundings.
    #[cfg(unix)]
    pub(crate) fn prepared(&self, program: Command) -> Command {
        prepared(program, self.folder.path(), &[])
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::from(started(|| self.command(arguments).output()))
    }

    /// Runs it with `input` on stdin.
    pub(crate) fn run_with_stdin(&self, arguments: &[&str], input: &str) -> Said {
        Said::from(started(|| {
            assert_cmd::Command::from_std(self.command(arguments)).write_stdin(input).output()
        }))
    }

    /// Runs `rondo train --threads 1 --out run` with these flags.
    pub(crate) fn train(&self, flags: &[&str]) -> Said {
        self.run(&[&["train", "--threads", "1", "--out", "run"], flags].concat())
    }
}

/// What a command has printed. Wine sometimes fails to start a program, with an internal error; then it is tried again.
fn started(run: impl Fn() -> std::io::Result<Output>) -> Output {
    const INTERNAL_ERROR: i32 = 1359;
    let failed = |result: &std::io::Result<Output>| {
        cfg!(windows) && result.as_ref().is_err_and(|error| error.raw_os_error() == Some(INTERNAL_ERROR))
    };
    let mut result = run();
    for _ in 0..3 {
        if failed(&result) {
            result = run();
        }
    }
    result.unwrap()
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        let text = |bytes| with_usual_causes(with_slashes(&String::from_utf8(bytes).unwrap()));
        Said { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
    }
}

impl Said {
    /// Fails unless all went well, and returns what was printed.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    /// Stdout as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.success()).unwrap()
    }
}

/// Windows separates the folders of a path by backslashes and understands slashes, too, with which a text is the same on all
/// systems. JSON and rows of tables stay as they are, since backslashes mean something else there.
fn with_slashes(text: &str) -> String {
    if !cfg!(windows) || text.starts_with(['{', '[']) {
        return text.to_owned();
    }
    let line = |line: &str| if line.contains('\t') { line.to_owned() } else { line_with_slashes(line) };
    text.split_inclusive('\n').map(line).collect()
}

fn line_with_slashes(line: &str) -> String {
    let is_of_path = |char: &char| char.is_alphanumeric() || "._-:[]".contains(*char);
    let chars: Vec<char> = line.chars().collect();
    let separates = |at: usize| {
        let rest = &chars[at + 1..];
        // `\u{1b}` is an escaped control character.
        let is_escape = rest.starts_with(&['u', '{']);
        at > 0 && is_of_path(&chars[at - 1]) && rest.first().is_some_and(is_of_path) && !is_escape
    };
    let replaced = |(at, &char)| if char == '\\' && separates(at) { '/' } else { char };
    chars.iter().enumerate().map(replaced).collect()
}

/// What Windows says of a file that is missing, in the words of other systems.
fn with_usual_causes(text: String) -> String {
    if !cfg!(windows) {
        return text;
    }
    let usual = |line: &str| {
        let (before, code) = line.split_once(" (os error ")?;
        let cause = before.rfind(": ")? + ": ".len();
        let is_missing = code.starts_with("2)") || code.starts_with("3)");
        let after = code.split_once(')')?.1;
        is_missing.then(|| format!("{}No such file or directory (os error 2){after}", &line[..cause]))
    };
    text.split_inclusive('\n').map(|line| usual(line).unwrap_or_else(|| line.to_owned())).collect()
}

/// `count` lines of the text.
pub(crate) fn text(count: usize) -> String {
    SENTENCES.iter().cycle().take(count).map(|sentence| format!("{sentence}\n")).collect()
}

/// The checkpoints in the folder of a run, the latest last.
pub(crate) fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(run).unwrap().map(|file| file.unwrap().path());
    let is = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("checkpoint-");
    let mut found: Vec<_> = files.filter(is).collect();
    found.sort();
    found
}

/// Times, speeds and places, which differ from machine to machine, taken out of snapshots while the guard lives. Losses
/// stay: with one thread and the portable instructions they are the same everywhere.
pub(crate) fn filters(sandbox: &Sandbox) -> SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    let folder = with_slashes(&sandbox.folder.path().display().to_string());
    settings.add_filter(&regex_of(&folder), "[FOLDER]");
    settings.add_filter(&regex_of(env!("CARGO_BIN_EXE_rondo")), "rondo");
    // On Windows, no variable moves the folder of caches.
    settings.add_filter(r"\w:/users/[^/]+/AppData/Local/rondo", "[FOLDER]/cache/rondo");
    settings.add_filter(r"[\d,]+ tokens/s", "[SPEED] tokens/s");
    settings.add_filter(r"\d+:\d\d|\d+\.\d+ s\b", "[TIME]");
    settings.add_filter(r"rondo    \d+\.\d+\.\d+", "rondo    [VERSION]");
    settings.bind_to_scope()
}

fn regex_of(text: &str) -> String {
    let escaped = |char: char| {
        if char.is_alphanumeric() || char == '/' { char.to_string() } else { format!("\\{char}") }
    };
    text.chars().map(escaped).collect()
}

/// The command, to be run in `folder`.
pub(crate) fn command_in(folder: &Path, arguments: &[&str]) -> Command {
    prepared(Command::new(env!("CARGO_BIN_EXE_rondo")), folder, arguments)
}

fn prepared(mut command: Command, folder: &Path, arguments: &[&str]) -> Command {
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env_remove("RONDO_DATA").env("RONDO_CPU", "portable");
    // Nothing is to be downloaded from anywhere, or put anywhere else.
    command.env("RONDO_MIRROR", "http://127.0.0.1:9").env("XDG_CACHE_HOME", folder.join("cache"));
    command.env("HOME", folder);
    command
}

/// A run that all tests share, trained by the first of them that needs it.
fn trained() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trained");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("text.txt"), text(100)).unwrap();
        let flags = ["train", "--threads", "1", "--out", "run", "--data", "text.txt", "--epochs", "4"];
        let said = Said::from(command_in(&folder, &[&flags[..], &TINY].concat()).output().unwrap());
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        folder.join("run")
    })
}
