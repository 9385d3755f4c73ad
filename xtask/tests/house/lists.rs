//! Lists that are kept by hand are complete.

use std::collections::BTreeSet;

use crate::tree::{entries, files, name_of, quoted, read, root, table};

/// The names that stand between back-quotes in the first cell of each row.
fn first_cells(document: &str, heading: &str) -> BTreeSet<String> {
    let document = read(document);
    let rows = table(&document, heading);
    rows.iter().flat_map(|cells| quoted(cells[0])).map(str::to_owned).collect()
}

/// The folders of operations: all of `kernels` but the processors they run on.
fn operations() -> BTreeSet<String> {
    let folders = entries("crates/kernels/src").into_iter().filter(|path| root().join(path).is_dir());
    folders.map(|path| name_of(&path).to_owned()).filter(|name| name != "cpu").collect()
}

#[test]
fn the_readme_has_every_recipe() {
    let recipes: BTreeSet<String> = files("recipes", "toml")
        .iter()
        .map(|path| path.file_stem().and_then(|stem| stem.to_str()).unwrap().to_owned())
        .collect();
    assert_eq!(recipes, first_cells("README.md", "recipe"), "left: recipes/, right: README.md");
}

#[test]
fn the_architecture_has_every_operation() {
    assert_eq!(operations(), first_cells("ARCHITECTURE.md", "operation"), "left: kernels, right: the table");
}

/// The paragraph of the code map that is about a crate.
fn code_map<'a>(architecture: &'a str, name: &str) -> &'a str {
    let start = architecture.find(&format!("**`crates/{name}`**")).unwrap_or(architecture.len());
    let rest = &architecture[start..];
    let end = rest.match_indices("\n**`crates/").chain(rest.match_indices("\n## ")).map(|(at, _)| at).min();
    &rest[..end.unwrap_or(rest.len())]
}

#[test]
fn the_architecture_has_every_module() {
    let architecture = read("ARCHITECTURE.md");
    for folder in entries("crates") {
        let paragraph = code_map(&architecture, name_of(&folder));
        let described: BTreeSet<&str> = quoted(paragraph).map(|name| name.trim_end_matches(['/'])).collect();
        for path in entries(folder.join("src")) {
            let module = name_of(&path).trim_end_matches(".rs");
            // A root, and the errors that each crate has.
            if !["lib", "main", "error"].contains(&module) {
                assert!(described.contains(module), "the code map does not describe `{}`", path.display());
            }
        }
    }
}

#[test]
fn every_operation_has_the_same_files() {
    for name in operations() {
        for file in ["mod.rs", "reference.rs", "cpu.rs", "cases.rs"] {
            let path = format!("crates/kernels/src/{name}/{file}");
            assert!(root().join(&path).is_file(), "there is no `{path}`");
        }
        let tests = read(format!("crates/kernels/tests/ops/{name}.rs"));
        assert!(tests.contains("reference"), "the tests of `{name}` compare nothing with its reference");
    }
}

#[test]
fn every_fuzz_target_is_described() {
    let targets: BTreeSet<String> = files("fuzz/fuzz_targets", "rs")
        .iter()
        .map(|path| path.file_stem().and_then(|stem| stem.to_str()).unwrap().to_owned())
        .collect();
    assert_eq!(targets, first_cells("fuzz/README.md", "target"), "left: fuzz_targets/, right: README.md");
    let manifest = read("fuzz/Cargo.toml");
    for target in targets {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "fuzz/Cargo.toml lacks `{target}`");
    }
}

#[test]
fn every_golden_file_is_described() {
    let readme = read("golden/README.md");
    let files = files("golden", "safetensors");
    assert!(!files.is_empty());
    for path in files {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap();
        let case = name.strip_prefix("torch_").unwrap_or(name);
        let described = quoted(&readme).any(|text| text == case || text == name_of(&path));
        assert!(described, "golden/README.md does not mention `{name}`");
    }
}
