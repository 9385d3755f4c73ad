//! Ranks that are processes started by `mpirun`.
//!
//! ```text
//! this rank's thread    start_sum(a) ─ compute … ── start_sum(b) ─ compute … ── finish_sum ─▶ a
//!                          │                            │                          ▲
//! the thread of MPI        └─▶ sums a, in pieces ───────┴─▶ sums b, in pieces ─────┘
//! ```
//!
//! One thread makes all calls of MPI, in the order in which they are requested, so the other can compute meanwhile.
//!
//! An error within MPI ends the job. So does a rank that ends before [`Mpi::finish`]: after an error or a panic, a program
//! only has to exit.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};
use rondo_kernels::{Buffer, DeviceError};

use crate::{Collective, CollectiveError, Result};

/// The elements that are summed by one call of MPI: 1 MiB, so that the copies stay in a processor's cache.
const PIECE: usize = 1 << 18;

/// The bytes that one call of MPI gathers from all ranks; its counts are 32-bit integers.
const GATHERED: usize = 1 << 28;

/// MPI cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MpiError {
    /// The library does not allow threads.
    #[error("this installation of MPI does not support threads")]
    NoThreads,
    /// It was started before, or the thread that starts it could not.
    #[error("MPI could not be started")]
    NotStarted,
}

/// A rank of a job of MPI.
pub struct Mpi {
    rank: usize,
    size: usize,
    jobs: Mutex<Sender<Job>>,
    results: Mutex<Results>,
}

/// What the thread of MPI is asked for.
enum Job {
    Sum(Summand),
    Gather(Vec<u8>),
    Finish,
}

/// Values to be summed, in the memory of the host.
enum Summand {
    Buffer(Buffer),
    Copied(Vec<f32>),
}

/// What it answers.
struct Results {
    sums: Receiver<Summand>,
    gathered: Receiver<Vec<Vec<u8>>>,
    finished: Receiver<()>,
    /// For each sum that was started, where the values belong.
    started: VecDeque<Started>,
}

/// Where values belong that are being summed.
enum Started {
    /// In the buffer that is being summed.
    InPlace,
    /// In this one, on another device.
    Elsewhere(Buffer),
    Failed(DeviceError),
}

/// The answering side of the channels.
struct Answers {
    sums: Sender<Summand>,
    gathered: Sender<Vec<Vec<u8>>>,
    finished: Sender<()>,
}

impl Mpi {
    /// Joins the job that this process was started for; see [`launched`](crate::launched).
    ///
    /// # Errors
    /// [`MpiError`] if MPI cannot be used.
    pub fn start() -> std::result::Result<Mpi, MpiError> {
        let (jobs, requested) = channel();
        let (sums, summed) = channel();
        let (gathered, all_gathered) = channel();
        let (finished, all_finished) = channel();
        let (begun, has_begun) = channel();
        let answers = Answers { sums, gathered, finished };
        let body = move || {
            let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Serialized) else {
                return;
            };
            let world = universe.world();
            let is_usable = threading >= Threading::Serialized;
            let place = (world.rank() as usize, world.size() as usize);
            if begun.send(is_usable.then_some(place)).is_err() || !is_usable {
                return;
            }
            if serve(&world, &requested, &answers) {
                // Waits for the other ranks.
                drop(universe);
                let _ = answers.finished.send(());
            } else {
                // Ending MPI would wait for ranks that do not end.
                std::mem::forget(universe);
            }
        };
        thread::Builder::new().name("mpi".to_owned()).spawn(body).map_err(|_| MpiError::NotStarted)?;
        let place = has_begun.recv().map_err(|_| MpiError::NotStarted)?;
        let (rank, size) = place.ok_or(MpiError::NoThreads)?;
        let results = Results {
            sums: summed,
            gathered: all_gathered,
            finished: all_finished,
            started: VecDeque::new(),
        };
        Ok(Mpi { rank, size, jobs: Mutex::new(jobs), results: Mutex::new(results) })
    }

    /// Ends this rank's part in the job, when all other ranks do, too.
    pub fn finish(&self) {
        if self.request(Job::Finish).is_ok() {
            let _ = self.results().finished.recv();
        }
    }

    fn request(&self, job: Job) -> Result<()> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.send(job).map_err(|_| self.ended())
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> CollectiveError {
        CollectiveError::RankEnded { size: self.size }
    }
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn start_sum(&self, values: Buffer) {
        let copied = match values.read() {
            Ok(Cow::Borrowed(_)) => Ok(None),
            Ok(Cow::Owned(copied)) => Ok(Some(copied)),
            Err(error) => Err(error),
        };
        let (summand, started) = match copied {
            Ok(None) => (Summand::Buffer(values), Started::InPlace),
            Ok(Some(copied)) => (Summand::Copied(copied), Started::Elsewhere(values)),
            Err(error) => return self.results().started.push_back(Started::Failed(error)),
        };
        self.results().started.push_back(started);
        // If the thread has ended, `finish_sum` says so.
        let _ = self.request(Job::Sum(summand));
    }

    fn finish_sum(&self) -> Result<Buffer> {
        let mut results = self.results();
        let Some(started) = results.started.pop_front() else { panic!("no sums were started") };
        if let Started::Failed(error) = started {
            return Err(error.into());
        }
        let summed = results.sums.recv().map_err(|_| self.ended())?;
        match (started, summed) {
            (Started::Elsewhere(mut values), Summand::Copied(copied)) => {
                values.write_from(&copied)?;
                Ok(values)
            }
            (_, Summand::Buffer(values)) => Ok(values),
            (_, Summand::Copied(_)) => unreachable!("sums are returned in the order they were started"),
        }
    }

    fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        self.request(Job::Gather(bytes))?;
        self.results().gathered.recv().map_err(|_| self.ended())
    }
}

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {} processes", self.rank, self.size)
    }
}

/// Does what is requested until the job is finished; false if the requests end before.
fn serve(world: &SimpleCommunicator, requested: &Receiver<Job>, answers: &Answers) -> bool {
    let mut piece = vec![0.0; PIECE];
    for job in requested {
        match job {
            Job::Sum(mut summand) => {
                let mut sum = |values: &mut [f32]| sum_in_pieces(world, &mut piece, values);
                match &mut summand {
                    // The memory is the host's, so this does not fail.
                    Summand::Buffer(buffer) => drop(buffer.slice_mut().update(sum)),
                    Summand::Copied(values) => sum(values),
                }
                let _ = answers.sums.send(summand);
            }
            Job::Gather(bytes) => {
                let _ = answers.gathered.send(gather(world, &bytes));
            }
            Job::Finish => return true,
        }
    }
    false
}

/// Replaces values by their sums over all ranks.
fn sum_in_pieces(world: &SimpleCommunicator, piece: &mut [f32], values: &mut [f32]) {
    for values in values.chunks_mut(PIECE) {
        let piece = &mut piece[..values.len()];
        world.all_reduce_into(&*values, piece, SystemOperation::sum());
        values.copy_from_slice(piece);
    }
}

/// The bytes of all ranks, a part of them at a time.
fn gather(world: &SimpleCommunicator, bytes: &[u8]) -> Vec<Vec<u8>> {
    let size = world.size() as usize;
    let mut lengths = vec![0u64; size];
    world.all_gather_into(&(bytes.len() as u64), &mut lengths[..]);
    let mut all: Vec<Vec<u8>> = lengths.iter().map(|&len| Vec::with_capacity(len as usize)).collect();
    let part = (GATHERED / size).max(1);
    let longest = lengths.iter().max().map_or(0, |&len| len as usize);
    for start in (0..longest).step_by(part) {
        let count = |len: &u64| (*len as usize).saturating_sub(start).min(part) as i32;
        let counts: Vec<i32> = lengths.iter().map(count).collect();
        let offsets: Vec<i32> = counts
            .iter()
            .scan(0, |offset, count| {
                let before = *offset;
                *offset += count;
                Some(before)
            })
            .collect();
        let mut received = vec![0u8; counts.iter().map(|&count| count as usize).sum()];
        let mine = &bytes[start.min(bytes.len())..bytes.len().min(start + part)];
        let mut partition = PartitionMut::new(&mut received[..], &counts[..], &offsets[..]);
        world.all_gather_varcount_into(mine, &mut partition);
        let mut rest = &received[..];
        for (bytes, &count) in all.iter_mut().zip(&counts) {
            let (of_rank, others) = rest.split_at(count as usize);
            bytes.extend_from_slice(of_rank);
            rest = others;
        }
    }
    all
}
