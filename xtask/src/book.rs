//! The book: the pages of `docs/` as HTML, with mdBook.
//!
//! ```text
//! definitions in the program ─▶ docs/reference/     (a test, which writes them)
//! docs/ ─▶ target/book/docs: links that leave docs/ become text ─▶ mdbook ─▶ target/book/html
//! ```

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Where the book is built. mdBook copies everything below its source, so the pages are copied to a folder of their own.
const FOLDER: &str = "target/book";
/// The version that CI installs.
const INSTALL: &str = "cargo install --locked --version 0.5.4 --no-default-features --features search mdbook";

/// Writes the pages of reference and builds the book; `picture` is where a picture of its first page goes.
pub(crate) fn run(picture: Option<&str>) -> ExitCode {
    let reference =
        ["test", "--quiet", "--workspace", "--bin", "rondo", "the_reference_is_what_the_program_defines"];
    if !succeeds(Command::new("cargo").args(reference).env("RONDO_UPDATE_REFERENCE", "1"), "cargo") {
        return ExitCode::FAILURE;
    }
    if let Err(error) = copy_pages() {
        eprintln!("could not copy the pages to `{FOLDER}`: {error}");
        return ExitCode::FAILURE;
    }
    if !succeeds(Command::new("mdbook").args(["build", FOLDER]), "mdbook") {
        eprintln!("the book needs mdBook: `{INSTALL}`");
        return ExitCode::FAILURE;
    }
    eprintln!("the first page of the book is {FOLDER}/html/index.html");
    if picture.is_some_and(|path| !take_picture(path)) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Takes a picture of the first page with Chromium, and says whether it succeeded.
fn take_picture(path: &str) -> bool {
    let Ok(page) = fs::canonicalize(Path::new(FOLDER).join("html/index.html")) else { return false };
    let mut browser = Command::new("chromium");
    browser.args(["--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=1200,900"]);
    browser.arg(format!("--screenshot={path}")).arg(format!("file://{}", page.display()));
    // Without a desktop it complains in many lines, and works.
    browser.stderr(Stdio::null());
    succeeds(&mut browser, "chromium")
}

fn succeeds(command: &mut Command, program: &str) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("could not start `{program}`: {error}");
            false
        }
    }
}

/// Copies `docs/` and `book.toml`.
fn copy_pages() -> io::Result<()> {
    let folder = Path::new(FOLDER);
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(folder)?,
    }
    fs::copy("book.toml", folder.join("book.toml"))?;
    copy(Path::new("docs"), Path::new(""), &folder.join("docs"))
}

/// Copies what is in the folder `below` of `docs`.
fn copy(docs: &Path, below: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.join(below))?;
    for entry in fs::read_dir(docs.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(docs, &path, to)?;
        } else if path.extension().is_some_and(|end| end == "md") {
            fs::write(to.join(&path), without_links_out(&fs::read_to_string(entry.path())?, below))?;
        } else {
            fs::copy(entry.path(), to.join(&path))?;
        }
    }
    Ok(())
}

/// A page in the folder `below` of `docs`, in which links to files elsewhere in the repository are text followed by the
/// path of the file: the book does not contain them.
fn without_links_out(page: &str, below: &Path) -> String {
    let (mut text, mut rest) = (String::new(), page);
    while let Some((before, after)) = rest.split_once("](") {
        text += before;
        let (target, after) = after.split_once(')').unwrap_or((after, ""));
        let outside = outside(target, below);
        match (outside, text.rfind('[')) {
            (Some(path), Some(open)) => {
                let label = text.split_off(open);
                let label = &label[1..];
                text += label;
                if label.trim_matches('`') != path {
                    text += &format!(" (`{path}` in the repository)");
                }
            }
            _ => text += &format!("]({target})"),
        }
        rest = after;
    }
    text + rest
}

/// The path, from the root of the repository, of a link that leaves `docs`.
fn outside(target: &str, below: &Path) -> Option<String> {
    if target.contains("://") || target.starts_with('#') {
        return None;
    }
    let mut path = PathBuf::new();
    for part in Path::new("docs").join(below).join(target.split('#').next()?).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            other => path.push(other),
        }
    }
    (!path.starts_with("docs")).then(|| path.display().to_string().replace('\\', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_out_of_the_book_become_text() {
        let page = "[a](b.md) [`bench/README.md`](../bench/README.md) ![c](d.svg)\n[e](../python/README.md#f), [g](#h)";
        let expected = "[a](b.md) `bench/README.md` ![c](d.svg)\n\
            e (`python/README.md` in the repository), [g](#h)";
        assert_eq!(without_links_out(page, Path::new("")), expected);
        let below = without_links_out(
            "[a](../runs.md) [b](../../README.md) [c](https://example.org/x)",
            Path::new("tutorials"),
        );
        assert_eq!(below, "[a](../runs.md) b (`README.md` in the repository) [c](https://example.org/x)");
    }
}
