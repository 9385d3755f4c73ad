//! Ranks that are threads of one process.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rondo_kernels::Buffer;

use crate::{Collective, CollectiveError, Result};

/// A rank that is a thread of this process.
///
/// ```
/// use rondo_collective::{Collective, Threads};
///
/// std::thread::scope(|scope| {
///     for rank in Threads::ranks(3) {
///         scope.spawn(move || {
///             let mut numbers = [rank.rank() as f64, 1.0];
///             (&rank as &dyn Collective).sum(&mut numbers).unwrap();
///             assert_eq!(numbers, [3.0, 3.0]);
///         });
///     }
/// });
/// ```
pub struct Threads {
    rank: usize,
    shared: Arc<Shared>,
    started: Mutex<VecDeque<Buffer>>,
}

/// Where the ranks meet.
struct Shared {
    size: usize,
    meeting: Mutex<Meeting>,
    changed: Condvar,
}

/// What the ranks bring to a meeting, and take from it.
#[derive(Default)]
struct Meeting {
    brought: Vec<Option<Vec<u8>>>,
    result: Arc<Vec<Vec<u8>>>,
    /// Counts the meetings that are complete.
    number: u64,
    has_ended: bool,
}

impl Threads {
    /// `size` ranks, one for each thread.
    ///
    /// # Panics
    /// If `size` is 0.
    #[must_use]
    pub fn ranks(size: usize) -> Vec<Threads> {
        assert!(size > 0, "there must be a rank");
        let meeting = Meeting { brought: vec![None; size], ..Meeting::default() };
        let shared = Arc::new(Shared { size, meeting: Mutex::new(meeting), changed: Condvar::new() });
        let rank = |rank| Threads { rank, shared: Arc::clone(&shared), started: Mutex::default() };
        (0..size).map(rank).collect()
    }

    fn meeting(&self) -> MutexGuard<'_, Meeting> {
        self.shared.meeting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings bytes, and waits for those of the other ranks.
    fn meet(&self, bytes: Vec<u8>) -> Result<Arc<Vec<Vec<u8>>>> {
        let mut meeting = self.meeting();
        meeting.brought[self.rank] = Some(bytes);
        let number = meeting.number;
        if meeting.brought.iter().all(Option::is_some) {
            let brought = meeting.brought.iter_mut().filter_map(Option::take).collect();
            meeting.result = Arc::new(brought);
            meeting.number += 1;
            self.shared.changed.notify_all();
        }
        while meeting.number == number {
            if meeting.has_ended {
                return Err(CollectiveError::RankEnded { size: self.shared.size });
            }
            meeting = self.shared.changed.wait(meeting).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(Arc::clone(&meeting.result))
    }
}

impl Collective for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.shared.size
    }

    fn start_sum(&self, values: Buffer) {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).push_back(values);
    }

    fn finish_sum(&self) -> Result<Buffer> {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(mut values) = started else { panic!("no sums were started") };
        let bytes: Vec<u8> = values.read()?.iter().flat_map(|value| value.to_le_bytes()).collect();
        let expected = bytes.len();
        let all = self.meet(bytes)?;
        if all.iter().any(|bytes| bytes.len() != expected) {
            let found = all.iter().map(Vec::len).collect();
            return Err(CollectiveError::Lengths { expected, found });
        }
        values.slice_mut().update(|values| {
            values.fill(0.0);
            for bytes in &*all {
                for (sum, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                    *sum += f32::from_le_bytes(*bytes);
                }
            }
        })?;
        Ok(values)
    }

    fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        Ok((*self.meet(bytes)?).clone())
    }
}

impl Drop for Threads {
    /// The others learn that this rank has ended.
    fn drop(&mut self) {
        self.meeting().has_ended = true;
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {} threads", self.rank, self.shared.size)
    }
}
