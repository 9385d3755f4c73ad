//! Converts a plan back to settings.

use std::path::PathBuf;

use rondo_data::{TokenizerOptions, VocabOptions, VocabSource};
use rondo_nn::{Biases, Cell, Input};

use super::{
    CorpusChoice, IdsPlace, ModelPlan, NonFiniteRule, OptimizationPlan, OptimizerPlan, Plan, SampledSoftmax,
    SoftmaxPlan, TextPlan,
};
use crate::settings::{
    AveragingKind, ByteSize, ClipUnit, EvaluationSettings, InitSettings, ModelInput, ModelSettings, OnNan,
    OptimizationSettings, OptimizerKind, SampleSettings, ScheduleKind, Settings, Site, SoftmaxKind,
    TextSettings, TokenizerChoice, TrainingSettings,
};
use crate::{AveragingRule, ScheduleRule};

/// See [`Plan::settings`].
pub(super) fn settings(plan: &Plan) -> Settings {
    let Plan { init, training, evaluation, sample, .. } = plan;
    Settings {
        text: text(&plan.text),
        model: model(&plan.model),
        init: InitSettings {
            embedding: Some(init.embedding),
            recurrent: Some(init.recurrent),
            decoder: Some(init.decoder),
            bias: Some(init.bias),
        },
        training: with_non_finite(
            TrainingSettings {
                from: training.from.clone(),
                extend_vocab: Some(training.extend_vocab),
                epochs: Some(training.epochs),
                early_stopping: Some(training.early_stopping.unwrap_or(0)),
                batch_size: Some(training.batch_size),
                accumulate: Some(training.accumulate),
                bptt: Some(training.bptt),
                last_batch: Some(training.last_batch),
                variable_bptt: Some(training.variable_bptt),
                batch_order: Some(training.batch_order),
                max_batches: Some(training.max_batches.unwrap_or(0)),
                max_steps: Some(training.max_steps.unwrap_or(0)),
                time: Some(training.time),
                normalizer: Some(training.normalizer.unwrap_or(0)),
                reset_state: Some(training.reset_state),
                shuffle_lines: Some(training.shuffle_lines),
                checkpoint_every: Some(training.checkpoint_every),
                log_every: Some(training.log_every.unwrap_or(0)),
                moving_loss_decay: Some(training.moving_loss_decay),
                moving_loss_correction: Some(training.moving_loss_correction),
                seed: Some(training.seed),
                device: Some(training.device),
                threads: Some(training.threads),
                precision: Some(training.precision),
                ..TrainingSettings::default()
            },
            training.non_finite,
        ),
        optimization: optimization(&plan.optimization),
        evaluation: EvaluationSettings {
            every: Some(evaluation.every),
            unaveraged: Some(evaluation.unaveraged),
            batch_size: Some(evaluation.batch_size),
            bptt: Some(evaluation.bptt),
        },
        sample: SampleSettings {
            prefix: Some(sample.prefixes.clone()),
            length: Some(sample.length),
            temperature: Some(sample.temperature),
        },
    }
}

fn with_non_finite(settings: TrainingSettings, rule: NonFiniteRule) -> TrainingSettings {
    match rule {
        NonFiniteRule::Stop => TrainingSettings { on_nan: Some(OnNan::Stop), ..settings },
        NonFiniteRule::Skip => TrainingSettings { on_nan: Some(OnNan::Skip), ..settings },
        NonFiniteRule::Rollback { times, factor } => TrainingSettings {
            on_nan: Some(OnNan::Rollback),
            max_rollbacks: Some(times),
            rollback_factor: Some(factor),
            ..settings
        },
    }
}

fn text(plan: &TextPlan) -> TextSettings {
    let mut settings = TextSettings::default();
    let (corpus, data) = match &plan.corpus {
        CorpusChoice::BuiltIn => (Some(crate::BUILT_IN), vec![]),
        CorpusChoice::InMemory => (Some(crate::IN_MEMORY), vec![]),
        CorpusChoice::Named { name, data } => (Some(name.as_str()), data.iter().cloned().collect()),
        CorpusChoice::Own(paths) => (None, paths.clone()),
        CorpusChoice::OwnSplits { train, valid, test } => {
            settings.train = Some(train.clone());
            settings.valid = Some(valid.clone()).filter(|paths| !paths.is_empty());
            settings.test = Some(test.clone()).filter(|paths| !paths.is_empty());
            (None, vec![])
        }
    };
    let options = &plan.options;
    let TokenizerOptions {
        blank_lines,
        sentences,
        joints,
        lowercase,
        punctuation,
        number_token,
        normalization,
    } = options.tokenizer.options();
    let mut settings = TextSettings {
        corpus: corpus.map(str::to_owned),
        text_field: Some(options.text_field.clone().unwrap_or_default()),
        normalize: normalization,
        data: Some(data),
        count_memory: options.count_memory.map(ByteSize),
        ids_dir: match &plan.ids {
            IdsPlace::Automatic => None,
            IdsPlace::Memory => Some(PathBuf::new()),
            IdsPlace::Folder(path) => Some(path.clone()),
        },
        drop_tail_chars: Some(options.drop_tail_chars),
        lossy: Some(options.lossy),
        split: Some(options.division),
        valid_fraction: Some(options.valid_fraction),
        test_fraction: Some(options.test_fraction),
        tokenizer: options.tokenizer.kind().map(TokenizerChoice::Kind),
        blank_lines,
        sentences,
        joints,
        lowercase,
        punctuation,
        number_token,
        ..settings
    };
    // A given vocabulary comes with the model to continue from, so no settings describe it.
    if let VocabSource::Extend { min_freq, max_size, splits, .. } = &options.vocab {
        settings.vocab_from = Some(*splits);
        settings.min_frequency = Some(*min_freq);
        settings.max_vocab_size = Some(max_size.unwrap_or(0));
    }
    if let VocabSource::Build { options: vocab, splits } = &options.vocab {
        settings.vocab_order = Some(vocab.order);
        settings.vocab_from = Some(*splits);
        settings.min_frequency = Some(vocab.min_freq);
        settings.max_vocab_size = Some(vocab.max_size.unwrap_or(0));
    }
    if let VocabSource::TokenizerFile(path) = &options.vocab {
        settings.tokenizer = Some(TokenizerChoice::File(path.clone()));
        // Those of the default kind of tokenizer, which is not used.
        (settings.blank_lines, settings.lowercase, settings.normalize) = (None, None, None);
        (settings.punctuation, settings.number_token) = (None, None);
    }
    if let VocabSource::List { list, .. } = &options.vocab {
        settings.vocab_list = Some(list.clone());
    }
    if let VocabSource::Build { options: vocab, .. } | VocabSource::List { options: vocab, .. } =
        &options.vocab
    {
        let own = VocabOptions::for_tokenizer(&options.tokenizer).reserved.len();
        settings.unknown_token = Some(vocab.unknown.clone().unwrap_or_default());
        settings.reserved_tokens = Some(vocab.reserved.iter().skip(own).cloned().collect());
    }
    settings
}

pub(super) fn model(plan: &ModelPlan) -> ModelSettings {
    let (input, embedding_size) = match plan.input {
        Input::Embedding(width) => (ModelInput::Embedding, Some(width)),
        Input::OneHot => (ModelInput::OneHot, None),
    };
    let dropout = plan.dropout;
    let sites =
        [(Site::Input, dropout.input), (Site::Between, dropout.between), (Site::Output, dropout.output)];
    // If all layers have the same size, use the settings that a user would change.
    let width = plan.hidden_sizes.last().copied();
    let width = width.filter(|width| plan.hidden_sizes.iter().all(|size| size == width));
    let sampler = match plan.softmax {
        SoftmaxPlan::Sampled(SampledSoftmax { sampler, .. }) => Some(sampler),
        SoftmaxPlan::Full | SoftmaxPlan::Adaptive { .. } => None,
    };
    let (options, is_mogrifier) = (plan.cell_options, plan.cell == Cell::Mogrifier);
    let locked = sites.into_iter().filter(|(_, site)| site.locked).map(|(site, _)| site);
    ModelSettings {
        preset: None,
        input: Some(input),
        cell: Some(plan.cell),
        embedding_size,
        hidden_size: width,
        layers: width.map(|_| plan.hidden_sizes.len()),
        projection_size: Some(options.projection_size.unwrap_or(0)),
        cell_clip: Some(options.cell_clip.unwrap_or(0.0)),
        mogrifier_rounds: is_mogrifier.then_some(options.mogrifier.rounds),
        mogrifier_rank: is_mogrifier.then_some(options.mogrifier.rank.unwrap_or(0)),
        hidden_sizes: Some(if width.is_some() { vec![] } else { plan.hidden_sizes.clone() }),
        tied: Some(plan.tied),
        softmax: Some(softmax_kind(&plan.softmax)),
        sampler,
        biases: Some(match plan.biases {
            Biases::One => 1,
            Biases::Two => 2,
        }),
        dropout: None,
        dropout_input: Some(dropout.input.probability),
        dropout_between: Some(dropout.between.probability),
        dropout_output: Some(dropout.output.probability),
        dropout_words: Some(dropout.words),
        dropout_weights: Some(dropout.weights),
        locked_dropout: Some(locked.collect()),
    }
}

/// The setting that stands for a softmax.
pub(super) fn softmax_kind(plan: &SoftmaxPlan) -> SoftmaxKind {
    match plan {
        SoftmaxPlan::Full => SoftmaxKind::Full,
        SoftmaxPlan::Sampled(sampled) => SoftmaxKind::Sampled { draws: sampled.draws },
        SoftmaxPlan::Adaptive { cutoffs } => SoftmaxKind::Adaptive { cutoffs: cutoffs.clone() },
    }
}

fn optimization(plan: &OptimizationPlan) -> OptimizationSettings {
    let settings = OptimizationSettings {
        learning_rate: Some(plan.learning_rate),
        weight_decay: Some(plan.weight_decay),
        loss_reduction: Some(plan.loss_reduction),
        step_divisor: Some(plan.step_divisor),
        clip_norm: Some(plan.clip_norm.map_or(0.0, |clip| clip.limit)),
        clip_norm_unit: Some(plan.clip_norm.map_or(ClipUnit::One, |clip| clip.unit)),
        clip_value: Some(plan.clip_value.unwrap_or(0.0)),
        warmup: Some(plan.warmup as usize),
        min_learning_rate: Some(plan.min_learning_rate.unwrap_or(0.0)),
        activation_penalty: Some(plan.penalty.activation),
        temporal_penalty: Some(plan.penalty.temporal),
        ..OptimizationSettings::default()
    };
    with_averaging(with_schedule(with_optimizer(settings, plan.optimizer), plan.schedule), plan.averaging)
}

fn with_optimizer(settings: OptimizationSettings, plan: OptimizerPlan) -> OptimizationSettings {
    match plan {
        OptimizerPlan::Sgd { momentum } => {
            OptimizationSettings { optimizer: Some(OptimizerKind::Sgd), momentum: Some(momentum), ..settings }
        }
        OptimizerPlan::Adam { beta1, beta2, epsilon, decoupled } => OptimizationSettings {
            optimizer: Some(if decoupled { OptimizerKind::AdamW } else { OptimizerKind::Adam }),
            beta1: Some(beta1),
            beta2: Some(beta2),
            epsilon: Some(epsilon),
            ..settings
        },
    }
}

fn with_schedule(settings: OptimizationSettings, rule: ScheduleRule) -> OptimizationSettings {
    match rule {
        ScheduleRule::Constant => OptimizationSettings { schedule: Some(ScheduleKind::Constant), ..settings },
        ScheduleRule::Plateau { decay_factor, patience, reload_best } => OptimizationSettings {
            schedule: Some(ScheduleKind::Plateau),
            decay_factor: Some(decay_factor),
            patience: Some(patience),
            reload_best: Some(reload_best),
            ..settings
        },
        ScheduleRule::Step { decay_factor, decay_every } => OptimizationSettings {
            schedule: Some(ScheduleKind::Step),
            decay_factor: Some(decay_factor),
            decay_every: Some(decay_every),
            ..settings
        },
        ScheduleRule::Linear { min_learning_rate } => OptimizationSettings {
            schedule: Some(ScheduleKind::Linear),
            min_learning_rate: Some(min_learning_rate),
            ..settings
        },
        ScheduleRule::Cosine { min_learning_rate } => OptimizationSettings {
            schedule: Some(ScheduleKind::Cosine),
            min_learning_rate: Some(min_learning_rate),
            ..settings
        },
    }
}

fn with_averaging(settings: OptimizationSettings, rule: AveragingRule) -> OptimizationSettings {
    match rule {
        AveragingRule::Off => OptimizationSettings { averaging: Some(AveragingKind::Off), ..settings },
        AveragingRule::Stalled { patience } => OptimizationSettings {
            averaging: Some(AveragingKind::NtAsgd),
            averaging_patience: Some(patience),
            ..settings
        },
        AveragingRule::After { epochs } => OptimizationSettings {
            averaging: Some(AveragingKind::Asgd),
            averaging_after: Some(epochs),
            ..settings
        },
        AveragingRule::Tail { fraction } => {
            OptimizationSettings { averaging: Some(AveragingKind::Tail { fraction }), ..settings }
        }
        AveragingRule::Exponential { decay } => {
            OptimizationSettings { averaging: Some(AveragingKind::Ema { decay }), ..settings }
        }
    }
}
