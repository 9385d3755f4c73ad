//! The reference in `docs/reference/`: pages made from the definitions that the program itself uses.
//!
//! ```text
//! clap's commands ─▶ commands.md     settings ─▶ settings.md     recipes ─▶ recipes.md
//! measurements ─▶ metrics.md         headers and fields in the sources ─▶ files.md
//! ```
//!
//! A test compares the pages with the definitions; `cargo xtask book` writes them. Only tests contain this module, so the
//! program does not get larger by it.

use std::env;
use std::fs;
use std::path::Path;

mod commands;
mod files;
mod metrics;
mod recipes;
mod settings;

/// The environment variable with which the test writes the pages.
const UPDATE: &str = "RONDO_UPDATE_REFERENCE";

/// A page's title and introduction. The comment keeps people from editing the page.
fn heading(title: &str, introduction: &str) -> String {
    format!("<!-- Made by `cargo xtask book`. -->\n\n# {title}\n\n{introduction}\n")
}

/// The source of a module, by its path in the workspace.
fn source(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}

/// A text in which `<unk>` and the like, outside of code, do not look like HTML.
fn plain(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(index, part)| if index % 2 == 0 { part.replace('<', "\\<") } else { part.to_owned() })
        .collect::<Vec<_>>()
        .join("`")
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    plain(text).replace('|', "\\|").replace('\n', " ")
}

#[test]
fn the_reference_is_what_the_program_defines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    for (name, page) in [
        ("commands.md", commands::page()),
        ("settings.md", settings::page()),
        ("recipes.md", recipes::page()),
        ("metrics.md", metrics::page()),
        ("files.md", files::page()),
    ] {
        let path = folder.join(name);
        if env::var_os(UPDATE).is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &page).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(written == page, "docs/reference/{name} is not current; `cargo xtask book` writes it");
    }
}
