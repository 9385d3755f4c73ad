//! Refuses work whose batches do not fit in memory, before any of it is allocated.

use rondo_nn::{Model, PassMemory, RnnLmConfig};

use crate::evaluate::evaluation_batch;
use crate::{InferError, Result};

/// Below this many bytes, memory is not checked: asking the system would take longer than the work.
const SMALL: u64 = 64 << 20;

/// Checks that an evaluation fits in memory.
pub(crate) fn check_evaluation(
    model: &dyn Model,
    tokens: usize,
    batch_size: usize,
    bptt: usize,
) -> Result<()> {
    check_memory(model, "the evaluation", "`batch_size` or `bptt`", |memory| {
        memory.evaluate(evaluation_batch(tokens, batch_size, bptt));
    })
}

/// Checks that the logits of a step of `columns` columns fit in memory.
pub(crate) fn check_ranking(model: &dyn Model, columns: usize) -> Result<()> {
    check_memory(model, "ranking tokens", "`batch_size`", |memory| memory.logits(columns))
}

/// Checks that `rows` sequences can be generated in parallel; `reduce` says what their number depends on.
pub(crate) fn check_generation(model: &dyn Model, rows: usize, reduce: &'static str) -> Result<()> {
    check_memory(model, "generating in parallel", reduce, |memory| memory.logits(rows))
}

/// Checks that passes of a model fit in memory: `add` adds them to an estimate, `what` and `reduce` name them
/// and the settings they depend on in the error. Models of other kinds than [`RnnLm`](rondo_nn::RnnLm) are not
/// checked.
///
/// # Errors
/// [`InferError::NotEnoughMemory`] if they do not fit.
pub fn check_memory(
    model: &dyn Model,
    what: &'static str,
    reduce: &'static str,
    add: impl FnOnce(&mut PassMemory<'_>),
) -> Result<()> {
    let Ok(config) = serde_json::from_str::<RnnLmConfig>(&model.description()) else { return Ok(()) };
    let device = model.parameters().device();
    let mut memory = PassMemory::new(&config, device);
    add(&mut memory);
    let needed = memory.bytes();
    if needed < SMALL {
        return Ok(());
    }
    device.check_memory(needed).map_err(|available| InferError::NotEnoughMemory {
        what,
        needed,
        available,
        reduce,
    })
}

/// The most rows that a search for texts of up to `length` of `vocab_size` tokens can have.
pub(crate) fn search_rows(beams: usize, vocab_size: usize, length: usize) -> usize {
    let length = u32::try_from(length.saturating_sub(1)).unwrap_or(u32::MAX);
    beams.min(vocab_size.saturating_pow(length))
}

#[cfg(test)]
mod tests {
    use rondo_kernels::Device;
    use rondo_nn::{PRESETS, RnnLm};

    use super::*;

    #[test]
    fn enormous_batches_are_refused() {
        let model = RnnLm::new(PRESETS[0].config(10), &Device::cpu(1).unwrap()).unwrap();
        check_evaluation(&model, 1000, usize::MAX, usize::MAX).unwrap();
        let error = check_evaluation(&model, usize::MAX, usize::MAX, usize::MAX).unwrap_err().to_string();
        assert!(error.starts_with("the evaluation needs about ") && error.contains("`bptt`"), "{error}");
        check_generation(&model, 1000, "the number").unwrap();
        let error = check_generation(&model, usize::MAX, "the number").unwrap_err().to_string();
        assert!(error.ends_with(": reduce the number"), "{error}");
        assert_eq!((search_rows(usize::MAX, 10, 3), search_rows(7, 10, usize::MAX)), (100, 7));
    }
}
