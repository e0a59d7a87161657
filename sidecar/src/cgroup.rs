//! The memory limit of this process, as its cgroup has it.

use std::fs;

/// Files with the limit, in a container: of cgroup v2, and of v1.
const FILES: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// The budget without a limit, in bytes.
const WITHOUT_LIMIT: usize = 256 << 20;

/// Limits above this are none: v1 spells "no limit" as a number close to 2^63.
const MAX_LIMIT: u64 = 1 << 50;

/// Returns the bytes that may be held for connections under backpressure: two fifths of the memory
/// limit, or 256 MiB without one.
pub(crate) fn default_budget() -> usize {
    let limit = FILES.iter().find_map(|file| parse(&fs::read_to_string(file).ok()?));
    // With the quarter that may be held beyond the budget, this is half of the limit.
    limit.map_or(WITHOUT_LIMIT, |limit| limit / 5 * 2)
}

fn parse(text: &str) -> Option<usize> {
    let limit = text.trim().parse::<u64>().ok().filter(|limit| *limit < MAX_LIMIT)?;
    usize::try_from(limit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_no_limit_are_none() {
        assert_eq!(parse("268435456\n"), Some(256 << 20));
        for none in ["max\n", "9223372036854771712\n", "", "-1"] {
            assert_eq!(parse(none), None, "{none:?}");
        }
    }
}
