//! A vocabulary from a word list: a text file with one word per line.

use indexmap::IndexSet;

use super::{Vocab, VocabOptions};
use crate::tokenize::{Reading, read_tokens};
use crate::{DataError, Result, TextLines, TextSource, Tokenizer};

impl Vocab {
    /// The vocabulary of a word list: the words in the order of the list, after those special tokens of `options` and those
    /// tokens of the tokenizer for line ends and numbers that the list lacks. So a list that has all of them keeps its ids.
    /// The other options have no effect.
    ///
    /// A word is a whole line, changed as the tokenizer changes the words of a text. Blank lines are skipped, and repeated
    /// words are listed once. The list can be compressed.
    ///
    /// # Errors
    /// [`DataError::ListedWord`] for a line that the tokenizer splits, since no text can contain it as one token;
    /// [`DataError::Empty`] for a list without words; those of reading a text.
    pub fn from_list(list: &TextSource, tokenizer: &Tokenizer, options: &VocabOptions) -> Result<Self> {
        let origin = list.origin();
        let line_end = tokenizer.line_end().map(str::to_owned);
        let numbers = tokenizer.options().number_token.filter(|token| !token.is_empty());
        let special = options.unknown.iter().chain(&options.reserved).cloned().chain(line_end).chain(numbers);
        let special: IndexSet<String> = special.collect();
        let mut listed: IndexSet<String> = IndexSet::new();
        for (word, line) in TextLines::new(list.open()?, &origin, false).zip(1..) {
            let word = word?;
            if word.is_empty() {
                continue;
            }
            // A token of its own in any case, such as `<unk>`.
            if special.contains(&word) {
                listed.insert(word);
                continue;
            }
            match <[String; 1]>::try_from(tokens_of(&word, tokenizer)?) {
                Ok([token]) => {
                    listed.insert(token);
                }
                Err(found) if found.is_empty() => {}
                Err(_) => return Err(DataError::ListedWord { origin, line, word, unit: tokenizer.unit() }),
            }
        }
        if listed.is_empty() {
            return Err(DataError::Empty { origin });
        }
        let missing: Vec<String> = special.into_iter().filter(|token| !listed.contains(token)).collect();
        Self::from_tokens(&origin, missing.into_iter().chain(listed), options.unknown.as_deref())
    }
}

/// The tokens of a line, without the one that ends it.
fn tokens_of(line: &str, tokenizer: &Tokenizer) -> Result<Vec<String>> {
    let mut tokens = Vec::new();
    read_tokens(tokenizer, line.as_bytes(), "the word", Reading::default(), |token, _| {
        tokens.push(token.to_owned());
        Ok(())
    })?;
    if tokenizer.eos().is_some() && tokens.last().map(String::as_str) == tokenizer.eos() {
        tokens.pop();
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Normalization, Punctuation};

    fn list(text: &str) -> TextSource {
        TextSource::Memory { name: "list".to_owned(), text: text.to_owned() }
    }

    fn tokens(text: &str, tokenizer: &Tokenizer) -> Result<Vec<String>> {
        let options = VocabOptions::for_tokenizer(tokenizer);
        let vocab = Vocab::from_list(&list(text), tokenizer, &options)?;
        Ok(vocab.tokens().map(str::to_owned).collect())
    }

    #[test]
    fn words_keep_their_order_after_the_special_tokens_that_the_list_lacks() {
        let found = tokens("the\r\ncat\n\n<eos>\nthe\na\n", &Tokenizer::words()).unwrap();
        assert_eq!(found, ["<unk>", "the", "cat", "<eos>", "a"]);
        let found = tokens("<eps>\n<eos>\nthe\n<unk>\n", &Tokenizer::words()).unwrap();
        assert_eq!(found, ["<eps>", "<eos>", "the", "<unk>"]);
        let found = tokens("Don\n't\n,\nU.S.\n", &Tokenizer::moses().with_lowercase(true)).unwrap();
        assert_eq!(found, ["<unk>", "<eos>", "don", "'t", ",", "u.s."]);
        let plain = Tokenizer::words().with_lowercase(true).with_punctuation(Punctuation::Remove);
        let found = tokens("Don't,\n7\n--\nthe\n", &plain.with_number_token("<num>")).unwrap();
        assert_eq!(found, ["<unk>", "<eos>", "don't", "<num>", "the"]);
        let nfc = Tokenizer::words().with_normalization(Normalization::Nfc);
        assert_eq!(tokens("cafe\u{301}\ncafé\n", &nfc).unwrap(), ["<unk>", "<eos>", "café"]);
    }

    #[test]
    fn characters_are_listed_one_a_line_and_lines_still_end() {
        assert_eq!(tokens("b\na\n \n", &Tokenizer::chars()).unwrap(), ["\n", "b", "a", " "]);
    }

    #[test]
    fn what_is_no_word_is_named_with_its_line() {
        let error = |text: &str, tokenizer| tokens(text, &tokenizer).unwrap_err().to_string();
        assert_eq!(
            error("a\n\nthe 12\n", Tokenizer::words()),
            "line 3 of the word list `list` is not one token: `the 12`"
        );
        assert_eq!(
            error("a\nbc\n", Tokenizer::chars()),
            "line 2 of the word list `list` is not one character: `bc`"
        );
        assert_eq!(error("\n \n", Tokenizer::words()), "`list` is empty: it contains no tokens");
    }
}
