//! The commands in README.md and the pages of docs/ run, and print what the pages show.
//!
//! Each block marked `console` is run in a shell, page by page, in a sandbox with a small model in `runs/built-in-1` and a
//! few texts. What a page shows is real output of a model trained in full, so numbers are compared by form only: `10.93`
//! matches `11.20`. A line `...` stands for any lines; a command without output below it only has to succeed.
//!
//! A block marked `sh` whose first line is a comment with a name, such as `# sweep.sh`, is a file with this name.
//!
//! A comment in the line above a block changes how it is run:
//!
//! | comment | effect |
//! |---|---|
//! | `<!-- Not run: REASON. -->` | the block is skipped |
//! | ``<!-- Run with `FLAGS`: REASON. -->`` | its commands get these flags |
//! | `<!-- Output varies: REASON. -->` | the output is not compared |
//! | `<!-- Exit code N. -->` | its commands have to fail with this code |
//!
//! Not `trycmd`: it compares literally, so pages would have to show placeholders where readers want numbers.

// The commands are those of a shell that Windows does not have.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::sandbox::{Said, Sandbox, text};

/// A block of commands.
#[derive(Debug, Default, PartialEq)]
struct Block {
    directive: String,
    /// The commands, each with the output that the page shows.
    commands: Vec<(String, Vec<String>)>,
}

/// The console blocks of a page.
fn blocks(markdown: &str) -> Vec<Block> {
    let (mut blocks, mut directive, mut inside) = (Vec::new(), String::new(), false);
    for line in markdown.lines() {
        match line {
            "```console" => {
                inside = true;
                blocks.push(Block { directive: std::mem::take(&mut directive), commands: vec![] });
            }
            line if line.starts_with("```") => inside = false,
            line if inside => {
                let commands = &mut blocks.last_mut().unwrap().commands;
                match (line.strip_prefix("$ "), commands.last_mut()) {
                    (Some(command), _) => commands.push((command.to_owned(), vec![])),
                    (None, Some((_, output))) => output.push(line.to_owned()),
                    (None, None) => panic!("a block begins with `{line}`, which is no command"),
                }
            }
            line => {
                let comment = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
                directive = comment.unwrap_or_default().to_owned();
            }
        }
    }
    blocks
}

/// The form of a line: numbers, instruction sets and widths of columns differ from machine to machine.
fn form(line: &str) -> String {
    let mut form = String::new();
    for word in line.split_whitespace() {
        let mut word = word.to_owned();
        for set in rondo_kernels::cpu::InstructionSet::ALL {
            word = word.replace(&format!("{set},"), "CPU,");
        }
        // Of one thread or several.
        word = word.replace("thread)", "threads)");
        word.retain(|char| !"+-,".contains(char));
        let mut digits = false;
        for char in word.chars() {
            let is_digit = char.is_ascii_digit() || (digits && ".:".contains(char));
            if is_digit && !digits {
                form.push('0');
            } else if !is_digit {
                form.push(char);
            }
            digits = is_digit;
        }
        form.push(' ');
    }
    form
}

/// Whether `lines` are the `expected` ones, where `...` stands for any lines.
fn matches(expected: &[String], lines: &[String]) -> bool {
    match expected {
        [] => lines.is_empty(),
        [dots, rest @ ..] if dots == "..." => (0..=lines.len()).any(|from| matches(rest, &lines[from..])),
        [first, rest @ ..] => lines
            .split_first()
            .is_some_and(|(line, others)| form(first) == form(line) && matches(rest, others)),
    }
}

/// A run of the built-in language, made once with a small model.
fn built_in_run() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documentation");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let flags = ["train", "--quiet", "--epochs", "1", "--hidden-size", "16"];
        let said =
            Said::from(crate::sandbox::command_in(&folder, &flags).env_remove("RONDO_CPU").output().unwrap());
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        folder.join("runs/built-in-1")
    })
}

/// A sandbox with everything that the pages use.
fn sandbox(markdown: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["book.txt", "my-texts/train.txt", "my-texts/valid.txt", "my-texts/test.txt"] {
        sandbox.write(name, text(600));
    }
    sandbox.write("story.txt", "Mr. Cat sat on the mat. \"Why,\" said the dog, \"a mat?\" ".repeat(40));
    sandbox.write("tiny.txt", "too short\n");
    sandbox.write("names.txt", "anna\nbernard\ncharlotte\ndaniel\neva\nfrederick\n".repeat(20));
    sandbox.write("words.txt", "the\ncat\ndog\nmat\n");
    // Models of other tools.
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/convert");
    for (from, to) in [
        ("wlm_lstm_tied.pt", "model.pt"),
        ("words.txt", "tokens.txt"),
        ("standard_lstm_tied.params", "standard_lstm.params"),
        ("gluon.json", "vocab.json"),
    ] {
        sandbox.write(to, fs::read(golden.join(from)).unwrap());
    }
    for name in ["train", "valid", "test"] {
        sandbox.write(&format!("corpus/{name}.txt"), "the cat sat on a mat\na dog saw the <unk> .\n");
    }
    // A folder stands for the corpus with this name.
    for name in ["train", "valid", "test"] {
        sandbox.write(&format!("sherlock-holmes/{name}.txt"), text(200));
    }
    let records =
        text(600).lines().map(|line| format!("{{\"id\": 1, \"text\": \"{line}\"}}\n")).collect::<String>();
    sandbox.write("reviews.jsonl", records);
    let rows = text(60).lines().map(|line| format!("1,\"{line}\"\n")).collect::<String>();
    sandbox.write("reviews.csv", format!("id,text\n{rows}"));
    sandbox.write("sentences.txt", "the king hides the crown .\nthe crown hides the queue .\n");
    sandbox.write("nbest.tsv", "1\t-2.0\tthe king hide the crown .\n1\t-2.1\tthe king hides the crown .\n");
    sandbox.write("ref.tsv", "1\tthe king hides the crown .\n");
    sandbox.write("words_text", "u1-1 the king hide the crown .\nu1-2 the king hides the crown .\n");
    sandbox.write("ac_cost", "u1-1 120.5\nu1-2 121\n");
    sandbox.write("lm_cost", "u1-1 30.5\nu1-2 29\n");
    sandbox.write("ref.txt", "u1 the king hides the crown .\n");
    let arpa = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/fixtures/arpa/trigrams.arpa");
    sandbox.write("lm.arpa", fs::read(arpa).unwrap());
    let pairs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infer/tests/fixtures/pairs");
    for name in ["agreement.jsonl", "number.json"] {
        sandbox.write(name, fs::read(pairs.join(name)).unwrap());
    }
    sandbox.write("my-settings.toml", "[text]\ndata = ['book.txt']\n[model]\nhidden_size = 16\n");
    // A script that a page shows is a file that its commands can run.
    for script in markdown.split("```sh\n# ").skip(1) {
        let (name, rest) = script.split_once('\n').unwrap();
        sandbox.write(name, rest.split("```").next().unwrap());
    }
    // A page that trains the model itself finds it where its own run has put it.
    if !markdown.contains("\n$ rondo train\n") {
        for file in fs::read_dir(built_in_run()).unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap();
            for run in ["built-in-1", "built-in-2"] {
                sandbox.write(&format!("runs/{run}/{name}"), fs::read(&file).unwrap());
            }
        }
    }
    sandbox
}

/// Runs a command of a page, and returns its exit code and what it prints.
fn run(sandbox: &Sandbox, command: &str) -> (Option<i32>, Vec<String>) {
    let programs = Path::new(env!("CARGO_BIN_EXE_rondo")).parent().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("({command}) 2>&1")]).env("PATH", format!("{programs}:{path}"));
    // Numbers are compared by form, so the fastest instructions will do.
    let said = Said::from(sandbox.prepared(shell).env_remove("RONDO_CPU").output().unwrap());
    (said.code, said.stdout.lines().map(str::to_owned).collect())
}

/// Runs the blocks of a page.
#[track_caller]
fn check(page: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let markdown = fs::read_to_string(root.join(page)).unwrap();
    let blocks = blocks(&markdown);
    assert!(!blocks.is_empty(), "`{page}` has no console block");
    let sandbox = sandbox(&markdown);
    for Block { directive, commands } in blocks {
        if directive.starts_with("Not run: ") {
            continue;
        }
        let flags = directive.strip_prefix("Run with `").and_then(|rest| rest.split('`').next());
        let code = directive
            .strip_prefix("Exit code ")
            .map_or(0, |code| code.trim_end_matches('.').parse().unwrap());
        for (command, expected) in commands {
            let command = flags.map_or(command.clone(), |flags| format!("{command} {flags}"));
            let (found, lines) = run(&sandbox, &command);
            assert_eq!(found, Some(code), "{page}: $ {command}\n{}", lines.join("\n"));
            let compared = !expected.is_empty() && !directive.starts_with("Output varies: ");
            assert!(
                !compared || matches(&expected, &lines),
                "{page}: $ {command}\n--- the page shows\n{}\n--- the command prints\n{}",
                expected.join("\n"),
                lines.join("\n")
            );
        }
    }
}

/// A test for each page that has commands, and the list of these pages.
macro_rules! pages {
    ($($name:ident: $page:literal),+ $(,)?) => {
        const PAGES: &[&str] = &[$($page),+];

        $( #[test] fn $name() { check($page); } )+
    };
}

pages! {
    readme: "README.md",
    getting_started: "docs/getting-started.md",
    word_lstm_tutorial: "docs/tutorials/word-lstm.md",
    layers_tutorial: "docs/tutorials/layers.md",
    four_cells_tutorial: "docs/tutorials/four-cells.md",
    characters_tutorial: "docs/tutorials/characters.md",
    own_text_tutorial: "docs/tutorials/own-text.md",
    own_text: "docs/own-text.md",
    large_corpora: "docs/large-corpora.md",
    subwords: "docs/subwords.md",
    training: "docs/training.md",
    averaging: "docs/averaging.md",
    fast_training: "docs/fast-training.md",
    runs: "docs/runs.md",
    sweeps: "docs/sweeps.md",
    evaluation: "docs/evaluation.md",
    scoring: "docs/scoring.md",
    surprisal: "docs/surprisal.md",
    filtering: "docs/filtering.md",
    approximation: "docs/approximation.md",
    rescoring: "docs/rescoring.md",
    generation: "docs/generation.md",
    suggestions: "docs/suggestions.md",
    characters: "docs/characters.md",
    sequences: "docs/sequences.md",
    models: "docs/models.md",
    small_models: "docs/small-models.md",
    converting: "docs/converting.md",
    recipes: "docs/recipes.md",
    library: "docs/library.md",
    performance: "docs/performance.md",
    reliability: "docs/reliability.md",
    platforms: "docs/platforms.md",
    faq: "docs/faq.md",
}

/// The pages in a folder of docs/ and the folders in it, by their path in the repository.
fn pages_in(folder: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = Vec::new();
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            pages.extend(pages_in(&path));
        } else if path.ends_with(".md") {
            pages.push(path);
        }
    }
    pages
}

#[test]
fn every_page_with_commands_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for page in pages_in("docs") {
        if !blocks(&fs::read_to_string(root.join(&page)).unwrap()).is_empty() {
            assert!(PAGES.contains(&page.as_str()), "the commands of `{page}` are not run");
        }
    }
}

#[test]
fn blocks_are_found_with_their_comments() {
    let page = "text\n<!-- Exit code 1. -->\n```console\n$ a --b\nout\n$ c\n```\n```rust\n$ d\n```\n";
    let commands = vec![("a --b".to_owned(), vec!["out".to_owned()]), ("c".to_owned(), vec![])];
    assert_eq!(blocks(page), [Block { directive: "Exit code 1.".to_owned(), commands }]);
}

#[test]
fn numbers_match_by_form_and_words_literally() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let shown = lines("valid  loss 2.3918, perplexity 10.93\n...\nfiles  runs/a-1");
    assert!(matches(&shown, &lines("valid  loss 12.1, perplexity 1,110.9\nx\ny\nfiles runs/a-1")));
    assert!(matches(&shown, &lines("valid  loss 2.0, perplexity 11\nfiles runs/a-1")));
    assert!(!matches(&shown, &lines("valid  loss 2.0, perplexity 11\nfiles runs/b-1")));
    assert!(!matches(&shown, &lines("valid  cost 2.0, perplexity 11\nfiles runs/a-1")));
    assert!(!matches(&shown, &lines("valid  loss 2.0, perplexity 11")));
}
