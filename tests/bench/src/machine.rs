//! The machine that a report is about.

use std::fs;

/// CPU model, number of cores and kernel, in a line.
#[must_use]
pub fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = model.map_or("an unknown CPU", |(_, model)| model.trim());
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// Load average of the last minute: above the number of cores, something else was running.
#[must_use]
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}
