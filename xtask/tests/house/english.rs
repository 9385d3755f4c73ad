//! Texts are in plain American English: no British spellings, and no phrases that hide a standard term.
//!
//! Scanned are the documents, the recipes, and in the sources of crates every string and every documentation comment:
//! help texts, error messages, notes and reference. Not scanned are tests, and the words of the built-in language, which
//! define a corpus.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::links::documents;
use crate::tree::{entries, files, read};

/// Stems of British spellings, matched at the start of a word.
const BRITISH: &[&str] = &[
    "analyse",
    "artefact",
    "behaviour",
    "cancelled",
    "catalogue",
    "centre",
    "colour",
    "detokenis",
    "favour",
    "finalis",
    "generalis",
    "grey",
    "honour",
    "initialis",
    "judgement",
    "labelled",
    "labelling",
    "learnt",
    "licence",
    "maximis",
    "minimis",
    "modelled",
    "modelling",
    "neighbour",
    "normalis",
    "optimisa",
    "optimise",
    "optimisi",
    "organis",
    "penalis",
    "programme ",
    "quantis",
    "recognis",
    "regularis",
    "serialis",
    "specialis",
    "spelt",
    "summaris",
    "synchronis",
    "tokenis",
    "towards",
    "travell",
    "unlabelled",
    "utilis",
    "vectoris",
    "whilst",
];

/// Phrases with a plainer word, matched at word boundaries. Each stands beside what to write instead.
const PHRASES: &[(&str, &str)] = &[
    ("anew", "again"),
    ("another than", "differs from"),
    ("are told", "are reported"),
    ("at hand", "current"),
    ("besides", "in addition to"),
    ("beside", "next to, with"),
    ("but for", "except"),
    ("came to", "reached"),
    ("come to", "reach"),
    ("comes to", "reaches"),
    ("falling frequency", "decreasing frequency"),
    ("go on", "continue"),
    ("goes on", "continues"),
    ("going on", "continuing"),
    ("held against", "compared with"),
    ("is told", "is reported"),
    ("likelier", "more likely"),
    ("likeliest", "most likely"),
    ("mended", "fixed"),
    ("none at all", "NaN"),
    ("once that is", "after"),
    ("share of", "fraction of"),
    ("so many", "a number of"),
    ("taken for", "replaced by, treated as"),
    ("thereof", "of it"),
    ("upon", "on"),
    ("went on", "continued"),
    ("what becomes of", "how to handle"),
    ("whatever", "any"),
    ("wherever", "where"),
    ("white space", "whitespace"),
    ("whoever", "anyone who"),
];

/// Strings that stay as they are: the JSON key of version 0.1.0.
const KEPT: &[&str] = &["\"licence\""];

/// What is wrong with a text, if anything.
fn complaint(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    // An underscore belongs to the name of a test or a setting.
    let in_word = |char: char| char.is_alphanumeric() || char == '_';
    let begins = |at: usize| !text[..at].ends_with(in_word);
    let ends = |at: usize| !text[at..].starts_with(in_word);
    for stem in BRITISH {
        if text.match_indices(stem).any(|(at, _)| begins(at)) {
            return Some(format!("`{stem}…` is a British spelling"));
        }
    }
    for (phrase, better) in PHRASES {
        if text.match_indices(phrase).any(|(at, _)| begins(at) && ends(at + phrase.len())) {
            return Some(format!("`{phrase}`: better `{better}`"));
        }
    }
    None
}

/// Calls `found` with each string of the source, comments of documentation included, and its line.
fn each_string(tokens: TokenStream, found: &mut dyn FnMut(&str, usize)) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                if text.contains('"') && !KEPT.contains(&text.as_str()) {
                    found(&text, literal.span().start().line);
                }
            }
            TokenTree::Group(group) => {
                let is_test =
                    group.delimiter() == Delimiter::Bracket && group.stream().to_string() == "cfg (test)";
                if is_test {
                    // The item it is about ends with its body or a semicolon.
                    let is_end = |token: &TokenTree| match token {
                        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                        TokenTree::Punct(punct) => punct.as_char() == ';',
                        _ => false,
                    };
                    let _ = tokens.find(is_end);
                } else {
                    each_string(group.stream(), found);
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

#[test]
fn documents_and_recipes_are_in_plain_english() {
    let mut complaints = Vec::new();
    for path in documents().into_iter().chain(files("crates/train/recipes", "toml")) {
        // Not the document's own words: what a command prints, and the beginning of a sample.
        let mut in_console = false;
        for (number, line) in read(&path).lines().enumerate() {
            in_console = line == "```console" || (in_console && line != "```");
            if in_console || line.starts_with("prefix = ") {
                continue;
            }
            complaints
                .extend(complaint(line).map(|what| format!("{}:{}: {what}", path.display(), number + 1)));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn strings_and_documentation_are_in_plain_english() {
    let mut complaints = Vec::new();
    let sources = entries("crates").into_iter().flat_map(|krate| files(krate.join("src"), "rs"));
    let is_scanned =
        |path: &std::path::PathBuf| !path.ends_with("tests.rs") && !path.ends_with("tales/words.rs");
    for path in sources.filter(is_scanned) {
        let tokens: TokenStream = read(&path).parse().unwrap();
        each_string(tokens, &mut |text, line| {
            complaints.extend(complaint(text).map(|what| format!("{}:{line}: {what}", path.display())));
        });
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn spellings_and_phrases_are_found() {
    assert_eq!(complaint("the optimizer's gray neighbors go onward"), None);
    for wrong in ["an Optimiser", "a grey line", "What becomes of it", "it goes on.", "(beside)"] {
        assert!(complaint(wrong).is_some(), "{wrong}");
    }
    let source = "/// What becomes of it.\nfn f() { g(\"grey\"); }\n#[cfg(test)]\nmod tests { const A: &str = \"grey\"; }";
    let mut found = 0;
    each_string(source.parse().unwrap(), &mut |text, _| found += usize::from(complaint(text).is_some()));
    assert_eq!(found, 2);
}
