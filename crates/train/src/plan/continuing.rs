//! The plan of a run that continues training an existing model.

use rondo_data::{Punctuation, Tokenizer, TokenizerOptions, Vocab, VocabSource};
use rondo_nn::{Biases, CellOptions, Input, RnnLmConfig};

use super::{ModelPlan, Plan, SoftmaxPlan, resolve, to_settings};
use crate::settings::{ModelSettings, Settings, TextSettings, TokenizerChoice};
use crate::{Result, TrainError};

/// See [`Plan::continuing`].
pub(super) fn plan(
    settings: &Settings,
    config: &RnnLmConfig,
    tokenizer: &Tokenizer,
    vocab: Vocab,
) -> Result<Plan> {
    let of_model = Settings { model: model_settings(config), ..Settings::default() };
    let settings = of_model.overlaid_with(settings.clone());
    let mut plan = Plan::new(&settings)?;
    check_shape(&plan.model, config)?;

    let normalization = settings.text.normalize;
    if let Some(normalization) = normalization.filter(|&form| form != tokenizer.normalization()) {
        return Err(other("text.normalize", normalization, tokenizer.normalization()));
    }
    check_word_form(&settings.text, tokenizer)?;
    let options = &mut plan.text.options;
    let condition = "the run does not continue from a model, which has its vocabulary";
    match options.vocab {
        VocabSource::List { .. } => {
            return Err(TrainError::NoEffect { setting: "text.vocab_list", condition });
        }
        VocabSource::TokenizerFile(_) => {
            return Err(TrainError::NoEffect { setting: "text.tokenizer", condition });
        }
        _ => {}
    }
    let given = settings.text.tokenizer.as_ref().and_then(TokenizerChoice::kind);
    options.tokenizer = match given.filter(|&kind| Some(kind) != tokenizer.kind()) {
        None => tokenizer.clone(),
        // A text for a model of words may use the other word tokenizer: one for running text, one for text
        // that is already tokenized and only split at whitespace.
        Some(kind) if tokenizer.is_of_words() && options.tokenizer.is_of_words() => {
            let normalization = Some(tokenizer.normalization());
            let options = resolve::tokenizer_options(&settings.text);
            kind.fitted(&vocab, tokenizer.eos(), &TokenizerOptions { normalization, ..options })
        }
        Some(kind) => return Err(other("text.tokenizer", kind, tokenizer)),
    };
    options.vocab = match &options.vocab {
        VocabSource::Build { options, splits } if plan.training.extend_vocab => {
            let (min_freq, max_size) = (options.min_freq, options.max_size);
            VocabSource::Extend { vocab, min_freq, max_size, splits: *splits }
        }
        _ => VocabSource::Given(vocab),
    };
    Ok(plan)
}

/// Refuses another form of words than that of the model's tokenizer, if the text is read with that.
fn check_word_form(settings: &TextSettings, tokenizer: &Tokenizer) -> Result<()> {
    let given = settings.tokenizer.as_ref().and_then(TokenizerChoice::kind);
    if given.is_some_and(|kind| Some(kind) != tokenizer.kind()) {
        return Ok(());
    }
    let TokenizerOptions { lowercase, punctuation, number_token, .. } = tokenizer.options();
    let lowercase = lowercase.unwrap_or_default();
    if let Some(given) = settings.lowercase.filter(|&given| given != lowercase) {
        return Err(other("text.lowercase", given, lowercase));
    }
    let punctuation = punctuation.unwrap_or_default().name();
    if let Some(given) = settings.punctuation.map(Punctuation::name).filter(|&given| given != punctuation) {
        return Err(other("text.punctuation", given, punctuation));
    }
    let number_token = number_token.unwrap_or_default();
    match settings.number_token.as_deref().filter(|&given| given != number_token) {
        Some(given) => Err(other("text.number_token", given, number_token)),
        None => Ok(()),
    }
}

/// The settings that describe a model.
fn model_settings(config: &RnnLmConfig) -> ModelSettings {
    let RnnLmConfig {
        vocab_size: _,
        input,
        cell,
        ref hidden_sizes,
        biases,
        tied,
        dropout,
        adaptive_softmax: _,
        cell_options,
    } = *config;
    let (hidden_sizes, softmax) = (hidden_sizes.clone(), softmax(config));
    let plan = ModelPlan { input, cell, cell_options, hidden_sizes, biases, tied, softmax, dropout };
    let mut settings = to_settings::model(&plan);
    // An embedding size that follows the hidden size must also follow a changed hidden size, so that the
    // error names the hidden size.
    if settings.embedding_size == Some(config.last_output_size()) {
        settings.embedding_size = None;
    }
    settings
}

/// The softmax of a model. Whether it was trained with a sample is not part of the model.
fn softmax(config: &RnnLmConfig) -> SoftmaxPlan {
    config.adaptive_softmax.as_ref().map_or(SoftmaxPlan::Full, |softmax| {
        let cutoffs = softmax.cutoffs().to_vec();
        SoftmaxPlan::Adaptive { cutoffs }
    })
}

fn check_shape(plan: &ModelPlan, config: &RnnLmConfig) -> Result<()> {
    let sizes = |sizes: &[usize]| sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
    if plan.cell != config.cell {
        return Err(other("model.cell", plan.cell, config.cell));
    }
    if plan.hidden_sizes != config.hidden_sizes {
        let [found, expected] = [&plan.hidden_sizes, &config.hidden_sizes].map(|of| sizes(of));
        return Err(other("model.hidden_sizes", found, expected));
    }
    check_options(plan.cell_options, config.cell_options)?;
    if plan.input != config.input {
        let [found, expected] = [plan.input, config.input].map(|input| match input {
            Input::Embedding(size) => format!("embedding of size {size}"),
            Input::OneHot => "one-hot".to_owned(),
        });
        return Err(other("model.input", found, expected));
    }
    let is_adaptive = |softmax: &SoftmaxPlan| matches!(softmax, SoftmaxPlan::Adaptive { .. });
    let of_model = softmax(config);
    if (is_adaptive(&plan.softmax) || is_adaptive(&of_model)) && plan.softmax != of_model {
        let [found, expected] = [&plan.softmax, &of_model].map(to_settings::softmax_kind);
        return Err(other("model.softmax", found, expected));
    }
    if plan.tied != config.tied {
        return Err(other("model.tied", plan.tied, config.tied));
    }
    if plan.biases != config.biases {
        let [found, expected] = [plan.biases, config.biases].map(|biases| match biases {
            Biases::One => 1,
            Biases::Two => 2,
        });
        return Err(other("model.biases", found, expected));
    }
    Ok(())
}

fn check_options(plan: CellOptions, config: CellOptions) -> Result<()> {
    let size = |options: CellOptions| options.projection_size.unwrap_or(0);
    if size(plan) != size(config) {
        return Err(other("model.projection_size", size(plan), size(config)));
    }
    let limit = |options: CellOptions| options.cell_clip.unwrap_or(0.0);
    if limit(plan) != limit(config) {
        return Err(other("model.cell_clip", limit(plan), limit(config)));
    }
    let (found, expected) = (plan.mogrifier, config.mogrifier);
    if found.rounds != expected.rounds {
        return Err(other("model.mogrifier_rounds", found.rounds, expected.rounds));
    }
    let [found, expected] = [found, expected].map(|mogrifier| mogrifier.rank.unwrap_or(0));
    if found != expected {
        return Err(other("model.mogrifier_rank", found, expected));
    }
    Ok(())
}

fn other(setting: &'static str, found: impl ToString, expected: impl ToString) -> TrainError {
    TrainError::OtherModel { setting, found: found.to_string(), expected: expected.to_string() }
}
