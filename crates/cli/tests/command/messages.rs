//! Errors that say where, what is allowed, and what works.

use std::fs;

use crate::sandbox::{Sandbox, TINY, checkpoints};

/// Fails unless training by a recipe with these lines is refused with this error.
#[track_caller]
fn check_recipe(lines: &str, expected: &str) {
    let sandbox = Sandbox::with_text();
    sandbox.write("mine.toml", lines);
    let said = sandbox.run(&["train", "--recipe", "mine.toml", "--out", "run"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(2), &*format!("error: {expected}\n")));
    assert_eq!(sandbox.names(), ["mine.toml", "text.txt"]);
}

#[test]
fn an_invalid_value_in_a_recipe_is_named_with_its_line_and_what_is_allowed() {
    check_recipe(
        "[model]\nlayers = 1\nhidden_size = \"32\"\n",
        "`mine.toml`, line 3: invalid value `\"32\"` for `model.hidden_size`: expected a non-negative integer, \
         without quotes",
    );
    check_recipe(
        "[model]\ndropout = 1.5\n",
        "`mine.toml`, line 2: `model.dropout` must be at least 0 and less than 1, but is 1.5",
    );
    check_recipe(
        "[model]\n\ndropout_between = -0.5\n",
        "`mine.toml`, line 3: `model.dropout_between` must be at least 0 and less than 1, but is -0.5",
    );
    check_recipe(
        "[optimization]\nschedule = \"triangle\"\n",
        "`mine.toml`, line 2: invalid value `\"triangle\"` for `optimization.schedule`: expected one of `plateau`, \
         `step`, `constant`, `linear`, `cosine`",
    );
    check_recipe(
        "[model]\nlayers = 0\n",
        "`mine.toml`, line 2: `model.layers` must be from 1 to 1024, but is 0",
    );
    check_recipe(
        "[model]\nhidden_size = 0\n",
        "`mine.toml`, line 2: `model.hidden_size` must be at least 1, but is 0",
    );
    check_recipe(
        "[text]\ncorpus = \"PTB\"\n",
        "`mine.toml`, line 2: unknown corpus `PTB`, expected one of `wikitext-2`, `ptb`, `time-machine`, \
         `time-machine-d2l`, `sherlock-holmes`, `tiny-shakespeare`; did you mean `ptb`?",
    );
    check_recipe(
        "[model]\npreset = \"Standard_LSTM_LM_200\"\n",
        "`mine.toml`, line 2: unknown preset `Standard_LSTM_LM_200`, expected one of `standard_lstm_lm_200`, \
         `standard_lstm_lm_650`, `standard_lstm_lm_1500`, `awd_lstm_lm_600`, `awd_lstm_lm_1150`, `keyboard_cifg_lm_670`; did you mean \
         `standard_lstm_lm_200`?",
    );
    check_recipe(
        "[optimization]\nmomentum = 0.9\noptimizer = \"adam\"\n",
        "`mine.toml`, line 2: `optimization.momentum` has no effect unless `optimization.optimizer` is `sgd`",
    );
    check_recipe(
        "[model]\ninput = \"one-hot\"\ntied = true\n",
        "`mine.toml`, line 3: `tied` requires an embedding, but the input is one-hot",
    );
    check_recipe(
        "[recipe]\nname = \"mine\"\n[model]\nhidden_size = 3\nhidden_size = 4\n",
        "`mine.toml`, line 5: duplicate key",
    );
}

#[test]
fn a_flag_that_overrides_a_recipe_is_not_looked_for_in_its_file() {
    let sandbox = Sandbox::with_text();
    sandbox.write("mine.toml", "[model]\ndropout = 0.5\n");
    let said = sandbox.run(&["train", "--recipe", "mine.toml", "--out", "run", "--dropout", "1.5"]);
    assert_eq!(said.stderr, "error: `model.dropout` must be at least 0 and less than 1, but is 1.5\n");
}

/// In version 0.1.0, following the advice led to the next error.
#[test]
fn the_advice_for_a_short_text_works() {
    let sandbox = Sandbox::new();
    // 180 tokens of 6 words and a line end.
    let words = (0..180).map(|index| if index % 6 == 5 { "<eos>\n" } else { "a " });
    sandbox.write("text.txt", words.collect::<String>().replace("<eos>", ""));
    sandbox.write("other.txt", "a a a\n".repeat(9));
    let train = |batch_size: &str| {
        let data = ["--data", "text.txt", "--valid-fraction", "0", "--test-fraction", "0", "--epochs", "1"];
        sandbox.run(
            &[&["train", "--out", batch_size, "--batch-size", batch_size], &data[..], &TINY[..2]].concat(),
        )
    };
    for batch_size in ["91", "90"] {
        let said = train(batch_size);
        assert_eq!(said.code, Some(1), "{}", said.stderr);
        let advice = said.stderr.split_once("the largest batch size for BPTT length 35 is ").unwrap().1;
        assert!(advice.starts_with('5'), "{}", said.stderr);
    }
    train("5").success();
}

#[test]
fn a_checkpoint_is_not_a_model_and_the_models_of_its_run_are_named() {
    let sandbox = Sandbox::with_run();
    let checkpoint = checkpoints(&sandbox.path("run")).remove(0);
    let checkpoint = format!("run/{}", checkpoint.file_name().unwrap().to_str().unwrap());
    let error = format!("error: `{checkpoint}` is a checkpoint, from which a run resumes, and not a model");
    for command in [
        &["eval", "text.txt", "--model"][..],
        &["score", "text.txt", "--model"],
        &["generate", "--model"],
        &["models"],
        &["neighbors"],
        &["train", "--data", "text.txt", "--from"],
    ] {
        let said = sandbox.run(&[command, &[&checkpoint]].concat());
        let said =
            if command == ["neighbors"] { sandbox.run(&["neighbors", &checkpoint, "cat"]) } else { said };
        assert_eq!(said.code, Some(1), "{command:?} {}", said.stderr);
        let models = "; its run has saved the models `run/best.safetensors` and `run/last.safetensors`\n";
        // A run records absolute paths.
        let folder = format!("{}/", sandbox.path("run").parent().unwrap().display());
        assert_eq!(said.stderr.replace(&folder, ""), format!("{error}{models}"), "{command:?}");
    }
    fs::remove_file(sandbox.path("run/best.safetensors")).unwrap();
    fs::remove_file(sandbox.path("run/last.safetensors")).unwrap();
    let said = sandbox.run(&["eval", "text.txt", "--model", &checkpoint]);
    assert_eq!(said.stderr, format!("{error}\n"));
}

#[test]
fn the_plan_names_the_text_that_was_read() {
    let sandbox = Sandbox::with_run();
    let plan = fs::read_to_string(sandbox.path("run/plan.toml")).unwrap();
    // A path with backslashes is between single quotes.
    let data = format!("data = [\"{}\"]", sandbox.path("text.txt").display());
    assert!(plan.replace('\'', "\"").contains(&data) && !plan.contains("corpus ="), "{plan}");
}
