//! `rondo train --resume`, and `rondo reproduce`.

use std::fs;
use std::path::Path;

#[cfg(unix)]
use crate::interruption::signaled_at;
use crate::sandbox::{Sandbox, TINY, text};

#[cfg(unix)]
const ENDLESS: [&str; 10] = [
    "train",
    "--data",
    "text.txt",
    "--out",
    "run",
    "--log-every",
    "1",
    "--checkpoint-every=9steps",
    "--threads",
    "1",
];

/// What a run has come to, without what a clock said.
pub(crate) fn outcome(run: &Path) -> (Vec<serde_json::Value>, [Vec<u8>; 2]) {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let timeless = |line: &str| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        record.as_object_mut().unwrap().retain(|key, _| !key.ends_with("_s"));
        record
    };
    let models = ["best", "last"].map(|name| fs::read(run.join(format!("{name}.safetensors"))).unwrap());
    (metrics.lines().map(timeless).collect(), models)
}

#[test]
fn a_run_that_is_resumed_on_another_device_says_so() {
    let sandbox = Sandbox::with_run();
    let resumed = |epochs: &str| {
        let said = sandbox.run(&["train", "--resume", "--out", "run", "--epochs", epochs, "--threads", "2"]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        said.stderr
    };
    let note = "the run was computed on cpu (portable, 1 thread) until now, and is continued on cpu \
                (portable, 2 threads): ";
    let said = resumed("5");
    assert!(said.contains(note), "{said}");
    // From the second time on, that is the device of before.
    let said = resumed("6");
    assert!(!said.contains("until now"), "{said}");
}

#[test]
#[cfg(unix)] // Signals.
fn an_interrupted_run_goes_on_to_the_same_end() {
    // A second signal soon after the first is the same request.
    for (signals, code) in
        [(&["-INT"][..], 130), (&["-TERM"], 143), (&["-TERM", "-TERM"], 143), (&["-INT", "-TERM"], 130)]
    {
        let sandbox = Sandbox::with_text();
        let flags = [&ENDLESS[..], &["--epochs", "40"], &TINY].concat();
        let said = signaled_at(&sandbox, &flags, "epoch 3/", signals);
        assert_eq!(said.code, Some(code), "{}", said.stderr);
        assert!(said.stderr.contains(" train --resume --out run\n"), "{}", said.stderr);
        let resumed = sandbox.run(&["train", "--resume", "--out", "run"]);
        assert!(resumed.stderr.contains("\nresumed  at epoch "), "{}", resumed.stderr);
        assert!(resumed.success().contains("\nbest   epoch "));
        let whole = [
            &[
                "train",
                "-q",
                "--data",
                "text.txt",
                "--out",
                "whole",
                "--epochs",
                "40",
                "--log-every",
                "1",
                "--threads",
                "1",
            ],
            &TINY[..],
        ];
        sandbox.run(&whole.concat()).success();
        assert!(outcome(&sandbox.path("run")) == outcome(&sandbox.path("whole")), "{signals:?}");
    }
}

#[test]
fn a_run_that_has_ended_ends_again_or_goes_on_for_more_epochs() {
    let sandbox = Sandbox::with_text();
    sandbox.train(&[&["--data", "text.txt", "--epochs", "2"][..], &TINY].concat()).success();
    let first = outcome(&sandbox.path("run"));
    let again = sandbox.run(&["train", "--resume", "--out", "run"]).success();
    assert!(again.contains("\nbest   epoch 2\n"), "{again}");
    assert!(outcome(&sandbox.path("run")) == first);
    let said = sandbox.run(&["train", "--resume", "--out", "run", "--epochs", "4"]);
    assert!(said.stderr.contains("note     `training.epochs` changes from `2` to `4`\n"), "{}", said.stderr);
    said.success();
    sandbox
        .run(
            &[
                &["train", "--threads", "1", "--data", "text.txt", "--epochs", "4", "--out", "whole"][..],
                &TINY,
            ]
            .concat(),
        )
        .success();
    assert!(outcome(&sandbox.path("run")) == outcome(&sandbox.path("whole")));
    let provenance = fs::read_to_string(sandbox.path("run/provenance.json")).unwrap();
    let provenance: serde_json::Value = serde_json::from_str(&provenance).unwrap();
    assert_eq!(provenance["resumptions"][1]["changes"][0]["now"], "4");
}

#[test]
fn what_cannot_be_resumed_is_refused_in_a_few_lines() {
    let sandbox = Sandbox::with_run();
    let mut refusals = String::new();
    let mut refused = |flags: &[&str]| {
        let said = sandbox.run(&[&["train", "--resume", "--out"][..], flags].concat());
        refusals += &format!(
            "$ rondo train --resume --out {}\n[{}]\n{}\n",
            flags.join(" "),
            said.code.unwrap(),
            said.stderr
        );
    };
    refused(&["none"]);
    refused(&["run", "--hidden-size", "32"]);
    refused(&["run", "--batch-size", "3"]);
    refused(&["run", "--epochs", "3"]);
    refused(&["run", "--learning-rate", "0"]);
    refused(&["run", "--plan", "run"]);
    fs::write(sandbox.path("text.txt"), text(80).replace("cat", "cow")).unwrap();
    refused(&["run", "--epochs", "9"]);
    fs::write(sandbox.path("text.txt"), text(100)).unwrap();
    for file in fs::read_dir(sandbox.path("run")).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("checkpoint-") {
            let mut bytes = fs::read(&path).unwrap();
            bytes.truncate(1000);
            fs::write(&path, bytes).unwrap();
        }
    }
    refused(&["run", "--epochs", "9"]);
    let _filters = crate::sandbox::filters(&sandbox);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter("[0-9a-f]{64}", "[SHA-256]");
    settings.bind(|| insta::assert_snapshot!(refusals));
    let said = sandbox.run(&["train", "--resume"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("--out <DIR>"), "{}", said.stderr);
}

#[test]
fn a_run_that_went_on_from_a_model_is_resumed_without_it() {
    let sandbox = Sandbox::with_run();
    sandbox.write("more.txt", text(60).replace("cat", "mat"));
    let going_on = ["train", "--from", "run", "--data", "more.txt", "--epochs", "2", "--out"];
    sandbox.run(&[&going_on[..], &["whole"]].concat()).success();
    sandbox.run(&[&going_on[..], &["second"]].concat()).success();
    fs::rename(sandbox.path("run"), sandbox.path("elsewhere")).unwrap();
    sandbox.run(&["train", "--resume", "--out", "second", "--epochs", "3"]).success();
    assert_eq!(outcome(&sandbox.path("second")).0.last().unwrap()["epoch"], 3);
    let begins = outcome(&sandbox.path("whole")).0;
    assert!(outcome(&sandbox.path("second")).0.starts_with(&begins));
}

#[test]
fn a_run_is_reproduced_or_it_is_said_what_differs() {
    let sandbox = Sandbox::with_text();
    let flags = ["--data", "text.txt", "--epochs", "2", "--log-every", "3"];
    sandbox.train(&[&flags[..], &TINY].concat()).success();
    let said = sandbox.run(&["reproduce", "run", "--out", "again"]);
    let told = said.success();
    assert!(
        told.contains("records, identical\n") && told.ends_with("\nrun: reproduced by again\n"),
        "{told}"
    );

    let other = [&["train", "--out", "other", "--plan", "run", "--seed", "2"][..]].concat();
    sandbox.run(&other).success();
    let said = sandbox.run(&["reproduce", "run", "--against", "other"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.stdout.contains("line 1: `") && said.stdout.contains("best model  different\n"),
        "{}",
        said.stdout
    );
    let json = sandbox.run(&["reproduce", "run", "--against", "again", "--json"]).json();
    assert_eq!((&json["reproduced"], &json["difference"]), (&true.into(), &serde_json::Value::Null));

    // Another text is noticed before anything is trained.
    fs::write(sandbox.path("text.txt"), text(99)).unwrap();
    let said = sandbox.run(&["reproduce", "run", "--out", "third"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains(" differs from the run's: its fingerprint is "), "{}", said.stderr);
    assert!(!sandbox.path("third").exists());
}
