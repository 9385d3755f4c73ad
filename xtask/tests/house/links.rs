//! Links in the documents point to existing files.

use std::path::PathBuf;

use crate::tree::{entries, files, read, root};

/// The Markdown documents: those at the root and in the folders that contain some.
pub(crate) fn documents() -> Vec<PathBuf> {
    let at_root = entries("").into_iter().filter(|path| path.extension().is_some_and(|end| end == "md"));
    at_root
        .chain(["bench", "docs", "golden", "crates"].iter().flat_map(|folder| files(folder, "md")))
        .collect()
}

/// The files that links in `markdown` point to, without anchors.
fn linked_files(markdown: &str) -> Vec<&str> {
    let targets = markdown.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let paths =
        targets.filter(|target| !target.contains("://")).filter_map(|target| target.split('#').next());
    paths.filter(|path| !path.is_empty()).collect()
}

#[test]
fn links_between_files_lead_somewhere() {
    let documents = documents();
    assert!(documents.contains(&"README.md".into()), "{documents:?}");
    let mut links = 0;
    for document in documents {
        for target in linked_files(&read(&document)) {
            links += 1;
            let path = document.with_file_name(target);
            assert!(
                root().join(&path).exists(),
                "`{}` links to `{target}`, which does not exist",
                document.display()
            );
        }
    }
    assert!(links > 0, "no link was found");
}

#[test]
fn only_links_to_files_count() {
    let markdown = "[a](x/y.md#part) [b](https://example.org/z) ![c](z.svg \"title\") [d](#here)";
    assert_eq!(linked_files(markdown), ["x/y.md", "z.svg"]);
}
