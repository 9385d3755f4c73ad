//! Losses per word, character and byte, as rows of text and in JSON.

use rondo_infer::{Evaluation, Measures, TextCounts};
use rondo_runs::{Loss, Perplexity};
use serde_json::{Value, json};

use crate::{describe, output};

/// Adds the measures to an object.
pub(crate) fn add_to(object: &mut Value, measures: &Measures) {
    let TextCounts { tokens: _, unknown_tokens, lines, words, characters, bytes } = measures.counts;
    let number = |value: Option<f64>| value.map_or(Value::Null, output::number);
    let perplexity = |nll: Option<f64>| number(nll.map(|nll| Perplexity::from_nll_mean(nll).value()));
    let known = measures.known();
    let known_nll = (known.tokens > 0).then(|| known.nll_mean());
    let more = json!({
        "unknown_tokens": unknown_tokens,
        "lines": lines,
        "words": words,
        "characters": characters,
        "bytes": bytes,
        "known_loss": number(known_nll),
        "known_perplexity": perplexity(known_nll),
        "loss_per_word": number(measures.nll_per_word()),
        "perplexity_per_word": perplexity(measures.nll_per_word()),
        "loss_per_character": number(measures.nll_per_character()),
        "perplexity_per_character": perplexity(measures.nll_per_character()),
        "bits_per_byte": number(measures.bits_per_byte()),
    });
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        for (key, value) in more {
            // A byte model has its bits per byte already.
            object.entry(key).or_insert(value);
        }
    }
}

/// The measures as rows of names and values.
pub(crate) fn rows(measures: &Measures) -> Vec<[String; 2]> {
    let TextCounts { unknown_tokens, lines, words, characters, bytes, .. } = measures.counts;
    let count = |number: u64, name: &str| {
        format!("{} {name}{}", describe::count(number as usize), if number == 1 { "" } else { "s" })
    };
    let both = |nll: f64| format!("loss {}, perplexity {}", Loss(nll), Perplexity::from_nll_mean(nll));
    let counts =
        [count(lines, "line"), count(words, "word"), count(characters, "character"), count(bytes, "byte")];
    let mut rows = vec![["counts".to_owned(), counts.join(", ")]];
    let known: Evaluation = measures.known();
    if unknown_tokens > 0 && known.tokens > 0 {
        let without =
            format!("{} without {}", both(known.nll_mean()), count(unknown_tokens, "unknown token"));
        rows.push(["known".to_owned(), without]);
    }
    let names = [("per word", measures.nll_per_word()), ("per character", measures.nll_per_character())];
    rows.extend(names.into_iter().filter_map(|(name, nll)| Some([name.to_owned(), both(nll?)])));
    rows.extend(measures.bits_per_byte().map(|bits| ["bits per byte".to_owned(), Loss(bits).to_string()]));
    rows
}
