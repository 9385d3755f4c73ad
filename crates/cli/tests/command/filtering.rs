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
fn lines_of_likely_tokens_are_those_that_score_does_not_flag() {
    let sandbox = Sandbox::with_run();
    sandbox.write("awkward.txt", AWKWARD);
    let mut numbers = vec![];
    for max_rank in ["1", "3", "8", "1000"] {
        let scored = sandbox.run(&["score", "-m", "run", "awkward.txt", "--max-rank", max_rank]).success();
        let flags = scored.lines().map(|line| line.split('\t').nth(3).unwrap() != "0").collect::<Vec<_>>();
        let lines = |flagged: bool| {
            let lines = AWKWARD.split_inclusive('\n').zip(&flags).filter(|(_, flag)| **flag == flagged);
            lines.map(|(line, _)| line).collect::<String>()
        };
        let bounds = ["awkward.txt", "--max-rank", max_rank];
        let (kept, stderr) = filter(&sandbox, &bounds);
        assert_eq!((flags.len(), kept), (5, lines(false)), "{stderr}");
        assert_eq!(filter(&sandbox, &[&bounds[..], &["--invert"]].concat()).0, lines(true));
        numbers.push(counts(&stderr)[1]);
    }
    // Lines of known words are likely if all ranks are.
    assert!(numbers.is_sorted() && numbers[0] < numbers[3] && numbers[3] < 5, "{numbers:?}");
    let said = sandbox.run(&["filter", "run", "awkward.txt", "--max-rank", "3", "--approximate"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
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
        counts["documents"].as_u64().unwrap(),
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

/// Documents of one to three lines with blank lines between them; `\r` and bytes that a filter could change.
fn documents() -> String {
    let mut documents = "\n \n".to_owned();
    for number in 0..30 {
        let lines = text(40)
            .lines()
            .skip(number % 5)
            .take(number % 3 + 1)
            .map(|line| format!("{line}\n"))
            .collect::<String>();
        let garbage = "zyzzyva xq  qwerty \r\n".repeat(number % 4);
        documents += &format!("{lines}{garbage}{}", "\n".repeat(number % 2 + 1));
    }
    documents + "the cat sat\non the mat ."
}

#[test]
fn documents_pass_as_a_whole_with_the_blank_lines_after_them() {
    let sandbox = Sandbox::with_run();
    let (all, unit) = (documents(), ["documents.txt", "--unit", "document"]);
    sandbox.write("documents.txt", &all);
    let (kept, stderr) = filter(&sandbox, &unit);
    assert_eq!((kept.as_str(), counts(&stderr)), (all.as_str(), [31, 31, 0]));
    assert!(stderr.starts_with("31 documents read, ") && stderr.contains("\ndocuments "), "{stderr}");
    let bounds = [&unit[..], &["--max-perplexity", "60"]].concat();
    let (kept, stderr) = filter(&sandbox, &bounds);
    let (dropped, _) = filter(&sandbox, &[&bounds[..], &["--invert"]].concat());
    // A blank line after a document goes with it, as do all after that; so the two are the text, document by document.
    let mut rest = all.as_str();
    let (mut kept_rest, mut dropped_rest, mut found) = (kept.as_str(), dropped.as_str(), [0, 0]);
    while !rest.is_empty() {
        let text_from = rest.find(|char: char| !char.is_whitespace()).unwrap_or(rest.len());
        let end = rest[text_from..].find("\n\n").map_or(rest.len(), |end| {
            text_from + end + rest[text_from + end..].find(|char| char != '\n').unwrap_or(0)
        });
        let (document, others) = rest.split_at(end);
        match (kept_rest.strip_prefix(document), dropped_rest.strip_prefix(document)) {
            (Some(more), _) => (kept_rest, found[0]) = (more, found[0] + 1),
            (None, Some(more)) => (dropped_rest, found[1]) = (more, found[1] + 1),
            (None, None) => panic!("{document:?} is in neither"),
        }
        rest = others;
    }
    assert_eq!((kept_rest, dropped_rest, counts(&stderr)), ("", "", [31, found[0], found[1]]));
    assert!(found[0] > 0 && found[1] > 0);

    let shards: Vec<String> = ["1/3", "2/3", "3/3"]
        .iter()
        .map(|shard| filter(&sandbox, &[&unit[..], &["--shard", shard]].concat()).0)
        .collect();
    assert_eq!(shards.iter().map(String::len).sum::<usize>(), all.len());
    assert!(shards[0].starts_with("\n \nthe cat sat on the mat .\n\n"), "{}", shards[0]);
    // Documents end at the end of a file, and from a pipe they are the same.
    sandbox.write("one.txt", "the cat sat\n");
    let (_, stderr) = filter(&sandbox, &["one.txt", "one.txt", "--unit", "document"]);
    assert_eq!(counts(&stderr), [2, 2, 0]);
    let piped = sandbox.run_with_stdin(&[&["filter", "run", "--threads", "1"], &bounds[1..]].concat(), &all);
    assert_eq!(piped.success(), kept);
}

/// The perplexities of the lines of a file.
fn perplexities(sandbox: &Sandbox, flags: &[&str]) -> Vec<f64> {
    let (scored, _) = filter(sandbox, &[flags, &["--text-field", "text", "--add-score", "ppl"]].concat());
    let of = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["ppl"].as_f64().unwrap();
    scored.lines().map(of).collect()
}

#[test]
fn a_record_is_a_document_of_lines() {
    let sandbox = Sandbox::with_run();
    let text = "the cat sat on the mat .\\n\\na dog sat on a mat .\\n";
    sandbox.write("two.jsonl", format!("{{\"text\": \"{text}\"}}\n"));
    let alone = "{\"text\": \"the cat sat on the mat .\"}\n{\"text\": \"a dog sat on a mat .\"}\n";
    sandbox.write("alone.jsonl", alone);
    let alone = perplexities(&sandbox, &["alone.jsonl"]);
    let expected = ((8.0 * alone[0].ln() + 8.0 * alone[1].ln()) / 16.0).exp();
    let [document] = perplexities(&sandbox, &["two.jsonl"])[..] else { panic!("one record") };
    assert!((document - expected).abs() < 1e-3, "{document} {expected}");
    let [line] = perplexities(&sandbox, &["two.jsonl", "--unit", "line"])[..] else { panic!("one record") };
    assert!((document - line).abs() > 0.01, "{document} {line}");
}

#[test]
fn buckets_are_thirds_of_the_reference_in_files_of_their_own() {
    let sandbox = Sandbox::with_run();
    let garbage =
        |line: usize, words: &str| if line % 3 == 1 { format!("xq{line} {words}") } else { words.to_owned() };
    let lines: Vec<String> = (0..300)
        .map(|line| {
            let words = text(line % 4 + 1).lines().last().unwrap().to_owned();
            // Each line has a different perplexity.
            garbage(line, &format!("{words} {}", "the ".repeat(line % 17 + line / 60))) + "\n"
        })
        .collect();
    sandbox.write("many.txt", lines.concat());
    let named = ["many.txt", "--buckets", "head,middle,tail", "--out", "out"];
    let (stdout, stderr) = filter(&sandbox, &[&named[..], &["--reference", "many.txt"]].concat());
    assert_eq!(stdout, "");
    let read = |name: &str| std::fs::read_to_string(sandbox.path(name)).unwrap();
    let buckets = ["out.head", "out.middle", "out.tail"].map(read);
    // Every line is in one of them, in order.
    let mut rests = buckets.each_ref().map(|bucket| bucket.as_str());
    for line in &lines {
        let place = rests.iter().position(|rest| rest.starts_with(line.as_str())).unwrap();
        rests[place] = &rests[place][line.len()..];
    }
    assert_eq!(rests, [""; 3]);
    for bucket in &buckets {
        let count = bucket.lines().count();
        assert!((85..=115).contains(&count), "{count}: {stderr}");
    }
    let said: Vec<&str> = stderr.lines().collect();
    assert!(
        said[0].starts_with("buckets end at the perplexities ")
            && said[0].contains(" (of 300 texts of `many.txt`)")
    );
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(said[4]), ["bucket", "head", "middle", "tail"]);
    let found: Vec<usize> = words(said[5])[1..].iter().map(|count| count.parse().unwrap()).collect();
    assert_eq!(found, buckets.each_ref().map(|bucket| bucket.lines().count()));

    // The cutoffs that are printed are the same as the reference.
    let cutoffs = said[0].split("--cutoffs ").nth(1).unwrap().split(' ').next().unwrap();
    let (head, _) = cutoffs.split_once(',').unwrap();
    assert_eq!(filter(&sandbox, &["many.txt", "--max-perplexity", head]).0, buckets[0]);
    filter(&sandbox, &[&named[..], &["--cutoffs", cutoffs]].concat());
    assert_eq!(["out.head", "out.middle", "out.tail"].map(read), buckets);
    // Quantiles, a sample, and bounds.
    let flags = ["--reference", "many.txt", "--quantiles", "0.1,0.9", "--reference-size", "200", "--json"];
    let (_, stderr) = filter(&sandbox, &[&named[..], &flags, &["--max-perplexity", "1e9"]].concat());
    let counts: serde_json::Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    let kept: Vec<u64> = (0..3).map(|place| counts["buckets"][place]["kept"].as_u64().unwrap()).collect();
    assert_eq!(kept.iter().sum::<u64>(), counts["kept"].as_u64().unwrap());
    assert!((5..=60).contains(&kept[0]) && kept[1] > 180, "{counts}");
    assert!(counts["buckets"][2]["up_to_perplexity"].is_null(), "{counts}");
}

#[test]
fn a_bucket_can_be_a_field_of_a_record() {
    let sandbox = Sandbox::with_run();
    sandbox.write(
        "records.jsonl",
        "{\"text\": \"the cat sat on the mat .\"}\r\n{}\n{\"text\": \"xq xq xq\"}\n".replace("{}\n", ""),
    );
    let flags = ["records.jsonl", "--text-field", "text", "--buckets", "good,bad", "--cutoffs", "60"];
    let (all, _) = filter(&sandbox, &[&flags[..], &["--add-bucket", "bucket"]].concat());
    let expected = "{\"text\": \"the cat sat on the mat .\",\"bucket\":\"good\"}\r\n{\"text\": \"xq xq xq\",\"bucket\":\"bad\"}\n";
    assert_eq!(all, expected);
    let (nothing, _) = filter(
        &sandbox,
        &[&flags[..], &["--add-bucket", "bucket", "--add-score", "ppl", "--out", "r"]].concat(),
    );
    let good = std::fs::read_to_string(sandbox.path("r.good")).unwrap();
    assert!(
        nothing.is_empty() && good.contains("\"ppl\":") && good.ends_with(",\"bucket\":\"good\"}\r\n"),
        "{good}"
    );
}

#[test]
fn what_gives_no_buckets_is_one_line() {
    let sandbox = Sandbox::with_run();
    sandbox.write("few.txt", text(2));
    let error = |flags: &[&str]| {
        let said = sandbox.run(&[&["filter", "run", "few.txt"], flags].concat());
        assert!(said.stdout.is_empty() && said.code != Some(0));
        said.stderr
    };
    let three = ["--buckets", "head,middle,tail"];
    let out = [&three[..], &["--out", "out"]].concat();
    let errors = [
        error(&out),
        error(&[&three[..], &["--cutoffs", "1,2"]].concat()),
        error(&[&out[..], &["--cutoffs", "1"]].concat()),
        error(&[&out[..], &["--cutoffs", "2,1"]].concat()),
        error(&[&out[..], &["--reference", "few.txt"]].concat()),
        error(&[&out[..], &["--reference", "few.txt", "--quantiles", "0.5,2"]].concat()),
        error(&[&out[..], &["--reference", "missing.txt"]].concat()),
        error(&["--buckets", "a,a", "--cutoffs", "1", "--out", "out"]),
        error(&["--buckets", "a,b", "--cutoffs", "1", "--out", "missing/out"]),
        error(&["--buckets", "txt,b", "--cutoffs", "1", "--out", "few"]),
        error(&["--reference", "few.txt"]),
        error(&[&three[..], &["--cutoffs", "1,2", "--add-bucket", "bucket"]].concat()),
    ];
    insta::assert_snapshot!(errors.join("\n"));
    assert_eq!(std::fs::read_to_string(sandbox.path("few.txt")).unwrap(), text(2), "it is not replaced");
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
    assert_eq!((output.status.code(), counts(&stderr)), (Some(143), [1, 1, 0]), "{stderr}");
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
    assert_eq!(output.status.code(), Some(143));
    let lines = found.lines().count();
    assert!(found.ends_with(".\n") && lines < 400_000 && found == text(lines), "{lines}");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(counts(&stderr)[..2], [lines, lines], "{stderr}");
}

/// The same for the files of buckets.
#[cfg(unix)]
#[test]
fn an_interrupted_filter_leaves_whole_lines_in_its_buckets() {
    let sandbox = Sandbox::with_run();
    sandbox.write("many.txt", text(400_000));
    let flags =
        ["filter", "run", "many.txt", "--threads", "1", "--buckets", "a,b", "--cutoffs", "5", "--out", "out"];
    let child = sandbox.command(&flags).stderr(Stdio::piped()).spawn().unwrap();
    let size = |name: &str| std::fs::metadata(sandbox.path(name)).map_or(0, |file| file.len());
    while size("out.a") + size("out.b") == 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let killed =
        std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut lines = 0;
    for name in ["out.a", "out.b"] {
        let found = std::fs::read_to_string(sandbox.path(name)).unwrap();
        lines += found.lines().count();
        assert!(found.is_empty() || found.ends_with(".\n"), "{name}");
    }
    assert!(lines < 400_000, "{lines}");
    assert_eq!(counts(&stderr), [lines, lines, 0], "{stderr}");
}
