//! Filtering a text by perplexity.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::sandbox::{Sandbox, text};

/// Lines with what a filter could change: bytes, spaces, line endings, no line ending at the end.
const AWKWARD: &str = "the cat sat on the mat .\r\n\n  a dog\tsat  on a mat . \nzyzzyva \u{e9}t\u{e9} qwerty\n\"the\" dog saw a cat .";

fn filter(sandbox: &Sandbox, flags: &[&str]) -> (String, String) {
    let said = sandbox.run(&[&["filter", "run", "--threads", "1"], flags].concat());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    (said.stdout, said.stderr)
}

/// The numbers of lines that were read, kept and dropped.
fn counts(stderr: &str) -> [usize; 3] {
    let numbers: Vec<usize> = stderr
        .lines()
        .next()
        .unwrap()
        .split([' ', ';'])
        .filter_map(|word| word.replace(',', "").parse().ok())
        .collect();
    [numbers[0], numbers[1], numbers[2]]
}

#[test]
fn lines_pass_byte_for_byte_and_every_line_is_counted() {
    let sandbox = Sandbox::with_run();
    sandbox.write("awkward.txt", AWKWARD);
    let (all, stderr) = filter(&sandbox, &["awkward.txt"]);
    assert_eq!((all.as_str(), counts(&stderr)), (AWKWARD, [5, 5, 0]));
    let (nothing, stderr) = filter(&sandbox, &["awkward.txt", "--invert"]);
    assert_eq!((nothing.as_str(), counts(&stderr)), ("", [5, 0, 5]));
    // What is kept and what is inverted are the text, line by line.
    let bounds = ["awkward.txt", "--max-perplexity", "60"];
    let (kept, stderr) = filter(&sandbox, &bounds);
    let (dropped, inverted) = filter(&sandbox, &[&bounds[..], &["--invert"]].concat());
    let [read, kept_count, dropped_count] = counts(&stderr);
    assert_eq!((read, kept_count + dropped_count), (5, 5), "{stderr}");
    assert_eq!(counts(&inverted), [5, dropped_count, kept_count]);
    assert!(kept.starts_with("the cat sat on the mat .\r\n") && dropped.contains("zyzzyva"), "{kept}");
    let (mut kept, mut dropped) =
        (kept.split_inclusive('\n').peekable(), dropped.split_inclusive('\n').peekable());
    for line in AWKWARD.split_inclusive('\n') {
        assert!(kept.next_if_eq(&line).or_else(|| dropped.next_if_eq(&line)).is_some(), "{line:?}");
    }
    assert!(kept.next().is_none() && dropped.next().is_none());

    let shards = ["1/2", "2/2"].map(|shard| filter(&sandbox, &["awkward.txt", "--shard", shard]).0);
    let lines: Vec<&str> = AWKWARD.split_inclusive('\n').collect();
    assert_eq!(shards[0], [lines[0], lines[2], lines[4]].concat());
    assert_eq!(shards[1], [lines[1], lines[3]].concat());
}

#[test]
fn records_stay_as_they_are_and_can_get_their_perplexity() {
    let sandbox = Sandbox::with_run();
    let records = "{\"id\": 1.50, \"text\": \"the cat sat on a mat .\"}\n\n{ \"text\":\"zyzzyva \\n qwerty\" }\r\n{\"text\": null}\n";
    sandbox.write("records.jsonl", records);
    assert_eq!(filter(&sandbox, &["records.jsonl", "--text-field", "text"]).0, records);
    let (scored, _) = filter(&sandbox, &["records.jsonl", "--text-field", "text", "--add-score", "ppl"]);
    let lines: Vec<&str> = scored.lines().collect();
    assert!(lines[0].starts_with("{\"id\": 1.50, \"text\": \"the cat sat on a mat .\",\"ppl\":"), "{scored}");
    let score =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["ppl"].as_f64().unwrap();
    assert!(score(lines[0]) < 60.0 && score(lines[2]) > 60.0, "{scored}");
    let json = sandbox.run(&[
        "filter",
        "run",
        "records.jsonl",
        "--text-field",
        "text",
        "--json",
        "--max-perplexity",
        "60",
    ]);
    let counts: serde_json::Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!(
        counts["lines"].as_u64().unwrap(),
        counts["kept"].as_u64().unwrap() + counts["dropped"].as_u64().unwrap()
    );
    let error = |flags: &[&str]| sandbox.run(&[&["filter", "run", "records.jsonl"], flags].concat()).stderr;
    assert!(
        error(&["--text-field", "body"]).contains("error: line 1 of `records.jsonl` has no field `body`")
    );
    assert!(error(&["--shard", "3/2"]).contains("must be I/N with I from 1 to N"));
    let bounds = error(&["--min-perplexity", "9", "--max-perplexity", "5"]);
    assert_eq!(bounds, "error: no perplexity is at least 9 and at most 5\n");
    assert!(error(&["--max-perplexity", "nan"]).starts_with("error: no perplexity"));
    let twice = error(&["--text-field", "text", "--add-score", "id"]);
    assert!(twice.contains("already has a field `id`, which `--add-score` would add"), "{twice}");
}

#[test]
fn a_faulty_line_ends_the_job_after_the_lines_before_it() {
    let sandbox = Sandbox::with_run();
    let good = "\u{feff}{\"text\": \"the cat\"}\n";
    sandbox.write("first.jsonl", "{\"text\": \"a dog\"}\n");
    sandbox.write("bad.jsonl", [good.as_bytes(), b"{\"text\": \"caf\xe9\"}\nid,text\n"].concat());
    let run = |flags: &[&str]| {
        sandbox.run(&[&["filter", "run", "first.jsonl", "bad.jsonl", "--text-field", "text"], flags].concat())
    };
    let said = run(&[]);
    assert_eq!((said.code, said.stdout), (Some(1), format!("{{\"text\": \"a dog\"}}\n{good}")));
    assert!(said.stderr.contains("error: line 2 of `bad.jsonl` is not UTF-8 text"), "{}", said.stderr);
    let said = run(&["--lossy", "--invert"]);
    assert!(
        said.stderr.contains("error: line 3 of `bad.jsonl` is not a JSON object, and"),
        "{}",
        said.stderr
    );
    // The faulty lines are not part of this shard.
    assert_eq!(run(&["--shard", "2/4"]).code, Some(0));
}

/// The perplexity that garbage has with its unknown words as one token is low; as unseen words, it rises with its share.
#[test]
fn garbage_is_not_rewarded() {
    let sandbox = Sandbox::with_run();
    let median = |garbage: usize| {
        let lines: String = text(40)
            .lines()
            .enumerate()
            .map(|(line, text)| {
                let words = text.split(' ').enumerate();
                let word = |(place, word): (usize, &str)| {
                    if (line * 7 + place) % 4 < garbage { format!("xq{place}") } else { word.to_owned() }
                };
                words.map(word).collect::<Vec<_>>().join(" ") + "\n"
            })
            .map(|line| format!("{}\n", serde_json::json!({ "text": line.trim_end() })))
            .collect();
        sandbox.write("garbage.jsonl", lines);
        let (scored, _) = filter(
            &sandbox,
            &["garbage.jsonl", "--text-field", "text", "--add-score", "ppl", "--unknown-words", "1000"],
        );
        let mut scores: Vec<f64> = scored
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["ppl"].as_f64().unwrap())
            .collect();
        scores.sort_by(f64::total_cmp);
        scores[scores.len() / 2]
    };
    let medians: Vec<f64> = (0..=4).map(median).collect();
    assert!(medians.is_sorted() && medians[4] > 100.0 * medians[0], "{medians:?}");
}

#[test]
fn a_reader_that_goes_away_gets_whole_lines() {
    let sandbox = Sandbox::with_run();
    sandbox.write("many.txt", text(40_000));
    let mut command = sandbox.command(&["filter", "run", "many.txt"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((line.as_str(), output.status.code()), (text(1).as_str(), Some(0)));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("error"));
}

/// A termination signal is noticed while lines are waited for.
#[cfg(unix)]
#[test]
fn an_interrupted_filter_that_waits_for_lines_ends() {
    let sandbox = Sandbox::with_run();
    let mut command = sandbox.command(&["filter", "run", "--threads", "1"]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, text(1).as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(
        std::process::Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    // stdin is still open.
    drop(stdin);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), counts(&stderr)), (Some(130), [1, 1, 0]), "{stderr}");
}

/// A termination signal ends the text at the end of a line.
#[cfg(unix)]
#[test]
fn an_interrupted_filter_writes_no_part_of_a_line() {
    let sandbox = Sandbox::with_run();
    sandbox.write("many.txt", text(400_000));
    let mut command = sandbox.command(&["filter", "run", "many.txt", "--threads", "1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut found = String::new();
    reader.read_line(&mut found).unwrap();
    assert!(
        std::process::Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    std::io::Read::read_to_string(&mut reader, &mut found).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let lines = found.lines().count();
    assert!(found.ends_with(".\n") && lines < 400_000 && found == text(lines), "{lines}");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(counts(&stderr)[..2], [lines, lines], "{stderr}");
}
