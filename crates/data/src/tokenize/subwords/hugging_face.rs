//! The `tokenizer.json` of Hugging Face's library `tokenizers`, by that library.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use serde_json::Value;
use tokenizers::{Decoder, DecoderWrapper, Tokenizer};

use super::engine::{Engine, Failure};

/// A tokenizer of the library.
#[derive(Debug)]
pub(super) struct HuggingFace {
    tokenizer: Tokenizer,
    tokens: Vec<String>,
    unknown: Option<String>,
    /// Whether each character of a token stands for a byte.
    is_of_bytes: bool,
}

impl HuggingFace {
    /// Parses the JSON.
    pub(super) fn read(json: &str) -> Result<Self, Failure> {
        let json = json.trim_start_matches('\u{feff}');
        let parsed: Value = serde_json::from_str(json).map_err(|error| Failure(error.to_string()))?;
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| Failure(error.to_string()))?;
        // The lengths of texts are ours.
        tokenizer.with_truncation(None).map_err(|error| Failure(error.to_string()))?;
        tokenizer.with_padding(None);
        let ids = tokenizer.get_vocab(true);
        let tokens = in_order(&ids)?;
        let model = &parsed["model"];
        let unknown = match (&model["unk_token"], &model["unk_id"]) {
            (Value::String(token), _) => ids.contains_key(token).then(|| token.clone()),
            (_, id) => id.as_u64().and_then(|id| tokens.get(usize::try_from(id).ok()?).cloned()),
        };
        let is_of_bytes = matches!(tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_)));
        Ok(Self { tokenizer, tokens, unknown, is_of_bytes })
    }

    fn id_of(&self, id: u32) -> Result<u32, Failure> {
        let known = (id as usize) < self.tokens.len();
        known.then_some(id).ok_or_else(|| Failure(format!("its model gives the id {id}, which has no token")))
    }
}

/// The tokens in the order of their ids; an id without a token gets a name of its own.
fn in_order(ids: &HashMap<String, u32>) -> Result<Vec<String>, Failure> {
    let count = ids.values().max().map_or(0, |&last| last as usize + 1);
    // A few gaps occur; a single token with a large id is a mistake.
    if count / 2 > ids.len() + 1024 {
        return Err(Failure(format!("it has {} tokens, but ids up to {}", ids.len(), count - 1)));
    }
    let mut tokens: Vec<String> = (0..count).map(|id| format!("<unused{id}>")).collect();
    for (token, &id) in ids {
        tokens[id as usize].clone_from(token);
    }
    Ok(tokens)
}

impl Engine for HuggingFace {
    fn tokens(&self) -> &[String] {
        &self.tokens
    }

    fn unknown(&self) -> Option<&str> {
        self.unknown.as_deref()
    }

    fn encode(&self, line: &str, ids: &mut Vec<u32>) -> Result<(), Failure> {
        let encoding = self.tokenizer.encode_fast(line, false);
        let encoding = encoding.map_err(|error| Failure(error.to_string()))?;
        encoding.get_ids().iter().try_for_each(|&id| {
            ids.push(self.id_of(id)?);
            Ok(())
        })
    }

    fn spans(&self, line: &str) -> Option<Vec<(u32, Range<usize>)>> {
        let encoding = self.tokenizer.encode(line, false).ok()?;
        let ranges = encoding.get_offsets().iter().map(|&(start, end)| start..end);
        Some(encoding.get_ids().iter().copied().zip(ranges).collect())
    }

    fn decode(&self, tokens: &[String]) -> String {
        match self.tokenizer.get_decoder() {
            Some(decoder) => decoder.decode(tokens.to_vec()).unwrap_or_default(),
            None => tokens.join(" "),
        }
    }

    fn bytes(&self, token: &str) -> Option<Vec<u8>> {
        // A token that was added as it is, such as `<|endoftext|>`, is text.
        let byte = |char: char| BYTES.get(&char).copied();
        let bytes = || token.chars().map(byte).collect::<Option<Vec<u8>>>();
        self.is_of_bytes.then(|| bytes().unwrap_or_else(|| token.as_bytes().to_vec()))
    }
}

/// The byte that each character stands for in byte-level BPE, as defined by GPT-2: itself for those that are visible in
/// Latin-1, and for the others the characters from U+0100 on. The library keeps its table to itself.
static BYTES: LazyLock<HashMap<char, u8>> = LazyLock::new(|| {
    let is_visible = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let (visible, others): (Vec<u8>, Vec<u8>) = (0..=u8::MAX).partition(is_visible);
    let others = ('\u{100}'..).zip(others);
    visible.into_iter().map(|byte| (char::from(byte), byte)).chain(others).collect()
});

#[cfg(test)]
mod tests {
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    use super::*;

    #[test]
    fn the_table_of_bytes_is_that_of_the_library() {
        assert_eq!(BYTES.len(), 256);
        assert!(ByteLevel::alphabet().iter().all(|char| BYTES.contains_key(char)));
        for (&char, &byte) in &*BYTES {
            let decoded = ByteLevel::default().decode_chain(vec![char.to_string()]).unwrap().concat();
            assert_eq!(decoded, String::from_utf8_lossy(&[byte]), "{char}");
        }
    }

    #[test]
    fn ids_with_gaps_are_filled_and_absurd_ones_refused() {
        let ids = HashMap::from([("a".to_owned(), 0), ("b".to_owned(), 2)]);
        assert_eq!(in_order(&ids).unwrap(), ["a", "<unused1>", "b"]);
        let ids = HashMap::from([("a".to_owned(), u32::MAX)]);
        assert!(in_order(&ids).is_err());
    }
}
