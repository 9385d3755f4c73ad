//! The processes, or *ranks*, that run a command together, if `mpirun` has started several.
//!
//! ```text
//! mpirun -n 4 rondo train …    rank 0 prints and writes files; all compute
//!                              a rank that fails or is killed ends the job
//! ```
//!
//! MPI ends only after a command that has succeeded. After an error the process exits without ending it, and `mpirun` then
//! ends the other ranks.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use rondo_collective::{Collective, alone, launched};

use crate::console;
use crate::error::CliError;

/// How long a rank other than the first waits before it reports an error. Most errors occur in all ranks, and the first
/// one's report ends the others.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the ranks of this process are.
static RANKS: OnceLock<Ranks> = OnceLock::new();

struct Ranks {
    ranks: Arc<dyn Collective>,
    #[cfg(feature = "mpi")]
    mpi: Option<Arc<rondo_collective::Mpi>>,
}

/// Joins the other ranks, if there are any. `is_divided` says whether the command `name` can be run by several.
pub(crate) fn start(name: &'static str, is_divided: bool) -> Result<()> {
    if !launched() {
        return Ok(());
    }
    let ranks = join()?;
    let size = ranks.ranks.size();
    if size > 1 && !is_divided {
        return Err(CliError::NotDivided { name, size }.into());
    }
    // The first call is the only one.
    let _ = RANKS.set(ranks);
    Ok(())
}

#[cfg(feature = "mpi")]
fn join() -> Result<Ranks> {
    let mpi = Arc::new(rondo_collective::Mpi::start()?);
    Ok(Ranks { ranks: Arc::clone(&mpi) as Arc<dyn Collective>, mpi: Some(mpi) })
}

#[cfg(not(feature = "mpi"))]
fn join() -> Result<Ranks> {
    Err(CliError::NoMpi.into())
}

/// All ranks; this process alone if `mpirun` has not started several.
pub(crate) fn all() -> Arc<dyn Collective> {
    RANKS.get().map_or_else(alone, |found| Arc::clone(&found.ranks))
}

/// Whether this rank prints: the first.
pub(crate) fn leads() -> bool {
    RANKS.get().is_none_or(|found| found.ranks.leads())
}

/// Ends the job after a command that has succeeded on this rank.
pub(crate) fn finish() {
    #[cfg(feature = "mpi")]
    if let Some(mpi) = RANKS.get().and_then(|found| found.mpi.as_ref()) {
        mpi.finish();
    }
}

/// Says which rank an error is from, unless it is from the first: that one's is reported first, and ends the job.
pub(crate) fn before_error() {
    let (rank, size) = match RANKS.get() {
        Some(found) => (found.ranks.rank(), found.ranks.size()),
        None => (rondo_collective::launched_rank().unwrap_or(0), 0),
    };
    if rank > 0 {
        thread::sleep(PATIENCE);
        let of = if size > 0 { format!(" of {size}") } else { String::new() };
        console::error_text(&format!("process {rank}{of} (counted from 0):"));
    }
}
