//! How a process was started: the variables that launchers of MPI set.

use std::env;

/// Variables with the number of ranks: of Open MPI, and of MPICH, Intel MPI and Slurm.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// Variables with the number of a rank; the last is that of PMIx, which has none with the number of ranks.
const RANKS: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"];

/// Variables with the number of a rank among those on its machine.
const LOCAL_RANKS: [&str; 3] = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"];

/// Whether a launcher of MPI, such as `mpirun`, has started this process as one of several, or may have.
#[must_use]
pub fn launched() -> bool {
    match number(&SIZES) {
        Some(size) => size > 1,
        None => number(&RANKS).is_some(),
    }
}

/// The number of this rank, if a launcher has started it.
#[must_use]
pub fn launched_rank() -> Option<usize> {
    number(&RANKS)
}

/// The number of this rank among those on its machine, if a launcher has started it.
#[must_use]
pub fn local_rank() -> Option<usize> {
    number(&LOCAL_RANKS)
}

/// The number in the first of these variables that has one.
fn number(names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| env::var(name).ok()?.parse().ok())
}
