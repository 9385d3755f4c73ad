//! Tests of the repository's rules: dependencies between crates, code restricted to certain crates, module comments,
//! lists maintained by hand, and links between documents.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

mod arrows;
mod confined;
mod embedding;
mod english;
mod links;
mod lists;
mod packages;
mod tree;
