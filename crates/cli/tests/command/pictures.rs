//! `rondo plot`, and the page of `rondo score --html`.

use std::fs;

use crate::sandbox::{Sandbox, filters};

#[test]
fn runs_are_drawn_into_one_picture() {
    let sandbox = Sandbox::with_run();
    let metrics = fs::read_to_string(sandbox.path("run/metrics.jsonl")).unwrap();
    sandbox.write("other & run/metrics.jsonl", metrics);
    let said = sandbox.run(&["plot", "run", "other & run"]);
    assert_eq!((said.stderr.as_str(), said.stdout.as_str()), ("wrote `plot.svg`\n", ""));
    let picture = fs::read_to_string(sandbox.path("plot.svg")).unwrap();
    for text in ["loss", "perplexity", "learning rate", "gradient norm", "\nrun\n", "other &amp; run"] {
        assert!(picture.contains(text), "{text} is missing");
    }
    // One that is there is replaced; a metrics file is a run, too.
    for (axis, label) in [("epochs", "epoch"), ("seconds", "seconds")] {
        sandbox.run(&["plot", "run/metrics.jsonl", "--x", axis]).success();
        let replaced = fs::read_to_string(sandbox.path("plot.svg")).unwrap();
        assert!(replaced != picture && replaced.contains(&format!("\n{label}\n")), "{axis}");
    }
    sandbox.run(&["plot", "run", "--out", "folder.SVG"]).success();
    assert!(sandbox.names().contains(&"folder.SVG".to_owned()));
}

/// The run of version 0.1.0, as it is and resumed by this version, whose records are of both.
#[test]
fn runs_of_0_1_0_are_drawn() {
    let sandbox = Sandbox::with_run_of_0_1_0();
    let drawn = || {
        let said = sandbox.run(&["plot", "run", "--x", "epochs"]);
        assert_eq!((said.stderr.as_str(), said.code), ("wrote `plot.svg`\n", Some(0)));
        let picture = fs::read_to_string(sandbox.path("plot.svg")).unwrap();
        // A line of the training loss, perplexity, learning rate and norm each, and in the legend.
        let lines = picture.matches("<polyline fill=\"none\" opacity=\"0.6\" stroke=\"#0072B2\"").count();
        assert!(lines == 4 && !picture.contains("recorded"), "{lines} lines");
        picture.matches("<circle").count()
    };
    // The losses and perplexities of four epochs, then of five.
    assert_eq!(drawn(), 2 * 4);
    sandbox.run(&["train", "--resume", "--out", "run", "--data", "text.txt", "--epochs", "5"]).success();
    assert_eq!(drawn(), 2 * 5);
    let metrics = fs::read_to_string(sandbox.path("run/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().filter(|line| line.contains("\"kind\"")).count(), 3);
    let curve = fs::read_to_string(sandbox.path("run/curve.svg")).unwrap();
    assert!(curve.contains("train, interval means") && curve.contains("train, moving average"));
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let sandbox = Sandbox::with_run();
    sandbox.write("empty/metrics.jsonl", "");
    sandbox.write("damaged/metrics.jsonl", "{\"epoch\":1,\"step\":1}\nnonsense\n");
    sandbox
        .write("early/metrics.jsonl", "{\"kind\":\"batch\",\"epoch\":1,\"step\":1,\"interval_loss\":5.0}\n");
    fs::create_dir(sandbox.path("nothing")).unwrap();
    for (name, flags, code) in [
        ("missing", &["nowhere"][..], 1),
        ("no_metrics", &["nothing"], 1),
        ("empty", &["run", "empty"], 1),
        ("damaged", &["damaged", "run"], 1),
        ("early", &["early", "--x", "epochs"], 1),
        ("png", &["run", "--out", "plot.png"], 2),
    ] {
        let said = sandbox.run(&[&["plot"], flags].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(code), ""), "{name}: {}", said.stderr);
        insta::assert_snapshot!(format!("no_picture_{name}"), said.stderr);
    }
    let said = sandbox.run(&["plot", "run", "--out", "no/such/plot.svg"]);
    let expected = (Some(1), Some("error: could not write `no/such/plot.svg`"));
    assert_eq!((said.code, said.stderr.lines().next()), expected);
    assert!(!sandbox.names().iter().any(|name| name.starts_with("plot")));
}

#[test]
fn a_page_shows_what_surprises() {
    let sandbox = Sandbox::with_run();
    let _filters = filters(&sandbox);
    sandbox.write("a.txt", "the cat sat on the mat .\nmat <b> the\n");
    let said = sandbox.run(&["score", "-m", "run", "--html", "page.html", "a.txt"]);
    assert_eq!((said.stderr.as_str(), said.stdout.as_str()), ("wrote `page.html`\n", ""));
    let page = fs::read_to_string(sandbox.path("page.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(page.contains("&lt;b&gt;</b>") && !page.contains("<script") && !page.contains("http"));
    assert_eq!(page.matches("<li ").count(), 2);

    // Its numbers are those of the scores.
    let scores = sandbox.run(&["score", "-m", "run", "--json", "a.txt"]).success();
    let (mut log_prob, mut tokens) = (0.0, 0.0);
    for line in scores.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        log_prob += line["log_prob"].as_f64().unwrap();
        tokens += line["tokens"].as_f64().unwrap();
    }
    let bits = -log_prob / tokens / std::f64::consts::LN_2;
    assert!(page.contains(&format!("<strong>{bits:.3}</strong> bits per token · {tokens} tokens")), "{page}");

    let said = sandbox.run(&["score", "-m", "run", "--html", "page.html", "--json", "a.txt"]);
    assert_eq!(said.code, Some(2));
    let said = sandbox.run(&["score", "-m", "run", "--html", "no/page.html", "a.txt"]);
    assert_eq!(
        (said.code, said.stderr.lines().next()),
        (Some(1), Some("error: could not write `no/page.html`"))
    );
}
