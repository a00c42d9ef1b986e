//! How much memory there is for a model: the machine's, or that of the container where it is less.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that can be had now; `None` where that cannot be known.
pub(super) fn available() -> Option<u64> {
    available_below(Path::new("/"))
}

fn available_below(root: &Path) -> Option<u64> {
    let info = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let machine = line.trim().trim_end_matches(" kB").parse::<u64>().ok()?.saturating_mul(1024);
    let groups = groups_below(root);
    let left = groups.iter().filter_map(|group| group.left()).min();
    Some(left.map_or(machine, |left| left.min(machine)))
}

/// A control group and the names of its files, which differ between the two versions.
struct Group {
    folder: PathBuf,
    limit: &'static str,
    used: &'static str,
    /// Prefix of the counters of pages that can be dropped, in `memory.stat`.
    counters: &'static str,
}

impl Group {
    /// Bytes below the limit; `None` without a limit. Files that were read count as used but can be dropped.
    fn left(&self) -> Option<u64> {
        let text = |name: &str| fs::read_to_string(self.folder.join(name)).ok();
        let limit: u64 = text(self.limit)?.trim().parse().ok()?;
        let used: u64 = text(self.used)?.trim().parse().ok()?;
        let stat = text("memory.stat").unwrap_or_default();
        let droppable: u64 = ["inactive_file", "active_file"]
            .iter()
            .filter_map(|counter| {
                let name = format!("{}{counter} ", self.counters);
                stat.lines().find_map(|line| line.strip_prefix(&name))?.trim().parse::<u64>().ok()
            })
            .sum();
        Some(limit.saturating_sub(used.saturating_sub(droppable)))
    }
}

/// The process's groups and all that contain them; a container sees its own as the outermost.
fn groups_below(root: &Path) -> Vec<Group> {
    let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut groups = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (mount, limit, used, counters) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max", "memory.current", "")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        } else {
            continue;
        };
        let within = Path::new(path.trim_start_matches('/'));
        groups.extend(within.ancestors().map(|folder| Group {
            folder: root.join(mount).join(folder),
            limit,
            used,
            counters,
        }));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with 8 GiB free and the given files besides.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let meminfo = ("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    8388608 kB\n");
        for (name, text) in files.iter().chain([&meminfo]) {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_tightest_limit_counts_and_cached_files_do_not() {
        let (v2, v1) = ("sys/fs/cgroup/pods/one", "sys/fs/cgroup/memory");
        let own2 = ("proc/self/cgroup", "0::/pods/one\n");
        let own1 = ("proc/self/cgroup", "5:cpu:/\n4:memory,hugetlb:/docker/abc\n");
        let table: [(&[(&str, &str)], u64); 6] = [
            (&[], 8 << 30),
            (&[own2, (&format!("{v2}/memory.max"), "max\n")], 8 << 30),
            (
                &[
                    own2,
                    (&format!("{v2}/memory.max"), "4294967296\n"),
                    (&format!("{v2}/memory.current"), "3221225472\n"),
                ],
                1 << 30,
            ),
            (
                &[
                    own2,
                    (&format!("{v2}/memory.max"), "4294967296\n"),
                    (&format!("{v2}/memory.current"), "3221225472\n"),
                    (
                        &format!("{v2}/memory.stat"),
                        "anon 1\nfile 9\ninactive_file 1073741824\nactive_file 1073741824\n",
                    ),
                ],
                3 << 30,
            ),
            (
                &[
                    own2,
                    (&format!("{v2}/memory.max"), "max\n"),
                    ("sys/fs/cgroup/pods/memory.max", "2147483648\n"),
                    ("sys/fs/cgroup/pods/memory.current", "0\n"),
                ],
                2 << 30,
            ),
            (
                &[
                    own1,
                    (&format!("{v1}/memory.limit_in_bytes"), "1073741824\n"),
                    (&format!("{v1}/memory.usage_in_bytes"), "536870912\n"),
                    (&format!("{v1}/memory.stat"), "inactive_file 9\ntotal_inactive_file 0\n"),
                ],
                1 << 29,
            ),
        ];
        for (index, (files, left)) in table.into_iter().enumerate() {
            assert_eq!(available_below(machine(files).path()), Some(left), "row {index}");
        }
        assert_eq!(available_below(tempfile::tempdir().unwrap().path()), None);
    }
}
