//! A program that only opens models has few dependencies, and needs neither a network stack nor a C compiler.

use std::collections::BTreeSet;
use std::process::Command;

use crate::tree::root;

/// The most crates of others that such a program may contain.
const MOST: usize = 25;

/// The crates of others that are linked into a program with these features of the library.
fn linked(features: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "rondo-lm",
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "none",
            "--locked",
        ])
        .args(features)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    let names = names.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty());
    names.filter(|name| !name.starts_with("rondo-")).map(str::to_owned).collect()
}

#[test]
fn a_program_that_only_predicts_has_few_dependencies() {
    let crates = linked(&["--no-default-features", "--features", "infer"]);
    assert!(crates.contains("serde") && crates.len() <= MOST, "{} crates: {crates:?}", crates.len());
    for unwanted in ["ureq", "rustls", "ring", "cc", "tempfile", "wgpu"] {
        assert!(!crates.contains(unwanted), "{unwanted}");
    }
    assert!(linked(&[]).contains("ureq"), "the default is to download corpora");
}
