//! Messages on stderr: lines, and progress bars if stderr is a terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal;

/// Whether and how to report progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    quiet: bool,
    live: bool,
}

impl Console {
    /// A console that prints nothing if `quiet`, and draws progress bars if stderr is a terminal.
    pub(crate) fn new(quiet: bool) -> Console {
        Console { quiet, live: !quiet && std::io::stderr().is_terminal() }
    }

    /// Whether progress bars are drawn; otherwise progress is printed line by line.
    pub(crate) fn is_live(self) -> bool {
        self.live
    }

    /// Prints a line.
    pub(crate) fn say(self, line: &str) {
        if !self.quiet {
            error_text(line);
        }
    }

    /// A progress bar with this template, hidden if the console is not live; cleared on drop.
    pub(crate) fn bar(self, template: &str) -> ProgressBar {
        let target = if self.live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(None, target).with_style(style.progress_chars("━╸─"));
        bar.with_finish(indicatif::ProgressFinish::AndClear)
    }
}

/// Prints a line to stderr even if quiet, with its control characters escaped. Errors are ignored: if stderr is closed, there is nowhere to report them.
pub(crate) fn error_text(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", terminal::lines(line));
}

/// A time in hours, minutes and seconds, such as `1:02:03` or `2:03`.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        hours => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_on_a_clock() {
        let told = [0, 59, 61, 3723].map(|seconds| clock(Duration::from_secs(seconds)));
        assert_eq!(told, ["0:00", "0:59", "1:01", "1:02:03"]);
    }
}
