//! A thread pool for fork-join regions of tens of microseconds and up.
//!
//! A training step of a small model consists of some twenty parallel regions within a few milliseconds, so a
//! worker first spins for its next task and goes to sleep only after a while; a region then costs about a
//! microsecond. (A work-stealing pool was not used: the split is static, so that sums are the same in every
//! run, and starting a region must not allocate.)

use std::any::Any;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How many times a waiting thread checks before it sleeps: some 50 µs, longer than the gaps within a
/// training step.
const SPINS_BEFORE_SLEEP: usize = 4_000;
/// The epoch that tells workers to exit.
const STOP: usize = usize::MAX;

type Task = *const (dyn Fn(usize) + Sync);

struct Shared {
    /// Counts the regions; a change tells workers that `task` contains a new one.
    epoch: AtomicUsize,
    /// Workers that have not finished the current region.
    unfinished: AtomicUsize,
    task: UnsafeCell<Option<Task>>,
    /// Guards sleeping, so that no wake-up is missed.
    sleep: Mutex<()>,
    wake: Condvar,
    /// Notified when the last worker has finished a region.
    finished: Condvar,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `task` is written by the one thread that holds `ThreadPool::region` while no worker runs (`unfinished`
// is 0), and read by workers only after they have seen the new epoch (release / acquire).
unsafe impl Sync for Shared {}
// SAFETY: the raw pointer in `task` is dereferenced only during the region in which it is valid.
unsafe impl Send for Shared {}

/// Threads that run the same function in parallel.
pub(crate) struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held during a region: a pool runs one at a time.
    region: Mutex<()>,
}

impl ThreadPool {
    /// A pool of `threads` threads, including the caller's.
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
            task: UnsafeCell::new(None),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
            finished: Condvar::new(),
            panic: Mutex::new(None),
        });
        let mut pool = ThreadPool { shared, workers: Vec::new(), region: Mutex::new(()) };
        for index in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let builder = std::thread::Builder::new().name(format!("rondo-{index}"));
            pool.workers.push(builder.spawn(move || work(&shared, index))?);
        }
        Ok(pool)
    }

    /// The number of threads that run a region, including the caller's.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task(index)` on every thread, 0 being the caller, and returns when all have finished.
    ///
    /// # Panics
    /// If the task panics on any thread; the pool stays usable.
    pub(crate) fn run(&self, task: &(dyn Fn(usize) + Sync)) {
        if self.workers.is_empty() {
            return task(0);
        }
        let region = lock(&self.region);
        // SAFETY: this only extends the lifetime in the pointer's type; no worker dereferences it after this
        // function returns, since it returns only once `unfinished` is back at 0.
        let task_pointer: Task = unsafe { std::mem::transmute(task as *const (dyn Fn(usize) + Sync)) };
        // SAFETY: no region is running (`region` is held), so no worker reads `task` now.
        unsafe { *self.shared.task.get() = Some(task_pointer) };
        self.shared.unfinished.store(self.workers.len(), Ordering::Relaxed);
        {
            let _sleep = lock(&self.shared.sleep);
            self.shared.epoch.fetch_add(1, Ordering::Release);
        }
        self.shared.wake.notify_all();

        let own = catch_unwind(AssertUnwindSafe(|| task(0)));
        wait_for_workers(&self.shared);
        drop(region);
        let theirs = lock(&self.shared.panic).take();
        if let Some(payload) = own.err().or(theirs) {
            resume_unwind(payload);
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        {
            let _sleep = lock(&self.shared.sleep);
            self.shared.epoch.store(STOP, Ordering::Release);
        }
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its tasks, so it has no panic of its own to report.
            let _ = worker.join();
        }
    }
}

impl std::fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ThreadPool").field("threads", &self.threads()).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(shared: &Shared, index: usize) {
    let mut seen = 0;
    loop {
        let epoch = next_epoch(shared, seen);
        if epoch == STOP {
            return;
        }
        seen = epoch;
        // SAFETY: the epoch has changed, so `run` has stored a task that lives until `unfinished` reaches 0.
        let task = unsafe { (*shared.task.get()).map(|task| &*task) };
        if let Some(task) = task
            && let Err(payload) = catch_unwind(AssertUnwindSafe(|| task(index)))
        {
            lock(&shared.panic).get_or_insert(payload);
        }
        if shared.unfinished.fetch_sub(1, Ordering::Release) == 1 {
            // Taking the lock orders this after a caller that has checked and is about to sleep.
            drop(lock(&shared.sleep));
            shared.finished.notify_one();
        }
    }
}

/// Waits until the workers have finished the region: spinning at first, then asleep, so that on a busy
/// machine the processor goes to the worker being waited for.
fn wait_for_workers(shared: &Shared) {
    for _ in 0..SPINS_BEFORE_SLEEP {
        if shared.unfinished.load(Ordering::Acquire) == 0 {
            return;
        }
        std::hint::spin_loop();
    }
    let mut guard = lock(&shared.sleep);
    while shared.unfinished.load(Ordering::Acquire) != 0 {
        guard = shared.finished.wait(guard).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Waits until the epoch is no longer `seen`: spinning at first, then asleep.
fn next_epoch(shared: &Shared, seen: usize) -> usize {
    for _ in 0..SPINS_BEFORE_SLEEP {
        let epoch = shared.epoch.load(Ordering::Acquire);
        if epoch != seen {
            return epoch;
        }
        std::hint::spin_loop();
    }
    let mut guard = lock(&shared.sleep);
    loop {
        let epoch = shared.epoch.load(Ordering::Acquire);
        if epoch != seen {
            return epoch;
        }
        guard = shared.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
    }
}

/// A barrier for the threads of a region, within the region.
pub(crate) struct Barrier {
    threads: usize,
    /// The number of arrivals since the barrier was made.
    arrived: AtomicUsize,
}

impl Barrier {
    /// A barrier for this number of threads.
    pub(crate) fn new(threads: usize) -> Barrier {
        Barrier { threads, arrived: AtomicUsize::new(0) }
    }

    /// Waits until all threads have arrived, and makes their earlier writes visible to each other. All
    /// threads must arrive; while one is late for long because it has no processor, the others yield theirs.
    pub(crate) fn wait(&self) {
        let arrived = self.arrived.fetch_add(1, Ordering::AcqRel) + 1;
        let all = arrived.next_multiple_of(self.threads);
        let mut spins = 0;
        while self.arrived.load(Ordering::Acquire) < all {
            spins += 1;
            if spins < SPINS_BEFORE_SLEEP {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

/// Part `index` of `len` items split into `parts`, in multiples of `grain` except at the end.
pub(crate) fn share(len: usize, grain: usize, parts: usize, index: usize) -> Range<usize> {
    let grains = len.div_ceil(grain);
    let at = |part: usize| (grains * part / parts * grain).min(len);
    at(index)..at(index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_runs_every_region_once() {
        let pool = ThreadPool::new(3).unwrap();
        let counts: [AtomicUsize; 3] = Default::default();
        for _ in 0..1_000 {
            pool.run(&|index| {
                counts[index].fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(counts.map(|count| count.into_inner()), [1_000; 3]);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let pool = ThreadPool::new(2).unwrap();
        for thrower in 0..2 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.run(&|index| assert_ne!(index, thrower));
            }));
            assert!(result.is_err());
        }
        let count = AtomicUsize::new(0);
        pool.run(&|_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 2);
    }

    #[test]
    fn behind_a_barrier_all_have_come() {
        let pool = ThreadPool::new(3).unwrap();
        let (barrier, count) = (Barrier::new(3), AtomicUsize::new(0));
        pool.run(&|_| {
            for round in 1..=1_000 {
                count.fetch_add(1, Ordering::Relaxed);
                barrier.wait();
                assert_eq!(count.load(Ordering::Relaxed), 3 * round);
                barrier.wait();
            }
        });
    }

    #[test]
    fn shares_cover_everything_once() {
        for (len, grain, parts) in [(10, 1, 3), (700, 16, 2), (5, 16, 2), (0, 4, 3), (97, 12, 4)] {
            let mut next = 0;
            for index in 0..parts {
                let range = share(len, grain, parts, index);
                assert_eq!(range.start, next);
                assert!(range.end == len || range.end.is_multiple_of(grain));
                next = range.end;
            }
            assert_eq!(next, len);
        }
    }
}
