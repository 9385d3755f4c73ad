//! The exit code of a command that fails: one for each class of errors.
//!
//! | code | class |
//! |---|---|
//! | 1 | an input is missing or cannot be used, or a comparison fails |
//! | 2 | the arguments or settings are refused |
//! | 3 | the environment: disk, permissions, network, device, another process |
//! | 4 | the model has diverged |
//!
//! A class says what can help: another input, other settings, the same command later, another learning rate. Not here: 0 for
//! success, and the codes of commands that a signal stops (`signals`). `docs/reliability.md` has all of them.

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use rondo_collective::CollectiveError;
use rondo_convert::ConvertError;
use rondo_data::DataError;
use rondo_infer::InferError;
use rondo_kernels::DeviceError;
use rondo_nn::NnError;
use rondo_runs::RunsError;
use rondo_train::TrainError;

use crate::error::CliError;

/// A class of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// An input is missing or cannot be used.
    Input = 1,
    /// The arguments or settings are refused.
    Usage = 2,
    /// Something outside of the command and its inputs.
    Environment = 3,
    /// The model has diverged.
    Diverged = 4,
}

/// An error, or what caused it.
pub(crate) type Cause = dyn std::error::Error + 'static;

impl Failure {
    /// The class of an error.
    pub(crate) fn of(error: &anyhow::Error) -> Failure {
        let any = |is: fn(&Cause) -> bool| error.chain().any(is);
        match () {
            () if any(is_divergence) => Failure::Diverged,
            () if any(is_wrong_usage) => Failure::Usage,
            () if any(is_of_environment) => Failure::Environment,
            () => Failure::Input,
        }
    }
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> ExitCode {
        ExitCode::from(failure as u8)
    }
}

fn is_divergence(cause: &Cause) -> bool {
    matches!(cause.downcast_ref(), Some(CliError::Diverged { .. }))
        || matches!(cause.downcast_ref(), Some(TrainError::Diverged { .. }))
}

/// Whether something outside of the command and its inputs is at fault. Errors that print as those they contain
/// do not have them among their causes.
fn is_of_environment(cause: &Cause) -> bool {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return !is_of_input(error.kind());
    }
    if let Some(error) = cause.downcast_ref::<DataError>() {
        return is_transfer(error);
    }
    match cause.downcast_ref() {
        Some(TrainError::Data(error)) => return is_transfer(error),
        Some(
            TrainError::Runs(RunsError::Locked { .. }) | TrainError::Device(_) | TrainError::Collective(_),
        ) => {
            return true;
        }
        _ => {}
    }
    cause.is::<DeviceError>()
        || cause.is::<CollectiveError>()
        || matches!(cause.downcast_ref(), Some(RunsError::Locked { .. }))
        || matches!(cause.downcast_ref(), Some(InferError::Model(NnError::Device(_))))
}

/// Whether a file that is to be read, or one where a folder is to be, is at fault, and not the system.
fn is_of_input(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
            | ErrorKind::InvalidData
            | ErrorKind::InvalidInput
            | ErrorKind::UnexpectedEof
    )
}

fn is_transfer(error: &DataError) -> bool {
    matches!(
        error,
        DataError::Transfer { .. }
            | DataError::HttpStatus { .. }
            | DataError::Busy { .. }
            | DataError::NoCacheFolder { .. }
    )
}

/// Whether the arguments or settings are at fault.
fn is_wrong_usage(cause: &Cause) -> bool {
    match cause.downcast_ref() {
        Some(
            TrainError::Settings { .. }
            | TrainError::Quantized { .. }
            | TrainError::TooManyParts { .. }
            | TrainError::NotShared { .. }
            | TrainError::UnknownRecipe { .. }
            | TrainError::RecipeNeedsText { .. }
            | TrainError::UnknownBand { .. }
            | TrainError::UnknownWorkload { .. }
            | TrainError::Value { .. }
            | TrainError::OutOfRange { .. }
            | TrainError::NotEnoughMemory { .. }
            | TrainError::NoEffect { .. }
            | TrainError::Fixed { .. }
            | TrainError::FewerEpochs { .. }
            | TrainError::FixedLength { .. }
            | TrainError::NoBestWeights { .. }
            | TrainError::UnknownPreset { .. }
            | TrainError::OtherModel { .. }
            | TrainError::Model(NnError::Config { .. }),
        ) => return true,
        Some(TrainError::InFile { error, .. }) => return is_wrong_usage(error.as_ref()),
        Some(TrainError::Data(error)) => return matches!(error, DataError::UnknownCorpus { .. }),
        Some(TrainError::Device(error)) => return is_unknown_device(error),
        _ => {}
    }
    let unusable_number = |error: &InferError| {
        matches!(
            error,
            InferError::Temperature { .. }
                | InferError::TopP { .. }
                | InferError::MinP { .. }
                | InferError::RepetitionPenalty { .. }
                | InferError::NotFinite { .. }
                | InferError::EmptyStopString
                | InferError::LengthPenalty { .. }
                | InferError::Theta { .. }
                | InferError::Lambda { .. }
                | InferError::NgramWeight { .. }
                | InferError::NgramOfWords { .. }
                | InferError::ZeroSize { .. }
                | InferError::AllForbidden { .. }
                | InferError::EmptyPrefix
                | InferError::UnknownWord { .. }
                | InferError::NotEnoughMemory { .. }
                | InferError::NoEmbedding
                | InferError::IndependentUnits { .. }
                | InferError::DifferentTokens { .. }
                | InferError::NeedsDistribution { .. }
                | InferError::Bounds { .. }
                | InferError::Buckets { .. }
        )
    };
    matches!(cause.downcast_ref(), Some(DataError::UnknownCorpus { .. }))
        || matches!(cause.downcast_ref(), Some(NnError::TooLarge { .. } | NnError::Config { .. }))
        || cause.downcast_ref().is_some_and(is_unknown_device)
        || cause.downcast_ref().is_some_and(unusable_number)
        || matches!(
            cause.downcast_ref(),
            Some(
                ConvertError::Nonlinearity { .. }
                    | ConvertError::NoVocabulary { .. }
                    | ConvertError::NoTokenizer { .. }
                    | ConvertError::OwnVocabulary { .. }
                    | ConvertError::OtherCell { .. }
                    | ConvertError::AlreadyConverted { .. }
                    | ConvertError::NotInFormat { .. }
            )
        )
        || matches!(
            cause.downcast_ref(),
            Some(
                CliError::NoPlan { .. }
                    | CliError::MoreThanBeams { .. }
                    | CliError::VocabSizeOfModel { .. }
                    | CliError::PictureFormat { .. }
                    | CliError::NotOfWords { .. }
                    | CliError::UnknownColumn { .. }
                    | CliError::UnknownKey { .. }
                    | CliError::GroupBySeed
                    | CliError::UnknownToken { .. }
                    | CliError::LogitBias { .. }
                    | CliError::NoLineEnd { .. }
                    | CliError::UnknownScore { .. }
                    | CliError::ListsWithoutIds { .. }
                    | CliError::FlagOfFormat { .. }
                    | CliError::FlagValue { .. }
                    | CliError::NoTextColumn { .. }
                    | CliError::BucketsWithout { .. }
                    | CliError::NotDivided { .. }
                    | CliError::FlagNotDivided { .. }
                    | CliError::NoKeys { .. }
                    | CliError::NoWeights { .. }
                    | CliError::OverItself { .. }
                    | CliError::OverInput { .. }
            )
        )
}

fn is_unknown_device(error: &DeviceError) -> bool {
    matches!(
        error,
        DeviceError::UnknownInstructionSet { .. }
            | DeviceError::MissingInstructionSet { .. }
            | DeviceError::TooManyThreads { .. }
    )
}

#[cfg(test)]
mod tests {
    use rondo_train::Quantity;

    use super::*;

    #[track_caller]
    fn check<E: std::error::Error + Send + Sync + 'static>(expected: Failure, error: impl Fn() -> E) {
        for error in [anyhow::Error::new(error()), anyhow::Error::new(error()).context("could not do it")] {
            assert_eq!(Failure::of(&error), expected, "{error:#}");
        }
    }

    #[test]
    fn errors_have_the_code_of_their_class() {
        let read = |kind: ErrorKind| move || CliError::Write { path: "f".into(), source: kind.into() };
        for kind in [ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem] {
            check(Failure::Environment, read(kind));
        }
        for kind in [ErrorKind::NotFound, ErrorKind::AlreadyExists, ErrorKind::NotADirectory] {
            check(Failure::Input, read(kind));
        }
        let locked = || RunsError::Locked { path: "run".into(), pid: None };
        check(Failure::Environment, locked);
        check(Failure::Environment, || TrainError::Runs(locked()));
        let too_many = || DeviceError::TooManyThreads { threads: 5000 };
        check(Failure::Usage, too_many);
        check(Failure::Usage, || TrainError::Device(too_many()));
        check(Failure::Environment, || DeviceError::NoGpuSupport);
        let status = || DataError::HttpStatus { url: String::new(), status: 500 };
        check(Failure::Environment, status);
        check(Failure::Environment, || TrainError::Data(status()));
        check(Failure::Input, || DataError::Missing { path: "f".into() });
        let (what, found) = (Quantity::Loss, f64::NAN);
        check(Failure::Diverged, || TrainError::Diverged { what, found, tokens: 1 });
    }
}
