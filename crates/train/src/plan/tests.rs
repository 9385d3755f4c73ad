//! Tests of the defaults, the checks and the round trip of plans. They are one file because each needs the same plans.

use std::path::PathBuf;

use rondo_data::{BlankLines, Joints, Punctuation, Tokenizer, Vocab, VocabSource, VocabSplits};
use rondo_nn::{Biases, Cell, CellOptions, DropoutSite, Initializer, Input};

use super::*;
use crate::settings::{FIELDS, Field};

fn settings(text: &str) -> Settings {
    Settings::parse("test", text).unwrap()
}

fn plan(text: &str) -> Plan {
    Plan::new(&settings(text)).unwrap()
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    assert_eq!(Plan::new(&settings(text)).unwrap_err().to_string(), expected);
}

/// The defaults stated in the descriptions of the fields are those of a plan.
#[test]
fn the_stated_defaults_hold() {
    let all = plan("").settings();
    let adam = plan("[optimization]\noptimizer = \"adam\"").settings();
    let step = plan("[optimization]\nschedule = \"step\"").settings();
    let stalled = plan("[optimization]\naveraging = \"nt-asgd\"").settings();
    let averaged = plan("[optimization]\naveraging = \"asgd\"").settings();
    let moses = plan("[text]\ntokenizer = \"moses\"").settings();
    let sampled = plan("[model]\nsoftmax = \"sampled:9\"").settings();
    let mogrifier = plan("[model]\ncell = \"mogrifier\"").settings();
    let rollback = plan("[training]\non_nan = \"rollback\"").settings();
    for field in FIELDS {
        let texts = |settings: &Settings| {
            settings.given().find(|(given, _)| *given == field).map(|(_, texts)| texts.join(" "))
        };
        let found = [&all, &adam, &step, &stalled, &averaged, &moses, &sampled, &mogrifier, &rollback]
            .into_iter()
            .find_map(texts);
        match (field.path().as_str(), found) {
            ("model.preset" | "model.dropout", None) => {} // A plan has the values they stand for.
            ("training.from", None) => {}                  // A new model has no base model.
            ("text.train" | "text.valid" | "text.test" | "text.vocab_list", None) => {} // Only if files are given.
            ("text.ids_dir" | "text.count_memory", None) => {} // The default depends on the texts; there is no limit.
            ("text.vocab_from", Some(found)) => assert_eq!(found, "train"),
            ("text.unknown_token", Some(found)) => assert_eq!(found, "<unk>"),
            ("text.split", Some(found)) => assert_eq!(found, "end"),
            ("training.carry_state", None) => {} // `training.reset_state` is the present form.
            ("model.embedding_size", Some(found)) => assert_eq!(found, "200"),
            ("model.tied", Some(found)) => assert_eq!(found, "true"),
            ("model.dropout_input" | "model.dropout_between" | "model.dropout_output", Some(found)) => {
                assert_eq!(found, Field::find("model.dropout").unwrap().default);
            }
            ("training.threads", Some(found)) => assert_ne!(found, "0"),
            ("optimization.learning_rate", Some(found)) => assert_eq!(found, "20"),
            ("optimization.decay_factor", Some(found)) => assert_eq!(found, "0.25"),
            ("optimization.schedule", Some(found)) => assert_eq!(found, "plateau"),
            ("optimization.averaging", Some(found)) => assert_eq!(found, "off"),
            ("evaluation.every", Some(found)) => assert_eq!(found, "1"),
            ("evaluation.unaveraged", Some(found)) => assert_eq!(found, "true"),
            ("evaluation.batch_size", Some(found)) => assert_eq!(found, "20"),
            ("evaluation.bptt", Some(found)) => assert_eq!(found, "35"),
            (path, Some(found)) => assert_eq!(found, field.default, "{path}"),
            (path, None) => panic!("a plan lacks `{path}`"),
        }
    }
    assert_eq!(texts_of(&adam, "optimization.learning_rate"), "0.001");
    assert_eq!(texts_of(&step, "optimization.decay_factor"), "0.5");
    let timed = plan("[training]\ntime = \"10m\"").settings();
    let defaults = ["optimization.schedule", "optimization.averaging"].map(|path| texts_of(&timed, path));
    assert_eq!(defaults, ["constant", "tail:0.4"]);
    let shuffled = plan("[training]\nreset_state = \"line\"\nshuffle_lines = true").settings();
    assert_eq!(texts_of(&shuffled, "text.split"), "random-lines");
    let carried = |text: &str| texts_of(&plan(text).settings(), "training.reset_state");
    assert_eq!(carried("[training]\ncarry_state = false"), "batch");
    assert_eq!(carried("[training]\ncarry_state = true"), "never");
}

fn texts_of(settings: &Settings, path: &str) -> String {
    settings.given().find(|(field, _)| field.path() == path).unwrap().1.join(" ")
}

/// Plans that differ from the default in many settings.
const PLANS: &[&str] = &[
    "",
    r#"
        [text]
        corpus = "ptb"
        vocab_order = "first-appearance"
        vocab_from = "all"
        blank_lines = "skip"
        max_vocab_size = 100
        min_frequency = 2
        unknown_token = "oov"
        reserved_tokens = ["<pad>"]
        count_memory = "500MB"
        ids_dir = "/tmp/ids"
        [model]
        embedding_size = 7
        hidden_size = 8
        layers = 3
        softmax = "sampled:7"
        sampler = "log-uniform"
        biases = 1
        dropout = 0.3
        locked_dropout = ["input", "output"]
        [training]
        max_batches = 20
        max_steps = 70
        normalizer = 50
        log_every = 0
        carry_state = false
        batch_order = "shuffled"
        last_batch = "discard"
        seed = 9
        threads = 3
        [optimization]
        momentum = 0.9
        clip_norm_unit = "tokens"
        reload_best = true
        [evaluation]
        every = 2
        unaveraged = false
    "#,
    r#"
        [text]
        data = ["/a.txt", "/b.txt"]
        tokenizer = "chars"
        unknown_token = ""
        [model]
        input = "one-hot"
        cell = "rnn_tanh"
        [optimization]
        optimizer = "adamw"
        schedule = "step"
        clip_norm = 0
        clip_value = 5
        [sample]
        prefix = ["The ", "A"]
    "#,
    r#"
        [text]
        data = ["/folder"]
        tokenizer = "bytes"
        [model]
        preset = "standard_lstm_lm_650"
        tied = false
        cell = "mogrifier"
        mogrifier_rounds = 4
        mogrifier_rank = 30
        cell_clip = 50
        [optimization]
        optimizer = "adam"
        schedule = "constant"
    "#,
    r#"
        [model]
        hidden_sizes = [6, 5, 4]
        softmax = "adaptive:100"
        dropout_words = 0.05
        dropout_weights = 0.2
        [training]
        variable_bptt = true
        [optimization]
        averaging = "nt-asgd"
        averaging_patience = 3
        activation_penalty = 2
        temporal_penalty = 0.1
    "#,
    r#"
        [text]
        corpus = "ptb"
        data = ["/folder"]
        tokenizer = "moses"
        joints = "all"
        lowercase = true
        [training]
        on_nan = "rollback"
        max_rollbacks = 2
        early_stopping = 4
        checkpoint_every = "500steps"
        [optimization]
        averaging = "asgd"
        averaging_after = 2
        min_learning_rate = 0.5
    "#,
    "[optimization]\nschedule = 'linear'\nwarmup = 200\naveraging = 'tail:0.25'",
    "[optimization]\noptimizer = 'adam'\nschedule = 'cosine'\nmin_learning_rate = 1e-5\naveraging = 'ema:0.9995'",
    "[text]\nlowercase = true\npunctuation = 'remove'\nnumber_token = '<num>'",
    "[training]\nfrom = '/model'",
    "[training]\nfrom = '/model'\nextend_vocab = true",
];

/// Fails unless `again` makes the same plan of the plan's settings, and of its file.
#[track_caller]
fn check_made_again(plan: &Plan, again: impl Fn(&Settings) -> crate::Result<Plan>) {
    assert_eq!(again(&plan.settings()).unwrap(), *plan);
    let file = plan.to_toml().unwrap();
    assert_eq!(again(&settings(&file)).unwrap(), *plan, "{file}");
}

#[test]
fn a_plan_made_from_its_own_file_is_the_same() {
    for text in PLANS {
        check_made_again(&plan(text), Plan::new);
    }
    for name in crate::recipes::names() {
        check_made_again(&Plan::new(&crate::recipes::find(name).unwrap().settings).unwrap(), Plan::new);
    }
}

#[test]
fn a_plan_names_no_corpus_that_it_does_not_read() {
    let written = |text: &str| plan(&format!("[text]\n{text}")).settings().text;
    for own in ["data = ['/folder']", "data = ['/a', '/b']", "corpus = 'built-in'\ndata = ['/a']"] {
        assert_eq!(written(own).corpus, None, "{own}");
    }
    for (named, name) in
        [("", "built-in"), ("corpus = 'ptb'", "ptb"), ("corpus = 'ptb'\ndata = ['/a']", "ptb")]
    {
        assert_eq!(written(named).corpus.as_deref(), Some(name), "{named}");
    }
}

/// The path as it is on this system: on Windows, an absolute path begins with a drive.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap()
}

#[test]
fn texts_of_ones_own_are_one_per_split_or_to_be_split() {
    let corpus = |text: &str| Plan::new(&settings(&format!("[text]\n{text}"))).map(|plan| plan.text.corpus);
    let path = |name: &&str| if *name == "-" { PathBuf::from(name) } else { absolute(name) };
    let of = |names: &[&str]| names.iter().map(path).collect::<Vec<_>>();
    let text = "train = ['/a', '/b']\nvalid = ['/v']\ntest = ['/t']";
    let splits = CorpusChoice::OwnSplits { train: of(&["/a", "/b"]), valid: of(&["/v"]), test: of(&["/t"]) };
    assert_eq!(corpus(text).unwrap(), splits);
    let only = CorpusChoice::OwnSplits { train: of(&["/a"]), valid: vec![], test: vec![] };
    assert_eq!(corpus("train = ['/a']").unwrap(), only);
    assert_eq!(corpus("data = ['-']").unwrap(), CorpusChoice::Own(of(&["-"])));
    for text in [
        text,
        "train = ['/a']",
        "data = ['-']\ntext_field = 'body'",
        "vocab_list = '/words'\nnormalize = 'nfc'",
    ] {
        check_made_again(&plan(&format!("[text]\n{text}")), Plan::new);
    }
    for (text, expected) in [
        ("valid = ['/v']", "`text.valid` has no effect unless `text.train` is given"),
        ("data = ['/a']\ntest = ['/t']", "`text.test` has no effect unless `text.train` is given"),
        ("data = ['/a']\ntrain = ['/b']", "`text.data` has no effect unless `text.train` is not given"),
    ] {
        assert_eq!(corpus(text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn texts_and_vocabularies_replace_each_other() {
    let over = |below: &str, above: &str| {
        let [below, above] = [below, above].map(|text| settings(&format!("[text]\n{text}")));
        let text = below.overlaid_with(above).text;
        let count = |paths: Option<Vec<PathBuf>>| paths.map_or(0, |paths| paths.len());
        (text.corpus, count(text.data), count(text.train) + count(text.valid))
    };
    let own = "train = ['a']\nvalid = ['b']";
    assert_eq!(over("data = ['x']", own), (None, 0, 2));
    assert_eq!(over("corpus = 'ptb'\ndata = ['x']", own), (None, 0, 2));
    assert_eq!(over(own, "data = ['x']"), (None, 1, 0));
    assert_eq!(over(own, "corpus = 'ptb'"), (Some("ptb".to_owned()), 0, 0));
    let list = settings("[text]\nmin_frequency = 3").overlaid_with(settings("[text]\nvocab_list = 'w'")).text;
    assert_eq!((list.min_frequency, list.vocab_list), (None, Some("w".into())));
    let built =
        settings("[text]\nvocab_list = 'w'").overlaid_with(settings("[text]\nmin_frequency = 3")).text;
    assert_eq!((built.min_frequency, built.vocab_list), (Some(3), None));
}

#[test]
fn a_word_list_replaces_the_words_of_the_text() {
    let VocabSource::List { list, options } =
        plan("[text]\nvocab_list = '/words'\nreserved_tokens = ['<pad>']").text.options.vocab
    else {
        panic!("the list is given")
    };
    assert_eq!((list, options.unknown.as_deref()), (absolute("/words"), Some("<unk>")));
    assert_eq!(options.reserved, ["<eos>", "<pad>"]);
    let because = "unless the vocabulary is built from the text, without `text.vocab_list`";
    for (text, setting) in [
        ("min_frequency = 2", "text.min_frequency"),
        ("max_vocab_size = 9", "text.max_vocab_size"),
        ("vocab_order = 'frequency'", "text.vocab_order"),
        ("vocab_from = 'all'", "text.vocab_from"),
    ] {
        let text = format!("[text]\nvocab_list = '/words'\n{text}");
        check_refused(&text, &format!("`{setting}` has no effect {because}"));
    }
    check_refused(
        "[text]\nvocab_list = '/words'\ntokenizer = 'bytes'",
        "`text.vocab_list` has no effect unless tokens are words or characters, not bytes",
    );
}

#[test]
fn a_preset_fills_in_what_is_not_given() {
    let model = plan("[model]\npreset = \"standard_lstm_lm_650\"").model;
    assert_eq!(model.config(10), rondo_nn::Preset::find("standard_lstm_lm_650").unwrap().config(10));

    let model = plan("[model]\npreset = \"standard_lstm_lm_650\"\nhidden_size = 32\ndropout = 0.1").model;
    assert_eq!((model.input, model.hidden_sizes), (Input::Embedding(32), vec![32, 32]));
    assert_eq!(model.dropout.output, DropoutSite { probability: 0.1, locked: true });

    check_refused(
        "[model]\npreset = \"standard_lstm_lm_20\"",
        "unknown preset `standard_lstm_lm_20`, expected one of `standard_lstm_lm_200`, `standard_lstm_lm_650`, \
         `standard_lstm_lm_1500`, `awd_lstm_lm_600`, `awd_lstm_lm_1150`, `keyboard_cifg_lm_670`; did you mean `standard_lstm_lm_200`?",
    );
}

#[test]
fn layers_may_have_widths_of_their_own() {
    let model = plan("[model]\nhidden_sizes = [6, 5, 4]").model;
    assert_eq!((model.input, model.tied, model.hidden_sizes), (Input::Embedding(4), true, vec![6, 5, 4]));
    assert_eq!(plan("[model]\nhidden_sizes = []\nlayers = 3").model.hidden_sizes, [200; 3]);
    check_refused(
        "[model]\nhidden_sizes = [6, 5]\nlayers = 2",
        "`model.layers` has no effect unless `model.hidden_sizes` is empty",
    );
}

#[test]
fn a_model_without_embedding_has_nothing_tied_or_dropped_of_it() {
    let model = plan("[model]\ninput = \"one-hot\"\ndropout = 0.5\nbiases = 1").model;
    assert_eq!((model.input, model.tied, model.biases), (Input::OneHot, false, Biases::One));
    assert_eq!((model.dropout.input.probability, model.dropout.output.probability), (0.0, 0.5));
    check_refused(
        "[model]\ninput = \"one-hot\"\ndropout_input = 0.5",
        "`model.dropout_input` has no effect unless `model.input` is `embedding`",
    );
    check_refused(
        "[model]\ninput = \"one-hot\"\nembedding_size = 5",
        "`model.embedding_size` has no effect unless `model.input` is `embedding`",
    );
}

#[test]
fn widths_that_differ_are_not_tied_unless_asked_for() {
    assert!(!plan("[model]\nembedding_size = 5\nhidden_size = 6").model.tied);
    check_refused(
        "[model]\nembedding_size = 5\nhidden_size = 6\ntied = true",
        "`embedding_size` must equal the last hidden size (6) when `tied` is on, but is 5",
    );
}

#[test]
fn the_texts_are_the_users_or_the_named_ones() {
    let corpus = |text: &str| plan(&format!("[text]\n{text}")).text.corpus;
    let path = std::path::absolute("x").unwrap();
    let named = |data| CorpusChoice::Named { name: "ptb".to_owned(), data };
    assert_eq!(corpus(""), CorpusChoice::BuiltIn);
    assert_eq!(corpus("corpus = \"ptb\""), named(None));
    assert_eq!(corpus("corpus = \"ptb\"\ndata = [\"x\"]"), named(Some(path.clone())));
    assert_eq!(corpus("data = [\"x\"]"), CorpusChoice::Own(vec![path.clone()]));
    assert_eq!(corpus("corpus = \"built-in\"\ndata = [\"x\"]"), CorpusChoice::Own(vec![path]));
    let two = ["a", "b"].map(|name| std::path::absolute(name).unwrap()).to_vec();
    assert_eq!(corpus("corpus = \"ptb\"\ndata = [\"a\", \"b\"]"), CorpusChoice::Own(two));
    assert!(matches!(
        Plan::new(&Settings {
            text: crate::settings::TextSettings { data: Some(vec![PathBuf::new()]), ..Default::default() },
            ..Settings::default()
        }),
        Err(crate::TrainError::Io { .. })
    ));
}

#[test]
fn the_vocabulary_follows_the_tokens() {
    let options = |text: &str| plan(&format!("[text]\n{text}")).text.options;
    let built = |text: &str| match options(text).vocab {
        VocabSource::Build { options, splits } => (options, splits),
        _ => panic!("no vocabulary is given"),
    };
    let (words, splits) = built("reserved_tokens = [\"<pad>\"]");
    assert_eq!((words.unknown.as_deref(), splits), (Some("<unk>"), VocabSplits::Train));
    assert_eq!(words.reserved, ["<eos>", "<pad>"]);
    let (chars, splits) = built("tokenizer = \"chars\"");
    assert_eq!((chars.unknown, splits), (None, VocabSplits::All));
    let skipping = Tokenizer::words().with_blank_lines(BlankLines::Skip);
    assert_eq!(options("blank_lines = \"skip\"").tokenizer, skipping);
    let (moses, splits) = built("tokenizer = \"moses\"");
    assert_eq!((moses.unknown.as_deref(), splits), (Some("<unk>"), VocabSplits::Train));
    assert_eq!(options("tokenizer = \"moses\"").tokenizer, Tokenizer::moses());
    let lines = Tokenizer::moses().with_sentences(false).with_joints(Joints::All).with_lowercase(true);
    let text = "tokenizer = \"moses\"\nsentences = false\njoints = \"all\"\nlowercase = true";
    assert_eq!(options(text).tokenizer, lines);
    let again = plan(&plan(&format!("[text]\n{text}")).to_toml().unwrap());
    assert_eq!(again.text.options.tokenizer, lines);
    let form = Tokenizer::words().with_lowercase(true).with_punctuation(Punctuation::Remove);
    let text = "lowercase = true\npunctuation = \"remove\"\nnumber_token = \"<num>\"";
    assert_eq!(options(text).tokenizer, form.with_number_token("<num>"));
    assert_eq!(options(""), CorpusOptions::default());
}

#[test]
fn what_makes_no_sense_is_refused() {
    check_refused("[training]\nbatch_size = 0", "`training.batch_size` must be at least 1, but is 0");
    for (text, setting) in [
        ("tokenizer = 'moses'\npunctuation = 'remove'", "punctuation"),
        ("tokenizer = 'chars'\nnumber_token = '<num>'", "number_token"),
    ] {
        let expected = format!("`text.{setting}` has no effect unless `text.tokenizer` is `words`");
        check_refused(&format!("[text]\n{text}"), &expected);
    }
    for token in ["a b", "<eos>"] {
        let expected = format!(
            "`text.number_token` must be a word without whitespace, other than the token that ends a line, but is {token}"
        );
        check_refused(&format!("[text]\nnumber_token = '{token}'"), &expected);
    }
    check_refused("[training]\nbptt = 0", "`training.bptt` must be at least 1, but is 0");
    check_refused("[evaluation]\nbatch_size = 0", "`evaluation.batch_size` must be at least 1, but is 0");
    check_refused("[model]\nlayers = 0", "`model.layers` must be from 1 to 1024, but is 0");
    check_refused("[model]\nbiases = 3", "`model.biases` must be 1 or 2, but is 3");
    check_refused("[model]\ndropout = 1", "`model.dropout` must be at least 0 and less than 1, but is 1");
    check_refused(
        "[text]\nvalid_fraction = 1",
        "`text.valid_fraction` must be at least 0 and less than 1, but is 1",
    );
    check_refused(
        "[text]\nvalid_fraction = 0.5\ntest_fraction = 0.5",
        "`text.test_fraction` must be less than 1 - `text.valid_fraction`, to leave text for training, but is 0.5",
    );
    check_refused(
        "[optimization]\nlearning_rate = 0",
        "`optimization.learning_rate` must be a finite number greater than 0, but is 0",
    );
    check_refused(
        "[optimization]\nclip_norm = nan",
        "`optimization.clip_norm` must be a finite number of at least 0, but is NaN",
    );
    check_refused(
        "[sample]\ntemperature = 0",
        "`sample.temperature` must be a finite number greater than 0, but is 0",
    );
    let mut seed = Settings::default();
    seed.training.seed = Some(u64::MAX);
    assert!(Plan::new(&seed).unwrap_err().to_string().ends_with(", but is 18446744073709551615"));
}

#[test]
fn what_would_have_no_effect_is_refused() {
    for (text, setting, condition) in [
        ("optimizer = \"adam\"\nmomentum = 0.9", "momentum", "`optimization.optimizer` is `sgd`"),
        ("beta2 = 0.9", "beta2", "`optimization.optimizer` is `adam` or `adamw`"),
        ("averaging_after = 2", "averaging_after", "`optimization.averaging` is `asgd`"),
        (
            "averaging = \"asgd\"\naveraging_patience = 2",
            "averaging_patience",
            "`optimization.averaging` is `nt-asgd`",
        ),
        ("schedule = \"step\"\nreload_best = true", "reload_best", "`optimization.schedule` is `plateau`"),
        ("decay_every = 3", "decay_every", "`optimization.schedule` is `step`"),
        (
            "schedule = \"constant\"\ndecay_factor = 0.5",
            "decay_factor",
            "`optimization.schedule` is `plateau` or `step`",
        ),
        (
            "schedule = \"cosine\"\ndecay_factor = 0.5",
            "decay_factor",
            "`optimization.schedule` is `plateau` or `step`",
        ),
        (
            "averaging = \"tail:0.5\"\naveraging_after = 2",
            "averaging_after",
            "`optimization.averaging` is `asgd`",
        ),
    ] {
        let expected = format!("`optimization.{setting}` has no effect unless {condition}");
        check_refused(&format!("[optimization]\n{text}"), &expected);
    }
    check_refused(
        "[training]\nvariable_bptt = true\nbatch_order = \"shuffled\"",
        "`training.batch_order` has no effect unless `training.variable_bptt` is `false`",
    );
}

#[test]
fn the_published_ways_of_summing_and_clipping() {
    let wikitext = plan("").optimization;
    assert_eq!(wikitext.gradient_scale(700), 1.0 / 700.0);
    assert_eq!((wikitext.clip_norm_limit(35, 20), wikitext.step_scale(20)), (Some(0.25), 1.0));
    let summed = |unit: &str| {
        let text = "[optimization]\nloss_reduction = \"sum\"\nstep_divisor = \"batch\"\nclip_norm = 0.5";
        plan(&format!("{text}\nclip_norm_unit = \"{unit}\"")).optimization
    };
    assert_eq!((summed("batch").gradient_scale(140), summed("batch").step_scale(4)), (1.0, 0.25));
    assert_eq!(summed("batch").clip_norm_limit(35, 4), Some(2.0));
    assert_eq!(summed("tokens").clip_norm_limit(35, 4), Some(70.0));
    assert_eq!(plan("[optimization]\nclip_norm = 0").optimization.clip_norm_limit(35, 20), None);
}

#[test]
fn evaluations_are_due_every_so_often_and_at_the_end() {
    let plan = plan("[training]\nepochs = 5\n[evaluation]\nevery = 2");
    assert_eq!((1..=5).filter(|&epoch| plan.evaluates_after(epoch)).collect::<Vec<_>>(), [2, 4, 5]);
}

#[test]
fn the_default_model_is_the_smallest_preset_except_for_locked_dropout() {
    let model = plan("").model;
    assert_eq!((model.cell, model.input, model.tied), (Cell::Lstm, Input::Embedding(200), true));
    assert_eq!((model.hidden_sizes, model.biases), (vec![200, 200], Biases::Two));
    assert_eq!(plan("").init.embedding, Initializer::Uniform(0.1));
}

#[test]
fn a_plan_that_goes_on_keeps_shape_tokenizer_and_vocabulary() {
    let config = Plan::new(&settings("[model]\nhidden_size = 8\ncell = 'gru'\ndropout = 0.3"))
        .unwrap()
        .model
        .config(3);
    let tokenizer = Tokenizer::words().with_eos(None).with_blank_lines(BlankLines::Skip);
    let vocab = Vocab::from_tokens("test", ["<unk>", "a", "b"], Some("<unk>")).unwrap();
    let continuing = |text: &str| {
        let base = "[training]\nfrom = '/model'\n";
        Plan::continuing(&settings(&format!("{base}{text}")), &config, &tokenizer, vocab.clone())
    };
    let plan = continuing("epochs = 7").unwrap();
    assert_eq!((plan.model.config(3), plan.training.epochs), (config.clone(), 7));
    assert_eq!(plan.text.options.tokenizer, tokenizer);
    assert_eq!(plan.text.options.vocab, VocabSource::Given(vocab.clone()));
    assert_eq!(plan.training.from, Some(absolute("/model")));
    let extending = continuing("extend_vocab = true\n[text]\nmin_frequency = 2").unwrap();
    let splits = VocabSplits::Train;
    let extend = VocabSource::Extend { vocab: vocab.clone(), min_freq: 2, max_size: None, splits };
    assert_eq!(extending.text.options.vocab, extend);

    let model = continuing("[model]\ndropout = 0.1").unwrap().model;
    assert_eq!((model.dropout.input.probability, model.dropout.output.probability), (0.1, 0.1));
    for (text, expected) in [
        ("cell = 'lstm'", "`model.cell` is `lstm`, but the model to continue from has `gru`"),
        ("hidden_size = 9", "`model.hidden_sizes` is `9 9`, but the model to continue from has `8 8`"),
        ("tied = false", "`model.tied` is `false`, but the model to continue from has `true`"),
    ] {
        assert_eq!(continuing(&format!("[model]\n{text}")).unwrap_err().to_string(), expected);
    }
    let moses = continuing("[text]\ntokenizer = 'moses'").unwrap();
    let small = Tokenizer::moses().with_eos(None).with_lowercase(true);
    assert_eq!(moses.text.options.tokenizer, small);
    let error = continuing("[text]\ntokenizer = 'chars'").unwrap_err().to_string();
    assert_eq!(error, "`text.tokenizer` is `chars`, but the model to continue from has `words`");
    let error = continuing("[text]\nnormalize = 'nfc'").unwrap_err().to_string();
    assert_eq!(error, "`text.normalize` is `nfc`, but the model to continue from has `none`");
    for (text, expected) in [
        ("lowercase = true", "`text.lowercase` is `true`, but the model to continue from has `false`"),
        (
            "punctuation = 'remove'",
            "`text.punctuation` is `remove`, but the model to continue from has `keep`",
        ),
        ("number_token = 'N'", "`text.number_token` is `N`, but the model to continue from has ``"),
    ] {
        assert_eq!(continuing(&format!("[text]\n{text}")).unwrap_err().to_string(), expected);
    }
    continuing("[text]\npunctuation = 'keep'\nnumber_token = ''").unwrap();
    let error = continuing("[text]\nvocab_list = '/words'").unwrap_err().to_string();
    assert!(error.starts_with("`text.vocab_list` has no effect unless the run does not continue"), "{error}");
    check_refused(
        "[training]\nextend_vocab = true",
        "`training.extend_vocab` has no effect unless `training.from` names a model",
    );
}

#[test]
fn a_plan_that_continues_a_model_is_the_same_if_made_again_for_it() {
    let vocab = Vocab::from_tokens("test", ["<unk>", "a", "b"], Some("<unk>")).unwrap();
    let models = [
        "",
        "hidden_sizes = [6, 5]",
        "input = 'one-hot'\ncell = 'gru'\nbiases = 1",
        "embedding_size = 7",
        "cell = 'cifg'\nprojection_size = 50\ncell_clip = 10",
        "cell = 'mogrifier'\nmogrifier_rounds = 2\nmogrifier_rank = 9",
    ];
    let kept = Tokenizer::words().with_eos(None).with_blank_lines(BlankLines::Skip);
    let of_words = "[text]\ncorpus = 'ptb'\ntokenizer = 'moses'\nsentences = false\nmin_frequency = 3";
    let texts: &[(Tokenizer, &[&str])] = &[
        (kept, &["", of_words, "[text]\ndata = ['/a', '/b']\nlossy = true"]),
        (
            Tokenizer::moses().with_joints(Joints::All),
            &["", "[text]\ntokenizer = 'words'\nmax_vocab_size = 9"],
        ),
        (Tokenizer::chars(), &["", "[text]\nvocab_from = 'train'\nvalid_fraction = 0.1"]),
        (Tokenizer::bytes(), &["[model]\ndropout = 0.4\n[optimization]\noptimizer = 'adam'"]),
    ];
    for model in models {
        let config = plan(&format!("[model]\n{model}")).model.config(3);
        for (tokenizer, texts) in texts {
            for (text, extend_vocab) in texts.iter().flat_map(|text| [(text, false), (text, true)]) {
                let given = format!("[training]\nfrom = '/model'\nextend_vocab = {extend_vocab}\n{text}");
                let made =
                    |settings: &Settings| Plan::continuing(settings, &config, tokenizer, vocab.clone());
                let plan = made(&settings(&given)).unwrap();
                assert_eq!(matches!(plan.text.options.vocab, VocabSource::Extend { .. }), extend_vocab);
                check_made_again(&plan, made);
            }
        }
    }
}

#[test]
fn layers_have_what_their_cell_can_have() {
    let model = plan("[model]\ncell = 'cifg'\nhidden_size = 64\nprojection_size = 16").model;
    assert_eq!((model.input, model.tied), (Input::Embedding(16), true));
    let model = plan("[model]\npreset = 'keyboard_cifg_lm_670'").model;
    assert_eq!((model.cell, model.input, model.tied), (Cell::Cifg, Input::Embedding(96), true));
    assert_eq!((model.hidden_sizes, model.cell_options.projection_size), (vec![670], Some(96)));
    let model = plan("[model]\npreset = 'keyboard_cifg_lm_670'\nprojection_size = 0\ncell = 'gru'").model;
    assert_eq!((model.input, model.cell_options), (Input::Embedding(670), CellOptions::default()));
    check_refused(
        "[model]\ncell = 'gru'\nprojection_size = 16",
        "`projection_size` requires the cell `lstm` or `cifg`, but the cell is `gru`",
    );
    check_refused(
        "[model]\nmogrifier_rounds = 4",
        "`model.mogrifier_rounds` has no effect unless `model.cell` is `mogrifier`",
    );
    check_refused(
        "[model]\ncell_clip = -1",
        "`model.cell_clip` must be a finite number of at least 0, but is -1",
    );
    let mogrifier = settings("[model]\ncell = 'mogrifier'\nmogrifier_rounds = 4\nhidden_size = 8");
    let over = mogrifier.overlaid_with(settings("[model]\ncell = 'lstm'\nprojection_size = 4"));
    assert_eq!(Plan::new(&over).unwrap().model.input, Input::Embedding(4));
}

#[test]
fn the_default_learning_rate_is_that_of_cell_and_optimizer() {
    for (cell, sgd) in [
        ("lstm", 20.0),
        ("mogrifier", 20.0),
        ("cifg", 20.0),
        ("gru", 10.0),
        ("rnn_tanh", 2.0),
        ("rnn_relu", 1.0),
    ] {
        for (optimizer, expected) in [("sgd", sgd), ("adam", 0.001), ("adamw", 0.001)] {
            let text = format!("[model]\ncell = '{cell}'\n[optimization]\noptimizer = '{optimizer}'\n");
            let plan = plan(&text);
            let rates = (plan.optimization.learning_rate, plan.default_learning_rate());
            assert_eq!(rates, (expected, expected), "{cell} {optimizer}");
            let given = super::Plan::new(&settings(&(text + "learning_rate = 3"))).unwrap();
            assert_eq!(given.optimization.learning_rate, 3.0);
        }
    }
}

/// A default that changes must not change a published result.
#[test]
fn recipes_state_how_their_learning_rate_and_clipping_are_set() {
    for name in crate::recipes::names() {
        let given = crate::recipes::find(name).unwrap().settings.optimization;
        assert!(given.optimizer.is_some() && given.learning_rate.is_some(), "{name}");
        assert!(given.clip_norm.is_some(), "{name}");
    }
}

#[test]
fn a_minimum_learning_rate_needs_a_schedule_and_is_no_higher_than_the_first() {
    let refused =
        |text: &str| Plan::new(&settings(&format!("[optimization]\n{text}"))).unwrap_err().to_string();
    assert_eq!(
        refused("schedule = 'constant'\nmin_learning_rate = 1"),
        "`optimization.min_learning_rate` has no effect unless `optimization.schedule` is not `constant`"
    );
    assert_eq!(
        refused("learning_rate = 1\nmin_learning_rate = 2"),
        "`optimization.min_learning_rate` must be at most `optimization.learning_rate`, but is 2"
    );
    let off =
        plan("[optimization]\nschedule = 'constant'\nmin_learning_rate = 0\n[training]\nearly_stopping = 0");
    assert_eq!((off.optimization.min_learning_rate, off.training.early_stopping), (None, None));
}

#[test]
fn the_minimum_of_a_decay_over_the_run_does_not_end_the_run() {
    let decay = plan("[optimization]\nschedule = 'cosine'\nmin_learning_rate = 2").optimization;
    let expected = (ScheduleRule::Cosine { min_learning_rate: 2.0 }, None);
    assert_eq!((decay.schedule, decay.min_learning_rate), expected);
}
