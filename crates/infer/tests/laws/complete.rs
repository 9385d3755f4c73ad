//! Words that may come.

use rondo_data::{TextCodec, Tokenizer, Vocab};
use rondo_infer::{
    Completer, Completing, Completion, InferError, LanguageModel, Preferences, Suggester, UserWords,
};
use rondo_nn::{Cell, Input};

use crate::{assert_close, log_probs_after, log_probs_of, model_with};

/// A model of words.
const WORDS: [&str; 8] = ["<unk>", "<eos>", "the", "little", "lid", "lit", "cat", "é"];
/// A model of characters: so few that all short words can be looked at.
const CHARACTERS: [&str; 4] = ["\n", " ", "a", "b"];

fn complete(tokens: &[&str], tokenizer: &Tokenizer, text: &str, completing: Completing) -> Vec<Completion> {
    let vocab = Vocab::from_tokens("test", tokens.iter().copied(), None).unwrap();
    let (model, _) = model_with(Cell::Lstm, Input::Embedding(6), tokens.len());
    let codec = TextCodec::new(tokenizer.clone(), vocab);
    let completer = Completer::new(&model, &codec);
    completer.complete(text, &completing).unwrap()
}

fn by_words(text: &str, partial: bool, forbidden: &[u32]) -> Vec<Completion> {
    let completing = Completing { top: 8, partial, forbidden: forbidden.to_vec() };
    complete(&WORDS, &Tokenizer::default(), text, completing)
}

fn words(completions: &[Completion]) -> Vec<&str> {
    completions.iter().map(|completion| completion.word.as_str()).collect()
}

#[test]
fn any_word_may_follow_a_text() {
    let (model, _) = model_with(Cell::Lstm, Input::Embedding(6), WORDS.len());
    let expected = &log_probs_after(&model, &[1, 2, 3])[2];
    // Whether or not a space stands after the last word.
    for text in ["the little", "the little "] {
        let found = by_words(text, false, &[]);
        assert!(found.is_sorted_by(|a, b| a.log_prob >= b.log_prob));
        assert_eq!(found.len(), WORDS.len());
        for Completion { word, log_prob } in &found {
            let id = WORDS.iter().position(|known| known == word).unwrap();
            assert_close(word, *log_prob, expected[id], 2e-4);
        }
    }
    let without_unknown = by_words("the little", false, &[0]);
    assert!(without_unknown.len() == 7 && !words(&without_unknown).contains(&"<unk>"));
    let top: Vec<Completion> =
        complete(&WORDS, &Tokenizer::default(), "the", Completing { top: 2, ..Completing::default() });
    assert_eq!(top, by_words("the", false, &[])[..2]);
}

#[test]
fn a_word_that_is_begun_is_completed_to_those_that_begin_so() {
    let (model, _) = model_with(Cell::Lstm, Input::Embedding(6), WORDS.len());
    let expected = &log_probs_after(&model, &[1, 2])[1];
    let found = by_words("the li", true, &[]);
    let mut sorted = words(&found);
    sorted.sort_unstable();
    assert_eq!(sorted, ["lid", "lit", "little"]);
    for Completion { word, log_prob } in &found {
        let id = WORDS.iter().position(|known| known == word).unwrap();
        assert_close(word, *log_prob, expected[id], 2e-4);
    }
    assert_eq!(words(&by_words("é", true, &[])), ["é"]);
    assert!(by_words("the z", true, &[]).is_empty());
    // Nothing is begun where a space or nothing stands.
    assert_eq!(by_words("the ", true, &[]), by_words("the", false, &[]));
    assert_eq!(by_words("", true, &[]), by_words("", false, &[]));
}

/// The probability of `word` after `text`, whichever whitespace ends it, read plainly.
fn plain(text: &str, word: &str) -> f64 {
    let id = |char: char| CHARACTERS.iter().position(|known| *known == char.to_string()).unwrap() as u32;
    let (model, _) = model_with(Cell::Lstm, Input::Embedding(6), CHARACTERS.len());
    let ended = |end: u32| {
        let ids: Vec<u32> =
            std::iter::once(0).chain((text.to_owned() + word).chars().map(id)).chain([end]).collect();
        let log_probs = log_probs_of(&model, &ids);
        log_probs[text.chars().count()..].iter().sum::<f64>().exp()
    };
    ended(0) + ended(1)
}

#[test]
fn characters_are_completed_to_whole_words() {
    let completing = |partial| Completing { top: 6, partial, ..Completing::default() };
    let found = |text, partial| complete(&CHARACTERS, &Tokenizer::chars(), text, completing(partial));
    // All words of up to five characters: the most likely ones are short.
    let mut all = vec![String::new()];
    for from in 0.. {
        if all[from].len() == 5 {
            break;
        }
        let longer = ["a", "b"].map(|char| all[from].clone() + char);
        all.extend(longer);
    }
    // A text goes on where it ends: it gets no space.
    for (text, begun) in [("ab", "ab"), ("ab ", ""), ("ab a", "a"), ("", "")] {
        let mut expected: Vec<(f64, String)> =
            all.iter().map(|rest| (plain(text, rest), begun.to_owned() + rest)).collect();
        expected.retain(|(_, word)| !word.is_empty());
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        let found = [false, true].map(|partial| found(text, partial));
        assert_eq!(found[0], found[1], "{text:?}");
        let [found, _] = found;
        assert_eq!(found.len(), 6, "{text:?}");
        for (found, (probability, word)) in found.iter().zip(&expected) {
            assert_eq!(&found.word, word, "{text:?}");
            assert_close(word, found.log_prob, probability.ln(), 1e-3);
        }
    }
}

#[test]
fn subwords_are_completed_to_whole_words() {
    let codec = crate::subword_codec("byte_bpe.json");
    let (model, _) = model_with(Cell::Lstm, Input::Embedding(6), codec.vocab().len());
    let completer = Completer::new(&model, &codec);
    let ends = codec.separators();
    let begins: f64 = {
        let log_probs = log_probs_after(&model, &codec.prompt("the cat").unwrap()).pop().unwrap();
        let spaced = (0..).zip(codec.vocab().tokens()).filter(|(_, token)| token.starts_with('Ġ'));
        spaced.map(|(id, _): (usize, _)| log_probs[id].exp()).sum()
    };
    // The words of one token are found with their exact probabilities.
    let found = completer.complete("the cat ", &Completing { top: 200, ..Completing::default() }).unwrap();
    assert!(found.len() > 50 && found.iter().all(|found| !found.word.contains(char::is_whitespace)));
    assert!(found.iter().map(|found| found.log_prob.exp()).sum::<f64>() < 1.0);
    let of_tokens = |text: &str, word: &str, count: f64| {
        let ids = codec.encode_prefix(&format!("{text} {word}")).unwrap();
        let known = codec.prompt(text).unwrap();
        let all: Vec<u32> = codec.line_end().into_iter().chain(ids).collect();
        let rows = log_probs_after(&model, &all);
        let tokens: f64 = (known.len()..all.len()).map(|at| rows[at - 1][all[at] as usize]).sum();
        let end: f64 = ends.iter().map(|&id| rows.last().unwrap()[id as usize].exp()).sum();
        tokens + end.ln() - count.ln()
    };
    for Completion { word, log_prob } in &found {
        let ids = codec.encode_prefix(&format!(" {word}")).unwrap();
        if word.len() == 1 && word.is_ascii() && ids.len() == 2 {
            assert_close(word, *log_prob, of_tokens("the cat", word, begins), 1e-3);
        }
    }
    // A partial word is completed to what begins so, whatever its tokens are.
    let all = completer.complete("the cat wal", &Completing { top: 5, ..Completing::default() }).unwrap();
    assert_eq!(all.len(), 5);
    assert!(words(&all).iter().all(|word| word.starts_with("wal")), "{all:?}");
    assert!(words(&all).contains(&"walks"), "{all:?}");
    assert!(!completer.complete("", &Completing::default()).unwrap().is_empty());
}

#[test]
fn bytes_are_joined_to_characters() {
    let tokens = ["<0x0A>", " ", "<0xC3>", "<0xA9>"];
    let completing = Completing { top: 40, ..Completing::default() };
    let found = complete(&tokens, &Tokenizer::bytes(), "\u{e9} ", completing);
    assert!(words(&found).contains(&"\u{e9}"), "{found:?}");
    assert!(found.iter().all(|completion| !completion.word.contains(char::is_whitespace)));
}

#[test]
fn what_cannot_be_completed_is_refused() {
    let vocab = Vocab::from_tokens("test", ["a", "b"], None).unwrap();
    let codec = TextCodec::new(Tokenizer::chars(), vocab);
    let (model, _) = model_with(Cell::Lstm, Input::Embedding(6), 2);
    let completer = Completer::new(&model, &codec);
    let refusal = |text, top| {
        completer.complete(text, &Completing { top, ..Completing::default() }).unwrap_err().to_string()
    };
    assert_eq!(refusal("a", 0), "`top` must be at least 1");
    assert!(refusal("z", 1).starts_with("out-of-vocabulary token `z`"));
    assert!(matches!(completer.complete("", &Completing::default()), Err(InferError::EmptyPrefix)));
}

#[test]
fn a_suggester_agrees_with_a_completer() {
    let of_words = (
        &WORDS[..],
        Tokenizer::words(),
        ["", "the", "the l", "the lit", "the lid ", "the lid c", "cat", "the"],
    );
    let of_chars = (&CHARACTERS[..], Tokenizer::chars(), ["", "a", "ab", "ab ", "ab a", "b", "", "ab"]);
    for (tokens, tokenizer, texts) in [of_words, of_chars] {
        let vocab =
            Vocab::from_tokens("test", tokens.iter().copied(), tokens.contains(&"<unk>").then_some("<unk>"))
                .unwrap();
        let (model, _) = model_with(Cell::Lstm, Input::Embedding(6), tokens.len());
        let model = LanguageModel::new(model, TextCodec::new(tokenizer, vocab)).unwrap();
        let (completer, mut suggester) = (model.completer(), model.suggester());
        for partial in [true, false] {
            let completing = Completing { top: 3, partial, ..Completing::default() };
            for text in texts {
                let found = suggester.suggest(text, &completing).unwrap();
                let expected = completer.complete(text, &completing).unwrap();
                assert_eq!(words(&found), words(&expected), "{text:?}");
                for (found, expected) in found.iter().zip(&expected) {
                    assert_close("log_prob", found.log_prob, expected.log_prob, 1e-5);
                }
            }
        }
    }
}

/// A model of words with these preferences.
fn preferring(preferences: Preferences) -> Completer {
    let vocab = Vocab::from_tokens("test", WORDS, Some("<unk>")).unwrap();
    let (model, _) = model_with(Cell::Lstm, Input::Embedding(6), WORDS.len());
    let codec = TextCodec::new(Tokenizer::words(), vocab);
    Completer::new(&model, &codec).with_preferences(preferences).unwrap()
}

#[test]
fn excluded_words_and_what_is_no_word_are_not_suggested() {
    let excluded = ["lid".to_owned(), "zebra".to_owned()].into();
    let completer = preferring(Preferences { excluded, words_only: true, ..Preferences::default() });
    let found = completer.complete("the little", &Completing::default()).unwrap();
    let expected = by_words("the little", false, &[0, 1, 4]);
    assert_eq!(words(&found), words(&expected));
    // By characters too: of the words of these, only those with a letter.
    let tokens = ["\n", " ", "a", "-"];
    let (model, _) = model_with(Cell::Lstm, Input::Embedding(6), tokens.len());
    let codec = TextCodec::new(Tokenizer::chars(), Vocab::from_tokens("test", tokens, None).unwrap());
    let preferences =
        Preferences { excluded: ["a".to_owned()].into(), words_only: true, ..Preferences::default() };
    let completer = Completer::new(&model, &codec);
    let all = completer.complete("a ", &Completing::default()).unwrap();
    assert!(words(&all).contains(&"a") && words(&all).contains(&"-"), "{all:?}");
    let completer = completer.with_preferences(preferences).unwrap();
    let found = completer.complete("a ", &Completing::default()).unwrap();
    assert!(!found.is_empty() && found.iter().all(|found| found.word != "a" && found.word.contains('a')));
}

#[test]
fn a_sentence_begins_with_a_capital_letter() {
    let completer = preferring(Preferences { capitalize: true, ..Preferences::default() });
    let partial = |text: &str| {
        let completing = Completing { top: 8, partial: true, ..Completing::default() };
        completer.complete(text, &completing).unwrap()
    };
    let same = |found: &[Completion], plain: &[Completion]| {
        assert_eq!(found.len(), plain.len());
        for (found, plain) in found.iter().zip(plain) {
            assert_eq!(found.word.to_lowercase(), plain.word);
            assert_eq!(found.log_prob, plain.log_prob);
        }
    };
    let all_capital =
        |found: &[Completion]| found.iter().all(|found| !found.word.starts_with(char::is_lowercase));
    let found = partial("");
    same(&found, &by_words("", true, &[]));
    assert!(all_capital(&found) && words(&found).contains(&"É"), "{found:?}");
    let found = partial("The Li");
    same(&found, &by_words("the li", true, &[]));
    assert!(all_capital(&found) && found.len() == 3, "{found:?}");
    // What the user writes small stays small, and so does the middle of a sentence.
    for text in ["l", "The little "] {
        assert_eq!(partial(text), by_words(&text.to_lowercase(), true, &[]));
    }
}

#[test]
fn words_of_the_users_own_are_interpolated() {
    let mut user_words = UserWords::new(0.25);
    user_words.add("lit", 1.0).unwrap();
    user_words.learn("limerick, \"limerick\"!\nlimerick");
    let completer = preferring(Preferences { user_words: user_words.clone(), ..Preferences::default() });
    for (text, partial) in [("the little", false), ("the li", true), ("the lim", true)] {
        let model: Vec<Completion> = by_words(text, partial, &[]);
        let mut expected: Vec<(String, f64)> =
            model.iter().map(|found| (found.word.clone(), 0.75 * found.log_prob.exp())).collect();
        if let Some((_, lit)) = expected.iter_mut().find(|(word, _)| word == "lit") {
            *lit += 0.25 / 4.0;
        }
        expected.push(("limerick".to_owned(), 0.25 * 3.0 / 4.0));
        expected.sort_by(|a, b| b.1.total_cmp(&a.1));
        for top in [1, 2, 3, 9] {
            let completing = Completing { top, partial, ..Completing::default() };
            let found = completer.complete(text, &completing).unwrap();
            assert_eq!(found.len(), top.min(expected.len()), "{text}");
            for (found, (word, probability)) in found.iter().zip(&expected) {
                assert_eq!(&found.word, word, "{text}");
                assert_close(word, found.log_prob.exp(), *probability, 1e-6);
            }
        }
    }
    // What is learned later counts as if it had been known.
    let mut suggester = Suggester::new(preferring(Preferences {
        user_words: UserWords::new(0.25),
        ..Preferences::default()
    }));
    let completing = Completing { top: 4, partial: true, ..Completing::default() };
    assert_eq!(suggester.suggest("the l", &completing).unwrap(), by_words("the l", true, &[]));
    suggester.learn("lit limerick limerick limerick").unwrap();
    let found = suggester.suggest("the l", &completing).unwrap();
    let expected = completer.complete("the l", &completing).unwrap();
    assert_eq!(words(&found), words(&expected));
}

#[test]
fn preferences_that_a_model_cannot_have_are_refused() {
    let refusal = |tokenizer: Tokenizer, preferences: Preferences| {
        let codec = TextCodec::new(tokenizer, Vocab::from_tokens("test", CHARACTERS, None).unwrap());
        let (model, _) = model_with(Cell::Lstm, Input::Embedding(6), CHARACTERS.len());
        Completer::new(&model, &codec).with_preferences(preferences).unwrap_err().to_string()
    };
    let user_words = UserWords::new(1.0);
    let preferences = Preferences { user_words, ..Preferences::default() };
    assert_eq!(
        refusal(Tokenizer::words(), preferences),
        "`user_weight` must be at least 0 and below 1, but is 1"
    );
    let mut preferences = Preferences::default();
    preferences.user_words.learn("word");
    assert_eq!(
        refusal(Tokenizer::chars(), preferences),
        "a user's own words need a model of words, and the tokenizer of this one is `chars`"
    );
}
