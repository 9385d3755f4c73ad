//! Lists maintained by hand are complete.

use std::collections::BTreeSet;

use crate::tree::{entries, files, name_of, quoted, read, root, table};

/// The names in backticks in the first cell of each row.
fn first_cells(document: &str, heading: &str) -> BTreeSet<String> {
    let document = read(document);
    let rows = table(&document, heading);
    rows.iter().flat_map(|cells| quoted(cells[0])).map(str::to_owned).collect()
}

/// The folders of operations: all folders of `kernels` except the devices that they run on.
fn operations() -> BTreeSet<String> {
    let folders = entries("crates/kernels/src").into_iter().filter(|path| root().join(path).is_dir());
    folders
        .map(|path| name_of(&path).to_owned())
        .filter(|name| !["cpu", "gpu"].contains(&name.as_str()))
        .collect()
}

#[test]
fn the_docs_have_every_recipe() {
    let recipes: BTreeSet<String> = files("crates/train/recipes", "toml")
        .iter()
        .map(|path| path.file_stem().and_then(|stem| stem.to_str()).unwrap().to_owned())
        .collect();
    assert_eq!(
        recipes,
        first_cells("docs/recipes.md", "recipe"),
        "left: crates/train/recipes/, right: docs/recipes.md"
    );
}

#[test]
fn the_summary_has_every_page() {
    let summary = read("docs/SUMMARY.md");
    for path in files("docs", "md") {
        let page = path.strip_prefix("docs").unwrap().display().to_string();
        let is_listed = summary.contains(&format!("]({page})"));
        assert!(is_listed || page == "SUMMARY.md", "docs/SUMMARY.md lacks `{page}`");
    }
}

#[test]
fn the_architecture_has_every_operation() {
    assert_eq!(
        operations(),
        first_cells("ARCHITECTURE.md", "operation"),
        "left: kernels, right: the table in ARCHITECTURE.md"
    );
}

/// The paragraph of the code map that describes a crate.
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
            // Except the crate root and the error type that each crate has.
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
            assert!(root().join(&path).is_file(), "`{path}` is missing");
        }
        // Models with an adaptive softmax are refused on a GPU.
        let gpu = format!("crates/kernels/src/{name}/gpu.rs");
        assert!(root().join(&gpu).is_file() || name == "adaptive_log_softmax", "`{gpu}` is missing");
        let tests = read(format!("crates/kernels/tests/ops/{name}.rs"));
        assert!(tests.contains("reference"), "the tests of `{name}` do not use its reference");
    }
}

#[test]
fn every_fuzz_target_is_described() {
    let targets: BTreeSet<String> = files("fuzz/fuzz_targets", "rs")
        .iter()
        .map(|path| path.file_stem().and_then(|stem| stem.to_str()).unwrap().to_owned())
        .collect();
    assert_eq!(
        targets,
        first_cells("fuzz/README.md", "target"),
        "left: fuzz_targets/, right: fuzz/README.md"
    );
    let manifest = read("fuzz/Cargo.toml");
    for target in targets {
        assert!(
            manifest.contains(&format!("name = \"{target}\"")),
            "fuzz/Cargo.toml does not list `{target}`"
        );
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
