//! Access to the workspace for these tests: its files, its packages, and the tables in its documents.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// A package of the workspace.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    /// The registries that it may be published to; `None` if there is no limit.
    pub(crate) publish: Option<Vec<String>>,
    pub(crate) description: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) readme: Option<String>,
    pub(crate) rust_version: Option<String>,
    #[serde(default)]
    pub(crate) keywords: Vec<String>,
    #[serde(default)]
    pub(crate) categories: Vec<String>,
}

/// A dependency of a package, for building, testing or running.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Whether it is enabled by a feature.
    pub(crate) optional: bool,
    /// Its enabled features.
    pub(crate) features: Vec<String>,
}

impl Package {
    /// The name of its folder, which the documents use as its name.
    pub(crate) fn folder(&self) -> &str {
        self.manifest_path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap()
    }
}

/// All packages of the workspace.
pub(crate) fn packages() -> Vec<Package> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Metadata>(&output.stdout).unwrap().packages
}

/// The root folder of the workspace, found at run time because several checkouts may share one build.
pub(crate) fn root() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("..")
}

/// Reads a file, given by its path in the workspace.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("could not read `{}`: {error}", path.display()))
}

/// The workspace paths of the entries of `folder` in alphabetical order, without hidden ones.
pub(crate) fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let folder = folder.as_ref();
    let mut paths: Vec<PathBuf> = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| folder.join(entry.unwrap().file_name()))
        .filter(|path| !name_of(path).starts_with('.'))
        .collect();
    paths.sort();
    paths
}

/// The workspace paths of all files below `folder` that end in `.extension`.
pub(crate) fn files(folder: impl AsRef<Path>, extension: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    for path in entries(folder) {
        if root().join(&path).is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    found
}

/// The Rust files of all crates, `xtask`, the fuzz targets and the Python package.
pub(crate) fn rust_files() -> Vec<PathBuf> {
    let found =
        ["crates", "xtask", "fuzz/fuzz_targets", "python/src"].map(|folder| files(folder, "rs")).concat();
    assert!(!found.is_empty());
    found
}

/// The last component of a path.
pub(crate) fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap()
}

/// The rows of the table in `markdown` whose first column has the heading `heading`, split into cells.
pub(crate) fn table<'a>(markdown: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let mut lines = markdown.lines();
    let found = lines.any(|line| cells(line).first() == Some(&heading));
    assert!(found, "there is no table whose first heading is `{heading}`");
    let rows: Vec<_> = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty(), "the table whose first heading is `{heading}` is empty");
    rows
}

/// The cells of a table row; empty if the line is not a table row.
fn cells(line: &str) -> Vec<&str> {
    let inner = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
    inner.map(|inner| inner.split('|').map(str::trim).collect()).unwrap_or_default()
}

/// The texts in backticks.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn tables_are_read_by_their_first_heading() {
    let markdown =
        "text\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n| crate | use |\n|---|---|\n| `x` | `y`, `z` |\n";
    assert_eq!(table(markdown, "crate"), [["`x`", "`y`, `z`"]]);
    assert_eq!(quoted("`y`, `z` and w").collect::<Vec<_>>(), ["y", "z"]);
}
