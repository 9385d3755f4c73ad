//! What a run of limited time trains if nothing but a text and the time is given.
//!
//! ```text
//! speed · time ─▶ operations ─┬─▶ hidden size: the largest one that still reads enough tokens for its weights
//! tokens, vocabulary ─────────┘       └─▶ how often it reads the text ─▶ dropout, batch
//! ```
//!
//! With more time, both the model and the number of tokens that it reads grow, in proportion. A short text limits the size,
//! and one that is read often takes more dropout. `docs/fast-training.md` has the rule, and what it gives on five corpora.
//! Not here: the number of steps (`time_plan`).

use crate::Settings;
use crate::settings::{
    AveragingKind, ModelSettings, OptimizationSettings, OptimizerKind, ScheduleKind, SoftmaxKind,
    TrainingSettings,
};

/// The hidden sizes to select from.
const SIZES: [usize; 16] = [64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280];
/// The fraction of the peak that training reaches, evaluations and everything else included.
const EFFICIENCY: f64 = 0.55;
/// The least number of tokens to read for each recurrent weight.
const MIN_TOKENS_PER_WEIGHT: f64 = 6.0;
/// The same for a small vocabulary, such as characters.
const MIN_TOKENS_PER_WEIGHT_OF_CHARACTERS: f64 = 2.0;
/// The hidden size divided by the square root of the number of tokens of the text is at most this.
const MAX_SIZE_PER_ROOT_OF_TOKENS: f64 = 0.9;
/// A larger vocabulary gets a sampled softmax, and SGD.
const LARGE_VOCABULARY: usize = 1_000;

/// A text that is read at least this often gets larger batches: with small ones, the noise of the steps limits what it
/// reaches.
const LARGE_BATCH_READS: f64 = 3.0;

/// The batches for a small vocabulary: the first that take at least [`MIN_STEPS`] steps.
const BATCHES_OF_CHARACTERS: [(usize, usize); 3] = [(16, 64), (16, 32), (10, 20)];
/// Fewer steps are not enough for Adam.
const MIN_STEPS: f64 = 3_000.0;
/// On a shorter text, the rule gave worse models than the defaults: it is read so often that it is learned by heart.
const MIN_TOKENS: usize = 20_000;

/// A text as far as sizes depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextSize {
    /// The number of tokens of the training text.
    pub(crate) tokens: usize,
    /// The size of the vocabulary.
    pub(crate) vocab_size: usize,
}

/// What suits a text and the operations that the time allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sizing {
    /// The units of each of two layers, and of the embedding.
    pub(crate) hidden_size: usize,
    /// The dropout probability.
    pub(crate) dropout: f32,
    /// How often the text will be read.
    pub(crate) reads: f64,
    /// The draws of a sampled softmax, if the vocabulary is large.
    draws: Option<usize>,
    /// Sequences and steps of a batch.
    batch: (usize, usize),
}

impl Sizing {
    /// Whether the rule is for this text.
    pub(crate) fn suits(text: TextSize) -> bool {
        text.tokens >= MIN_TOKENS
    }

    /// What suits a run of `time_s` seconds on a machine whose peak is `peak` floating-point operations per second, with
    /// this hidden size if it is given.
    pub(crate) fn new(text: TextSize, peak: f64, time_s: f64, hidden_size: Option<usize>) -> Sizing {
        let TextSize { tokens, vocab_size } = text;
        let draws = (vocab_size > LARGE_VOCABULARY)
            .then(|| ((8.0 * (vocab_size as f64).sqrt()) as usize).next_power_of_two());
        let decoder = draws.unwrap_or(vocab_size).min(vocab_size) as f64;
        let weights = |size: f64| 16.0 * size * size;
        // Forward and backward passes of two layers and the decoder.
        let flop_per_token = |size: f64| 6.0 * (weights(size) + decoder * size);
        let processed = |size: usize| EFFICIENCY * peak * time_s / flop_per_token(size as f64);
        let tokens = tokens.max(1) as f64;
        let tokens_per_weight =
            if draws.is_some() { MIN_TOKENS_PER_WEIGHT } else { MIN_TOKENS_PER_WEIGHT_OF_CHARACTERS };
        let fits = |size: &usize| {
            processed(*size) >= tokens_per_weight * weights(*size as f64)
                && *size as f64 <= MAX_SIZE_PER_ROOT_OF_TOKENS * tokens.sqrt()
        };
        let hidden_size =
            hidden_size.unwrap_or_else(|| SIZES.into_iter().rev().find(fits).unwrap_or(SIZES[0]));
        let reads = processed(hidden_size.max(1)) / tokens;
        // Rounded, so that a machine whose speed varies a little gives the same.
        let dropout = (0.05 + 0.07 * reads.max(1.0).log2()).min(0.5);
        let dropout = ((dropout * 20.0).round() / 20.0) as f32;
        let batch = match draws {
            Some(_) if reads < LARGE_BATCH_READS => (10, 20),
            Some(_) => (20, 35),
            None => {
                let are_enough = |&(batch_size, bptt): &(usize, usize)| {
                    reads * tokens >= MIN_STEPS * (batch_size * bptt) as f64
                };
                BATCHES_OF_CHARACTERS.into_iter().find(are_enough).unwrap_or(BATCHES_OF_CHARACTERS[2])
            }
        };
        Sizing { hidden_size, dropout, reads, draws, batch }
    }

    /// The settings, which the `given` ones override. If these say anything about the optimization, they decide all of it.
    pub(crate) fn settings_below(self, given: Settings) -> Settings {
        let Sizing { hidden_size, dropout, draws, batch: (batch_size, bptt), .. } = self;
        let mut settings = Settings {
            model: ModelSettings {
                hidden_size: Some(hidden_size),
                dropout: Some(dropout),
                softmax: draws.map(|draws| SoftmaxKind::Sampled { draws }),
                ..ModelSettings::default()
            },
            ..Settings::default()
        };
        settings.evaluation.batch_size = Some(32);
        settings.training = TrainingSettings {
            batch_size: Some(batch_size),
            bptt: Some(bptt),
            ..TrainingSettings::default()
        };
        if draws.is_none() && given.optimization == OptimizationSettings::default() {
            settings.optimization = OptimizationSettings {
                optimizer: Some(OptimizerKind::Adam),
                learning_rate: Some(0.003),
                clip_norm: Some(1.0),
                schedule: Some(ScheduleKind::Linear),
                warmup: Some(50),
                averaging: Some(AveragingKind::Off),
                ..OptimizationSettings::default()
            };
        }
        settings.overlaid_with(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;

    /// A processor with two cores and AVX-512.
    const PEAK: f64 = 300e9;
    const PTB: TextSize = TextSize { tokens: 929_589, vocab_size: 10_000 };
    const WIKITEXT_2: TextSize = TextSize { tokens: 2_088_628, vocab_size: 33_278 };
    const TIME_MACHINE: TextSize = TextSize { tokens: 170_000, vocab_size: 77 };

    fn sizing(text: TextSize, minutes: f64) -> Sizing {
        Sizing::new(text, PEAK, 60.0 * minutes, None)
    }

    #[test]
    fn more_time_gives_a_larger_model_up_to_what_the_text_can_teach() {
        for text in [PTB, WIKITEXT_2, TIME_MACHINE] {
            let sizes: Vec<usize> = [0.5, 2.0, 5.0, 20.0, 100.0]
                .iter()
                .map(|&minutes| sizing(text, minutes).hidden_size)
                .collect();
            assert!(sizes.is_sorted() && sizes[0] < sizes[4], "{text:?}: {sizes:?}");
            assert!(
                sizes[4] as f64 <= MAX_SIZE_PER_ROOT_OF_TOKENS * (text.tokens as f64).sqrt(),
                "{text:?}: {sizes:?}"
            );
        }
    }

    #[test]
    fn a_short_text_is_read_more_often_and_with_more_dropout() {
        let (short, long) = (sizing(TextSize { tokens: 87_000, ..PTB }, 5.0), sizing(PTB, 5.0));
        assert!(short.reads > 2.0 * long.reads, "{short:?} {long:?}");
        assert!(short.dropout > long.dropout, "{short:?} {long:?}");
    }

    #[test]
    fn a_small_vocabulary_gets_smaller_batches_if_the_time_is_short() {
        let batches = [0.1, 1.5, 20.0].map(|minutes| sizing(TIME_MACHINE, minutes).batch);
        assert_eq!(batches, [(10, 20), (16, 32), (16, 64)]);
    }

    #[test]
    fn a_large_vocabulary_gets_small_batches_if_the_text_is_read_once_or_twice() {
        let batches = [1.0, 30.0].map(|minutes| {
            let plan = Plan::new(&sizing(WIKITEXT_2, minutes).settings_below(Settings::default())).unwrap();
            (plan.training.batch_size, plan.training.bptt)
        });
        assert_eq!(batches, [(10, 20), (20, 35)]);
    }

    #[test]
    fn extreme_texts_and_times_have_sizes_too() {
        for text in [
            TextSize { tokens: 0, vocab_size: 0 },
            TextSize { tokens: usize::MAX, vocab_size: usize::MAX / 2 },
        ] {
            for time_s in [0.0, 1.0, 1e9] {
                let Sizing { hidden_size, dropout, .. } = Sizing::new(text, PEAK, time_s, None);
                assert!(SIZES.contains(&hidden_size) && (0.0..=0.5).contains(&dropout));
            }
        }
    }

    #[test]
    fn a_given_size_decides_the_dropout() {
        let free = sizing(PTB, 20.0);
        let small = Sizing::new(PTB, PEAK, 1200.0, Some(64));
        assert_eq!(small.hidden_size, 64);
        assert!(small.reads > free.reads && small.dropout > free.dropout, "{small:?} {free:?}");
    }

    #[test]
    fn the_settings_are_a_plan_and_given_ones_take_precedence() {
        for text in [PTB, TIME_MACHINE] {
            let sizing = sizing(text, 5.0);
            let plan = Plan::new(&sizing.settings_below(Settings::default())).unwrap();
            assert_eq!(plan.model.hidden_sizes, [sizing.hidden_size; 2]);
            let given = Settings::parse("given", "[model]\nhidden_size = 40\nlayers = 1").unwrap();
            let plan = Plan::new(&sizing.settings_below(given)).unwrap();
            assert_eq!(plan.model.hidden_sizes, [40]);
        }
    }

    #[test]
    fn a_given_optimizer_has_its_own_learning_rate() {
        let given = Settings::parse("given", "[optimization]\noptimizer = 'sgd'").unwrap();
        let plan = Plan::new(&sizing(TIME_MACHINE, 5.0).settings_below(given.clone())).unwrap();
        let usual = Plan::new(&given).unwrap();
        assert_eq!(plan.optimization, usual.optimization);
    }
}
