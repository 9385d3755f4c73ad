//! Recurrent language models: the library.
//!
//! | module | for |
//! |---|---|
//! | [`data`] | corpora, vocabularies, tokenisers, batches |
//! | [`nn`] | models, and the tape that one's own run on |
//! | [`infer`] | evaluation, scoring, sampling, search |
//! | [`train`] | recipes, plans and the training loop |
//! | [`runs`] | the folder of a run: metrics, provenance; plots with the feature `plot` |
//! | [`kernels`] | the device and the operations on it |
//!
//! # Example
//! A small text, a small model, and what it goes on with:
//! ```
//! use rondo::data::{Corpus, CorpusTexts, TextSource};
//! use rondo::infer::{Generator, Sampling};
//! use rondo::kernels::Device;
//! use rondo::nn::{ModelFile, Workspace};
//! use rondo::runs::RunFolder;
//! use rondo::train::{Plan, Settings, Trainer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::parse(
//!     "example",
//!     "[model]\nhidden_size = 16\nlayers = 1\ndropout = 0\n\
//!      [training]\nepochs = 3\nbatch_size = 2\nbptt = 8\n\
//!      [optimization]\noptimizer = \"adam\"\nlearning_rate = 0.02\n",
//! )?;
//! let plan = Plan::new(&settings)?; // every default filled, every size checked
//!
//! let text = "the cat sat on the mat\n".repeat(100);
//! let texts = CorpusTexts::Whole(vec![TextSource::Memory { name: "cats".into(), text }]);
//! let corpus = Corpus::read(&texts, &plan.text.options)?;
//!
//! # let parent = tempfile::tempdir()?;
//! # let parent = parent.path();
//! let folder = RunFolder::create(parent.join("run"), &plan.to_toml()?)?;
//! let device = Device::cpu(1)?;
//! let mut trainer = Trainer::new(plan, corpus.clone(), &device)?;
//! let outcome = trainer.run(&folder, &mut ())?;
//! assert!(outcome.best_test.is_some_and(|loss| loss < 0.5)); // nats per token
//!
//! let best = ModelFile::read(&folder.best_model(), &device)?;
//! let mut workspace = Workspace::new(&device);
//! let likeliest = Sampling { temperature: 0.0, ..Sampling::default() };
//! let prefix = corpus.codec.prompt("the cat")?;
//! let mut generator = Generator::new(&best.model, &mut workspace, &prefix, 1, &likeliest, 1)?;
//! assert_eq!(corpus.codec.decode(generator.step()?)?, "sat");
//! # Ok(())
//! # }
//! ```
//!
//! With the texts in files, [`train::Session`] does all of it in a line, as the command does.
//!
//! `examples/from_scratch.rs` writes a network out from first principles and trains it.

pub use rondo_data as data;
pub use rondo_infer as infer;
pub use rondo_kernels as kernels;
pub use rondo_nn as nn;
pub use rondo_runs as runs;
pub use rondo_train as train;
