//! Tests of reading, merging and writing settings.

use std::collections::HashSet;

use rondo_nn::{Cell, Initializer};

use super::*;
use crate::Plan;

fn parse(text: &str) -> Settings {
    Settings::parse("my.toml", text).unwrap()
}

fn error(text: &str) -> String {
    Settings::parse("my.toml", text).unwrap_err().to_string()
}

#[test]
fn settings_are_read_from_toml() {
    let settings = parse(
        "[recipe]\nname = \"anything\"\n[text]\ncorpus = \"ptb\"\ntokenizer = \"chars\"\n\
         [model]\ncell = \"gru\"\nhidden_size = 64\ndropout = 0\nlocked_dropout = [\"output\"]\n\
         [init]\nembedding = \"uniform:0.1\"\n[optimization]\nlearning_rate = 20\n",
    );
    assert_eq!(settings.text.corpus.as_deref(), Some("ptb"));
    assert_eq!(settings.text.tokenizer, "chars".parse().ok());
    assert_eq!(settings.model.cell, Some(Cell::Gru));
    assert_eq!(settings.model.dropout, Some(0.0));
    assert_eq!(settings.model.locked_dropout, Some(vec![Site::Output]));
    assert_eq!(settings.init.embedding, Some(Initializer::Uniform(0.1)));
    assert_eq!(settings.optimization.learning_rate, Some(20.0));
    assert_eq!(settings.given().count(), 8);
}

#[test]
fn an_unknown_key_is_refused_and_the_nearest_named() {
    assert_eq!(
        error("[model]\ncell = \"gru\"\nhiden_size = 3\n"),
        "`my.toml`, line 3: unknown key `hiden_size` in `[model]`; did you mean `hidden_size`?"
    );
    assert_eq!(
        error("[training]\nhidden_size = 3\n"),
        "`my.toml`, line 2: unknown key `hidden_size` in `[training]`; `hidden_size` belongs in `[model]`"
    );
    assert_eq!(
        error("[training]\nhiden_siz = 3\n"),
        "`my.toml`, line 2: unknown key `hiden_siz` in `[training]`; did you mean `hidden_size` in `[model]`?"
    );
    assert_eq!(error("[training]\nxyzzy = 3\n"), "`my.toml`, line 2: unknown key `xyzzy` in `[training]`");
    assert_eq!(
        error("\n[modle]\n"),
        "`my.toml`, line 2: unknown table or key `modle`; did you mean `model`?"
    );
    assert_eq!(
        error("hidden_size = 3"),
        "`my.toml`, line 1: unknown table or key `hidden_size`; `hidden_size` belongs in `[model]`"
    );
}

#[test]
fn an_impossible_value_is_refused_and_the_possible_ones_named() {
    assert_eq!(
        error("[optimization]\noptimizer = \"adm\"\n"),
        "`my.toml`, line 2: invalid value `\"adm\"` for `optimization.optimizer`: expected one of `sgd`, `adam`, \
         `adamw`; did you mean `adam`?"
    );
    assert_eq!(
        error("[init]\nbias = \"zero\"\n"),
        "`my.toml`, line 2: invalid value `\"zero\"` for `init.bias`: expected `zeros`, `xavier`, `uniform:LIMIT` or \
         `normal:DEVIATION`"
    );
    let value = |value: &str, setting: &str, expected: &str| {
        let (section, key) = setting.split_once('.').unwrap();
        assert_eq!(
            error(&format!("# a comment\n[{section}]\n{key} = {value}\n")),
            format!("`my.toml`, line 3: invalid value `{value}` for `{setting}`: expected {expected}")
        );
    };
    value("\"two\"", "model.layers", "a non-negative integer");
    value("\"32\"", "model.hidden_size", "a non-negative integer, without quotes");
    value("-1", "training.epochs", "a non-negative integer");
    value("2.5", "training.bptt", "a non-negative integer");
    value("\"0.1\"", "optimization.learning_rate", "a number, without quotes");
    value("[0.1]", "model.dropout", "a number");
    value("\"true\"", "model.tied", "`true` or `false`, without quotes");
    value("1", "model.tied", "`true` or `false`");
    value("true", "text.corpus", "text in quotes");
    value("3", "model.cell", "one of `rnn_tanh`, `rnn_relu`, `lstm`, `mogrifier`, `cifg`, `gru`");
    value(
        "\"LSTM\"",
        "model.cell",
        "one of `rnn_tanh`, `rnn_relu`, `lstm`, `mogrifier`, `cifg`, `gru`; did you mean `lstm`?",
    );
    value("\"warm\"", "optimization.schedule", "one of `plateau`, `step`, `constant`, `linear`, `cosine`");
    for averaging in ["\"tail\"", "0.9"] {
        let expected = "`off`, `nt-asgd`, `asgd`, `tail:FRACTION` such as `tail:0.25`, or `ema:DECAY` such as `ema:0.999`";
        value(averaging, "optimization.averaging", expected);
    }
    value("\"a.txt\"", "text.data", "a list, `[\"a.txt\"]`");
    value("[3]", "text.data", "a list, each item text in quotes");
    value("[32, \"16\"]", "model.hidden_sizes", "a list, each item a non-negative integer");
    value(
        "\"inputs\"",
        "model.locked_dropout",
        "a list, each item one of `input`, `between`, `output`; did you mean `input`?",
    );
    assert!(error("[model\n").starts_with("`my.toml`, line 1: "));
}

#[test]
fn settings_of_another_version_are_read_as_far_as_they_are_known() {
    let text = "[recipe]\nname = \"x\"\n[model]\ncell = \"mamba\"\nlayers = 3\nheads = 4\n[serving]\nport = 1\n\
                [training]\nlast_chunk = \"discard\"\nbatch_size = -1\n";
    let (settings, unknown) = Settings::parse_known("my.toml", text).unwrap();
    assert_eq!(settings, parse("[model]\nlayers = 3\n[training]\nlast_batch = \"discard\"\n"));
    assert_eq!(unknown, ["model.cell", "model.heads", "serving.port", "training.batch_size"]);
    assert!(Settings::parse_known("my.toml", "[model").is_err());
    let all = Plan::new(&Settings::default()).unwrap().settings();
    assert_eq!(Settings::parse_known("", &all.to_toml().unwrap()).unwrap(), (all, vec![]));
}

#[test]
fn a_flag_sets_its_field_or_says_what_it_expected() {
    let mut settings = Settings::default();
    for (path, texts) in [
        ("model.hidden_size", &["64"][..]),
        ("model.tied", &["false"]),
        ("optimization.schedule", &["step"]),
        ("sample.prefix", &["The", "A "]),
        ("text.data", &[""]),
    ] {
        settings.set(Field::find(path).unwrap(), texts).unwrap();
    }
    assert_eq!(settings.model.hidden_size, Some(64));
    assert_eq!(settings.model.tied, Some(false));
    assert_eq!(settings.optimization.schedule, Some(ScheduleKind::Step));
    assert_eq!(settings.sample.prefix, Some(vec!["The".to_owned(), "A ".to_owned()]));
    assert_eq!(settings.text.data, Some(vec![]));

    let error = settings.set(Field::find("model.layers").unwrap(), &["two"]).unwrap_err().to_string();
    assert_eq!(error, "invalid value `two` for `model.layers`: expected a non-negative integer");
}

#[test]
fn what_is_given_comes_back_from_texts_and_from_toml() {
    let settings = parse(
        "[text]\ndata = [\"a.txt\", \"b.txt\"]\n[model]\ndropout = 0.2\ntied = true\n\
         [init]\nrecurrent = \"normal:0.01\"\n[training]\nseed = 7\n[evaluation]\nbptt = 10\n",
    );
    let mut from_texts = Settings::default();
    for (field, texts) in settings.given() {
        from_texts.set(field, &texts.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    }
    assert_eq!(from_texts, settings);
    let text = settings.to_toml().unwrap();
    assert!(text.contains("dropout = 0.2\n"), "{text}");
    assert_eq!(parse(&text), settings);
}

#[test]
fn flags_win_over_the_recipe() {
    let recipe = parse("[model]\ncell = \"gru\"\nhidden_size = 64\n[training]\nepochs = 3\n");
    let flags = parse("[model]\nhidden_size = 32\n[training]\nbptt = 5\n");
    let expected = parse("[model]\ncell = \"gru\"\nhidden_size = 32\n[training]\nepochs = 3\nbptt = 5\n");
    assert_eq!(recipe.overlaid_with(flags), expected);
}

#[test]
fn a_corpus_on_top_is_not_looked_for_where_the_one_below_is() {
    let plan = parse("[text]\ncorpus = \"built-in\"\ndata = [\"/mine.txt\"]\n");
    let expected = parse("[text]\ncorpus = \"ptb\"\n");
    assert_eq!(plan.overlaid_with(expected.clone()), expected);
}

#[test]
fn a_preset_on_top_replaces_the_model_below() {
    let recipe = parse("[model]\nhidden_size = 64\n[training]\nepochs = 3\n");
    let flags = parse("[model]\npreset = \"standard_lstm_lm_200\"\nlayers = 3\n");
    let expected = parse("[model]\npreset = \"standard_lstm_lm_200\"\nlayers = 3\n[training]\nepochs = 3\n");
    assert_eq!(recipe.overlaid_with(flags), expected);
}

#[test]
fn one_dropout_on_top_replaces_those_of_single_places() {
    let recipe = parse("[model]\ndropout_input = 0.4\ndropout_output = 0.4\nlocked_dropout = [\"output\"]\n");
    let expected = parse("[model]\ndropout = 0.1\nlocked_dropout = [\"output\"]\n");
    assert_eq!(recipe.overlaid_with(parse("[model]\ndropout = 0.1\n")), expected);
}

#[test]
fn the_width_of_all_layers_and_the_widths_one_by_one_replace_each_other() {
    let all = parse("[model]\nhidden_size = 64\nlayers = 3\n");
    let each = parse("[model]\nhidden_sizes = [6, 5]\n");
    assert_eq!(all.clone().overlaid_with(each.clone()), each);
    assert_eq!(each.overlaid_with(all.clone()), all);
}

#[test]
fn another_optimizer_or_schedule_drops_what_was_meant_for_the_old_one() {
    let recipe =
        parse("[optimization]\nlearning_rate = 20\nmomentum = 0.9\nclip_norm = 0.25\nreload_best = true\n");
    let over = |text: &str| recipe.clone().overlaid_with(parse(&format!("[optimization]\n{text}\n")));
    let expected = parse("[optimization]\noptimizer = \"adam\"\nclip_norm = 0.25\nreload_best = true\n");
    assert_eq!(over("optimizer = \"adam\""), expected);
    assert_eq!(over("optimizer = \"sgd\"").optimization.learning_rate, Some(20.0));
    assert_eq!(over("schedule = \"step\"").optimization.reload_best, None);
    assert_eq!(over("schedule = \"plateau\"").optimization.reload_best, Some(true));
    for (was, now, kept) in [
        ("plateau", "step", Some(1.0)),
        ("linear", "cosine", Some(1.0)),
        ("plateau", "cosine", None),
        ("cosine", "step", None),
        ("cosine", "constant", None),
    ] {
        let recipe = parse(&format!("[optimization]\nschedule = '{was}'\nmin_learning_rate = 1\n"));
        let over = recipe.overlaid_with(parse(&format!("[optimization]\nschedule = '{now}'\n")));
        assert_eq!(over.optimization.min_learning_rate, kept, "{was} {now}");
    }
    let recipe = parse("[optimization]\naveraging = \"nt-asgd\"\naveraging_patience = 3\n");
    let expected = parse("[optimization]\naveraging = \"asgd\"\n");
    assert_eq!(recipe.overlaid_with(expected.clone()), expected);
}

#[test]
fn every_field_can_be_a_flag() {
    let flags: HashSet<String> = FIELDS.iter().map(Field::flag).collect();
    assert_eq!(flags.len(), FIELDS.len());
    assert_eq!(Field::find("evaluation.batch_size").unwrap().flag(), "evaluation-batch-size");
    for field in FIELDS {
        assert_eq!(Field::find(&field.path()), Some(field));
        assert!(field.flag().chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        assert!(!field.help.is_empty() && !field.help.ends_with('.'), "{}", field.path());
        assert_eq!(field.value_name, field.value_name.to_uppercase());
    }
}
