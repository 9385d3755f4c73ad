//! `rondo rescore` with lattices and confusion networks.

use std::fs;

use serde_json::Value;

use crate::sandbox::Sandbox;

/// The likely sentence has the worse acoustic score.
fn slf(likely: f64) -> String {
    let words = |first: usize, words: [&str; 3], score: f64| {
        let link = |(place, word): (usize, &str)| {
            let (from, to) =
                (if place == 0 { 0 } else { first + place - 1 }, if place == 2 { 9 } else { first + place });
            format!("J={} S={from} E={to} W={word} a={score} l=-1\n", first + place)
        };
        words.into_iter().enumerate().map(link).collect::<String>()
    };
    let links =
        format!("{}{}", words(1, ["the", "cat", "sat"], likely), words(5, ["mat", "the", "saw"], -1.0));
    format!("VERSION=1.0 lmscale=1\nstart=0 end=10\n{links}J=20 S=9 E=10 W=!SENT_END a=0\n")
}

#[test]
fn the_best_paths_of_lattices_are_printed() {
    let sandbox = Sandbox::with_run();
    sandbox.write("u1.slf", slf(-1.1));
    sandbox.write("u2.slf", slf(-50.0));
    let run = |flags: &[&str]| sandbox.run(&[&["rescore", "-m", "run"], flags].concat()).success();
    let best = "u1 the cat sat\nu2 mat the saw\n";
    assert_eq!(run(&["u1.slf", "u2.slf", "--best"]), best);
    assert_eq!(run(&["--format", "slf", "u1.slf", "u2.slf", "--best", "--exact"]), best);
    sandbox.write("files", "u1.slf\nother\tu2.slf\n");
    assert_eq!(run(&["--format", "slf", "--file-list", "files", "--best"]), best.replace("u2", "other"));
    let objects = run(&["u1.slf", "--json", "--beam", "1000"]);
    let objects: Vec<Value> = objects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let score = sandbox.run_with_stdin(&["score", "-m", "run", "--json"], "the cat sat\n").json();
    let [found, expected] = [&objects[0]["lm_log_prob"], &score["log_prob"]].map(|one| one.as_f64().unwrap());
    assert!((found - expected).abs() < 1e-3, "{found} {expected}");
    assert_eq!((objects.len(), &objects[0]["scores"]["lm"]), (2, &(-3.0).into()));
    let total = objects[0]["scores"]["acoustic"].as_f64().unwrap() - 3.0 + expected;
    assert!((objects[0]["score"].as_f64().unwrap() - total).abs() < 1e-3);
    // With weights, the other path is better.
    assert_eq!(run(&["u1.slf", "--best", "--weight", "0"]), "u1 mat the saw\n");
    assert_eq!(run(&["u1.slf", "--nbest", "1"]).lines().count(), 1);
}

#[test]
fn other_formats_are_read_and_written() {
    let sandbox = Sandbox::with_run();
    let run = |flags: &[&str]| sandbox.run(&[&["rescore", "-m", "run"], flags].concat()).success();
    sandbox.write("words.txt", "<eps> 0\nthe 1\ncat 2\nsat 3\nmat 4\n");
    sandbox.write(
        "lat",
        "u1 \n0 1 1 0,1,7\n0 1 4 0,0.9,8\n1 2 2 0,1,\n2 3 3 0,1,9_9\n2 3 1 0,1,5\n3 0.5,0,\n\nu2 \n0 1 2 0,1,\n1\n\n",
    );
    let kaldi = ["lat", "--format", "kaldi-lattice", "--words", "words.txt"];
    let flags = [&kaldi[..], &["--best", "--lattices-out", "out"]].concat();
    assert_eq!(run(&flags), "u1 the cat sat\nu2 cat\n");
    // What was written has the model's scores: alone, they choose the same paths.
    let again = ["out", "--format", "kaldi-lattice", "--words", "words.txt", "--best", "--weight", "0"];
    assert_eq!(run(&again), "u1 the cat sat\nu2 cat\n");
    assert!(fs::read_to_string(sandbox.path("out")).unwrap().starts_with("u1 \n0 1 "));
    let network = |first: f64| {
        let word = |word: &str, score: f64| format!("{{\"word\": \"{word}\", \"score\": {score}}}");
        let positions = [
            format!("[{}, {}]", word("mat", -0.5), word("the", first)),
            format!("[{}]", word("cat", 0.0)),
            format!("[{}, {}]", word("", -0.1), word("sat", -2.0)),
        ];
        format!("{{\"id\": \"c1\", \"positions\": [{}]}}\n", positions.join(", "))
    };
    sandbox.write("networks.jsonl", network(-0.9));
    let flags = [
        "networks.jsonl",
        "--format",
        "confusion",
        "--best",
        "--word-bonus",
        "9",
        "--lattices-out",
        "folder",
    ];
    assert_eq!(run(&flags), "c1 the cat sat\n");
    let slf = fs::read_to_string(sandbox.path("folder/c1.slf")).unwrap();
    assert!(slf.contains("wdpenalty=9") && slf.contains("W=cat"), "{slf}");
    assert_eq!(run(&["folder/c1.slf", "--best", "--weight", "0"]), "c1 the cat sat\n");
}

/// Weights are tuned on what has references; the rest is printed with them.
#[test]
fn weights_are_tuned_on_part_of_the_lattices() {
    let sandbox = Sandbox::with_run();
    let mut names = Vec::new();
    for n in 0..7 {
        // Scores a thousandth of a tool's own: a fixed grid found nothing there.
        let text = slf(-0.01002).replace("a=-1 l", "a=-0.01 l").replace(" l=-1", "");
        sandbox.write(&format!("u{n}.slf"), text);
        names.push(format!("u{n}.slf"));
    }
    sandbox.write("reference", "u0 the cat sat\nu1 the cat sat\nu2 the cat sat\nu3 the cat sat\nx the cat\n");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let flags = ["rescore", "-m", "run", "--best", "--reference", "reference"];
    let said = sandbox.run(&[&flags[..], &names].concat());
    for part in [
        " 0.00 %  0 errors in 12 words\ncross-validated ",
        " 0.00 %  0 errors in 12 words, each of 4 parts with weights of the others\n",
        "note: 3 of the 7 ids have no reference",
        "note: 1 of the 5 references have ids that are not in the list: the first is `x` in line 5",
    ] {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
    let best = said.success();
    assert!(best.lines().count() == 7 && best.lines().all(|line| line.ends_with("the cat sat")), "{best}");
}

#[test]
fn what_cannot_be_searched_is_one_clear_message() {
    let sandbox = Sandbox::with_run();
    sandbox.write("cycle.slf", "start=0 end=2\nJ=0 S=0 E=1 W=a\nJ=1 S=1 E=0 W=b\nJ=2 S=1 E=2 W=c\n");
    sandbox.write("u.slf", "J=0 S=0 E=1 W=the a=-1\n");
    sandbox.write("lat", "u\n0 1 5 1,2,\n1\n");
    for (flags, code, expected) in [
        (
            &["cycle.slf"][..],
            1,
            "error: `cycle.slf`, lattice `cycle`: the links form a cycle through the node `0`: a lattice has none\n",
        ),
        (
            &["lat", "--format", "kaldi-lattice"],
            1,
            "error: lat, line 2: the word `5` is a number: this needs the table `words.txt`\n   hint: `--words` names the table of the words and their numbers\n",
        ),
        (
            &["u.slf", "--interpolate", "0.5"],
            1,
            "error: `u.slf`, lattice `u`: it has no scores of a language model to interpolate with\n",
        ),
        (
            &["u.slf", "--scores", "a=b"],
            2,
            "error: `--scores` is for lists of hypotheses\n   hint: `--format` names the format\n",
        ),
        (&["u.slf", "--interpolate", "2"], 2, "error: `--interpolate` must be at least 0 and at most 1\n"),
        (
            &["text.txt", "--format", "tsv", "--exact"],
            2,
            "error: `--exact` is for lattices: `slf`, `kaldi-lattice` and `confusion`\n   hint: `--format` names the format\n",
        ),
        (
            &["u.slf", "--weight", "lm=2"],
            2,
            "error: no score of the list is named `lm`; it has `acoustic` and `model`\n",
        ),
    ] {
        let said = sandbox.run(&[&["rescore", "-m", "run"], flags].concat());
        assert_eq!(
            (said.stderr.as_str(), said.code, said.stdout.as_str()),
            (expected, Some(code), ""),
            "{flags:?}"
        );
    }
}
