//! The real binary in temporary folders: what it prints, what it exits with, and what it leaves behind.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

mod adaptive_eval;
mod adaptive_softmax;
mod bad_input;
mod baselines;
mod bench;
#[path = "../../../infer/tests/fixtures/pairs/bigram.rs"]
mod bigram;
mod changing;
mod comparing;
mod converting;
mod diverging;
mod documentation;
mod faults;
mod filtering;
mod fine_tuning;
mod help;
mod hostile;
mod input;
mod interruption;
mod large_corpora;
mod lattices;
mod limits;
mod lines;
mod lists;
mod messages;
mod normalized_words;
mod normalizing;
mod odd_text;
mod pairs;
mod pictures;
mod ranking;
mod rescoring;
mod resume;
mod sandbox;
mod scoring;
mod scripts;
mod search;
mod storing;
mod subwords;
mod suggesting;
mod surprisal;
mod sweeps;
mod train;
mod using_models;
