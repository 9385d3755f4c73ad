//! A program that does nothing but predict: it opens a model, and prints the most likely words after a text.
//!
//! ```console
//! $ cargo run --release --no-default-features --features infer --example predict -- MODEL "the king"
//! ```
//!
//! Without the default features, it contains no training and no network.

#![allow(clippy::print_stdout)] // A program.

use std::error::Error;

use rondo::infer::LanguageModel;
use rondo::kernels::Device;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, text] = &arguments[..] else { return Err("usage: predict MODEL TEXT".into()) };
    let model = LanguageModel::open(model, &Device::cpu(1)?)?;
    for completion in model.complete(text, 5)? {
        println!("{:8.4}  {}", completion.log_prob.exp(), completion.word);
    }
    Ok(())
}
