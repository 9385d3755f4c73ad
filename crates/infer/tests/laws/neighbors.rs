//! Words with similar embeddings.

use rondo_data::{TextCodec, Tokenizer, Vocab};
use rondo_infer::{InferError, LanguageModel};
use rondo_nn::{Cell, Input, Model};

use crate::rnn_lm;

const WORDS: [&str; 6] = ["<unk>", "cat", "dog", "dogs", "mat", "zero"];

/// A model whose words have these embeddings.
fn model_of_words() -> LanguageModel {
    let mut model = rnn_lm(Cell::Gru, Input::Embedding(2), WORDS.len());
    let id = model.parameters().find("embedding.weight").unwrap();
    let rows = [[-1.0, -1.0], [1.0, 0.0], [3.0, 3.0], [0.0, 2.0], [-4.0, 0.0], [0.0, 0.0]];
    model.parameters_mut().values_mut(id).write_from(rows.as_flattened()).unwrap();
    with_words(model)
}

fn with_words(model: impl Model + 'static) -> LanguageModel {
    let vocab = Vocab::from_tokens("test", WORDS, Some("<unk>")).unwrap();
    let codec = TextCodec::new(Tokenizer::words(), vocab);
    LanguageModel::new(rondo_infer::ModelHandle::new(model), codec).unwrap()
}

#[test]
fn neighbors_are_ordered_by_cosine_similarity() {
    let found = model_of_words().neighbors("cat", 10).unwrap();
    let found: Vec<_> =
        found.iter().map(|neighbor| (neighbor.token.as_str(), neighbor.id, neighbor.similarity)).collect();
    let half = 0.5f64.sqrt();
    let expected =
        [("dog", 2, half), ("dogs", 3, 0.0), ("zero", 5, 0.0), ("<unk>", 0, -half), ("mat", 4, -1.0)];
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!((found.0, found.1), (expected.0, expected.1));
        assert!((found.2 - expected.2).abs() < 1e-7, "{found:?}, expected {expected:?}");
    }
    assert_eq!(model_of_words().neighbors("cat", 1).unwrap()[0].token, "dog");
    assert!(model_of_words().neighbors("cat", 0).unwrap().is_empty());
}

#[test]
fn an_unknown_word_names_those_that_are_known() {
    let error = model_of_words().neighbors("doggs", 3).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`doggs` is not in the model's vocabulary; the most similar words are `dogs`, `dog`"
    );
    assert!(matches!(error, InferError::UnknownWord { .. }));
    let error = model_of_words().neighbors("xyzzyx", 3).unwrap_err();
    assert_eq!(error.to_string(), "`xyzzyx` is not in the model's vocabulary");
}

#[test]
fn a_model_without_embeddings_and_one_with_damaged_ones_give_an_error() {
    let error = with_words(rnn_lm(Cell::Lstm, Input::OneHot, WORDS.len())).neighbors("cat", 3).unwrap_err();
    assert!(matches!(error, InferError::NoEmbedding));
    let mut damaged = rnn_lm(Cell::Lstm, Input::Embedding(1), WORDS.len());
    let id = damaged.parameters().find("embedding.weight").unwrap();
    damaged.parameters_mut().values_mut(id).write_from(&[1.0, f32::NAN, 1.0, 2.0, 3.0, 4.0]).unwrap();
    let damaged = with_words(damaged);
    assert!(matches!(damaged.neighbors("cat", 3), Err(InferError::NonFiniteEmbedding { .. })));
    let found = damaged.neighbors("dog", 9).unwrap();
    assert!(found.iter().all(|neighbor| neighbor.token != "cat") && found.len() == 4);
}

#[test]
fn a_word_is_found_among_subwords() {
    let codec = crate::subword_codec("byte_bpe.json");
    let model = rnn_lm(Cell::Lstm, Input::Embedding(6), codec.vocab().len());
    let model = LanguageModel::new(model, codec).unwrap();
    let id = model.codec().vocab().id("Ġcat").unwrap();
    let found = model.neighbors("cat", 400).unwrap();
    assert!(found.iter().all(|neighbor| neighbor.id != id), "the word itself is not its neighbor");
    assert!(model.neighbors("Ġcat", 1).is_ok() && model.neighbors("mountaincat", 1).is_err());
}
