//! The signals that ask a command to stop: it finishes what it is doing, saves, and ends with a code that names the signal.
//!
//! ```text
//! SIGINT, SIGTERM, SIGHUP   first       work stops at the next good point, and is saved     exit code 128 + signal
//!                           within ½ s  the same request: `timeout` and closed terminals send two
//!                           later       the process ends at once                            exit code 128 + signal
//! SIGHUP under `nohup`      stays ignored
//! ```
//!
//! Not here: signals that other commands receive. They end a command as usual.

use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How long signals repeat a request. `timeout` sends its signal to the process and to the group, and a terminal that
/// closes sends SIGHUP from the shell and from the kernel.
const SAME_REQUEST: Duration = Duration::from_millis(500);

/// What exit codes of a stopped command begin at: that of shells.
const EXIT_BASE: u8 = 128;

/// The signal of Ctrl-C.
const SIGINT: u8 = 2;

/// The signal that asked this process to stop.
static ASKED_BY: AtomicU8 = AtomicU8::new(SIGINT);

/// A flag that becomes true when a signal asks the command to stop.
pub(crate) fn stop() -> Result<Arc<AtomicBool>> {
    // Signals are watched once per process, but `recipes verify` may train several times.
    static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if let Some(stop) = STOP.get() {
        return Ok(Arc::clone(stop));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    on_first(move || asked.store(true, Ordering::Relaxed))?;
    Ok(Arc::clone(STOP.get_or_init(|| stop)))
}

/// Calls `act` at the first signal that asks the command to stop; a later one ends the process at once.
pub(crate) fn on_first(act: impl FnOnce() + Send + 'static) -> Result<()> {
    let (mut act, mut requests) = (Some(act), Requests::default());
    let received = move |signal| match requests.receive(Instant::now()) {
        Request::First => {
            ASKED_BY.store(signal, Ordering::Relaxed);
            if let Some(act) = act.take() {
                act();
            }
        }
        Request::Repeated => {}
        Request::Urgent => process::exit((EXIT_BASE + signal).into()),
    };
    watch(received).context("could not install the handler of signals")
}

/// The exit code of a command that a signal has stopped.
pub(crate) fn exit_code() -> ExitCode {
    ExitCode::from(EXIT_BASE + ASKED_BY.load(Ordering::Relaxed))
}

/// When the first signal was received, if any.
#[derive(Default)]
struct Requests(Option<Instant>);

/// What a signal asks for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    /// To stop.
    First,
    /// The same once more.
    Repeated,
    /// To end at once.
    Urgent,
}

impl Requests {
    fn receive(&mut self, now: Instant) -> Request {
        match self.0 {
            None => {
                self.0 = Some(now);
                Request::First
            }
            Some(first) if now.duration_since(first) < SAME_REQUEST => Request::Repeated,
            Some(_) => Request::Urgent,
        }
    }
}

/// Calls `received` with the number of each signal, in a thread of its own.
#[cfg(unix)]
fn watch(mut received: impl FnMut(u8) + Send + 'static) -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let hangup = (!hangup::is_ignored()).then_some(SIGHUP);
    let mut signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup))?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            // Signals have small numbers.
            received(u8::try_from(signal).unwrap_or_default());
        }
    })?;
    Ok(())
}

/// Calls `received` when the console is interrupted or closed. There, Ctrl-C is the only signal.
#[cfg(not(unix))]
fn watch(mut received: impl FnMut(u8) + Send + 'static) -> Result<()> {
    Ok(ctrlc::set_handler(move || received(SIGINT))?)
}

/// Whether the parent process, such as `nohup`, has started this one to ignore SIGHUP.
///
/// The libraries for signals replace how a signal is handled without looking at it, and to ask the system takes unsafe
/// code. A process inherits what its parent ignores, so there are two other ways.
#[cfg(unix)]
mod hangup {
    use std::fs;
    use std::process::{Command, Stdio};

    /// A shell that this kills unless it has inherited that SIGHUP is ignored.
    const PROBE: &str = "kill -HUP $$";

    /// Whether SIGHUP is ignored. To be called before it is handled.
    pub(super) fn is_ignored() -> bool {
        let status = fs::read_to_string("/proc/self/status").ok();
        status.as_deref().and_then(by_status).unwrap_or_else(by_shell)
    }

    /// What Linux says about a process: the first bit of the mask is SIGHUP.
    pub(super) fn by_status(status: &str) -> Option<bool> {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        Some(u64::from_str_radix(mask.trim(), 16).ok()? & 1 == 1)
    }

    fn by_shell() -> bool {
        let mut shell = Command::new("sh");
        let shell =
            shell.args(["-c", PROBE]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        shell.status().is_ok_and(|status| status.success())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_mask_of_ignored_signals_is_read() {
            assert_eq!(by_status("Name:\tx\nSigIgn:\t0000000000000001\n"), Some(true));
            assert_eq!(by_status("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001002\n"), Some(false));
            assert_eq!(by_status("Name:\tx\n"), None);
        }

        #[test]
        fn a_shell_says_the_same_as_the_system() {
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            if let Some(is_ignored) = by_status(&status) {
                assert_eq!(by_shell(), is_ignored);
            }
            let mut ignoring = Command::new("sh");
            let ignoring = ignoring.args(["-c", "trap '' HUP; sh -c \"$1\"", "sh", PROBE]).status();
            assert!(ignoring.is_ok_and(|status| status.success()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_soon_after_the_first_is_the_same_request_and_a_later_one_is_urgent() {
        let (mut requests, start) = (Requests::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let found = [1000, 1001, 1499, 1500, 9000].map(|ms| requests.receive(at(ms)));
        use Request::{First, Repeated, Urgent};
        assert_eq!(found, [First, Repeated, Repeated, Urgent, Urgent]);
    }
}
