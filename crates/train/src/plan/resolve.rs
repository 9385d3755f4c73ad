//! Makes a plan from settings: fills in defaults and refuses invalid values. This is a single file because the default of
//! a setting depends on others, and each is checked where it is filled in.

use std::path::{Path, PathBuf};
use std::thread;

use rondo_data::{
    BatchOrder, CorpusOptions, Division, LastBatch, Normalization, Punctuation, Tokenizer, TokenizerOptions,
    VocabOptions, VocabSource, VocabSplits,
};
use rondo_kernels::Device;
use rondo_nn::{
    ActivationPenalty, Biases, Cell, CellOptions, Dropout, DropoutSite, Initialization, Input,
    MogrifierOptions, PRESETS, Preset, RnnLmConfig,
};

use super::{
    ClipNorm, CorpusChoice, EvaluationPlan, IdsPlace, ModelPlan, NonFiniteRule, OptimizationPlan,
    OptimizerPlan, Plan, SamplePlan, SampledSoftmax, SoftmaxPlan, TextPlan, TrainingPlan,
};
use crate::settings::TimeLimit;
use crate::settings::{
    AveragingKind, ClipUnit, InitSettings, LossReduction, ModelInput, ModelSettings, OnNan,
    OptimizationSettings, OptimizerKind, ResetState, SampleSettings, ScheduleKind, Settings, Site,
    SoftmaxKind, StepDivisor, TextSettings, TokenizerChoice, TrainingSettings,
};
use crate::{AveragingRule, Result, ScheduleRule, TrainError};

/// The path that stands for stdin.
pub(crate) const STDIN: &str = "-";

/// The part of a run of limited time that is averaged by default.
const TIMED_TAIL: f64 = 0.4;

/// More epochs than a run has: only the last one is evaluated.
const ONLY_LAST: usize = 1_000_000;

const AT_LEAST_0_AND_LESS_THAN_1: &str = "at least 0 and less than 1";

/// See [`Plan::new`].
pub(super) fn plan(settings: &Settings) -> Result<Plan> {
    let training = training(&settings.training)?;
    let model = model(&settings.model)?;
    Ok(Plan {
        text: text(settings)?,
        init: init(&settings.init),
        optimization: optimization(&optimization_settings(settings), model.cell)?,
        evaluation: evaluation(settings)?,
        sample: sample(&settings.sample)?,
        model,
        training,
    })
}

/// See [`TextPlan::new`].
pub(super) fn text(settings: &Settings) -> Result<TextPlan> {
    let shuffles = settings.training.shuffle_lines == Some(true);
    let settings = &settings.text;
    let kind = settings.tokenizer.as_ref().and_then(TokenizerChoice::kind).unwrap_or_default();
    let tokenizer_file = settings.tokenizer.as_ref().and_then(TokenizerChoice::file);
    let tokenizer = kind.tokenizer(&tokenizer_options(settings));
    let default = VocabOptions::for_tokenizer(&tokenizer);
    let unknown = match &settings.unknown_token {
        None => default.unknown,
        Some(token) if token.is_empty() => None,
        Some(token) => Some(token.clone()),
    };
    // Without an unknown token, a token that is not in the vocabulary is an error. So the default vocabulary
    // is then built from all texts, as for characters and bytes.
    let splits = if unknown.is_some() { VocabSplits::Train } else { VocabSplits::All };
    let extra = settings.reserved_tokens.iter().flatten().cloned();
    let options = VocabOptions {
        order: settings.vocab_order.unwrap_or_default(),
        min_freq: settings.min_frequency.unwrap_or(1),
        max_size: settings.max_vocab_size.filter(|&size| size != 0),
        unknown,
        reserved: default.reserved.into_iter().chain(extra).collect(),
    };
    let valid_fraction = fraction("text.valid_fraction", settings.valid_fraction.unwrap_or(0.05))?;
    let test_fraction = fraction("text.test_fraction", settings.test_fraction.unwrap_or(0.05))?;
    if valid_fraction + test_fraction >= 1.0 {
        let expected = "less than 1 - `text.valid_fraction`, to leave text for training";
        return Err(out_of_range("text.test_fraction", test_fraction, expected));
    }
    let has_normalization = tokenizer.options().normalization.is_some();
    if !has_normalization {
        let given = settings.normalize.is_some_and(|normalization| normalization != Normalization::None);
        refuse_given([("text.normalize", given)], "tokens are words or characters, not bytes")?;
    }
    check_word_form(settings, &tokenizer)?;
    Ok(TextPlan {
        corpus: corpus(settings)?,
        options: CorpusOptions {
            vocab: match (tokenizer_file, &settings.vocab_list) {
                (Some(file), _) => {
                    refuse_with_file(settings)?;
                    VocabSource::TokenizerFile(absolute(file)?)
                }
                (None, Some(list)) if !list.as_os_str().is_empty() => {
                    refuse_building(settings)?;
                    VocabSource::List {
                        list: absolute(list)?,
                        options: VocabOptions { min_freq: 1, max_size: None, ..options },
                    }
                }
                _ => VocabSource::Build { options, splits: settings.vocab_from.unwrap_or(splits) },
            },
            tokenizer,
            text_field: settings.text_field.clone().filter(|field| !field.is_empty()),
            drop_tail_chars: settings.drop_tail_chars.unwrap_or(0),
            lossy: settings.lossy.unwrap_or(false),
            division: settings.split.unwrap_or(if shuffles { Division::RandomLines } else { Division::End }),
            valid_fraction,
            test_fraction,
            count_memory: settings.count_memory.map(|size| size.0).filter(|&bytes| bytes > 0),
        },
        ids: match &settings.ids_dir {
            None => IdsPlace::Automatic,
            Some(path) if path.as_os_str().is_empty() => IdsPlace::Memory,
            Some(path) => IdsPlace::Folder(absolute(path)?),
        },
    })
}

/// Refuses settings of words and of the vocabulary, because a tokenizer that has its own was given.
fn refuse_with_file(settings: &TextSettings) -> Result<()> {
    let is_given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let given = [
        ("text.vocab_list", settings.vocab_list.as_ref().is_some_and(|list| !list.as_os_str().is_empty())),
        ("text.vocab_order", settings.vocab_order.is_some()),
        ("text.vocab_from", settings.vocab_from.is_some()),
        ("text.min_frequency", settings.min_frequency.is_some_and(|least| least > 1)),
        ("text.max_vocab_size", settings.max_vocab_size.is_some_and(|most| most > 0)),
        ("text.count_memory", settings.count_memory.is_some_and(|size| size.0 > 0)),
        ("text.unknown_token", is_given(&settings.unknown_token)),
        ("text.reserved_tokens", settings.reserved_tokens.as_ref().is_some_and(|tokens| !tokens.is_empty())),
        ("text.lowercase", settings.lowercase == Some(true)),
        (
            "text.punctuation",
            settings.punctuation.is_some_and(|punctuation| punctuation != Punctuation::Keep),
        ),
        ("text.number_token", is_given(&settings.number_token)),
        ("text.normalize", settings.normalize.is_some_and(|form| form != Normalization::None)),
    ];
    refuse_given(given, "`text.tokenizer` is a name such as `words`: a file has its own vocabulary")
}

/// Refuses settings that select the words of a text, because a word list has been given.
fn refuse_building(settings: &TextSettings) -> Result<()> {
    let given = [
        ("text.vocab_order", settings.vocab_order.is_some()),
        ("text.vocab_from", settings.vocab_from.is_some()),
        ("text.min_frequency", settings.min_frequency.is_some_and(|least| least > 1)),
        ("text.max_vocab_size", settings.max_vocab_size.is_some_and(|most| most > 0)),
        ("text.count_memory", settings.count_memory.is_some_and(|size| size.0 > 0)),
    ];
    refuse_given(given, "the vocabulary is built from the text, without `text.vocab_list`")?;
    let is_of_bytes = settings
        .tokenizer
        .as_ref()
        .and_then(TokenizerChoice::kind)
        .is_some_and(|kind| kind.name() == "bytes");
    refuse_given([("text.vocab_list", is_of_bytes)], "tokens are words or characters, not bytes")
}

/// Refuses a form of words for tokenizers that have none, and a number token that could not be told from other tokens.
fn check_word_form(settings: &TextSettings, tokenizer: &Tokenizer) -> Result<()> {
    let number_token = settings.number_token.as_deref().unwrap_or_default();
    if tokenizer.options().punctuation.is_none() {
        let removes = settings.punctuation.is_some_and(|punctuation| punctuation != Punctuation::Keep);
        let given = [("text.punctuation", removes), ("text.number_token", !number_token.is_empty())];
        refuse_given(given, "`text.tokenizer` is `words`")?;
    }
    if number_token.contains(char::is_whitespace) || tokenizer.eos() == Some(number_token) {
        let expected = "a word without whitespace, other than the token that ends a line";
        return Err(out_of_range("text.number_token", number_token, expected));
    }
    Ok(())
}

/// The tokenizer options in the settings.
pub(super) fn tokenizer_options(settings: &TextSettings) -> TokenizerOptions {
    TokenizerOptions {
        blank_lines: settings.blank_lines,
        sentences: settings.sentences,
        joints: settings.joints,
        lowercase: settings.lowercase,
        punctuation: settings.punctuation,
        number_token: settings.number_token.clone(),
        normalization: settings.normalize,
    }
}

/// The user's texts if there are any, otherwise the named corpus. With a name, a single path is where to look
/// for the named corpus.
fn corpus(settings: &TextSettings) -> Result<CorpusChoice> {
    let paths = |paths: &Option<Vec<PathBuf>>| -> Result<Vec<PathBuf>> {
        // `-` is stdin.
        let path = |path: &PathBuf| if path == Path::new(STDIN) { Ok(path.clone()) } else { absolute(path) };
        paths.iter().flatten().map(path).collect()
    };
    let [train, valid, test] = [paths(&settings.train)?, paths(&settings.valid)?, paths(&settings.test)?];
    if train.is_empty() {
        let given = [("text.valid", !valid.is_empty()), ("text.test", !test.is_empty())];
        refuse_given(given, "`text.train` is given")?;
    }
    let data = paths(&settings.data)?;
    let name = settings.corpus.as_deref().filter(|name| *name != crate::BUILT_IN);
    if !train.is_empty() {
        let given = [("text.data", !data.is_empty()), ("text.corpus", settings.corpus.is_some())];
        refuse_given(given, "`text.train` is not given")?;
        return Ok(CorpusChoice::OwnSplits { train, valid, test });
    }
    Ok(match (name, data.as_slice()) {
        (None, []) => CorpusChoice::BuiltIn,
        (Some(crate::IN_MEMORY), []) => CorpusChoice::InMemory,
        (Some(name), []) => CorpusChoice::Named { name: name.to_owned(), data: None },
        (Some(name), [folder]) => CorpusChoice::Named { name: name.to_owned(), data: Some(folder.clone()) },
        (_, _) => CorpusChoice::Own(data),
    })
}

/// The absolute path, because a run may be repeated from another folder.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(TrainError::io("find", path))
}

fn model(settings: &ModelSettings) -> Result<ModelPlan> {
    let preset = match settings.preset.as_deref().filter(|name| !name.is_empty()) {
        None => None,
        Some(name) => Some(Preset::find(name).ok_or_else(|| TrainError::UnknownPreset {
            name: name.to_owned(),
            known: PRESETS.iter().map(|preset| preset.name).collect(),
        })?),
    };
    let preset = preset.map(|preset| preset.config(1));
    let of_preset = preset.as_ref();

    let hidden_sizes = hidden_sizes(settings, of_preset)?;
    let cell = settings.cell.or(of_preset.map(|config| config.cell)).unwrap_or(Cell::Lstm);
    let cell_options = cell_options(settings, of_preset, cell)?;
    let output_size = cell_options.projection_size.or(hidden_sizes.last().copied()).unwrap_or(1);
    let input = match settings.input.unwrap_or(ModelInput::Embedding) {
        ModelInput::Embedding => Input::Embedding(settings.embedding_size.unwrap_or(output_size)),
        ModelInput::OneHot if settings.embedding_size.is_some() => {
            return Err(no_effect("model.embedding_size", "`model.input` is `embedding`"));
        }
        ModelInput::OneHot => Input::OneHot,
    };
    let softmax = softmax(settings)?;
    let can_be_tied = !matches!(softmax, SoftmaxPlan::Adaptive { .. });
    let plan = ModelPlan {
        input,
        cell,
        cell_options,
        hidden_sizes,
        biases: match settings.biases {
            None => of_preset.map_or(Biases::Two, |config| config.biases),
            Some(1) => Biases::One,
            Some(2) => Biases::Two,
            Some(other) => return Err(out_of_range("model.biases", other, "1 or 2")),
        },
        tied: settings.tied.unwrap_or(can_be_tied && input == Input::Embedding(output_size)),
        softmax,
        dropout: dropout(settings, of_preset.map(|config| config.dropout), input)?,
    };
    // The size of the vocabulary is not known yet.
    let least_vocab_size = match &plan.softmax {
        SoftmaxPlan::Adaptive { cutoffs } => cutoffs.last().map_or(1, |last| last.saturating_add(1)),
        SoftmaxPlan::Full | SoftmaxPlan::Sampled(_) => 1,
    };
    plan.config(least_vocab_size).check()?;
    Ok(plan)
}

/// The hidden size of each layer: given one by one, one size for all, or those of the preset.
fn hidden_sizes(settings: &ModelSettings, preset: Option<&RnnLmConfig>) -> Result<Vec<usize>> {
    let ModelSettings { hidden_size, layers, .. } = *settings;
    if let Some(sizes) = settings.hidden_sizes.as_ref().filter(|sizes| !sizes.is_empty()) {
        let given = [("model.hidden_size", hidden_size.is_some()), ("model.layers", layers.is_some())];
        refuse_given(given, "`model.hidden_sizes` is empty")?;
        return Ok(sizes.clone());
    }
    if let Some(layers) = layers.filter(|layers| !(1..=RnnLmConfig::MAX_LAYERS).contains(layers)) {
        return Err(out_of_range("model.layers", layers, "from 1 to 1024"));
    }
    if let Some(size) = hidden_size {
        positive("model.hidden_size", size)?;
    }
    let of_preset = preset.map(|config| config.hidden_sizes.as_slice()).filter(|sizes| !sizes.is_empty());
    Ok(match (of_preset, hidden_size, layers) {
        (Some(sizes), None, None) => sizes.to_vec(),
        (Some(sizes), size, layers) => {
            vec![size.unwrap_or(sizes[sizes.len() - 1]); layers.unwrap_or(sizes.len())]
        }
        (None, size, layers) => vec![size.unwrap_or(200); layers.unwrap_or(2)],
    })
}

/// What layers have in addition to their cell. The sizes are checked with the rest of the configuration.
fn cell_options(settings: &ModelSettings, preset: Option<&RnnLmConfig>, cell: Cell) -> Result<CellOptions> {
    let of_preset = preset.map(|config| config.cell_options).unwrap_or_default();
    let cell_clip =
        settings.cell_clip.map(|limit| at_least_0("model.cell_clip", f64::from(limit))).transpose()?;
    let default = MogrifierOptions::default();
    if cell != Cell::Mogrifier {
        let given = [
            (
                "model.mogrifier_rounds",
                settings.mogrifier_rounds.is_some_and(|rounds| rounds != default.rounds),
            ),
            ("model.mogrifier_rank", settings.mogrifier_rank.is_some_and(|rank| rank > 0)),
        ];
        refuse_given(given, "`model.cell` is `mogrifier`")?;
    }
    Ok(CellOptions {
        projection_size: match settings.projection_size {
            None => of_preset.projection_size,
            Some(size) => Some(size).filter(|&size| size > 0),
        },
        cell_clip: match cell_clip {
            None => of_preset.cell_clip,
            Some(limit) => Some(limit as f32).filter(|&limit| limit > 0.0),
        },
        mogrifier: MogrifierOptions {
            rounds: settings.mogrifier_rounds.unwrap_or(default.rounds),
            rank: settings.mogrifier_rank.filter(|&rank| rank > 0),
        },
    })
}

fn softmax(settings: &ModelSettings) -> Result<SoftmaxPlan> {
    let kind = settings.softmax.clone().unwrap_or_default();
    if !matches!(kind, SoftmaxKind::Sampled { .. }) {
        refuse_given([("model.sampler", settings.sampler.is_some())], "`model.softmax` is `sampled`")?;
    }
    Ok(match kind {
        SoftmaxKind::Full => SoftmaxPlan::Full,
        SoftmaxKind::Sampled { draws } => {
            SoftmaxPlan::Sampled(SampledSoftmax { draws, sampler: settings.sampler.unwrap_or_default() })
        }
        SoftmaxKind::Adaptive { cutoffs } => SoftmaxPlan::Adaptive { cutoffs },
    })
}

fn dropout(settings: &ModelSettings, preset: Option<Dropout>, input: Input) -> Result<Dropout> {
    for (setting, given) in [
        ("model.dropout", settings.dropout),
        ("model.dropout_input", settings.dropout_input),
        ("model.dropout_between", settings.dropout_between),
        ("model.dropout_output", settings.dropout_output),
        ("model.dropout_words", settings.dropout_words),
        ("model.dropout_weights", settings.dropout_weights),
    ] {
        if let Some(found) = given.filter(|found| !(0.0..1.0).contains(found)) {
            return Err(out_of_range(setting, found, AT_LEAST_0_AND_LESS_THAN_1));
        }
    }
    if input == Input::OneHot {
        let given = [
            ("model.dropout_input", settings.dropout_input.is_some_and(|probability| probability > 0.0)),
            ("model.dropout_words", settings.dropout_words.is_some_and(|probability| probability > 0.0)),
        ];
        refuse_given(given, "`model.input` is `embedding`")?;
    }
    let site = |site, own: Option<f32>, of_preset: Option<DropoutSite>, default| DropoutSite {
        probability: own.or(settings.dropout).or(of_preset.map(|site| site.probability)).unwrap_or(default),
        locked: match &settings.locked_dropout {
            Some(sites) => sites.contains(&site),
            None => of_preset.is_some_and(|site| site.locked),
        },
    };
    let mut dropout = Dropout {
        input: site(Site::Input, settings.dropout_input, preset.map(|preset| preset.input), 0.2),
        between: site(Site::Between, settings.dropout_between, preset.map(|preset| preset.between), 0.2),
        output: site(Site::Output, settings.dropout_output, preset.map(|preset| preset.output), 0.2),
        words: settings.dropout_words.or(preset.map(|preset| preset.words)).unwrap_or(0.0),
        weights: settings.dropout_weights.or(preset.map(|preset| preset.weights)).unwrap_or(0.0),
    };
    // Without an embedding there is no input dropout.
    if input == Input::OneHot && settings.dropout_input.is_none() {
        dropout.input.probability = 0.0;
    }
    Ok(dropout)
}

fn init(settings: &InitSettings) -> Initialization {
    let default = Initialization::default();
    Initialization {
        embedding: settings.embedding.unwrap_or(default.embedding),
        recurrent: settings.recurrent.unwrap_or(default.recurrent),
        decoder: settings.decoder.unwrap_or(default.decoder),
        bias: settings.bias.unwrap_or(default.bias),
    }
}

fn training(settings: &TrainingSettings) -> Result<TrainingPlan> {
    let seed = settings.seed.unwrap_or(1);
    if i64::try_from(seed).is_err() {
        // The plan is written as TOML, whose integers have this maximum.
        return Err(out_of_range("training.seed", seed, "at most 9223372036854775807"));
    }
    let cores = || thread::available_parallelism().map_or(1, usize::from).min(Device::MAX_THREADS);
    let threads = positive("training.threads", settings.threads.unwrap_or_else(cores))?;
    if threads > Device::MAX_THREADS {
        return Err(out_of_range("training.threads", threads, "at most 1024"));
    }
    if settings.from.is_none() {
        refuse_given(
            [("training.extend_vocab", settings.extend_vocab == Some(true))],
            "`training.from` names a model",
        )?;
    }
    let reset_state = reset_state(settings)?;
    Ok(TrainingPlan {
        from: settings.from.as_deref().map(absolute).transpose()?,
        extend_vocab: settings.extend_vocab.unwrap_or(false),
        epochs: positive("training.epochs", settings.epochs.unwrap_or(10))?,
        early_stopping: settings.early_stopping.filter(|&evaluations| evaluations != 0),
        batch_size: batch_size(settings)?,
        accumulate: accumulate(settings)?,
        bptt: bptt(settings)?,
        last_batch: settings.last_batch.unwrap_or_default(),
        variable_bptt: variable_bptt(settings)?,
        batch_order: settings.batch_order.unwrap_or_default(),
        max_batches: settings.max_batches.filter(|&batches| batches != 0),
        max_steps: settings.max_steps.filter(|&steps| steps != 0),
        time: settings.time.unwrap_or_default(),
        normalizer: settings.normalizer.filter(|&tokens| tokens != 0),
        reset_state,
        shuffle_lines: settings.shuffle_lines.unwrap_or(false),
        checkpoint_every: settings.checkpoint_every.unwrap_or_default(),
        non_finite: non_finite(settings)?,
        log_every: Some(settings.log_every.unwrap_or(200)).filter(|&batches| batches != 0),
        moving_loss_decay: fraction(
            "training.moving_loss_decay",
            settings.moving_loss_decay.unwrap_or(0.99),
        )?,
        moving_loss_correction: settings.moving_loss_correction.unwrap_or(true),
        seed,
        device: settings.device.unwrap_or_default(),
        threads,
        precision: settings.precision.unwrap_or_default(),
    })
}

fn reset_state(settings: &TrainingSettings) -> Result<ResetState> {
    let reset_state = match (settings.reset_state, settings.carry_state) {
        (Some(_), Some(_)) => {
            return Err(no_effect("training.carry_state", "`training.reset_state` is not given"));
        }
        (None, Some(false)) => ResetState::Batch,
        (reset_state, _) => reset_state.unwrap_or(ResetState::Never),
    };
    if reset_state.unit().is_some() {
        let given = [
            ("training.last_batch", settings.last_batch == Some(LastBatch::Discard)),
            ("training.batch_order", settings.batch_order == Some(BatchOrder::Shuffled)),
        ];
        refuse_given(given, "`training.reset_state` is `never` or `batch`")?;
    } else {
        let given = [("training.shuffle_lines", settings.shuffle_lines == Some(true))];
        refuse_given(given, "`training.reset_state` is `line` or `paragraph`")?;
    }
    Ok(reset_state)
}

fn non_finite(settings: &TrainingSettings) -> Result<NonFiniteRule> {
    let TrainingSettings { max_rollbacks, rollback_factor, .. } = *settings;
    let kind = settings.on_nan.unwrap_or(OnNan::Stop);
    if kind != OnNan::Rollback {
        let given = [
            ("training.max_rollbacks", max_rollbacks.is_some()),
            ("training.rollback_factor", rollback_factor.is_some()),
        ];
        refuse_given(given, "`training.on_nan` is `rollback`")?;
    }
    Ok(match kind {
        OnNan::Stop => NonFiniteRule::Stop,
        OnNan::Skip => NonFiniteRule::Skip,
        OnNan::Rollback => NonFiniteRule::Rollback {
            times: positive("training.max_rollbacks", max_rollbacks.unwrap_or(3))?,
            factor: above_0("training.rollback_factor", rollback_factor.unwrap_or(0.5))?,
        },
    })
}

/// Whether batches have random lengths. They then cover the whole text in order, so other options are refused.
fn variable_bptt(settings: &TrainingSettings) -> Result<bool> {
    let variable = settings.variable_bptt.unwrap_or(false);
    if variable {
        let given = [
            ("training.last_batch", settings.last_batch == Some(LastBatch::Discard)),
            ("training.batch_order", settings.batch_order == Some(BatchOrder::Shuffled)),
        ];
        refuse_given(given, "`training.variable_bptt` is `false`")?;
    }
    Ok(variable)
}

/// The default learning rate, which suits the other defaults: clipping at norm 0.25, and the initialization.
pub(super) fn default_learning_rate(cell: Cell, optimizer: OptimizerKind) -> f64 {
    match (optimizer, cell) {
        (OptimizerKind::Adam | OptimizerKind::AdamW, _) => 0.001,
        (OptimizerKind::Sgd, Cell::Lstm | Cell::Mogrifier | Cell::Cifg) => 20.0,
        (OptimizerKind::Sgd, Cell::Gru) => 10.0,
        (OptimizerKind::Sgd, Cell::RnnTanh) => 2.0,
        (OptimizerKind::Sgd, Cell::RnnRelu) => 1.0,
    }
}

/// The settings of optimization. If the run has a limited time, and thus a length that is not known before, the average of
/// its last part replaces the schedule that waits for validation losses, by default.
fn optimization_settings(settings: &Settings) -> OptimizationSettings {
    let mut optimization = settings.optimization.clone();
    if has_time_limit(settings) {
        optimization.schedule.get_or_insert(ScheduleKind::Constant);
        optimization.averaging.get_or_insert(AveragingKind::Tail { fraction: TIMED_TAIL });
    }
    optimization
}

fn has_time_limit(settings: &Settings) -> bool {
    settings.training.time.is_some_and(|TimeLimit(time)| time.is_some())
}

fn optimization(settings: &OptimizationSettings, cell: Cell) -> Result<OptimizationPlan> {
    let kind = settings.optimizer.unwrap_or(OptimizerKind::Sgd);
    let learning_rate = settings.learning_rate.unwrap_or(default_learning_rate(cell, kind));
    let clip_norm = at_least_0("optimization.clip_norm", settings.clip_norm.unwrap_or(0.25))?;
    let clip_value = at_least_0("optimization.clip_value", settings.clip_value.unwrap_or(0.0))?;
    let unit = settings.clip_norm_unit.unwrap_or(ClipUnit::One);
    let minimum = min_learning_rate(settings, learning_rate)?;
    let schedule = schedule(settings, minimum.unwrap_or(0.0))?;
    Ok(OptimizationPlan {
        optimizer: optimizer(settings, kind)?,
        learning_rate: above_0("optimization.learning_rate", learning_rate)?,
        weight_decay: at_least_0("optimization.weight_decay", settings.weight_decay.unwrap_or(0.0))?,
        loss_reduction: settings.loss_reduction.unwrap_or(LossReduction::Mean),
        step_divisor: settings.step_divisor.unwrap_or(StepDivisor::One),
        clip_norm: (clip_norm != 0.0).then_some(ClipNorm { limit: clip_norm, unit }),
        clip_value: (clip_value != 0.0).then_some(clip_value),
        penalty: ActivationPenalty {
            activation: penalty("optimization.activation_penalty", settings.activation_penalty)?,
            temporal: penalty("optimization.temporal_penalty", settings.temporal_penalty)?,
        },
        min_learning_rate: minimum.filter(|_| !schedule.decays_over_run()),
        schedule,
        warmup: settings.warmup.unwrap_or(0) as u64,
        averaging: averaging(settings)?,
    })
}

fn penalty(setting: &'static str, found: Option<f32>) -> Result<f32> {
    let found = found.unwrap_or(0.0);
    let fits = found.is_finite() && found >= 0.0;
    if fits { Ok(found) } else { Err(out_of_range(setting, found, "a finite number of at least 0")) }
}

fn averaging(settings: &OptimizationSettings) -> Result<AveragingRule> {
    let OptimizationSettings { averaging_patience, averaging_after, .. } = *settings;
    let kind = settings.averaging.unwrap_or(AveragingKind::Off);
    if kind != AveragingKind::NtAsgd {
        let given = [("optimization.averaging_patience", averaging_patience.is_some())];
        refuse_given(given, "`optimization.averaging` is `nt-asgd`")?;
    }
    if kind != AveragingKind::Asgd {
        let given = [("optimization.averaging_after", averaging_after.is_some())];
        refuse_given(given, "`optimization.averaging` is `asgd`")?;
    }
    Ok(match kind {
        AveragingKind::Off => AveragingRule::Off,
        AveragingKind::NtAsgd => AveragingRule::Stalled {
            patience: positive("optimization.averaging_patience", averaging_patience.unwrap_or(5))?,
        },
        AveragingKind::Asgd => AveragingRule::After { epochs: averaging_after.unwrap_or(0) },
        AveragingKind::Tail { fraction } => AveragingRule::Tail { fraction },
        AveragingKind::Ema { decay } => AveragingRule::Exponential { decay },
    })
}

fn optimizer(settings: &OptimizationSettings, kind: OptimizerKind) -> Result<OptimizerPlan> {
    let OptimizationSettings { momentum, beta1, beta2, epsilon, .. } = *settings;
    if kind == OptimizerKind::Sgd {
        let given = [
            ("optimization.beta1", beta1.is_some()),
            ("optimization.beta2", beta2.is_some()),
            ("optimization.epsilon", epsilon.is_some()),
        ];
        refuse_given(given, "`optimization.optimizer` is `adam` or `adamw`")?;
        let momentum = fraction("optimization.momentum", momentum.unwrap_or(0.0))?;
        return Ok(OptimizerPlan::Sgd { momentum });
    }
    refuse_given([("optimization.momentum", momentum.is_some())], "`optimization.optimizer` is `sgd`")?;
    Ok(OptimizerPlan::Adam {
        beta1: fraction("optimization.beta1", beta1.unwrap_or(0.9))?,
        beta2: fraction("optimization.beta2", beta2.unwrap_or(0.999))?,
        epsilon: above_0("optimization.epsilon", epsilon.unwrap_or(1e-8))?,
        decoupled: kind == OptimizerKind::AdamW,
    })
}

fn schedule(settings: &OptimizationSettings, min_learning_rate: f64) -> Result<ScheduleRule> {
    let OptimizationSettings { decay_factor, decay_every, patience, reload_best, .. } = *settings;
    let decay_factor_or = |default| above_0("optimization.decay_factor", decay_factor.unwrap_or(default));
    let kind = settings.schedule.unwrap_or(ScheduleKind::Plateau);
    if kind != ScheduleKind::Plateau {
        let given = [
            ("optimization.patience", patience.is_some()),
            ("optimization.reload_best", reload_best.is_some()),
        ];
        refuse_given(given, "`optimization.schedule` is `plateau`")?;
    }
    if kind != ScheduleKind::Step {
        let given = [("optimization.decay_every", decay_every.is_some())];
        refuse_given(given, "`optimization.schedule` is `step`")?;
    }
    if !matches!(kind, ScheduleKind::Plateau | ScheduleKind::Step) {
        let given = [("optimization.decay_factor", decay_factor.is_some())];
        refuse_given(given, "`optimization.schedule` is `plateau` or `step`")?;
    }
    Ok(match kind {
        ScheduleKind::Plateau => ScheduleRule::Plateau {
            decay_factor: decay_factor_or(0.25)?,
            patience: positive("optimization.patience", patience.unwrap_or(1))?,
            reload_best: reload_best.unwrap_or(false),
        },
        ScheduleKind::Step => ScheduleRule::Step {
            decay_factor: decay_factor_or(0.5)?,
            decay_every: positive("optimization.decay_every", decay_every.unwrap_or(10))?,
        },
        ScheduleKind::Constant => ScheduleRule::Constant,
        ScheduleKind::Linear => ScheduleRule::Linear { min_learning_rate },
        ScheduleKind::Cosine => ScheduleRule::Cosine { min_learning_rate },
    })
}

fn min_learning_rate(settings: &OptimizationSettings, learning_rate: f64) -> Result<Option<f64>> {
    const SETTING: &str = "optimization.min_learning_rate";
    let found = at_least_0(SETTING, settings.min_learning_rate.unwrap_or(0.0))?;
    if found > 0.0 && settings.schedule == Some(ScheduleKind::Constant) {
        return Err(no_effect(SETTING, "`optimization.schedule` is not `constant`"));
    }
    if found > learning_rate {
        return Err(out_of_range(SETTING, found, "at most `optimization.learning_rate`"));
    }
    Ok(Some(found).filter(|&rate| rate > 0.0))
}

/// See [`EvaluationPlan::new`].
pub(super) fn evaluation(settings: &Settings) -> Result<EvaluationPlan> {
    let Settings { evaluation, training, .. } = settings;
    let batch_size = batch_size(training)?;
    let bptt = bptt(training)?;
    let is_timed = has_time_limit(settings);
    let every = if is_timed { ONLY_LAST } else { 1 };
    Ok(EvaluationPlan {
        unaveraged: evaluation.unaveraged.unwrap_or(!is_timed),
        every: positive("evaluation.every", evaluation.every.unwrap_or(every))?,
        batch_size: positive("evaluation.batch_size", evaluation.batch_size.unwrap_or(batch_size))?,
        bptt: positive("evaluation.bptt", evaluation.bptt.unwrap_or(bptt))?,
    })
}

fn accumulate(settings: &TrainingSettings) -> Result<usize> {
    let parts = positive("training.accumulate", settings.accumulate.unwrap_or(1))?;
    if parts > batch_size(settings)? {
        return Err(out_of_range("training.accumulate", parts, "at most `training.batch_size`"));
    }
    Ok(parts)
}

fn batch_size(settings: &TrainingSettings) -> Result<usize> {
    positive("training.batch_size", settings.batch_size.unwrap_or(20))
}

fn bptt(settings: &TrainingSettings) -> Result<usize> {
    positive("training.bptt", settings.bptt.unwrap_or(35))
}

fn sample(settings: &SampleSettings) -> Result<SamplePlan> {
    Ok(SamplePlan {
        prefixes: settings.prefix.clone().unwrap_or_default(),
        length: positive("sample.length", settings.length.unwrap_or(50))?,
        temperature: temperature(settings.temperature.unwrap_or(1.0))?,
    })
}

/// A sampling temperature, which is used as an `f32`.
fn temperature(found: f64) -> Result<f64> {
    let found = above_0("sample.temperature", found)?;
    let fits = (found as f32).is_finite();
    if fits {
        Ok(found)
    } else {
        Err(out_of_range("sample.temperature", format!("{found:e}"), "at most 3.4e38"))
    }
}

fn out_of_range(setting: &'static str, found: impl ToString, expected: &'static str) -> TrainError {
    TrainError::OutOfRange { setting, found: found.to_string(), expected }
}

fn no_effect(setting: &'static str, condition: &'static str) -> TrainError {
    TrainError::NoEffect { setting, condition }
}

/// Returns an error for the first setting that is given, because it would have no effect.
fn refuse_given<const N: usize>(given: [(&'static str, bool); N], condition: &'static str) -> Result<()> {
    match given.into_iter().find(|&(_, given)| given) {
        Some((setting, _)) => Err(no_effect(setting, condition)),
        None => Ok(()),
    }
}

fn positive(setting: &'static str, found: usize) -> Result<usize> {
    if found == 0 { Err(out_of_range(setting, found, "at least 1")) } else { Ok(found) }
}

fn above_0(setting: &'static str, found: f64) -> Result<f64> {
    let fits = found.is_finite() && found > 0.0;
    if fits { Ok(found) } else { Err(out_of_range(setting, found, "a finite number greater than 0")) }
}

fn at_least_0(setting: &'static str, found: f64) -> Result<f64> {
    let fits = found.is_finite() && found >= 0.0;
    if fits { Ok(found) } else { Err(out_of_range(setting, found, "a finite number of at least 0")) }
}

fn fraction(setting: &'static str, found: f64) -> Result<f64> {
    let fits = (0.0..1.0).contains(&found);
    if fits { Ok(found) } else { Err(out_of_range(setting, found, AT_LEAST_0_AND_LESS_THAN_1)) }
}
