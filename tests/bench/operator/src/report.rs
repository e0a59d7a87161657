//! The page `docs/performance-operator.md`, and its plot.

mod plot;

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use socketio_affinity_bench::stats;

use crate::cli::Cli;
use crate::measure::Row;
use crate::{machine, say};
use plot::plot;

/// What the operator is to keep to, at the greatest size.
const RESTART_GOAL: Duration = Duration::from_secs(10);
const MEMORY_GOAL: u64 = 64 * 1024;
const CHANGE_GOAL: Duration = Duration::from_secs(1);
/// Requests that are fewer for a pass than this are of the start, or of the API server itself.
const OF_A_PASS: f64 = 0.1;

/// What was measured, and where.
#[derive(Debug)]
pub(crate) struct About {
    /// The operator's version.
    pub(crate) operator: String,
    /// The API server's.
    pub(crate) kubernetes: String,
    /// The load average when all began.
    pub(crate) load: String,
}

/// Writes both, and prints the page.
///
/// # Errors
/// They cannot be written.
pub(crate) fn write(cli: &Cli, rows: &[Row], about: &About) -> Result<()> {
    let plotted = cli.out.with_extension("svg");
    let name = plotted.file_name().context("--out names no file")?.to_string_lossy().into_owned();
    let page = page(cli, rows, about, &name);
    if let Some(directory) = cli.out.parent() {
        fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    fs::write(&plotted, plot(rows)).with_context(|| format!("{} cannot be written", plotted.display()))?;
    fs::write(&cli.out, &page).with_context(|| format!("{} cannot be written", cli.out.display()))?;
    say(&format!("wrote {} and {}", cli.out.display(), plotted.display()));
    print!("{page}");
    Ok(())
}

fn page(cli: &Cli, rows: &[Row], about: &About, plotted: &str) -> String {
    let mut page = format!(
        "# What the operator costs\n\n\
        <!-- Written by `make bench-operator`. Do not edit: the next run replaces it. -->\n\n\
        {}, on {}; load average {} when it began. {}, built for release; Kubernetes {}; {} pods for each\n\
        SocketIoCluster.\n\n\
        The API server and its store are real, and share the machine with the operator. Pods are objects without a\n\
        kubelet, whose part and that of the controllers and sidecars a program plays. What was tried, and what paid, is in\n\
        [decision 0007](decisions/0007-what-a-pass-reads.md).\n\n",
        jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"),
        machine::describe(),
        about.load,
        about.operator,
        about.kubernetes,
        cli.pods,
    );
    if let Some(row) = rows.last() {
        page += &goals(row);
    }
    page += &restarts(rows, plotted);
    page += &rest(rows);
    if let Some(row) = rows.last() {
        page += &requests(row);
    }
    page
}

fn goals(row: &Row) -> String {
    let p99 = percentile(&row.changes, 99);
    let met = |met: bool| if met { "**met**" } else { "not met" };
    format!(
        "## Goals, with {} SocketIoClusters\n\n| what | goal | this run | |\n| --- | --- | --- | --- |\n\
        | restart over programmed objects until all were looked at, and are Ready | ≤ {} s | {:.1} s | {} |\n\
        | resident memory, the most | ≤ {} MiB | {} MiB | {} |\n\
        | writes at rest, without Leases | 0 a minute | {:.0} a minute | {} |\n\
        | a changed pod shows, p99 of {} | ≤ {} s | {:.2} s | {} |\n\n",
        row.size,
        RESTART_GOAL.as_secs(),
        row.restart.as_secs_f64(),
        met(row.restart <= RESTART_GOAL),
        MEMORY_GOAL / 1024,
        mebibytes(row.most_memory()),
        met(row.most_memory() <= MEMORY_GOAL),
        row.writes_at_rest,
        met(row.writes_at_rest < 0.5),
        row.changes.len(),
        CHANGE_GOAL.as_secs(),
        p99.as_secs_f64(),
        met(p99 <= CHANGE_GOAL),
    )
}

fn restarts(rows: &[Row], plotted: &str) -> String {
    let mut text = format!(
        "## Growth\n\n![Growth]({plotted})\n\n\
        A restart is counted from the start of the process, whose predecessor was told to stop, until it has looked at all\n\
        objects and nothing is left to look at. The CPU time that this took says more than the time where the machine did\n\
        other things.\n\n\
        | SocketIoClusters | made ready at first in | restart | looks | CPU of the operator | of the API server and its store | most memory |\n\
        | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    );
    for row in rows {
        let (own, servers) = row.restart_cpu;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {:.0} s | {:.1} s | {:.0} | {:.2} s | {} | {} MiB |",
            row.size,
            row.cutover.as_secs_f64(),
            row.restart.as_secs_f64(),
            row.passes,
            own.as_secs_f64(),
            servers.map_or("unknown".to_owned(), |servers| format!("{:.2} s", servers.as_secs_f64())),
            mebibytes(row.most_memory()),
        );
    }
    text + "\n"
}

fn rest(rows: &[Row]) -> String {
    let mut text = String::from(
        "At rest, and how long a pod that gets unready takes to show in its object's status, half a second of which the\n\
        operator waits for more to change:\n\n\
        | SocketIoClusters | memory | writes a minute | requests a minute | CPU a minute | a changed pod shows, median | p99 | most |\n\
        | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for row in rows {
        let [median, p99, most] = [50, 99, 100].map(|percent| percentile(&row.changes, percent).as_millis());
        let _ = writeln!(
            text,
            "| {} | {} MiB | {:.0} | {:.0} | {:.2} s | {median} ms | {p99} ms | {most} ms |",
            row.size,
            mebibytes(row.memory_at_rest.resident),
            row.writes_at_rest,
            row.requests_at_rest,
            row.cpu_at_rest.as_secs_f64(),
        );
    }
    text + "\n"
}

fn requests(row: &Row) -> String {
    let mut text = format!(
        "## Requests\n\nAs the API server counts them over the restart with {} SocketIoClusters, watches left out.\n\n\
        | request | all | for each of the {:.0} looks |\n| --- | ---: | ---: |\n",
        row.size, row.passes
    );
    let (each, rest): (Vec<_>, Vec<_>) =
        row.requests.iter().partition(|(_, count)| count / row.passes >= OF_A_PASS);
    for (name, count) in &each {
        let _ = writeln!(text, "| {name} | {count:.0} | {:.2} |", count / row.passes);
    }
    let sum = |requests: &[&(String, f64)]| requests.iter().map(|(_, count)| count).sum::<f64>();
    let _ = writeln!(text, "| **together** | {:.0} | {:.2} |", sum(&each), sum(&each) / row.passes);
    let names: Vec<_> = rest.iter().map(|(name, count)| format!("{name} {count:.0}")).collect();
    let _ =
        write!(text, "\nOnce, by the operator\'s start or the API server itself: {}.\n", names.join(", "));
    text
}

/// As [`stats::percentile`]; nothing where nothing was changed.
fn percentile(ascending: &[Duration], percent: usize) -> Duration {
    stats::percentile(ascending, percent).unwrap_or_default()
}

fn mebibytes(kibibytes: u64) -> String {
    format!("{:.1}", kibibytes as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let ascending: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        let of = |percent| percentile(&ascending, percent).as_millis();
        assert_eq!((of(50), of(99), of(100)), (100, 198, 200));
        assert_eq!(percentile(&ascending[..1], 50).as_millis(), 1);
    }
}
