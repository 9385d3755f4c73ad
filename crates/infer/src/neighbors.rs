//! Nearest neighbors: the tokens whose embeddings are most similar to that of a word.
//!
//! ```text
//! similarity(a, b) = e_a·e_b / (|e_a|·|e_b|)        e: a row of the embedding, [V, E]
//! ```

use rondo_data::nearest_names;
use rondo_nn::{NnError, Parameters};

use crate::{InferError, LanguageModel, Result};

/// The parameter with a row for each token.
const EMBEDDING: &str = "embedding.weight";

/// How many known words an error about an unknown one names.
const SUGGESTIONS: usize = 3;

/// A token and how similar its embedding is to that of a word.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbor {
    /// The token's id.
    pub id: u32,
    /// The token.
    pub token: String,
    /// The cosine similarity, from -1 to 1; 0 if one of the two embeddings is zero.
    pub similarity: f64,
}

impl LanguageModel {
    /// The `top` tokens whose embeddings are most similar to that of `word`, by cosine similarity, the most
    /// similar first. The word itself is not among them.
    ///
    /// # Errors
    /// [`InferError::NoEmbedding`] for a model without an embedding, [`InferError::UnknownWord`] if the word
    /// is not in the vocabulary, and [`InferError::NonFiniteEmbedding`] if its embedding contains NaN or
    /// infinity.
    pub fn neighbors(&self, word: &str, top: usize) -> Result<Vec<Neighbor>> {
        let word = &*self.codec().normalized(word);
        let parameters = self.model().parameters();
        let (rows, width) = embedding(parameters)?;
        let rows = rows.read().map_err(NnError::from)?;
        let id = self.id_of(word)?;
        let row = |id: usize| &rows[id * width..(id + 1) * width];
        let own = row(id as usize);
        let own_norm = norm(own);
        if !own_norm.is_finite() {
            return Err(InferError::NonFiniteEmbedding { token: word.to_owned() });
        }
        let mut neighbors = vec![];
        for (other, token) in (0u32..).zip(self.codec().vocab().tokens()) {
            let values = row(other as usize);
            let norms = own_norm * norm(values);
            // Embeddings that contain NaN or infinity are similar to nothing.
            if other == id || !norms.is_finite() {
                continue;
            }
            let similarity = if norms == 0.0 { 0.0 } else { dot(own, values) / norms };
            neighbors.push(Neighbor { id: other, token: token.to_owned(), similarity });
        }
        // Equally similar tokens stay in the order of the vocabulary: more frequent ones come first.
        neighbors.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        neighbors.truncate(top);
        Ok(neighbors)
    }

    /// The id of a word that is in the vocabulary, in lowercase if the model reads texts in lowercase. Of subwords, the
    /// token that is the whole word after another one comes first.
    fn id_of(&self, word: &str) -> Result<u32> {
        let vocab = self.codec().vocab();
        if let Some(id) = self.subword(word)? {
            return Ok(id);
        }
        if let Some(id) = vocab.id(word) {
            return Ok(id);
        }
        let lowercase = word.to_lowercase();
        if self.codec().tokenizer().options().lowercase == Some(true)
            && let Some(id) = vocab.id(&lowercase)
        {
            return Ok(id);
        }
        let nearest = nearest_names(word, vocab.tokens(), SUGGESTIONS);
        let nearest = nearest.into_iter().map(str::to_owned).collect();
        Err(InferError::UnknownWord { word: word.to_owned(), nearest })
    }
}

impl LanguageModel {
    /// The token of subwords that is this word, if there is one.
    fn subword(&self, word: &str) -> Result<Option<u32>> {
        if !self.codec().is_of_subwords() {
            return Ok(None);
        }
        let before = self.codec().encode_prefix("a")?;
        let both = self.codec().encode_prefix(&format!("a {word}"))?;
        Ok(match both.strip_prefix(before.as_slice()) {
            Some(&[id]) => Some(id),
            _ => None,
        })
    }
}

/// The embedding and its width.
fn embedding(parameters: &Parameters) -> Result<(rondo_kernels::Slice<'_>, usize)> {
    let id = parameters.find(EMBEDDING).ok_or(InferError::NoEmbedding)?;
    match *parameters.shape(id) {
        [_, width] => Ok((parameters.values(id), width)),
        _ => Err(InferError::NoEmbedding),
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

fn norm(a: &[f32]) -> f64 {
    dot(a, a).sqrt()
}
