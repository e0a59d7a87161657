//! The cgroups of the pods: one subtree per hierarchy, removed by its name.
//!
//! With cgroup v2 there is one hierarchy; with v1 each controller has its own. kubelet insists
//! that its root exists in all of them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What pods may be limited in, with cgroup v2.
const CONTROLLERS: [&str; 6] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"];

/// Makes the cgroup `name` in each hierarchy.
pub(crate) fn make(name: &str) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts cannot be read")?;
    for hierarchy in hierarchies(&mounts) {
        if hierarchy.join("cgroup.subtree_control").exists() {
            for controller in CONTROLLERS {
                // Those that this kernel lacks are refused; kubelet says which it misses.
                let _ = fs::write(hierarchy.join("cgroup.subtree_control"), format!("+{controller}"));
            }
        }
        let group = below(&hierarchy, name);
        fs::create_dir_all(&group)
            .with_context(|| format!("The cgroup {} cannot be made", group.display()))?;
    }
    Ok(())
}

/// Whether any hierarchy has the cgroup `name`.
pub(crate) fn exist(name: &str) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    all_hierarchies(&mounts).iter().any(|hierarchy| below(hierarchy, name).exists())
}

/// Removes the cgroup `name` and all below it. Fails while a process is in one of them.
pub(crate) fn remove(name: &str) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts cannot be read")?;
    for hierarchy in all_hierarchies(&mounts) {
        let group = below(&hierarchy, name);
        remove_subtree(&group)
            .with_context(|| format!("The cgroup {} cannot be removed", group.display()))?;
    }
    Ok(())
}

/// A cgroup's files go with it, so only directories are removed, the innermost first.
fn remove_subtree(group: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_subtree(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

fn below(hierarchy: &Path, name: &str) -> PathBuf {
    hierarchy.join(name.trim_start_matches('/'))
}

/// The mount points of the hierarchies that kubelet uses.
///
/// Where v1 controllers are mounted, v2 (`unified`) has none: kubelet leaves it alone.
fn hierarchies(mounts: &str) -> Vec<PathBuf> {
    match of_type(mounts, "cgroup") {
        v1 if v1.is_empty() => of_type(mounts, "cgroup2").into_iter().take(1).collect(),
        v1 => v1,
    }
}

/// Every hierarchy: runc makes its cgroups in v2 also where it has no controllers.
fn all_hierarchies(mounts: &str) -> Vec<PathBuf> {
    let mut all = of_type(mounts, "cgroup");
    all.extend(of_type(mounts, "cgroup2"));
    all
}

fn of_type(mounts: &str, wanted: &str) -> Vec<PathBuf> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (place, kind) = (fields.next()?, fields.next()?);
            (kind == wanted).then(|| PathBuf::from(place))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_has_a_hierarchy_per_controller() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(hierarchies(mounts), ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory"].map(PathBuf::from));
        assert_eq!(all_hierarchies(mounts).len(), 3);
    }

    #[test]
    fn version_2_has_one_hierarchy() {
        let mounts = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert_eq!(hierarchies(mounts), ["/sys/fs/cgroup"].map(PathBuf::from));
    }

    #[test]
    fn a_subtree_is_removed_from_the_inside() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        remove_subtree(&dir.path().join("a")).unwrap();
        remove_subtree(&dir.path().join("a")).unwrap();
        assert!(!dir.path().join("a").exists());
    }
}
