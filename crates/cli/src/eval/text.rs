//! The texts of an evaluation, as token ids of the model.

use std::io::BufRead;
use std::path::PathBuf;

use anyhow::Result;
use rondo_data::{Corpus, CorpusOptions, CorpusPart, Encoded, Split, TextCodec, TokenIds};
use rondo_train::{CorpusChoice, FoundCorpus, TextPlan};

use super::run_settings;
use crate::console::Console;
use crate::corpus_lookup;
use crate::error::CliError;
use crate::input::Input;
use crate::model_args::Loaded;

/// A text as token ids of the model.
pub(crate) struct Text {
    pub(super) title: String,
    pub(crate) ids: TokenIds,
    /// Number of out-of-vocabulary tokens. A token spelled like the unknown token does not count.
    pub(super) unknown_words: u64,
    /// Whether these are left out, because the model gives them probability 0.
    pub(super) leaves_out: bool,
}

/// The text of files, or of stdin. If `strict`, a character that has no id is an error.
pub(super) fn given_text(paths: &[PathBuf], strict: bool, loaded: &Loaded, console: Console) -> Result<Text> {
    let inputs = Input::all(paths);
    let title = inputs.iter().map(Input::origin).collect::<Vec<_>>().join(", ");
    let (mut ids, mut unknown_words) = (Vec::new(), 0);
    for input in &inputs {
        let mut encoded = {
            let reader = input.open_noted(loaded.text_field.as_deref(), loaded.codec(), console)?;
            encode(loaded.codec(), reader, &input.origin(), strict)?
        };
        ids.append(&mut encoded.ids);
        unknown_words += encoded.report.out_of_vocab_tokens;
    }
    Ok(Text { title, ids: ids.into(), unknown_words, leaves_out: loaded.codec().unknown_id().is_none() })
}

fn encode(codec: &TextCodec, reader: impl BufRead, origin: &str, strict: bool) -> Result<Encoded> {
    Ok(if strict { codec.encode_reader(reader, origin)? } else { codec.encode_known(reader, origin)? })
}

/// A split of a corpus. The corpus of the model's own run is read as that run reads it. `flag` is the flag to name in
/// the error if no corpus is known. If `strict`, a character that has no id is an error.
pub(crate) fn corpus_text(
    data: &[PathBuf],
    split: Split,
    flag: &'static str,
    strict: bool,
    loaded: &Loaded,
    console: Console,
) -> Result<Text> {
    let (choice, options) = if data.is_empty() {
        let no_plan = || CliError::NoPlan { model: loaded.path.clone(), split, flag };
        let (settings, _) = run_settings(loaded)?.ok_or_else(no_plan)?;
        let TextPlan { corpus, options, .. } = TextPlan::new(&settings)?;
        (corpus, options)
    } else {
        (CorpusChoice::given(data), CorpusOptions::for_tokenizer(loaded.codec().tokenizer().clone()))
    };
    // Lossy if the flags or the run's plan say so.
    let lossy = loaded.codec().is_lossy() || options.lossy;
    let text_field = loaded.text_field.clone().or(options.text_field.clone());
    let FoundCorpus { title, texts, .. } = corpus_lookup::find(&choice, console)?;
    let no_split = || CliError::NoSplit { corpus: title.clone(), split };
    let sources = texts.split(split);
    let codec = loaded.codec().clone().lossy(lossy);
    let leaves_out = codec.unknown_id().is_none();
    if !sources.is_empty() {
        let (mut ids, mut unknown_words) = (Vec::new(), 0);
        for source in sources {
            let reader = source.open_field(text_field.as_deref())?;
            let mut encoded = encode(&codec, reader, &source.origin(), strict)?;
            ids.append(&mut encoded.ids);
            unknown_words += encoded.report.out_of_vocab_tokens;
        }
        return Ok(Text { title: format!("{title}, {split}"), ids: ids.into(), unknown_words, leaves_out });
    }
    let options = CorpusOptions { text_field, ..options };
    let part = Corpus::read_part(&texts, &codec, &options, split, strict)?;
    let CorpusPart { ids, out_of_vocab_tokens } = part.ok_or_else(no_split)?;
    Ok(Text { title: format!("{title}, {split}"), ids, unknown_words: out_of_vocab_tokens, leaves_out })
}

impl Text {
    /// Fraction of the tokens that are out of vocabulary.
    pub(super) fn unknown_share(&self) -> f64 {
        let left_out = if self.leaves_out { self.unknown_words } else { 0 };
        self.unknown_words as f64 / (self.ids.len() as u64 + left_out) as f64
    }
}
