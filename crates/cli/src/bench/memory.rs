//! How much memory the process has needed, where the system says so.

use std::fs;

/// The most memory that the process has had in use at once, in MiB; none where there is no `/proc`.
pub(super) fn peak_rss_mib() -> Option<f64> {
    peak_in(&fs::read_to_string("/proc/self/status").ok()?)
}

/// The peak in the lines of such a file.
fn peak_in(status: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_found_among_the_lines() {
        assert_eq!(
            peak_in("Name:\trondo\nVmPeak:\t  9999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 7 kB\n"),
            Some(2.0)
        );
        assert_eq!(peak_in("Name:\trondo\n"), None);
        assert_eq!(peak_in("VmHWM:\tmuch\n"), None);
    }
}
