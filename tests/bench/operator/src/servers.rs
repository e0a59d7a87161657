//! CPU time of the API server and its store.

use std::fs;
use std::time::Duration;

use socketio_affinity_bench::procfs::cpu_time;

/// CPU time that the API server and its store have used. `None`: there is not exactly one of each on this
/// machine, so that it is unknown which ones are meant.
pub(crate) fn cpu() -> Option<Duration> {
    Some(cpu_time(only("kube-apiserver")?).ok()? + cpu_time(only("etcd")?).ok()?)
}

fn only(program: &str) -> Option<u32> {
    let processes =
        fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut found = processes.filter(|pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(first).rsplit('/').next() == Some(program)
    });
    let pid = found.next()?;
    found.next().is_none().then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_of_a_process_grows_with_what_it_does_and_a_stranger_has_none() {
        let own = std::process::id();
        let before = cpu_time(own).unwrap();
        let until = std::time::Instant::now() + Duration::from_millis(100);
        while std::time::Instant::now() < until {}
        assert!(cpu_time(own).unwrap() > before);
        assert!(cpu_time(u32::MAX).is_err());
        assert_eq!(only("a program that nobody has"), None);
    }
}
