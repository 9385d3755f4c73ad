//! A small model for tests.

use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rondo_data::{TextCodec, Tokenizer, Vocab};
use rondo_infer::LanguageModel;
use rondo_kernels::Device;
use rondo_nn::{Initialization, Input, PRESETS, RnnLm};

const WORDS: [&str; 8] = ["<unk>", "<eos>", "the", "cat", "sat", "on", "mat", "a"];

/// A model, also in a file of this folder.
pub(crate) fn saved(folder: &Path) -> (LanguageModel, PathBuf) {
    let mut config = PRESETS[0].config(WORDS.len());
    config.hidden_sizes = vec![8, 8];
    config.input = Input::Embedding(8);
    let mut model = RnnLm::new(config, &Device::cpu(1).unwrap()).unwrap();
    model.initialize(&Initialization::default(), &mut ChaCha8Rng::seed_from_u64(5)).unwrap();
    let vocab = Vocab::from_tokens("test", WORDS, Some("<unk>")).unwrap();
    let model = LanguageModel::new(model, TextCodec::new(Tokenizer::words(), vocab)).unwrap();
    let path = folder.join("model.safetensors");
    model.save(&path).unwrap();
    (model, path)
}
