//! Suggestions for a text that grows: preferences and texts in, words out.

use std::collections::HashSet;
use std::ffi::{CString, c_char};
use std::ptr;

use rondo_infer::{Completing, LanguageModel, Preferences as Wanted, UserWords};

use crate::fault::{Fault, guarded};
use crate::{Model, known, many, text, write};

/// What a user wants suggested. `{0}` is no preferences.
#[repr(C)]
#[derive(Debug)]
pub struct Preferences {
    /// Words that are never suggested; NULL if there are none.
    pub exclude: *const *const c_char,
    /// Their number.
    pub exclude_count: usize,
    /// Words of the user's own, which need not be in the vocabulary of the model, a model of words; NULL if there are none.
    pub user_words: *const *const c_char,
    /// The weight of each of them; NULL if all have weight 1.
    pub user_word_weights: *const f64,
    /// Their number.
    pub user_word_count: usize,
    /// From 0 to below 1: the probability of a word is 1 - `user_weight` times the model's plus `user_weight` times its
    /// fraction of all weights. 0 is the default, 0.2.
    pub user_weight: f64,
    /// Whether no punctuation is suggested.
    pub words_only: bool,
    /// Whether words begin with a capital letter at the start of a sentence, and where the incomplete word does, if the
    /// model's words are lowercase; the text is then read as lowercase, too.
    pub capitalize: bool,
}

/// A suggested word.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Suggestion {
    /// The word, with the part of it that is in the text. Valid until the next call with the suggester.
    pub word: *const c_char,
    /// Its log-probability.
    pub log_prob: f64,
}

/// Suggests words while a text is written.
#[derive(Debug)]
pub struct Suggester {
    model: LanguageModel,
    suggester: rondo_infer::Suggester,
    /// The words that were suggested last.
    words: Vec<CString>,
}

/// Makes a suggester for a user with these preferences, which are copied; NULL is no preferences. Returns NULL if that
/// fails.
///
/// # Safety
/// `model` is open. `preferences` is NULL, or its pointers are to as many texts and numbers as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_suggester_new(
    model: *const Model,
    preferences: *const Preferences,
) -> *mut Suggester {
    guarded(ptr::null_mut(), || {
        // SAFETY: the caller keeps the model.
        let model = unsafe { known("model", model) }?.model.clone();
        // SAFETY: the caller keeps the preferences during the call.
        let wanted = match unsafe { preferences.as_ref() } {
            // SAFETY: their pointers are to as many values as they say.
            Some(preferences) => unsafe { wanted(preferences) }?,
            None => Wanted::default(),
        };
        let suggester = rondo_infer::Suggester::new(model.completer().with_preferences(wanted)?);
        Ok(Box::into_raw(Box::new(Suggester { model, suggester, words: vec![] })))
    })
}

/// Frees a suggester; NULL is ignored.
///
/// # Safety
/// `suggester` comes from `rondo_suggester_new` and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_suggester_free(suggester: *mut Suggester) {
    if !suggester.is_null() {
        guarded((), || {
            // SAFETY: it is from `Box::into_raw`, and the caller gives it up.
            drop(unsafe { Box::from_raw(suggester) });
            Ok(())
        });
    }
}

/// Writes the `top` most likely words after a text, or, if `partial` is true and the text does not end with a space, those
/// that its last word can become. Neither the unknown token nor a line end is suggested. Returns their number, which can be
/// smaller than `top`; negative if that fails.
///
/// A model of words keeps its state: a new word costs one step of the model, and a keystroke within a word none. If the text
/// does not begin with the one before, it is read from its beginning.
///
/// # Safety
/// `suggester` comes from `rondo_suggester_new` and is used by no other thread, `line` is a text, and `suggestions` has room
/// for `top` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_suggest(
    suggester: *mut Suggester,
    line: *const c_char,
    top: usize,
    partial: bool,
    suggestions: *mut Suggestion,
) -> i64 {
    guarded(-1, || {
        // SAFETY: only the caller uses it.
        let Suggester { model, suggester, words } = unsafe { used("suggester", suggester) }?;
        // SAFETY: the caller passes a text.
        let line = unsafe { text("line", line) }?;
        if suggestions.is_null() {
            return Err(Fault::Null("suggestions"));
        }
        let completing = Completing { partial, ..model.completing(top) };
        let found = suggester.suggest(line, &completing)?;
        // A word with a zero byte cannot be a text of C: it is left out.
        let (texts, log_probs): (Vec<CString>, Vec<f64>) = found
            .into_iter()
            .filter_map(|found| Some((CString::new(found.word).ok()?, found.log_prob)))
            .unzip();
        *words = texts;
        let found = words.iter().zip(log_probs);
        let found: Vec<Suggestion> =
            found.map(|(word, log_prob)| Suggestion { word: word.as_ptr(), log_prob }).collect();
        // SAFETY: the caller has room for `top` suggestions.
        unsafe { write("suggestions", suggestions, &found) }?;
        Ok(found.len() as i64)
    })
}

/// Adds the words of a text to the user's own, each as often as it occurs. Nothing is trained. Returns 0, or -1 if that
/// fails: the model has to be one of words.
///
/// # Safety
/// `suggester` comes from `rondo_suggester_new` and is used by no other thread, and `line` is a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_learn(suggester: *mut Suggester, line: *const c_char) -> i32 {
    guarded(-1, || {
        // SAFETY: only the caller uses it.
        let suggester = unsafe { used("suggester", suggester) }?;
        // SAFETY: the caller passes a text.
        suggester.suggester.learn(unsafe { text("line", line) }?)?;
        Ok(0)
    })
}

/// The preferences of the caller's.
///
/// # Safety
/// Their pointers are to as many texts and numbers as they say.
unsafe fn wanted(given: &Preferences) -> Result<Wanted, Fault> {
    let words = |name, words, count| -> Result<Vec<&str>, Fault> {
        if count == 0 {
            return Ok(vec![]);
        }
        // SAFETY: as above.
        let words: &[*const c_char] = unsafe { many(name, words, count) }?;
        // SAFETY: each is a text.
        words.iter().map(|&word| unsafe { text(name, word) }).collect()
    };
    let excluded = words("exclude", given.exclude, given.exclude_count)?;
    let own = words("user_words", given.user_words, given.user_word_count)?;
    let weights = if given.user_word_weights.is_null() || own.is_empty() {
        vec![1.0; own.len()]
    } else {
        // SAFETY: as above.
        unsafe { many("user_word_weights", given.user_word_weights, own.len()) }?.to_vec()
    };
    let mut user_words = UserWords::default();
    if given.user_weight != 0.0 {
        user_words.lambda = given.user_weight;
    }
    for (word, weight) in own.into_iter().zip(weights) {
        user_words.add(word, weight)?;
    }
    let excluded: HashSet<String> = excluded.into_iter().map(str::to_owned).collect();
    Ok(Wanted { excluded, words_only: given.words_only, capitalize: given.capitalize, user_words })
}

/// What a pointer of the caller's points to, to be modified.
///
/// # Safety
/// If it is not NULL, it points to a value that nothing else uses meanwhile.
unsafe fn used<'a, T>(name: &'static str, value: *mut T) -> Result<&'a mut T, Fault> {
    // SAFETY: as above.
    unsafe { value.as_mut() }.ok_or(Fault::Null(name))
}
