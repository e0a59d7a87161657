//! What `/proc` says of processes and cores.
//!
//! CPU time is the scheduler's own, in nanoseconds (`schedstat`), summed over the threads that a process
//! has now; where the kernel was built without it, the ticks of `stat`. A running thread's time is brought
//! up to date at every tick, so a reading is late by some milliseconds at most.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

/// A process' memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All its resident pages, those of files that it shares with others included.
    pub resident: u64,
    /// The resident pages that are its alone.
    pub private: u64,
}

/// What a core has done since the machine started, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoreTicks {
    /// Nothing, waiting for disks included.
    pub idle: u64,
    /// Held back by the hypervisor, for another machine.
    pub stolen: u64,
    /// All of its time.
    pub all: u64,
}

/// A file in `/proc` that does not read as it should.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The process has ended, most likely.
    #[error("{0} cannot be read: {1}")]
    File(String, io::Error),
    /// Not the format that this program knows.
    #[error("{0} lacks what is looked for in it; this kernel's format is unknown here")]
    Format(String),
}

/// The CPU time that this process has used.
///
/// # Errors
/// [`Unreadable`]
pub fn cpu_time(pid: u32) -> Result<Duration, Unreadable> {
    let tasks = format!("/proc/{pid}/task");
    let unreadable = |error| Unreadable::File(tasks.clone(), error);
    let mut times = Vec::new();
    for task in fs::read_dir(&tasks).map_err(unreadable)? {
        match task_time(&task.map_err(unreadable)?.path()) {
            // It has ended since it was listed.
            Err(Unreadable::File(..)) => {}
            time => times.push(time?),
        }
    }
    if times.is_empty() {
        return Err(unreadable(io::ErrorKind::NotFound.into()));
    }
    Ok(times.iter().sum())
}

fn task_time(task: &Path) -> Result<Duration, Unreadable> {
    let time = match read(&task.join("schedstat")) {
        Ok(schedstat) => run_time(&schedstat),
        Err(_) => ticks_time(&read(&task.join("stat"))?),
    };
    time.ok_or_else(|| Unreadable::Format(task.display().to_string()))
}

/// How the kernel's clock has found this process, all its threads that ever were included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticks {
    /// So often in the program itself.
    pub own: u64,
    /// So often in the kernel, at work for it.
    pub kernel: u64,
}

/// How the kernel's clock has found this process.
///
/// # Errors
/// [`Unreadable`]
pub fn ticks(pid: u32) -> Result<Ticks, Unreadable> {
    let path = format!("/proc/{pid}/stat");
    parse_ticks(&read(Path::new(&path))?).ok_or(Unreadable::Format(path))
}

/// The memory that this process has.
///
/// # Errors
/// [`Unreadable`]
pub fn memory(pid: u32) -> Result<Memory, Unreadable> {
    let path = format!("/proc/{pid}/smaps_rollup");
    parse_memory(&read(Path::new(&path))?).ok_or(Unreadable::Format(path))
}

/// The most memory that this process has ever had resident, in bytes.
///
/// # Errors
/// [`Unreadable`]
pub fn peak_memory(pid: u32) -> Result<u64, Unreadable> {
    let path = format!("/proc/{pid}/status");
    let status = read(Path::new(&path))?;
    kilobytes(&status, "VmHWM:").ok_or(Unreadable::Format(path))
}

/// How many threads this process has.
///
/// # Errors
/// [`Unreadable`]
pub fn threads(pid: u32) -> Result<usize, Unreadable> {
    let tasks = format!("/proc/{pid}/task");
    fs::read_dir(&tasks).map(Iterator::count).map_err(|error| Unreadable::File(tasks, error))
}

/// What this core has done.
///
/// # Errors
/// [`Unreadable`]
pub fn core_ticks(core: usize) -> Result<CoreTicks, Unreadable> {
    let path = "/proc/stat";
    parse_core(&read(Path::new(path))?, core).ok_or_else(|| Unreadable::Format(path.to_owned()))
}

/// Who traces this process, if anybody does.
///
/// # Errors
/// [`Unreadable`]
pub fn tracer(pid: u32) -> Result<Option<u32>, Unreadable> {
    let path = format!("/proc/{pid}/status");
    let status = read(Path::new(&path))?;
    let line = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    let tracer = line.and_then(|value| value.trim().parse().ok()).ok_or(Unreadable::Format(path))?;
    Ok((tracer != 0).then_some(tracer))
}

fn read(path: &Path) -> Result<String, Unreadable> {
    fs::read_to_string(path).map_err(|error| Unreadable::File(path.display().to_string(), error))
}

/// The first number of `schedstat`: nanoseconds on a core.
fn run_time(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// `utime` and `stime`, the 14th and 15th field of `stat`. Fields are counted behind the name, which may
/// hold spaces and brackets itself.
fn parse_ticks(stat: &str) -> Option<Ticks> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
    Some(Ticks { own: times.next()??, kernel: times.next()?? })
}

fn ticks_time(stat: &str) -> Option<Duration> {
    let ticks = parse_ticks(stat)?;
    let a_second = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    Some(Duration::from_secs(1) * u32::try_from(ticks.own + ticks.kernel).ok()? / a_second)
}

fn parse_memory(rollup: &str) -> Option<Memory> {
    let private = kilobytes(rollup, "Private_Clean:")? + kilobytes(rollup, "Private_Dirty:")?;
    Some(Memory { resident: kilobytes(rollup, "Rss:")?, private })
}

/// The bytes of the line that begins with `name`, which counts in what the kernel calls kB.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn parse_core(stat: &str, core: usize) -> Option<CoreTicks> {
    let name = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
    let ticks: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    // user nice system idle iowait irq softirq steal; the guests' that follow are in user and nice as well.
    let [_, _, _, idle, waiting, _, _, stolen] = ticks.first_chunk::<8>()?;
    Some(CoreTicks { idle: idle + waiting, stolen: *stolen, all: ticks.iter().take(8).sum() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_run_time_is_the_first_number_of_schedstat() {
        assert_eq!(run_time("119056 66909 2\n"), Some(Duration::from_nanos(119_056)));
        assert_eq!(run_time(""), None);
    }

    #[test]
    fn ticks_are_found_behind_a_name_with_brackets_and_spaces() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100 0 0";
        let seconds = 300.0 / rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(ticks_time(stat), Some(Duration::from_secs_f64(seconds)));
        assert_eq!(parse_ticks(stat), Some(Ticks { own: 250, kernel: 50 }));
        assert_eq!(ticks_time("42 (a"), None);
    }

    #[test]
    fn private_memory_is_clean_and_dirty() {
        let rollup = "00400000-7ffd ---p 00000000 00:00 0 [rollup]\nRss:                8000 kB\nPss: 7000 kB\n\
                      Private_Clean:       100 kB\nPrivate_Dirty:      2000 kB\n";
        assert_eq!(parse_memory(rollup), Some(Memory { resident: 8_192_000, private: 2_150_400 }));
        assert_eq!(parse_memory("Rss: 1 kB"), None);
    }

    #[test]
    fn a_core_is_not_confused_with_one_whose_number_begins_the_same() {
        let stat =
            "cpu  9 9 9 9 9 9 9 9 0 0\ncpu10 9 9 9 9 9 9 9 9 0 0\ncpu1 1 2 3 40 5 6 7 8 90 90\nintr 1\n";
        assert_eq!(parse_core(stat, 1), Some(CoreTicks { idle: 45, stolen: 8, all: 72 }));
        assert_eq!(parse_core(stat, 0), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let pid = std::process::id();
        let before = cpu_time(pid).unwrap();
        let busy = std::time::Instant::now();
        while busy.elapsed() < Duration::from_millis(50) {}
        assert!(cpu_time(pid).unwrap() > before);
        let memory = memory(pid).unwrap();
        assert!(memory.private > 0);
        // Both are counted late and in batches.
        assert!(peak_memory(pid).unwrap() + (1 << 20) >= memory.resident);
    }

    #[test]
    fn threads_that_end_meanwhile_are_no_failure() {
        let pid = std::process::id();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..2000).for_each(|_| std::thread::spawn(|| {}).join().unwrap()));
            (0..2000).for_each(|_| assert!(cpu_time(pid).is_ok()));
        });
    }

    #[test]
    fn a_thread_more_is_counted() {
        // Other tests start and end theirs meanwhile, but not as many.
        let (waiting, pid) = (std::sync::Arc::new(std::sync::Barrier::new(101)), std::process::id());
        let before = threads(pid).unwrap();
        let all: Vec<_> = (0..100)
            .map(|_| {
                let waiting = waiting.clone();
                std::thread::spawn(move || waiting.wait().is_leader())
            })
            .collect();
        let during = threads(pid).unwrap();
        waiting.wait();
        for thread in all {
            thread.join().unwrap();
        }
        assert!(during > before + 50, "{before} {during}");
    }
}
