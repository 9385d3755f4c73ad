//! The model and the hyperparameters of a run that is given a text and a time, and nothing else of them.
//!
//! | | words (1,000 tokens or more) | characters, bytes |
//! |---|---|---|
//! | model | LSTM with two layers, tied | the same |
//! | hidden size | the largest with which the run reads enough tokens: [`WORD_TOKENS`] | [`CHARACTER_TOKENS`] |
//! | softmax | sampled, from 4,000 tokens | full |
//! | batch | 10 × 20 tokens; 20 × 35 from [`MANY_EPOCHS`] epochs | 16 × 64 tokens |
//! | optimization | SGD at 20, average of the last 40 % | Adam, linear decay |
//!
//! Dropout grows with the number of times that the text is read and with the size. How many tokens the run reads follows from the work per
//! token and from the peak of the machine, which is measured. Not here: the number of steps (`time_plan`).

use rondo_kernels::{Device, roofline};

use crate::memory::CorpusSize;
use crate::settings::{
    AveragingKind, ModelSettings, OptimizationSettings, OptimizerKind, ScheduleKind, Settings, SoftmaxKind,
};

/// Vocabularies of at least this many tokens are those of words.
const WORDS: usize = 1_000;
/// How many tokens are enough: a multiple of those of the text, and more. A short text is read more often.
const WORD_TOKENS: (f64, f64) = (2.0, 1.2e6);
const CHARACTER_TOKENS: (f64, f64) = (3.0, 2e6);
/// The hidden sizes: multiples of this, a whole number of vectors.
const UNIT: usize = 32;
const SMALLEST: usize = 64;
const LARGEST: usize = 1_024;
/// From this number of epochs on, models are evaluated during the run, and batches of words are larger: few steps are no problem.
const MANY_EPOCHS: f64 = 8.0;
/// The fraction of the peak of multiply-adds at which a run trains, evaluations and pauses included.
const EFFICIENCY: f64 = 0.45;

/// What a run with a limited time trains.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sized {
    /// The settings, with those of the rule.
    pub(crate) settings: Settings,
    /// The hidden size.
    pub(crate) hidden_size: usize,
    /// How often the text will be read, about.
    pub(crate) epochs: f64,
}

/// The settings of a run of `seconds` on this device. `None` if they say something about the model, the batches or the
/// optimization: then the usual defaults apply.
pub(crate) fn sized(
    settings: &Settings,
    corpus: &CorpusSize,
    seconds: f64,
    device: &Device,
) -> Option<Sized> {
    let is_open = settings.model == ModelSettings::default()
        && settings.optimization == OptimizationSettings::default()
        && settings.training.batch_size.is_none()
        && settings.training.bptt.is_none();
    is_open.then(|| sized_for(settings, corpus, seconds * EFFICIENCY * roofline::fma_peak(device)))
}

/// The settings of a run that can do this many floating-point operations.
fn sized_for(settings: &Settings, corpus: &CorpusSize, flop: f64) -> Sized {
    let are_words = corpus.vocab_size >= WORDS;
    let draws = draws(corpus.vocab_size);
    let tokens_of =
        |hidden_size: usize| flop / train_flop_per_token(hidden_size, draws.unwrap_or(corpus.vocab_size));
    let (times, more) = if are_words { WORD_TOKENS } else { CHARACTER_TOKENS };
    let (train, enough) = (corpus.train.max(1) as f64, times * corpus.train as f64 + more);
    let mut largest_first = (SMALLEST / UNIT..=LARGEST / UNIT).rev().map(|units| units * UNIT);
    let hidden_size = largest_first.find(|&size| tokens_of(size) >= enough).unwrap_or(SMALLEST);
    let epochs = tokens_of(hidden_size) / train;

    let mut settings = settings.clone();
    let (batch_size, bptt) = match are_words {
        true if epochs < MANY_EPOCHS => (10, 20),
        true => (20, 35),
        false => (16, 64),
    };
    // At least two batches of a short text.
    let bptt = bptt.min(corpus.train / 4).max(1);
    let batch_size = batch_size.min(corpus.train / (2 * (bptt + 1))).max(1);
    settings.model.hidden_size = Some(hidden_size);
    settings.model.dropout = Some(dropout(epochs, hidden_size));
    settings.model.softmax = draws.map(|draws| SoftmaxKind::Sampled { draws });
    settings.training.batch_size = Some(batch_size);
    settings.training.bptt = Some(bptt);
    let evaluation = &mut settings.evaluation;
    // The best of some evaluations, in case that the model begins to learn the text by heart.
    evaluation.every = evaluation.every.or(Some((epochs / MANY_EPOCHS) as usize).filter(|&every| every > 0));
    evaluation.batch_size = evaluation.batch_size.or(Some(32));
    let optimization = &mut settings.optimization;
    if are_words {
        optimization.averaging = Some(AveragingKind::Tail { fraction: 0.4 });
        optimization.schedule = Some(ScheduleKind::Constant);
    } else {
        optimization.optimizer = Some(OptimizerKind::Adam);
        // 0.004 with 256 units, 0.002 with 1,024.
        optimization.learning_rate = Some(0.064 / (hidden_size as f64).sqrt());
        optimization.schedule = Some(ScheduleKind::Linear);
        optimization.warmup = Some(50);
        optimization.clip_norm = Some(1.0);
        optimization.averaging = Some(AveragingKind::Off);
    }
    Sized { settings, hidden_size, epochs }
}

/// The draws of a sampled softmax, if it pays.
fn draws(vocab_size: usize) -> Option<usize> {
    (vocab_size >= 4_000).then(|| (vocab_size / 8).clamp(1_024, 4_096))
}

/// The floating-point operations of a training step per token, for two LSTM layers and this many rows of the decoder:
/// forward, and twice as many backward.
fn train_flop_per_token(hidden_size: usize, rows: usize) -> f64 {
    let size = hidden_size as f64;
    let (layers, gates, inputs) = (2.0, 4.0, 2.0);
    3.0 * 2.0 * (layers * gates * inputs * size * size + rows as f64 * size)
}

/// More dropout for a text that is read more often and for a larger model: 0 for once, 0.5 for 16 times or more with at
/// least 400 units, and half of that with 200.
fn dropout(epochs: f64, hidden_size: usize) -> f32 {
    let dropout = (0.125 * epochs.max(1.0).log2()).min(0.5) * (hidden_size as f64 / 400.0).min(1.0);
    (dropout * 20.0).round() as f32 / 20.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(vocab_size: usize, train: usize) -> CorpusSize {
        CorpusSize { vocab_size, train, evaluated: vec![] }
    }

    #[test]
    fn more_time_or_less_text_makes_a_larger_model() {
        let size = |corpus: &CorpusSize, flop| sized_for(&Settings::default(), corpus, flop).hidden_size;
        for (vocab_size, train) in [(60, 1_000_000), (10_000, 930_000), (33_278, 2_000_000)] {
            let sizes = [1e11, 1e12, 1e13, 1e14, 1e15].map(|flop| size(&corpus(vocab_size, train), flop));
            assert!(sizes.is_sorted() && sizes[0] == SMALLEST && sizes[1] < sizes[3], "{sizes:?}");
            assert!(size(&corpus(vocab_size, train / 4), 1e13) > sizes[2]);
        }
    }

    #[test]
    fn the_work_of_a_token_is_that_of_its_matrix_products() {
        // Two layers of 4 · 200 rows and 400 columns, a decoder of 33,278 rows: 2 · 7.3 MFLOP forward.
        let forward = 2.0 * (2.0 * 800.0 * 400.0 + 33_278.0 * 200.0);
        assert_eq!(train_flop_per_token(200, 33_278), 3.0 * forward);
    }

    #[test]
    fn dropout_grows_with_the_number_of_epochs() {
        let dropouts =
            |hidden_size| [0.2, 1.0, 2.0, 4.0, 16.0, 100.0].map(|epochs| dropout(epochs, hidden_size));
        assert_eq!(dropouts(512), [0.0, 0.0, 0.15, 0.25, 0.5, 0.5]);
        assert_eq!(dropouts(200), [0.0, 0.0, 0.05, 0.15, 0.25, 0.25]);
    }

    #[test]
    fn a_short_text_has_at_least_two_batches() {
        for train in [8, 100, 665, 5_000] {
            let training = sized_for(&Settings::default(), &corpus(20, train), 1e9).settings.training;
            let (batch_size, bptt) = (training.batch_size.unwrap(), training.bptt.unwrap());
            assert!(batch_size * (2 * bptt + 1) <= train, "{train}: {batch_size} × {bptt}");
        }
    }

    #[test]
    fn what_is_given_is_kept() {
        let device = Device::cpu(1).unwrap();
        let corpus = corpus(100, 100_000);
        for given in ["[model]\nhidden_size = 99", "[optimization]\nclip_norm = 1", "[training]\nbptt = 9"] {
            let settings = Settings::parse("given", given).unwrap();
            assert_eq!(sized(&settings, &corpus, 10.0, &device), None, "{given}");
        }
        let settings = Settings::parse("given", "[training]\nseed = 3\n[evaluation]\nevery = 1").unwrap();
        let sized = sized(&settings, &corpus, 1e9, &device).unwrap();
        assert_eq!((sized.hidden_size, sized.settings.evaluation.every), (LARGEST, Some(1)));
        assert_eq!(sized.settings.training.seed, Some(3));
    }
}
