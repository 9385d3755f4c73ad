//! The house rules that a test can hold the tree to: the arrows between crates, what is confined to where, headers,
//! lists kept by hand, and links between documents.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

mod arrows;
mod confined;
mod english;
mod links;
mod lists;
mod tree;
