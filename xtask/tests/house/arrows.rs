//! The crates depend on each other as listed in `ARCHITECTURE.md`, and only downward.

use std::collections::BTreeSet;

use crate::tree::{Package, packages, quoted, read, table};

/// External crates that only `cli` may depend on: flags, the terminal, signals, and untyped errors.
const OF_THE_COMMAND: [&str; 8] =
    ["anyhow", "clap", "clap_complete", "clap_mangen", "ctor", "ctrlc", "indicatif", "signal-hook"];

/// A row of the table in `ARCHITECTURE.md`: a crate's folder and the folders of the crates that it may use.
struct Row {
    folder: String,
    may_use: BTreeSet<String>,
}

fn rows() -> Vec<Row> {
    let read_row = |cells: Vec<&str>| Row {
        folder: quoted(cells[0]).next().unwrap().to_owned(),
        may_use: quoted(cells[2]).map(str::to_owned).collect(),
    };
    table(&read("ARCHITECTURE.md"), "crate").into_iter().map(read_row).collect()
}

/// The dependencies between folders that no row allows, as `from → to`.
fn forbidden_arrows(rows: &[Row], packages: &[Package]) -> Vec<String> {
    let mut found = vec![];
    for package in packages {
        let allowed = rows.iter().find(|row| row.folder == package.folder()).map(|row| &row.may_use);
        for dependency in &package.dependencies {
            if let Some(target) = packages.iter().find(|other| other.name == dependency.name)
                // A package that enables its own features for its tests depends on itself.
                && target.name != package.name
                && !allowed.is_some_and(|allowed| allowed.contains(target.folder()))
            {
                found.push(format!("{} → {}", package.folder(), target.folder()));
            }
        }
    }
    found
}

#[test]
fn the_crates_are_those_of_the_picture() {
    let drawn: BTreeSet<String> = rows().into_iter().map(|row| row.folder).collect();
    let there: BTreeSet<String> = packages().iter().map(|package| package.folder().to_owned()).collect();
    assert_eq!(there, drawn, "left: the workspace, right: the table in ARCHITECTURE.md");
}

#[test]
fn the_crates_depend_on_each_other_as_drawn() {
    let forbidden = forbidden_arrows(&rows(), &packages());
    assert!(forbidden.is_empty(), "not allowed by the table in ARCHITECTURE.md: {}", forbidden.join(", "));
}

#[test]
fn the_arrows_point_down() {
    let mut below = BTreeSet::new();
    for row in rows() {
        let up: Vec<_> = row.may_use.difference(&below).collect();
        assert!(up.is_empty(), "`{}` may use {up:?}, which the table does not list above it", row.folder);
        below.insert(row.folder);
    }
}

#[test]
fn an_arrow_that_is_not_drawn_is_found() {
    let package = |name: &str, folder: &str, dependencies: &[&str]| -> Package {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|name| serde_json::json!({ "name": name, "optional": false, "features": [] }))
            .collect();
        let manifest_path = format!("/crates/{folder}/Cargo.toml");
        let package = serde_json::json!(
            { "name": name, "manifest_path": manifest_path, "dependencies": dependencies, "features": {} }
        );
        serde_json::from_value(package).unwrap()
    };
    let packages = [package("x-low", "low", &["rand", "x-high"]), package("x-high", "high", &["x-low"])];
    let row = |folder: &str, may_use: &[&str]| Row {
        folder: folder.to_owned(),
        may_use: may_use.iter().map(|&folder| folder.to_owned()).collect(),
    };
    assert_eq!(forbidden_arrows(&[row("low", &[]), row("high", &["low"])], &packages), ["low → high"]);
    assert_eq!(forbidden_arrows(&[], &packages), ["low → high", "high → low"]);
}

#[test]
fn only_the_command_knows_flags_and_terminals() {
    for package in packages().iter().filter(|package| package.folder() != "cli") {
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            assert!(!OF_THE_COMMAND.contains(&name), "`{}` depends on `{name}`", package.folder());
        }
    }
}

#[test]
fn the_library_compiles_no_plots_unless_asked() {
    let packages = packages();
    let dependencies = packages.iter().flat_map(|package| &package.dependencies);
    let plotters: Vec<_> = dependencies.filter(|dependency| dependency.name == "plotters").collect();
    assert!(!plotters.is_empty() && plotters.iter().all(|plotters| plotters.optional));
    for package in packages.iter().filter(|package| package.folder() != "cli") {
        let mut default = package.features.get("default").into_iter().flatten();
        assert!(default.all(|feature| feature != "plot"), "`{}` plots by default", package.folder());
        for dependency in &package.dependencies {
            let plots = dependency.features.iter().any(|feature| feature == "plot");
            assert!(!plots, "`{}` enables the feature `plot` of `{}`", package.folder(), dependency.name);
        }
    }
}
