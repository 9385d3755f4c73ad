//! Failures: what the caller gets instead of an error or a panic.

use std::cell::RefCell;
use std::error::Error;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rondo_data::DataError;
use rondo_infer::InferError;
use rondo_kernels::DeviceError;

/// Why a call has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("`{0}` is NULL")]
    Null(&'static str),
    #[error("`{0}` is not UTF-8")]
    NotUtf8(&'static str),
    #[error("there is no token {id}: the vocabulary has {vocab_size} tokens")]
    NoToken { id: u32, vocab_size: usize },
    #[error("the vocabulary has no token that ends a line")]
    NoLineEnd,
    #[error(transparent)]
    Infer(#[from] InferError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Device(#[from] DeviceError),
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::new(CString::default());
}

/// The text of the last failure of this thread.
pub(crate) fn last() -> *const c_char {
    LAST.with_borrow(|last| last.as_ptr())
}

fn keep(text: &str) {
    // What is after a zero byte is left out: it cannot be part of a text of C.
    let text = text.split('\0').next().unwrap_or_default();
    LAST.set(CString::new(text).unwrap_or_default());
}

/// Does something that can fail. If it does, or panics, keeps why and returns `failed`.
pub(crate) fn guarded<T>(failed: T, work: impl FnOnce() -> Result<T, Fault>) -> T {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => value,
        Ok(Err(fault)) => {
            let (mut text, mut source) = (fault.to_string(), fault.source());
            while let Some(cause) = source {
                text += &format!(": {cause}");
                source = cause.source();
            }
            keep(&text);
            failed
        }
        Err(_) => {
            keep("the library has a defect; what it printed says more");
            failed
        }
    }
}
