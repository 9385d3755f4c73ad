//! Trains a byte-level BPE (Sennrich et al. 2016; by bytes as in GPT-2), by Hugging Face's library and in its format.

use std::sync::mpsc;
use std::thread;

use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use crate::{DataError, Result, TextLines, TextSource};

/// The number of bytes, each of which is a token.
const BYTES: usize = 256;

/// Lines that are read while others are counted.
const LINES_AHEAD: usize = 1 << 12;

/// How a byte-level BPE is trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BpeOptions {
    /// The number of tokens: those that are kept whole, 256 bytes, and merged ones. There are fewer if the texts have no
    /// more.
    pub vocab_size: usize,
    /// How often a pair of tokens must occur to be merged.
    pub min_frequency: u64,
    /// Tokens that are never split, such as `<unk>` in a text that contains it.
    pub whole: Vec<String>,
    /// Whether invalid UTF-8 and NUL bytes are replaced by U+FFFD instead of being an error.
    pub lossy: bool,
    /// The field of JSON Lines or CSV files that contains the text; `None` for files of plain text.
    pub text_field: Option<String>,
}

impl Default for BpeOptions {
    /// 8,000 tokens, each merged from a pair that occurs at least twice.
    fn default() -> Self {
        Self { vocab_size: 8000, min_frequency: 2, whole: vec![], lossy: false, text_field: None }
    }
}

/// Trains a byte-level BPE on texts, and returns the contents of its `tokenizer.json`.
///
/// The texts are read line by line. Words are split as in GPT-2, each with the space before it, so that all text can be
/// encoded, and decoded to the same bytes.
///
/// ```
/// use rondo_data::{BpeOptions, TextCodec, TextSource, Tokenizer, train_bpe};
///
/// let text = TextSource::Memory { name: "example".into(), text: "low lower lowest\n".repeat(9) };
/// let json = train_bpe(&[text], &BpeOptions { vocab_size: 260, ..BpeOptions::default() })?;
/// let tokenizer = Tokenizer::from_bytes("example", json.into_bytes())?;
/// let codec = TextCodec::of_tokenizer(tokenizer)?.expect("it has a vocabulary");
/// let ids = codec.encode("lower")?.ids;
/// assert!(ids.len() < 6);
/// assert_eq!(codec.decode(&ids)?, "lower\n");
/// # Ok::<(), rondo_data::DataError>(())
/// ```
///
/// # Errors
/// The errors of [`TextSource::open_field`]; [`DataError::InvalidUtf8`] and [`DataError::Binary`] for a file that is not a
/// text; [`DataError::VocabTooSmall`] if there is no room for the bytes.
pub fn train_bpe(texts: &[TextSource], options: &BpeOptions) -> Result<String> {
    let special_tokens = BYTES + options.whole.len();
    if options.vocab_size < special_tokens {
        return Err(DataError::VocabTooSmall { max_size: options.vocab_size, special_tokens });
    }
    let failed = |error: tokenizers::Error| DataError::Training { reason: error.to_string() };
    let trainer = BpeTrainer::builder()
        .vocab_size(options.vocab_size)
        .min_frequency(options.min_frequency)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(options.whole.iter().map(|token| AddedToken::from(token.as_str(), true)).collect())
        .show_progress(false)
        .build();
    let mut trainer = TrainerWrapper::from(trainer);
    // No space is added before the first word, and the words are found by the expression of GPT-2.
    let bytes = ByteLevel::new(false, false, true);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(bytes)).with_decoder(Some(bytes)).with_post_processor(Some(bytes));

    let (sender, lines) = mpsc::sync_channel::<String>(LINES_AHEAD);
    let (read, trained) = thread::scope(|scope| {
        let training = scope.spawn(|| tokenizer.train(&mut trainer, lines.into_iter()).map(|_| ()));
        let read = texts.iter().try_for_each(|text| send_lines(text, options, &sender));
        drop(sender);
        (read, training.join())
    });
    read?;
    trained.unwrap_or_else(|_| Err("the library panicked".into())).map_err(failed)?;
    tokenizer.to_string(true).map_err(failed)
}

/// Sends the lines of a text, without the tokens that are kept whole.
fn send_lines(text: &TextSource, options: &BpeOptions, to: &mpsc::SyncSender<String>) -> Result<()> {
    let reader = text.open_field(options.text_field.as_deref())?;
    for line in TextLines::new(reader, &text.origin(), options.lossy) {
        let mut parts = vec![line?];
        for whole in options.whole.iter().filter(|whole| !whole.is_empty()) {
            parts = parts.iter().flat_map(|part| part.split(whole.as_str())).map(str::to_owned).collect();
        }
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            if to.send(part).is_err() {
                // The training has ended with an error, which is reported.
                return Ok(());
            }
        }
    }
    Ok(())
}
