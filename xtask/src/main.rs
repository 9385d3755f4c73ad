//! Developer commands of Rondo.
//!
//! ```text
//! cargo xtask check               all checks that a change must pass; CI runs this
//! cargo xtask check lints docs    only these steps
//! cargo xtask deny                checks the dependencies against deny.toml; a step of `check`
//! cargo xtask pictures            makes the picture of README.md from new runs
//! cargo xtask book                writes the pages of reference in docs/, and the book to target/book/html
//! cargo xtask sanitize            runs the tests of the kernels with the address sanitizer: see CONTRIBUTING.md
//! ```
//!
//! Not here: the tests of the repository's rules (`tests/house`), which run in the step `tests`.

#![allow(clippy::print_stderr)] // A program for developers.

mod book;
mod deny;
mod pictures;

use std::env;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// A step of the check: one command that must succeed.
struct Step {
    name: &'static str,
    command: &'static str,
    environment: &'static [(&'static str, &'static str)],
}

/// The steps of the check, fastest first.
const STEPS: [Step; 9] = [
    Step { name: "format", command: "cargo fmt --all --check", environment: &[] },
    Step { name: "deny", command: "cargo xtask deny", environment: &[] },
    Step {
        name: "lints",
        command: "cargo clippy --workspace --all-targets -- --deny warnings",
        environment: &[],
    },
    Step {
        name: "features",
        // A build of the whole workspace enables every optional feature; a user of the library has none by default.
        command: "cargo clippy --package rondo-lm --lib -- --deny warnings",
        environment: &[],
    },
    Step {
        name: "embedding",
        // The library for programs that only open models.
        command: "cargo clippy --package rondo-lm --no-default-features --features infer --lib --example predict -- \
                  --deny warnings",
        environment: &[],
    },
    Step {
        name: "command",
        // The same for the command, whose tests enable all of its features.
        command: "cargo clippy --package rondo-cli --bins -- --deny warnings",
        environment: &[],
    },
    Step {
        name: "fuzz",
        // The workspace of the fuzz targets, which no other step compiles. Nothing is linked, so that the library of the
        // fuzzer need not be there: a path keeps it from being compiled.
        command: "cargo clippy --locked --manifest-path fuzz/Cargo.toml --target-dir target -- --deny warnings",
        environment: &[("CUSTOM_LIBFUZZER_PATH", "none/libfuzzer.a")],
    },
    Step { name: "tests", command: "cargo test --workspace", environment: &[] },
    Step {
        name: "docs",
        // Libraries only: the command and the library are both called `rondo`, and their pages would collide.
        command: "cargo doc --workspace --no-deps --lib",
        environment: &[("RUSTDOCFLAGS", "--deny warnings")],
    },
];

/// The tests of the one crate with unsafe code under the address sanitizer, which ends a test that accesses memory
/// outside a buffer or after it is freed. They cover the reference, the portable path and every instruction set of the
/// machine. The sanitizer is an unstable option whose library comes with the stable toolchain; `RUSTC_BOOTSTRAP`
/// permits it.
const SANITIZE: Step = Step {
    name: "sanitize",
    command: "cargo test --target x86_64-unknown-linux-gnu --package rondo-kernels --lib --tests",
    environment: &[("RUSTC_BOOTSTRAP", "1"), ("RUSTFLAGS", "-Zsanitizer=address")],
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["deny"] => return deny::run(),
        ["pictures"] => return pictures::run(),
        ["book"] => return book::run(None),
        ["book", "--picture", path] => return book::run(Some(path)),
        ["sanitize"] if SANITIZE.passes() => return ExitCode::SUCCESS,
        ["sanitize"] => return ExitCode::FAILURE,
        _ => {}
    }
    let Some(steps) = chosen(&arguments) else {
        let names = STEPS.map(|step| step.name).join(" | ");
        eprintln!(
            "usage: cargo xtask check [{names}]... | book [--picture FILE] | deny | pictures | sanitize"
        );
        return ExitCode::from(2);
    };
    // All steps run even if one fails, so that one run shows everything that needs fixing.
    let failed: Vec<&str> = steps.into_iter().filter(|step| !step.passes()).map(|step| step.name).collect();
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("failed: {}", failed.join(", "));
    ExitCode::FAILURE
}

/// The steps that the arguments select, in the order of [`STEPS`]; `None` if the arguments are invalid.
fn chosen(arguments: &[String]) -> Option<Vec<&'static Step>> {
    let (command, names) = arguments.split_first()?;
    let known = |name: &String| STEPS.iter().any(|step| step.name == name);
    if command != "check" || !names.iter().all(known) {
        return None;
    }
    let wanted = |step: &&Step| names.is_empty() || names.iter().any(|name| name == step.name);
    Some(STEPS.iter().filter(wanted).collect())
}

impl Step {
    /// Runs the command with our standard output and error, and reports the result and the duration.
    fn passes(&self) -> bool {
        let mut words = self.command.split(' ');
        let program = words.next().unwrap_or_default();
        let setting =
            self.environment.iter().map(|(name, value)| format!("{name}=\"{value}\" ")).collect::<String>();
        eprintln!("── {}: {setting}{}", self.name, self.command);
        let start = Instant::now();
        let status = Command::new(program).args(words).envs(self.environment.iter().copied()).status();
        let elapsed_s = start.elapsed().as_secs();
        match &status {
            Ok(status) if status.success() => eprintln!("── {}: passed in {elapsed_s} s", self.name),
            Ok(status) => eprintln!("── {}: failed after {elapsed_s} s ({status})", self.name),
            Err(error) => eprintln!("── {}: could not start `{program}`: {error}", self.name),
        }
        status.is_ok_and(|status| status.success())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_chosen(arguments: &[&str]) -> Option<Vec<&'static str>> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Some(chosen(&arguments)?.into_iter().map(|step| step.name).collect())
    }

    #[test]
    fn all_steps_run_unless_some_are_named() {
        assert_eq!(
            names_chosen(&["check"]),
            Some(vec![
                "format",
                "deny",
                "lints",
                "features",
                "embedding",
                "command",
                "fuzz",
                "tests",
                "docs"
            ])
        );
        assert_eq!(names_chosen(&["check", "docs", "lints"]), Some(vec!["lints", "docs"]));
        for wrong in [&[][..], &["chek"], &["check", "lint"]] {
            assert_eq!(names_chosen(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_step_passes_as_its_command_does() {
        let step = |command| Step { name: "try", command, environment: &[("RONDO_TRY", "1")] };
        assert!(step("cargo --version").passes());
        assert!(!step("cargo no-such-command").passes());
        assert!(!step("no-such-program").passes());
    }

    #[test]
    fn the_tests_are_run_by_the_command_that_the_readme_gives() {
        let readme = include_str!("../../README.md");
        let tests = STEPS.iter().find(|step| step.name == "tests").unwrap();
        assert!(readme.lines().any(|line| line.strip_prefix("$ ") == Some(tests.command)));
    }

    #[test]
    fn ci_runs_the_check() {
        let ci = include_str!("../../.ci/run");
        assert!(ci.lines().any(|line| line == "cargo xtask check"));
    }
}
