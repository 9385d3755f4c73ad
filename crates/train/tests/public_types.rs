//! Every public type can be moved to another thread.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::collections::BTreeSet;
use std::fs;
use std::marker::PhantomData;
use std::path::Path;

use rondo_train::recipes::*;
use rondo_train::settings::*;
use rondo_train::throughput::*;
use rondo_train::*;

/// Checks that the types are `Send`, and returns their names.
macro_rules! names_of_send_types {
    ($($type:ty),* $(,)?) => {{
        fn is_send<T: Send>(_: PhantomData<T>) {}
        $( is_send(PhantomData::<$type>); )*
        [$( stringify!($type) ),*].map(|name| name.split('<').next().unwrap_or(name).to_owned())
    }};
}

/// The public types that the source files declare by name; those of macros are numbers, texts and lists of
/// them.
fn declared(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            declared(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let types = text.lines().filter_map(|line| {
            let line = line.trim_start();
            let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
            let name = rest.split(|char: char| !char.is_alphanumeric()).next()?;
            (!name.is_empty()).then(|| name.to_owned())
        });
        found.extend(types);
    }
}

#[test]
fn every_public_type_is_send() {
    let names = names_of_send_types![
        About,
        Averaging,
        TimeLimit,
        SoftmaxPlan,
        SoftmaxKind,
        SamplerKind,
        Sampler,
        SampledSoftmax,
        AveragingKind,
        AveragingProgress,
        AveragingRule,
        Band,
        BatchReport,
        Benchmark,
        Budget,
        ByteSize,
        Change,
        Checkpoint,
        CheckpointEvery,
        Clip,
        ClipNorm,
        Comparison,
        CorpusChoice,
        CorpusSize,
        Decision,
        Difference,
        DynamicEvaluation<'static>,
        DynamicLosses,
        DynamicRule<'static>,
        EpochReport,
        EvaluationPlan,
        Event<'static>,
        Field,
        Finding,
        FoundCorpus,
        Kind,
        Measured,
        MemoryEstimate,
        ModelPlan,
        MovingLoss,
        NonFinite,
        NonFiniteRule,
        Note<'static>,
        NormalizerOptions,
        OptimizationPlan,
        Optimizer,
        OptimizerOptions,
        OptimizerPlan,
        Outcome,
        PartialEpoch,
        Phase,
        IdsPlace,
        Part,
        Plan,
        Profile,
        ProfilePart,
        Progress,
        Published,
        Quantity,
        Recipe,
        Report,
        Round,
        RunEnd,
        SamplePlan,
        Schedule,
        ScheduleRule,
        Session,
        SessionOptions<'static>,
        Settings,
        SettingsSource,
        Sizes,
        StepOutcome,
        StepTerms,
        TextPlan,
        Tokens,
        TrainError,
        Trained,
        Trainer,
        TrainingPlan,
        TrainingStep,
        Tried,
        GradientRms,
        Validation,
        Verification,
        Verify,
        Workload,
    ];
    let mut expected = BTreeSet::new();
    declared(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut expected);
    let named: BTreeSet<String> = names.into_iter().collect();
    let missing: Vec<_> = expected.difference(&named).collect();
    assert!(missing.is_empty(), "not checked: {missing:?}");
}
