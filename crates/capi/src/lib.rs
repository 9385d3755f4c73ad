//! The C interface: opens a model, encodes and scores texts, advances the states of a decoder's hypotheses, and suggests
//! words while a text is written.
//!
//! ```text
//! rondo_open ─▶ rondo_model ─┬─ rondo_encode, rondo_token   texts and ids
//!                            ├─ rondo_score                 the log-probability of a line
//!                            ├─ rondo_begin, rondo_advance  states and tokens ─▶ states and log-probabilities
//!                            └─ rondo_suggester_new         a text that grows ─▶ words
//! ```
//!
//! `include/rondo.h` is generated from this crate. Promises: no panic crosses the boundary; a function that fails changes
//! nothing that it was given and says why in [`rondo_last_error`]. Not here: anything that is not a translation.

#![allow(unsafe_code)] // The boundary to C: pointers come from the caller.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::slice;

use rondo_infer::{DecoderState, LanguageModel, OpenOptions};
use rondo_kernels::Device;

mod fault;
mod suggester;

use fault::{Fault, guarded};
pub use suggester::{
    Preferences, Suggester, Suggestion, rondo_learn, rondo_suggest, rondo_suggester_free, rondo_suggester_new,
};

/// A language model: weights, vocabulary and tokenizer.
#[derive(Debug)]
pub struct Model {
    model: LanguageModel,
    /// The text of each token, with a zero byte.
    tokens: Vec<Box<CStr>>,
}

/// The state of a model after the tokens of a hypothesis.
#[derive(Clone, Debug)]
pub struct State(DecoderState);

/// What went wrong in the last call of this thread that failed; an empty text if none has. Valid until the next failure in
/// this thread.
#[unsafe(no_mangle)]
pub extern "C" fn rondo_last_error() -> *const c_char {
    fault::last()
}

/// Opens a model file, or the best model of the run in a folder, for this many threads (0: one per core). Returns NULL if
/// that fails.
///
/// # Safety
/// `path` is a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_open(path: *const c_char, threads: usize) -> *mut Model {
    guarded(ptr::null_mut(), || {
        // SAFETY: the caller passes a text.
        let path = unsafe { text("path", path) }?;
        let model = LanguageModel::open_with(path, &OpenOptions::default(), &device(threads)?)?;
        Ok(Model::into_raw(model))
    })
}

/// Opens the `len` bytes of a model file, for this many threads (0: one per core); they are not needed any more after that.
/// For programs without files, such as WebAssembly. Returns NULL if that fails.
///
/// # Safety
/// `bytes` has `len` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_open_bytes(bytes: *const u8, len: usize, threads: usize) -> *mut Model {
    guarded(ptr::null_mut(), || {
        // SAFETY: the caller passes `len` bytes.
        let bytes = unsafe { many("bytes", bytes, len) }?;
        Ok(Model::into_raw(LanguageModel::from_bytes("the model", bytes, &device(threads)?)?))
    })
}

impl Model {
    fn into_raw(model: LanguageModel) -> *mut Model {
        // A token with a zero byte cannot be a text of C: it ends there.
        let token = |token: &str| {
            let bytes: Vec<u8> = token.bytes().take_while(|&byte| byte != 0).chain([0]).collect();
            CStr::from_bytes_with_nul(&bytes).map(Box::from).unwrap_or_default()
        };
        let tokens = model.codec().vocab().tokens().map(token).collect();
        Box::into_raw(Box::new(Model { model, tokens }))
    }
}

/// A CPU with this many threads; 0: one per core.
fn device(threads: usize) -> Result<Device, Fault> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Device::cpu(if threads == 0 { cores() } else { threads })?)
}

/// Frees a model; NULL is ignored.
///
/// # Safety
/// `model` comes from `rondo_open` and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_free(model: *mut Model) {
    if !model.is_null() {
        guarded((), || {
            // SAFETY: it is from `Box::into_raw`, and the caller gives it up.
            drop(unsafe { Box::from_raw(model) });
            Ok(())
        });
    }
}

/// The number of tokens of the vocabulary; 0 if `model` is NULL.
///
/// # Safety
/// `model` is open, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_vocab_size(model: *const Model) -> usize {
    // SAFETY: the caller keeps the model.
    unsafe { model.as_ref() }.map_or(0, |model| model.tokens.len())
}

/// The text of a token, as it is in the vocabulary; NULL if there is none with this id. Valid as long as the model.
///
/// # Safety
/// `model` is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_token(model: *const Model, id: u32) -> *const c_char {
    guarded(ptr::null(), || {
        // SAFETY: the caller keeps the model.
        let model = unsafe { known("model", model) }?;
        let token =
            model.tokens.get(id as usize).ok_or(Fault::NoToken { id, vocab_size: model.tokens.len() })?;
        Ok(token.as_ptr())
    })
}

/// The id of the token that ends a line, which also comes before the first word of a sentence; negative if there is none.
///
/// # Safety
/// `model` is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_line_end(model: *const Model) -> i64 {
    guarded(-1, || {
        // SAFETY: the caller keeps the model.
        let model = unsafe { known("model", model) }?;
        model.model.codec().line_end().map(i64::from).ok_or(Fault::NoLineEnd)
    })
}

/// Splits a text into tokens, without a line end, and writes the first `capacity` ids. Returns their whole number, which
/// can be larger than `capacity`; negative if the text cannot be encoded.
///
/// # Safety
/// `model` is open, `line` is a text, and `ids` has room for `capacity` numbers (or is NULL if that is 0).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_encode(
    model: *const Model,
    line: *const c_char,
    ids: *mut u32,
    capacity: usize,
) -> i64 {
    guarded(-1, || {
        // SAFETY: the caller keeps the model.
        let model = unsafe { known("model", model) }?;
        // SAFETY: the caller passes a text.
        let found = model.model.codec().encode_prefix(unsafe { text("line", line) }?)?;
        let written = &found[..found.len().min(capacity)];
        if !written.is_empty() {
            // SAFETY: the caller has room for `capacity` ids.
            unsafe { write("ids", ids, written) }?;
        }
        Ok(found.len() as i64)
    })
}

/// Writes the log-probability of a line and its end, after a line end. Returns the number of tokens; negative if that
/// fails.
///
/// # Safety
/// `model` is open, `line` is a text, and `log_prob` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_score(model: *const Model, line: *const c_char, log_prob: *mut f64) -> i64 {
    guarded(-1, || {
        // SAFETY: the caller keeps the model.
        let model = unsafe { known("model", model) }?;
        // SAFETY: the caller passes a text.
        let scored = model.model.score(&[unsafe { text("line", line) }?])?;
        // SAFETY: the caller has room for a number.
        unsafe { write("log_prob", log_prob, &[scored[0].score.log_prob_sum]) }?;
        Ok(scored[0].line.ids.len() as i64)
    })
}

/// The state before any token. Advance it by the line end first, if the model has one. Returns NULL if that fails.
///
/// # Safety
/// `model` is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_begin(model: *const Model) -> *mut State {
    guarded(ptr::null_mut(), || {
        // SAFETY: the caller keeps the model.
        let model = unsafe { known("model", model) }?;
        Ok(Box::into_raw(Box::new(State(model.model.decoder().begin()))))
    })
}

/// Frees a state; NULL is ignored.
///
/// # Safety
/// `state` comes from `rondo_begin` or `rondo_advance` and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_state_free(state: *mut State) {
    if !state.is_null() {
        guarded((), || {
            // SAFETY: it is from `Box::into_raw`, and the caller gives it up.
            drop(unsafe { Box::from_raw(state) });
            Ok(())
        });
    }
}

/// Feeds each of `count` states its token, all in one step of the model. Writes the new states to `next`, and the
/// log-probabilities of the next token, `count` rows of `rondo_vocab_size` numbers, to `log_probs` unless it is NULL. The
/// old states stay as they are. Returns 0, or -1 if that fails: then nothing is written.
///
/// # Safety
/// `model` is open, `states` and `tokens` have `count` elements, `next` has room for as many, and `log_probs` for as many
/// rows. The states were made with this model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rondo_advance(
    model: *const Model,
    states: *const *const State,
    tokens: *const u32,
    count: usize,
    next: *mut *mut State,
    log_probs: *mut f32,
) -> i32 {
    guarded(-1, || {
        // SAFETY: the caller keeps the model.
        let model = unsafe { known("model", model) }?;
        if count == 0 {
            return Ok(0);
        }
        // SAFETY: the caller passes `count` states and tokens.
        let (states, tokens) = unsafe { (many("states", states, count)?, many("tokens", tokens, count)?) };
        // SAFETY: each is a state of the caller's.
        let states =
            states.iter().map(|&state| unsafe { known("states", state) }.map(|state| state.0.clone()));
        let states = states.collect::<Result<Vec<_>, Fault>>()?;
        if next.is_null() {
            return Err(Fault::Null("next"));
        }
        let (advanced, found) = model.model.decoder().advance(&states, tokens)?;
        if !log_probs.is_null() {
            for (row, found) in found.rows().enumerate() {
                // SAFETY: the caller has room for `count` rows.
                unsafe { write("log_probs", log_probs.add(row * found.len()), found) }?;
            }
        }
        let advanced: Vec<*mut State> =
            advanced.into_iter().map(|state| Box::into_raw(Box::new(State(state)))).collect();
        // SAFETY: the caller has room for `count` states.
        unsafe { write("next", next, &advanced) }?;
        Ok(0)
    })
}

/// A text of the caller's.
///
/// # Safety
/// If it is not NULL, it ends with a zero byte and does not change while it is used.
unsafe fn text<'a>(name: &'static str, text: *const c_char) -> Result<&'a str, Fault> {
    if text.is_null() {
        return Err(Fault::Null(name));
    }
    // SAFETY: it is a text.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| Fault::NotUtf8(name))
}

/// What a pointer of the caller's points to.
///
/// # Safety
/// If it is not NULL, it points to a value that stays while it is used.
unsafe fn known<'a, T>(name: &'static str, value: *const T) -> Result<&'a T, Fault> {
    // SAFETY: as above.
    unsafe { value.as_ref() }.ok_or(Fault::Null(name))
}

/// Values of the caller's.
///
/// # Safety
/// If the pointer is not NULL, it points to `count` values that stay while they are used.
unsafe fn many<'a, T>(name: &'static str, values: *const T, count: usize) -> Result<&'a [T], Fault> {
    if values.is_null() {
        return Err(Fault::Null(name));
    }
    // SAFETY: as above.
    Ok(unsafe { slice::from_raw_parts(values, count) })
}

/// Writes values to the caller's room, which need not be initialized.
///
/// # Safety
/// If the pointer is not NULL, it points to room for these values, which nothing else uses meanwhile.
unsafe fn write<T: Copy>(name: &'static str, to: *mut T, values: &[T]) -> Result<(), Fault> {
    if to.is_null() {
        return Err(Fault::Null(name));
    }
    // SAFETY: as above; the room is the caller's, so the values are not in it.
    unsafe { to.copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    Ok(())
}
