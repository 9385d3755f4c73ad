//! Small benchmarks: which results there are, not their values.

use super::*;

const TINY: Sizes =
    Sizes { batch_size: Some(3), bptt: Some(4), vocab_size: Some(50), hidden_size: Some(8), layers: None };

fn benchmark(name: &str, sizes: Sizes) -> Benchmark {
    Benchmark {
        workload: Workload::find(name).unwrap().resized(sizes).unwrap(),
        phases: Vec::new(),
        rounds: 1,
        budget: Budget::Repeats(2),
        streams: 2,
        profile: true,
    }
}

fn run(benchmark: &Benchmark) -> Report {
    let mut told = Vec::new();
    let report = measure(benchmark, &Device::cpu(2).unwrap(), &mut |progress| told.push(progress)).unwrap();
    let rounds = (1..=benchmark.rounds).map(Progress::Rounds);
    assert_eq!(told, std::iter::once(Progress::WarmedUp).chain(rounds).collect::<Vec<_>>());
    assert_eq!(report.rounds.len(), benchmark.rounds);
    assert!(
        report.rounds.iter().all(|round| round.fma_peak > 0.0
            && round.multiplication_peak > 0.0
            && round.copy_bandwidth > 0.0)
    );
    report
}

/// The phases that a report has results of.
fn measured(report: &Report) -> Vec<Phase> {
    let all = [Phase::Train, Phase::Evaluate, Phase::Generate];
    let has =
        |phase: &Phase| report.tokens_per_s(*phase).is_some_and(|speed| speed > 0.0 && speed.is_finite());
    all.into_iter().filter(has).collect()
}

#[test]
fn every_workload_is_measured_in_all_its_phases() {
    // Wide enough for the narrowest tail of an adaptive softmax.
    let adaptive = Sizes { vocab_size: Some(10_050), hidden_size: Some(16), ..TINY };
    for name in WORKLOADS {
        let benchmark = benchmark(name, if name == "W1a" { adaptive } else { TINY });
        let report = run(&benchmark);
        let phases = benchmark.resolved_phases().unwrap();
        assert_eq!(phases.len(), if name.starts_with("W8") { 1 } else { 3 }, "{name}");
        assert_eq!(measured(&report), phases, "{name}");
        assert_eq!(report.profiles.iter().map(|profile| profile.phase).collect::<Vec<_>>(), phases, "{name}");
        for phase in phases {
            assert!(report.share_of_fma_peak(phase).is_some_and(|share| share > 0.0), "{name}: {phase:?}");
        }
    }
}

#[test]
fn a_single_column_is_measured_too() {
    let sizes = Sizes { batch_size: Some(1), bptt: Some(1_000), ..TINY };
    assert_eq!(measured(&run(&benchmark("W5", sizes))).len(), 3);
}

#[test]
fn only_the_phases_that_were_asked_for_are_measured() {
    let wanted = [Phase::Generate, Phase::Train];
    let mut benchmark = Benchmark { phases: wanted.to_vec(), rounds: 2, ..benchmark("W4", TINY) };
    assert_eq!(measured(&run(&benchmark)), [Phase::Train, Phase::Generate]);
    benchmark.workload = Workload::find("W8:W1").unwrap();
    let error = benchmark.resolved_phases().unwrap_err().to_string();
    assert_eq!(error, "`phase` must be `generate` for this workload, but is `train`");
}

#[test]
fn a_profile_names_the_operations_of_a_step() {
    let report = run(&benchmark("W1", TINY));
    let names = |phase| {
        let profile = report.profiles.iter().find(|profile| profile.phase == phase).unwrap();
        assert!((profile.parts.iter().map(|part| part.share).sum::<f64>() - 1.0).abs() < 1e-9);
        let mut names: Vec<_> = profile.parts.iter().map(|part| part.name.clone()).collect();
        names.sort_unstable();
        names
    };
    let operations = ["decoder", "dropout", "embedding", "linear", "recurrence"];
    let both = operations.iter().flat_map(|name| [format!("{name} backward"), format!("{name} forward")]);
    let mut expected: Vec<_> = both.chain(["optimizer".to_owned()]).collect();
    expected.sort_unstable();
    assert_eq!(names(Phase::Train), expected);
    assert_eq!(
        names(Phase::Evaluate),
        ["decoder forward", "embedding forward", "linear forward", "recurrence forward", "rest"]
    );
    assert_eq!(
        names(Phase::Generate),
        ["embedding forward", "linear forward", "recurrence forward", "sample"]
    );
}

#[test]
fn without_rounds_or_streams_there_is_nothing_to_measure() {
    for (nothing, setting) in [
        (Benchmark { rounds: 0, ..benchmark("W5", TINY) }, "rounds"),
        (Benchmark { streams: 0, ..benchmark("W5", TINY) }, "streams"),
    ] {
        let device = Device::cpu(1).unwrap();
        let error = measure(&nothing, &device, &mut |_| {}).unwrap_err().to_string();
        assert_eq!(error, format!("`{setting}` must be at least 1, but is 0"));
    }
}

/// A step on a GPU is one submission, and nothing is read back.
#[cfg(feature = "gpu")]
#[test]
fn a_step_on_a_gpu_is_one_submission() {
    let device = match Device::gpu(0) {
        Ok(device) => device,
        Err(error) if std::env::var_os("RONDO_TEST_GPU").is_some() => panic!("{error}"),
        Err(error) => return eprintln!("skipped on a GPU: {error}"),
    };
    // All workloads with RONDO_COUNT_ALL: on a device of software, the large ones take minutes.
    let all = std::env::var_os("RONDO_COUNT_ALL").is_some();
    for name in if all { &["W1", "W2", "W5", "W7"][..] } else { &["W1"] } {
        // The number of kernels does not depend on these.
        let sizes = Sizes { batch_size: Some(4), vocab_size: Some(2_000), ..Sizes::default() };
        let benchmark = benchmark(name, sizes);
        let counts = Subject::new(&benchmark, &device).unwrap().count_step().unwrap();
        eprintln!("{name}: {counts:?}");
        assert_eq!((counts.submissions, counts.read_backs), (1, 0), "{name}");
        assert!(*name != "W1" || counts.dispatches <= 150, "{counts:?}");
    }
}
