//! The Python module `rondo._rondo`: what of the package `rondo` is written in Rust.
//!
//! ```text
//! rondo (python/rondo, typed)  ─▶  rondo._rondo (this crate)  ─▶  the library `rondo`
//! ```
//!
//! Computation runs without the GIL. Errors are exceptions with the messages of the command. Documentation for users is
//! in `python/rondo/_rondo.pyi`.

use pyo3::prelude::*;

mod arrays;
mod convert;
mod data;
mod error;
mod model;
mod nn;
mod plot;
mod settings;
mod stream;
mod suggester;
mod tokenizer;
mod train;

/// The module.
#[pymodule]
fn _rondo(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    error::add(module)?;
    module.add_class::<model::LanguageModel>()?;
    module.add_class::<model::State>()?;
    module.add_class::<stream::Stream>()?;
    module.add_class::<suggester::Suggester>()?;
    module.add_class::<tokenizer::Tokenizer>()?;
    module.add_class::<data::Vocab>()?;
    module.add_class::<data::Corpus>()?;
    module.add_class::<data::Batches>()?;
    module.add_class::<nn::Generator>()?;
    module.add_class::<nn::Parameters>()?;
    module.add_class::<nn::Tape>()?;
    module.add_class::<nn::Value>()?;
    module.add_function(wrap_pyfunction!(train::train, module)?)?;
    module.add_function(wrap_pyfunction!(train::plan, module)?)?;
    module.add_function(wrap_pyfunction!(data::read_corpus, module)?)?;
    module.add_function(wrap_pyfunction!(data::count_tokens, module)?)?;
    module.add_function(wrap_pyfunction!(data::tales, module)?)?;
    module.add_function(wrap_pyfunction!(settings::settings, module)?)?;
    module.add_function(wrap_pyfunction!(settings::text_settings, module)?)?;
    module.add_function(wrap_pyfunction!(settings::corpora, module)?)?;
    module.add_function(wrap_pyfunction!(plot::plot_runs, module)?)?;
    module.add_function(wrap_pyfunction!(convert::load, module)?)?;
    module.add_function(wrap_pyfunction!(convert::export, module)?)?;
    module.add_function(wrap_pyfunction!(tokenizer::train_tokenizer, module)?)?;
    Ok(())
}
