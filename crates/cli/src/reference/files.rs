//! `files.md`: the files that Rondo writes, as the modules that write them describe themselves.

use super::{cell, heading, source};

/// The sections: a title, and the module that defines the format.
const SECTIONS: [(&str, &str); 8] = [
    ("The folder of a run", "crates/runs/src/folder.rs"),
    ("Model files", "crates/nn/src/model_file/mod.rs"),
    ("Tensor files", "crates/nn/src/tensor_file.rs"),
    ("Tokenizer and vocabulary", "crates/data/src/codec/json.rs"),
    ("vocab.json", "crates/data/src/vocab/file.rs"),
    ("Checkpoints", "crates/train/src/checkpoint/mod.rs"),
    ("Names of checkpoints", "crates/runs/src/checkpoints.rs"),
    ("Token ids of large corpora", "crates/data/src/corpus/store/mod.rs"),
];

/// The page.
pub(super) fn page() -> String {
    let introduction = "The files that Rondo writes, as the modules that write them define them. [Metrics](metrics.md) has the \
        keys of `metrics.jsonl` and `summary.json`, [Settings](settings.md) those of `plan.toml`.";
    let mut page = heading("File formats", introduction);
    for (title, path) in SECTIONS {
        page += &format!("\n## {title}\n\n{}\n", header(&source(path)));
    }
    let provenance = &source("crates/runs/src/provenance.rs");
    page += "\n## provenance.json\n\n";
    page += &fields(provenance, "Provenance");
    for (title, name) in [
        ("`corpus` contains", "CorpusFingerprint"),
        ("Each of `resumptions`", "Resumption"),
        ("Each of `changes`", "SettingsChange"),
    ] {
        page += &format!("\n{title}:\n\n{}", fields(provenance, name));
    }
    page
}

/// The header of a module, without its last sentence on what is elsewhere, and without links into the code.
fn header(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let text: Vec<&str> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let text = text.join("\n");
    let text = text.split("Not here:").next().unwrap_or_default();
    unlinked(text.trim())
}

/// A text whose links to items in the code are code only: [`a`] and [`a`](b) become `a`.
fn unlinked(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("[`") {
        let (name, after) = after.split_once("`]").expect("a link ends");
        plain += before;
        plain += &format!("`{name}`");
        rest = match after.strip_prefix('(') {
            Some(target) => target.split_once(')').expect("a target ends").1,
            None => after,
        };
    }
    plain + rest
}

/// A table of the fields of a struct in a source, with their documentation.
pub(super) fn fields(source: &str, name: &str) -> String {
    let start = format!("pub struct {name} {{\n");
    let body = source.split_once(&start).unwrap_or_else(|| panic!("no struct `{name}`")).1;
    let body = body.split_once("\n}").expect("a struct ends").0;
    let (mut table, mut meaning) = ("| key | meaning |\n|---|---|\n".to_owned(), vec![]);
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            meaning.push(text.trim());
        } else if let Some(field) = line.strip_prefix("pub ") {
            let key = field.split(':').next().unwrap_or_default();
            // The rest of a longer comment is for programmers.
            let paragraph = meaning.split(|line| line.is_empty()).next().unwrap_or_default().join(" ");
            table += &format!("| `{key}` | {} |\n", cell(unlinked(&paragraph).trim_end_matches('.')));
            meaning.clear();
        }
    }
    table
}
