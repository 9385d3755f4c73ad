//! Recurrent language models: the library.
//!
//! | module | for |
//! |---|---|
//! | [`data`] | corpora, tokenizers, vocabularies, the codec between text and ids, batches |
//! | [`nn`] | models, and the autograd tape that custom models run on |
//! | [`infer`] | inference with language models: evaluation, scoring, generation, beam search |
//! | [`train`] | recipes, plans, sessions and the training loop |
//! | [`convert`] | models of PyTorch and MXNet, and models for PyTorch and ONNX |
//! | [`runs`] | run folders: metrics, provenance; plots with the feature `plot` |
//! | [`collective`] | the processes or threads that train together; MPI with the feature `mpi` |
//! | [`kernels`] | the device and its operations |
//!
//! # Features
//! | feature | default | adds |
//! |---|---|---|
//! | `infer` | always there | models in use; with `default-features = false`, little else is compiled |
//! | `train` | yes | [`train`] and [`collective`]; corpora in compressed files and tables, and their download |
//! | `convert` | yes | [`convert`] |
//! | `sha2` | with `train` | faster checksums of model files, for nine more crates |
//! | `plot` | no | plots of runs |
//! | `tokenizers` | no | subwords |
//! | `gpu` | no | GPUs |
//! | `mpi` | no | several processes |
//!
//! # Train on your text
//! A [`Session`](train::Session) finds and reads the texts, trains and evaluates, and writes a run folder
//! with the best model, metrics and checkpoints, as the `rondo train` command does:
//! ```
//! use rondo::train::{Session, SessionOptions, Settings};
//!
//! # let folder = tempfile::tempdir()?;
//! # let (poems, out) = (folder.path().join("poems.txt"), folder.path().join("poems"));
//! # std::fs::write(&poems, "the cat sat on the mat\nthe dog sat on the log\n".repeat(50))?;
//! let mut settings = Settings::parse("my settings", "[training]\nepochs = 3\nbatch_size = 2\nbptt = 8")?;
//! # settings = settings.overlaid_with(Settings::parse("", "[model]\nhidden_size = 8\nlayers = 1")?);
//! settings.text.data = Some(vec![poems]);
//! let options = SessionOptions { out: Some(out), ..SessionOptions::default() };
//! let trained = Session::start(settings, options)?.run(&mut ())?;
//! println!("test loss {:?} nats per token", trained.outcome.best_test);
//! # assert!(trained.outcome.best_test.is_some_and(f64::is_finite));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Open a model and score sentences
//! A [`LanguageModel`](infer::LanguageModel) is opened from a run folder or a model file. It is cheap to
//! clone, and its clones can be used by any number of threads:
//! ```
//! use rondo::infer::LanguageModel;
//! use rondo::kernels::Device;
//!
//! # let run = concat!(env!("CARGO_MANIFEST_DIR"), "/../train/tests/fixtures/v0.1.0/run");
//! let model = LanguageModel::open(run, &Device::cpu(2)?)?;
//! let scored = model.score(&["the cat sat on the mat", "mat the on sat cat the"])?;
//! for sentence in &scored {
//!     println!("{:.2} nats, {} tokens", sentence.score.log_prob_sum, sentence.line.ids.len());
//! }
//! assert!(scored[0].score.log_prob_sum > scored[1].score.log_prob_sum);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Stream a text to the terminal
//! Each piece has its text, token and log-probability; the last one also says why the text ends:
//! ```
//! use std::io::{Write, stdout};
//!
//! use rondo::{infer::LanguageModel, infer::StreamOptions, kernels::Device};
//!
//! # let run = concat!(env!("CARGO_MANIFEST_DIR"), "/../train/tests/fixtures/v0.1.0/run");
//! let model = LanguageModel::open(run, &Device::cpu(2)?)?;
//! for piece in model.stream("the cat", StreamOptions::default())? {
//!     print!("{}", piece?.text);
//!     stdout().flush()?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Train a custom cell
//! A custom model implements [`nn::Model`]. It is then trained, evaluated and sampled from by the same code
//! as the library's models. `Network` is the one in `examples/from_scratch.rs`: a cell written from the
//! tape's primitives, in one file.
//! ```
//! use rondo::data::{Corpus, CorpusTexts, TextSource};
//! use rondo::{kernels::Device, runs::RunFolder, train::Plan, train::Settings, train::Trainer};
//!
//! # #[path = "../examples/from_scratch.rs"]
//! # mod from_scratch;
//! # use from_scratch::Network;
//! # let folder = tempfile::tempdir()?;
//! # let (text, runs) = ("abcd efgh ijkl\n".repeat(200), folder.path());
//! # let mut rng = <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(1);
//! let plan = Plan::new(&Settings::parse("plan", "[text]\ntokenizer = 'chars'\n[training]\nepochs = 2")?)?;
//! let texts = CorpusTexts::Whole(vec![TextSource::Memory { name: "mine".into(), text }]);
//! let corpus = Corpus::read(&texts, &plan.text.options)?;
//! let network = Network::new(corpus.vocab().len(), 16, &Device::cpu(2)?, &mut rng)?;
//! let folder = RunFolder::create_next(runs, "mine", &plan.to_toml()?)?;
//! let mut trainer = Trainer::with_model(plan, corpus, network)?;
//! trainer.run(&folder, &mut ())?;
//! let model = trainer.best_model()?.ok_or("there is no best model before an epoch has ended")?;
//! println!("{:.2}", model.evaluate("abcd efgh\n")?.perplexity());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "train")]
pub use rondo_collective as collective;
#[cfg(feature = "convert")]
pub use rondo_convert as convert;
pub use rondo_data as data;
pub use rondo_infer as infer;
pub use rondo_kernels as kernels;
pub use rondo_nn as nn;
pub use rondo_runs as runs;
#[cfg(feature = "train")]
pub use rondo_train as train;

/// The examples of README.md and of the page on the library compile.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../../../docs/library.md")]
    struct Library;
}
