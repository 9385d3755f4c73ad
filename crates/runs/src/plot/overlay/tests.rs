//! Tests of plots of several runs.

use super::*;

fn run(name: &str, offset: f64) -> Run {
    let mut records = vec![];
    for step in (100..=1000_u64).step_by(100) {
        records.push(Record {
            epoch: 1 + (step as usize - 1) / 500,
            step,
            interval_loss: Some(offset + 5.0 * (-(step as f64) / 300.0).exp()),
            learning_rate: Some(if step > 500 { 0.01 } else { 1.0 }),
            unclipped_gradient_norm_mean: Some(0.2 + offset / 10.0),
            elapsed_s: Some(step as f64 / 7.0),
            ..Record::default()
        });
        if step % 500 == 0 {
            let epoch = step as usize / 500;
            let valid_loss = Some(offset + 0.1 / epoch as f64);
            records.push(Record {
                kind: RecordKind::Epoch,
                epoch,
                step,
                valid_loss,
                elapsed_s: Some(step as f64 / 6.0),
                ..Record::default()
            });
        }
    }
    Run { name: name.to_owned(), records }
}

#[test]
fn all_runs_have_all_panels() {
    let svg = compare(&[run("first", 4.0), run("second <b>", 4.5)], Axis::Steps).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    let texts = ["first", "second &lt;b&gt;", "loss (nats per token)", "perplexity", "learning rate"];
    for text in texts.into_iter().chain(["gradient norm", "validation", "step", "0.1"]) {
        assert!(svg.contains(text), "{text} is missing");
    }
    // Each run's color: in the legend, two lines of the loss and the perplexity each, rate and norm.
    for color in ["#0072B2", "#D55E00"] {
        assert_eq!(
            svg.matches(&format!("<polyline fill=\"none\" opacity=\"1\" stroke=\"{color}\"")).count(),
            3
        );
        assert_eq!(
            svg.matches(&format!("<polyline fill=\"none\" opacity=\"0.6\" stroke=\"{color}\"")).count(),
            4
        );
    }
    // Two epochs of two runs, as losses and as perplexities.
    assert_eq!(svg.matches("<circle").count(), 2 * 2 * 2);
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
}

#[test]
fn what_is_not_finite_moves_no_axis() {
    let good = run("good", 4.0);
    let mut bad = run("bad", 4.0);
    let alone = compare(&[good.clone(), bad.clone()], Axis::Steps).unwrap();
    let last = bad.records.last().unwrap().clone();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        bad.records.push(Record {
            interval_loss: Some(value),
            valid_loss: Some(value),
            learning_rate: Some(value),
            unclipped_gradient_norm_mean: Some(value),
            elapsed_s: Some(value),
            ..last.clone()
        });
    }
    // Only a mark is added to each chart, and the note that explains it.
    let marked = compare(&[good, bad.clone()], Axis::Steps).unwrap();
    assert!(marked.contains("cross: NaN or infinite from there") && !alone.contains("cross"));
    let labels = |svg: &str| -> Vec<String> {
        let texts = svg.split("<text").skip(1).map(|text| text.split("</text>").next().unwrap());
        texts.map(str::to_owned).filter(|text| !text.contains("lines: ")).collect()
    };
    assert_eq!(labels(&marked), labels(&alone));
    assert!(compare(&[bad], Axis::Seconds).is_ok());
}

#[test]
fn a_run_without_numbers_says_so() {
    let nan = Record { epoch: 1, step: 1, interval_loss: Some(f64::NAN), ..Record::default() };
    let svg = compare(&[Run { name: "nan".into(), records: vec![nan] }], Axis::Steps).unwrap();
    assert_eq!(svg.matches("no ").count(), 4, "{svg}");
    let one = Record { epoch: 1, step: 0, interval_loss: Some(2.0), ..Record::default() };
    let svg = compare(&[Run { name: "one".into(), records: vec![one] }], Axis::Steps).unwrap();
    assert_eq!(svg.matches("<circle").count(), 2);
}

#[test]
fn a_run_that_diverges_does_not_hide_the_other_and_is_marked() {
    let good = run("good", 4.0);
    let mut bad = run("bad", 4.0);
    for record in bad.records.iter_mut().filter(|record| record.step > 300) {
        for value in
            [&mut record.interval_loss, &mut record.valid_loss, &mut record.unclipped_gradient_norm_mean]
        {
            *value = value.map(|value| value + 1e6 * record.step as f64);
        }
    }
    let points = |runs: &[Run]| {
        let placed: Vec<_> = runs.iter().map(|run| placed(run, Axis::Steps).unwrap()).collect();
        losses(&placed)
    };
    let range = |runs: &[Run]| loss_range(&super::points(&points(runs))).unwrap();
    let (alone, both) = (range(std::slice::from_ref(&good)), range(&[good.clone(), bad.clone()]));
    assert!((both.end / alone.end - 1.0).abs() < 0.1, "{alone:?} {both:?}");

    let svg = compare(&[good.clone(), bad], Axis::Steps).unwrap();
    assert!(svg.contains("triangle: the line continues above the axis"));
    // Where training leaves the charts of loss, perplexity and norm, and where the validation of each epoch is.
    let triangles = svg.matches("<polygon").count();
    assert_eq!(triangles, 5, "{svg}");
    assert!(svg.split("<polygon").skip(1).all(|polygon| polygon.contains("#D55E00")));
    assert!(!compare(&[good], Axis::Steps).unwrap().contains("triangle"));
}

#[test]
fn a_run_with_less_than_two_intervals_is_drawn_by_its_epochs() {
    let record = |kind, step, interval_loss, epoch_loss| Record {
        kind,
        epoch: 1,
        step,
        interval_loss,
        epoch_loss,
        ..Record::default()
    };
    let interval = record(RecordKind::Batch, 50, Some(5.0), None);
    let epochs = [100, 200].map(|step| record(RecordKind::Epoch, step, None, Some(4.0)));
    let drawn = |records: &[&Record]| -> Vec<Point> {
        let records = records.iter().map(|&record| record.clone()).collect();
        let run = Run { name: "a".into(), records };
        let lines = losses(&[placed(&run, Axis::Steps).unwrap()]);
        assert_eq!(lines.len(), 1);
        lines[0].points.clone()
    };
    let [first, second] = &epochs;
    assert_eq!(drawn(&[&interval, first, second]), [(100.0, 4.0), (200.0, 4.0)]);
    assert_eq!(drawn(&[&interval, &interval, first]), [(50.0, 5.0), (50.0, 5.0)]);
    assert_eq!(drawn(&[&interval]), [(50.0, 5.0)]);
}

#[test]
fn runs_are_placed_by_steps_epochs_or_seconds() {
    let run = run("a", 4.0);
    let last = |axis| placed(&run, axis).unwrap().last().unwrap().0;
    assert_eq!([last(Axis::Steps), last(Axis::Epochs)], [1000.0, 2.0]);
    assert!((last(Axis::Seconds) - 1000.0 / 6.0).abs() < 1e-9);

    let without_validation = Run {
        records: run.records.iter().filter(|record| record.valid_loss.is_none()).cloned().collect(),
        ..run.clone()
    };
    assert_eq!(steps_per_epoch(&without_validation.records), Some(500.0));
    let first = Run { records: run.records[..2].to_vec(), ..run.clone() };
    let error = compare(&[first], Axis::Epochs).unwrap_err().to_string();
    assert_eq!(error, "`a` cannot be plotted over epochs: no epoch has finished yet");
    let untimed = Record { epoch: 1, step: 3, ..Record::default() };
    let error = compare(&[Run { records: vec![untimed], ..run }], Axis::Seconds).unwrap_err().to_string();
    assert_eq!(error, "`a` cannot be plotted over seconds: its records have no elapsed time");
}

#[test]
fn many_runs_look_different() {
    let looks: Vec<Look> = (0..20).map(look).collect();
    for (i, a) in looks.iter().enumerate() {
        assert!(looks[i + 1..].iter().all(|b| a != b), "{i}");
    }
    let runs: Vec<Run> = (0..20).map(|n| run(&format!("{n} {}", "long ".repeat(20)), f64::from(n))).collect();
    assert!(compare(&runs, Axis::Epochs).unwrap().contains("19 long"));
}

#[test]
fn runs_are_read_and_named() {
    let parent = tempfile::tempdir().unwrap();
    let path = |name: &str| parent.path().join(name);
    let line = "{\"kind\":\"batch\",\"epoch\":1,\"step\":1,\"interval_loss\":5.0}\n";
    for (name, content) in [("a/x", line), ("b/x", line), ("b/y", line), ("empty", ""), ("bad", "nonsense\n")]
    {
        std::fs::create_dir_all(path(name)).unwrap();
        std::fs::write(path(name).join("metrics.jsonl"), content).unwrap();
    }
    let names = |paths: &[&str]| -> Vec<String> {
        let paths: Vec<PathBuf> = paths.iter().map(|name| path(name)).collect();
        Run::read_all(&paths).unwrap().into_iter().map(|run| run.name).collect()
    };
    assert_eq!(names(&["a/x", "b/y", "b/y/../y/metrics.jsonl"])[0], "x");
    assert_eq!(names(&["a/x", "b/y"]), ["x", "y"]);
    assert_eq!(names(&["a/x", "b/x"]), [path("a/x"), path("b/x")].map(|path| path.display().to_string()));
    let refusal = |name: &str| Run::read_all(&[path(name)]).unwrap_err().to_string();
    let file = |name: &str| path(name).join("metrics.jsonl").display().to_string();
    assert_eq!(refusal("empty"), format!("`{}` has no records yet", file("empty")));
    assert_eq!(refusal("bad"), format!("line 1 of `{}` is not a valid metrics record", file("bad")));
    assert_eq!(refusal("none"), format!("could not read `{}`", path("none").display()));
}
