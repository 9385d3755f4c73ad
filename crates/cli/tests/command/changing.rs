//! Settings that change when a run is resumed, and what a run says of its state.

use std::fs;

#[cfg(unix)]
use crate::interruption::signaled_at;
use crate::resume::outcome;
#[cfg(unix)]
use crate::sandbox::text;
use crate::sandbox::{Said, Sandbox, TINY};

/// Runs the command in backticks of an error's hint that contains `part`, with more flags.
fn follow(sandbox: &Sandbox, said: &Said, part: &str, more: &[&str]) -> Said {
    let hint = said.stderr.lines().find(|line| line.starts_with("   hint: ")).unwrap();
    let command = hint.split('`').find(|command| command.contains(part)).unwrap();
    let words: Vec<&str> = command.strip_prefix("rondo ").unwrap().split(' ').collect();
    sandbox.run(&[&words[..], more].concat())
}

#[test]
#[cfg(unix)] // Signals.
fn a_run_interrupted_twice_with_another_learning_rate_each_time_is_reproduced() {
    let sandbox = Sandbox::with_text();
    let flags = ["train", "--data", "text.txt", "--out", "run", "--log-every", "1", "--threads", "1"];
    // The rate stays the given one, however late the signal arrives.
    let flags = [&flags[..], &["--schedule", "constant", "--epochs", "60"], &TINY].concat();
    let said = signaled_at(&sandbox, &flags, "epoch 2/60  batch 3/", &["-INT"]);
    assert_eq!(said.code, Some(130), "{}", said.stderr);
    let resume = ["train", "--resume", "--out", "run", "--learning-rate"];
    let said = signaled_at(&sandbox, &[&resume[..], &["0.005"]].concat(), "/60  batch ", &["-INT"]);
    assert_eq!(said.code, Some(130), "{}", said.stderr);
    let note = "note     `optimization.learning_rate` changes from `0.02` to `0.005`\n";
    assert!(said.stderr.contains(note), "{}", said.stderr);
    let said = sandbox.run(&[&resume[..], &["0.001", "--epochs", "65", "--dropout", "0.1"]].concat());
    assert!(
        said.stderr.contains("note     `training.epochs` changes from `60` to `65`\n"),
        "{}",
        said.stderr
    );
    said.success();

    let provenance = fs::read_to_string(sandbox.path("run/provenance.json")).unwrap();
    let provenance: serde_json::Value = serde_json::from_str(&provenance).unwrap();
    let [first, second] = &provenance["changes"].as_array().unwrap()[..] else { panic!("{provenance}") };
    let step = |change: &serde_json::Value| change["step"].as_u64().unwrap();
    assert!(0 < step(first) && step(first) < step(second), "{provenance}");
    assert_eq!(second["settings"].as_array().unwrap().len(), 5, "{provenance}");
    let said = sandbox.run(&["reproduce", "run", "--out", "again"]);
    for (change, line) in [
        (first, "`optimization.learning_rate` changes from `0.02` to `0.005`"),
        (second, "`model.dropout_input`"),
    ] {
        let line = format!("changed  after step {}: {line}", change["step"]);
        assert!(said.stderr.contains(&line), "{line} in {}", said.stderr);
    }
    let told = said.success();
    assert!(told.contains(" records, identical\n") && told.ends_with("reproduced by again\n"), "{told}");
    assert!(outcome(&sandbox.path("run")) == outcome(&sandbox.path("again")));
    // The repetition has the same changes, so it can be repeated too.
    sandbox.run(&["reproduce", "again", "--quiet"]).success();

    // A new run with the final settings is another run, which is said.
    let said = sandbox.run(&["train", "--plan", "run", "--out", "final"]);
    let note = format!(
        "note     the settings of `run` changed at step {}; the new run has its final settings from the start\n",
        first["step"]
    );
    assert!(said.stderr.contains(&note), "{}", said.stderr);
    said.success();
    let said = sandbox.run(&["reproduce", "run", "--against", "final"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.stdout.contains("\nchanged settings  optimization.learning_rate = 0.005 at step "),
        "{}",
        said.stdout
    );
}

#[test]
fn a_complete_run_says_so_and_how_to_continue_it() {
    let sandbox = Sandbox::with_run();
    let before = outcome(&sandbox.path("run"));
    let said = sandbox.run(&["train", "--resume", "--out", "run"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let program = env!("CARGO_BIN_EXE_rondo");
    let line = format!(
        "\ncomplete: all 4 epochs are trained; for more, `{program} train --resume --out run --epochs 8`\n"
    );
    assert!(said.stderr.contains(&line), "{}", said.stderr);
    assert!(!said.stderr.contains("resumed "), "{}", said.stderr);
    assert!(said.stdout.contains("\nbest   epoch "), "{}", said.stdout);
    assert!(outcome(&sandbox.path("run")) == before);
    let said = sandbox.run(&["train", "--resume", "--out", "run", "--epochs", "5"]);
    assert!(!said.stderr.contains("complete"), "{}", said.stderr);
    said.success();
}

#[test]
fn fewer_epochs_than_there_are_are_refused_and_the_run_is_still_reproduced() {
    let sandbox = Sandbox::with_run();
    let plan = fs::read(sandbox.path("run/plan.toml")).unwrap();
    let said = sandbox.run(&["train", "--resume", "--out", "run", "--epochs", "2"]);
    assert_eq!(said.code, Some(2));
    let error = "error: cannot reduce `training.epochs` to 2: the run has already completed 4 epochs\n";
    assert!(said.stderr.starts_with(error), "{}", said.stderr);
    assert!(fs::read(sandbox.path("run/plan.toml")).unwrap() == plan);
    follow(&sandbox, &said, "--epochs 2", &["--out", "short"]).success();
    assert_eq!(outcome(&sandbox.path("short")).0.last().unwrap()["epoch"], 2);
    sandbox.run(&["reproduce", "run", "--quiet"]).success();
}

#[test]
fn a_run_that_decays_keeps_its_length_and_says_how_to_train_further() {
    let sandbox = Sandbox::with_text();
    let flags = ["train", "--data", "text.txt", "--out", "run", "--epochs", "2", "--threads", "1"];
    let schedule = ["--schedule", "cosine", "--warmup", "5", "--averaging", "ema:0.9"];
    let said = sandbox.run(&[&flags[..], &schedule, &TINY].concat());
    let line = "adam, learning rate 0.02, cosine decay to 0, warm-up of 5 steps, clip norm 0.25, moving average of the \
                weights, decay 0.9\n";
    assert!(said.stderr.contains(line), "{}", said.stderr);
    said.success();
    let said = sandbox.run(&["train", "--resume", "--out", "run"]);
    assert!(said.stderr.contains("epochs are trained; for more, `"), "{}", said.stderr);
    assert!(said.stderr.contains(" train --from run`\n"), "{}", said.stderr);

    let said = sandbox.run(&["train", "--resume", "--out", "run", "--epochs", "3"]);
    assert_eq!(said.code, Some(2));
    let error = "error: cannot change `training.epochs` from 2 to 3 when resuming a run: its learning rate decays over \
                 the whole run\n";
    assert!(said.stderr.starts_with(error), "{}", said.stderr);
    follow(&sandbox, &said, "--from run", &["--out", "new"]).success();
    assert_eq!(outcome(&sandbox.path("new")).0.last().unwrap()["epoch"], 3);
    let resume = ["train", "--resume", "--out", "run", "--epochs", "3", "--schedule", "constant"];
    sandbox.run(&resume).success();
    sandbox.run(&["reproduce", "run", "--quiet"]).success();
}

#[test]
fn what_cannot_change_is_refused_with_a_way_that_works() {
    let sandbox = Sandbox::with_run();
    let evaluated = sandbox.run(&["eval", "-m", "run", "--split", "valid", "--json"]).json();
    let trained = evaluated["loss"].as_f64().unwrap();
    for (number, (flag, value, keeps_weights)) in [
        ("--batch-size", "2", true),
        ("--bptt", "5", true),
        ("--seed", "7", true),
        ("--optimizer", "adamw", true),
        ("--max-batches", "3", true),
        ("--evaluation-batch-size", "2", true),
        ("--from", "run", true),
        ("--hidden-size", "24", false),
        ("--layers", "2", false),
        ("--cell", "gru", false),
        ("--init-bias", "uniform:0.1", false),
        ("--min-frequency", "2", false),
        ("--tokenizer", "chars", false),
    ]
    .into_iter()
    .enumerate()
    {
        let said = sandbox.run(&["train", "--resume", "--out", "run", flag, value]);
        assert_eq!(said.code, Some(2), "{flag}: {}", said.stderr);
        assert!(said.stderr.starts_with("error: cannot change `"), "{flag}: {}", said.stderr);
        let out = format!("new-{number}");
        let more = ["--epochs", "1", "--out", &out, "--json", "--quiet"];
        let followed = follow(&sandbox, &said, "rondo train ", &more);
        assert_eq!(followed.code, Some(0), "{flag}: {}\n{}", said.stderr, followed.stderr);
        // The first record is the evaluation of the weights that the run starts with, if they are not random.
        let first = outcome(&sandbox.path(&out)).0.remove(0);
        let starts_with = first["valid_loss"].as_f64().filter(|_| first["step"] == 0);
        assert_eq!(starts_with.is_some(), keeps_weights, "{flag}: {first}");
        if let Some(loss) = starts_with.filter(|_| flag != "--evaluation-batch-size") {
            assert!((loss - trained).abs() < 1e-3, "{flag}: {loss}, {trained}");
        }
    }
}

#[test]
fn another_text_is_refused_with_a_way_that_works() {
    let sandbox = Sandbox::with_run();
    sandbox.write("other.txt", "the dog sat on the cat .\n".repeat(60));
    let said = sandbox.run(&["train", "--resume", "--out", "run", "--data", "other.txt"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("`rondo train --from RUN --data TEXT` starts a new run"), "{}", said.stderr);
    let said =
        sandbox.run(&["train", "--from", "run", "--data", "other.txt", "--out", "new", "--epochs", "1"]);
    said.success();
}

#[test]
#[cfg(unix)] // Signals.
fn an_interruption_in_the_first_epoch_leaves_its_metrics_and_an_honest_result() {
    let sandbox = Sandbox::new();
    // An epoch that is longer than the way of a signal.
    sandbox.write("text.txt", text(40_000));
    let flags = ["train", "--data", "text.txt", "--out", "run", "--log-every", "2", "--epochs", "1000"];
    let said = signaled_at(&sandbox, &[&flags[..], &TINY].concat(), "batch 2/", &["-INT"]);
    assert_eq!(said.code, Some(130), "{}", said.stderr);
    let records = outcome(&sandbox.path("run")).0;
    let last = records.last().unwrap();
    assert_eq!(last["epoch"], 1);
    let saved = said.stdout.lines().find(|line| line.starts_with("saved  ")).unwrap();
    let expected = format!("saved  after {} of ", last["step"]);
    assert!(
        saved.starts_with(&expected) && saved.ends_with(" batches of epoch 1, which is not complete"),
        "{saved}"
    );
    assert!(!said.stdout.contains("best"), "{}", said.stdout);
    let valid = format!("\nvalid  loss {:.4}, ", last["valid_loss"].as_f64().unwrap());
    assert!(said.stdout.contains(&valid), "{valid} in {}", said.stdout);
    assert!(last["interval_loss"].is_f64() || last["step"].as_u64().unwrap().is_multiple_of(2), "{last}");

    let said = signaled_at(
        &sandbox,
        &["train", "--resume", "--out", "run", "--json", "--log-every", "1"],
        "epoch 1/1000",
        &["-INT"],
    );
    let result: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&result["best_epoch"], &result["interrupted"]), (&serde_json::Value::Null, &true.into()));
    assert_eq!(result["partial_epoch"]["epoch"], 1);
}
