//! How much memory this process can still allocate: the least of what the machine has available, what the
//! limits of its control groups leave, and what its resource limits (`ulimit`) leave.
//!
//! Everything is read from `/proc` and `/sys`, so the answer is known on Linux only. Not here: how much is
//! needed (the callers).

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// How much memory can still be allocated, and what limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvailableMemory {
    /// The number of bytes.
    pub bytes: u64,
    /// What limits it.
    pub limit: MemoryLimit,
}

/// What limits the memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// The memory of the machine that is not in use.
    Machine,
    /// A limit of a control group, such as that of a container or of a batch system's job.
    ControlGroup,
    /// The limit on the address space, `ulimit -v`.
    AddressSpace,
    /// The limit on the size of the data, `ulimit -d`.
    Data,
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MemoryLimit::Machine => "the machine's available memory",
            MemoryLimit::ControlGroup => "the memory limit of the control group",
            MemoryLimit::AddressSpace => "`ulimit -v`",
            MemoryLimit::Data => "`ulimit -d`",
        })
    }
}

/// A number of bytes, displayed as people write it: `21.3 GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
        let (mut number, mut unit) = (self.0 as f64, 0);
        // What would be rounded to 1000.0 has the next unit.
        while number >= 999.95 && unit + 1 < UNITS.len() {
            (number, unit) = (number / 1000.0, unit + 1);
        }
        if unit == 0 { write!(f, "{} B", self.0) } else { write!(f, "{number:.1} {}", UNITS[unit]) }
    }
}

/// The memory that this process can still allocate; `None` if the system does not say.
pub(crate) fn available() -> Option<AvailableMemory> {
    available_at(Path::new("/"))
}

/// [`available`] with another root of the file system.
fn available_at(root: &Path) -> Option<AvailableMemory> {
    let limits = [
        (machine(root), MemoryLimit::Machine),
        (control_groups(root), MemoryLimit::ControlGroup),
        (resource(root, "Max address space", "VmSize:"), MemoryLimit::AddressSpace),
        (resource(root, "Max data size", "VmData:"), MemoryLimit::Data),
    ];
    let known =
        limits.into_iter().filter_map(|(bytes, limit)| Some(AvailableMemory { bytes: bytes?, limit }));
    known.min_by_key(|available| available.bytes)
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// A number that follows a key in a file of lines `KEY NUMBER …`.
fn entry(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The same for numbers of kilobytes, in bytes.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    entry(text, key)?.checked_mul(1024)
}

fn machine(root: &Path) -> Option<u64> {
    kilobytes(&read(&root.join("proc/meminfo"))?, "MemAvailable:")
}

/// What a resource limit leaves of what it limits.
fn resource(root: &Path, limit: &str, used: &str) -> Option<u64> {
    // A limit of `unlimited` is no number.
    let limit = entry(&read(&root.join("proc/self/limits"))?, limit)?;
    let used = kilobytes(&read(&root.join("proc/self/status"))?, used)?;
    Some(limit.saturating_sub(used))
}

/// What the tightest limit of this process's control groups, of version 1 or 2, leaves.
fn control_groups(root: &Path) -> Option<u64> {
    let groups = read(&root.join("proc/self/cgroup"))?;
    let mounts = root.join("sys/fs/cgroup");
    let left = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        match controllers {
            "" => tightest(&mounts, path, &VERSION_2),
            _ if controllers.split(',').any(|name| name == "memory") => {
                tightest(&mounts.join("memory"), path, &VERSION_1)
            }
            _ => None,
        }
    };
    groups.lines().filter_map(left).min()
}

/// The names of a control group's files.
struct Files {
    limit: &'static str,
    used: &'static str,
    /// The key of the file cache that the system frees first, in `memory.stat`.
    cache: &'static str,
}

const VERSION_1: Files =
    Files { limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", cache: "total_inactive_file" };
const VERSION_2: Files = Files { limit: "memory.max", used: "memory.current", cache: "inactive_file" };

/// What the tightest limit of a group and the groups above it leaves. In a container, the path may be that of
/// the host, of which only the root is mounted; so groups that are not there are passed over.
fn tightest(mount: &Path, path: &str, files: &Files) -> Option<u64> {
    let group: PathBuf = mount.join(path.trim_start_matches('/'));
    let left = |group: &Path| {
        let number = |name: &str| read(&group.join(name))?.trim().parse::<u64>().ok();
        let (limit, used) = (number(files.limit)?, number(files.used)?);
        let cache = read(&group.join("memory.stat")).and_then(|stat| entry(&stat, files.cache)).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(cache)))
    };
    group.ancestors().take_while(|group| group.starts_with(mount)).filter_map(left).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// A file system with these files.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Root {
            let root = std::env::temp_dir().join(format!("rondo-available-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Root(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn check(name: &str, files: &[(&str, &str)], bytes: u64, limit: MemoryLimit) {
        let root = Root::new(name, files);
        assert_eq!(available_at(&root.0), Some(AvailableMemory { bytes, limit }), "{name}");
    }

    const MEMINFO: (&str, &str) =
        ("proc/meminfo", "MemTotal:       33554432 kB\nMemAvailable:   16777216 kB\n");

    #[test]
    fn bytes_have_a_unit() {
        let written =
            [0, 999, 1000, 999_949, 999_950, 21_300_000_000, u64::MAX].map(|n| Bytes(n).to_string());
        assert_eq!(written, ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "21.3 GB", "18.4 EB"]);
    }

    #[test]
    fn the_least_of_all_limits_counts() {
        check("machine", &[MEMINFO], 16 * GIB, MemoryLimit::Machine);
        let unlimited = "Limit   Soft Limit   Hard Limit   Units\nMax data size   unlimited   unlimited   bytes\n\
                         Max address space   unlimited   unlimited   bytes\n";
        let status = ("proc/self/status", "VmSize:\t 1048576 kB\nVmData:\t  524288 kB\n");
        let limits = ("proc/self/limits", unlimited);
        check("unlimited", &[MEMINFO, status, limits], 16 * GIB, MemoryLimit::Machine);
        let limited = unlimited.replace("space   unlimited", "space   4294967296");
        let limits = ("proc/self/limits", limited.as_str());
        check("ulimit-v", &[MEMINFO, status, limits], 3 * GIB, MemoryLimit::AddressSpace);
        let limited = unlimited.replace("size   unlimited", "size   1073741824");
        let limits = ("proc/self/limits", limited.as_str());
        check("ulimit-d", &[MEMINFO, status, limits], GIB / 2, MemoryLimit::Data);
        assert_eq!(available_at(Path::new("/there is no such root")), None);
    }

    #[test]
    fn control_groups_of_both_versions_are_read() {
        let group = ("proc/self/cgroup", "0::/user/job\n");
        let none = ("sys/fs/cgroup/user/job/memory.max", "max\n");
        let current = ("sys/fs/cgroup/user/memory.current", "2147483648\n");
        // Three GiB for all jobs of the user: two are used, and half a GiB of them is cache.
        let above = ("sys/fs/cgroup/user/memory.max", "3221225472\n");
        let stat = ("sys/fs/cgroup/user/memory.stat", "anon 1\ninactive_file 536870912\n");
        let files = [MEMINFO, group, none, above, current, stat];
        check("version-2", &files, GIB + GIB / 2, MemoryLimit::ControlGroup);

        let group = ("proc/self/cgroup", "4:cpu,memory:/host/id\n3:cpuset:/\n0::/\n");
        let limit = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
        let used = ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1073741824\n");
        check("version-1", &[MEMINFO, group, limit, used], GIB, MemoryLimit::ControlGroup);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_can_allocate_some() {
        assert!(available().unwrap().bytes > 1 << 20);
    }
}
