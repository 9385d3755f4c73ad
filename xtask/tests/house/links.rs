//! Links in the documents point to existing files, and to headings that these files have.

use std::path::PathBuf;

use crate::tree::{entries, files, read, root};

/// The Markdown documents: those at the root and in the folders that contain some.
pub(crate) fn documents() -> Vec<PathBuf> {
    let at_root = entries("").into_iter().filter(|path| path.extension().is_some_and(|end| end == "md"));
    at_root
        .chain(["bench", "docs", "golden", "crates"].iter().flat_map(|folder| files(folder, "md")))
        .chain([PathBuf::from("python/README.md")])
        .collect()
}

/// The files that links in `markdown` point to, each with its anchor; both can be empty.
fn links(markdown: &str) -> Vec<(&str, &str)> {
    let targets = markdown.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let within = targets.filter(|target| !target.contains("://"));
    within.map(|target| target.split_once('#').unwrap_or((target, ""))).collect()
}

/// The anchors of the headings in a document: their words in lowercase, joined by hyphens.
fn anchors(markdown: &str) -> Vec<String> {
    let (mut anchors, mut is_code) = (vec![], false);
    for line in markdown.lines() {
        is_code ^= line.starts_with("```");
        if is_code || !line.starts_with('#') {
            continue;
        }
        let text = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        anchors.push(text.chars().filter(|char| char.is_alphanumeric() || "-_".contains(*char)).collect());
    }
    anchors
}

#[test]
fn links_between_files_lead_somewhere() {
    let documents = documents();
    assert!(documents.contains(&"README.md".into()), "{documents:?}");
    let mut count = 0;
    for document in documents {
        let markdown = read(&document);
        for (target, anchor) in links(&markdown) {
            count += 1;
            let path = if target.is_empty() { document.clone() } else { document.with_file_name(target) };
            let exists = root().join(&path).exists();
            assert!(exists, "`{}` links to `{target}`, which does not exist", document.display());
            if !anchor.is_empty() && path.extension().is_some_and(|end| end == "md") {
                let found = anchors(&read(&path));
                let exists = found.iter().any(|found| found == anchor);
                assert!(exists, "`{}` links to `{target}#{anchor}`: {found:?}", document.display());
            }
        }
    }
    assert!(count > 0, "no link was found");
}

#[test]
fn links_have_a_file_and_an_anchor() {
    let markdown = "[a](x/y.md#part) [b](https://example.org/z) ![c](z.svg \"title\") [d](#here)";
    assert_eq!(links(markdown), [("x/y.md", "part"), ("z.svg", ""), ("", "here")]);
    let markdown = "# A `b` c\n\n```sh\n# no heading\n```\n## Training, and bf16 (AVX-512)";
    assert_eq!(anchors(markdown), ["a-b-c", "training-and-bf16-avx-512"]);
}
