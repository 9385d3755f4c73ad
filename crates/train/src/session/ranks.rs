//! What the processes that train together must have in common.

use std::path::PathBuf;

use rondo_collective::Collective;
use rondo_kernels::Device;
use rondo_runs::RunFolder;

use super::stored::is_stream;
use crate::{CorpusChoice, Result, TextPlan, TrainError};

/// Fails unless the devices of all ranks compute the same bits: their weights would drift apart.
pub(super) fn require_equal_devices(ranks: &dyn Collective, device: &Device) -> Result<()> {
    let kind = match device {
        Device::Cpu(cpu) => format!("{} in {}", cpu.instructions(), device.precision()),
        #[allow(unreachable_patterns)] // Without the feature `gpu`, there is no other device.
        _ => device.to_string(),
    };
    let all = ranks.gather(kind.into_bytes())?;
    let all: Vec<String> = all.iter().map(|kind| String::from_utf8_lossy(kind).into_owned()).collect();
    match all.iter().find(|kind| **kind != all[0]) {
        None => Ok(()),
        Some(other) => Err(TrainError::DifferentDevices { first: all[0].clone(), other: other.clone() }),
    }
}

/// Fails for texts that only one process can read.
pub(super) fn require_shared_texts(ranks: &dyn Collective, text: &TextPlan) -> Result<()> {
    let paths = match &text.corpus {
        CorpusChoice::Own(paths) => paths.iter().collect(),
        CorpusChoice::OwnSplits { train, valid, test } => {
            [train, valid, test].into_iter().flatten().collect()
        }
        CorpusChoice::BuiltIn | CorpusChoice::Named { .. } | CorpusChoice::InMemory => vec![],
    };
    match paths.into_iter().find(|path| is_stream(path)) {
        Some(path) if !ranks.is_alone() => Err(TrainError::NotShared { path: path.clone() }),
        _ => Ok(()),
    }
}

/// The folder that the first rank creates.
pub(super) fn folder_of_first_rank(
    ranks: &dyn Collective,
    create: impl FnOnce() -> Result<RunFolder>,
) -> Result<RunFolder> {
    if ranks.leads() {
        let folder = create()?;
        ranks.broadcast(folder.path().to_string_lossy().into_owned().into_bytes())?;
        return Ok(folder);
    }
    let path = ranks.broadcast(vec![])?;
    Ok(RunFolder::at(PathBuf::from(String::from_utf8_lossy(&path).into_owned())))
}
