//! The page `docs/performance-operator.md`, and its plot.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cli::Cli;
use crate::measure::Row;
use crate::say;

/// What the operator is to keep to, at the greatest size.
const RESTART_GOAL: Duration = Duration::from_secs(10);
const MEMORY_GOAL: u64 = 64 * 1024;
const CHANGE_GOAL: Duration = Duration::from_secs(1);

/// Writes both, and prints the page.
///
/// # Errors
/// They cannot be written.
pub(crate) fn write(cli: &Cli, rows: &[Row], operator: &str, kubernetes: &str) -> Result<()> {
    let plot = cli.out.with_extension("svg");
    let name = plot.file_name().context("--out names no file")?.to_string_lossy().into_owned();
    let page = page(cli, rows, operator, kubernetes, &name);
    fs::write(&plot, self::plot(rows)).with_context(|| format!("{} cannot be written", plot.display()))?;
    fs::write(&cli.out, &page).with_context(|| format!("{} cannot be written", cli.out.display()))?;
    say(&format!("wrote {} and {}", cli.out.display(), plot.display()));
    print!("{page}");
    Ok(())
}

/// The value below which a share of ascending ones is.
fn percentile(ascending: &[Duration], percent: usize) -> Duration {
    let index = (ascending.len() * percent).div_ceil(100).max(1) - 1;
    ascending.get(index).copied().unwrap_or_default()
}

fn mebibytes(kibibytes: u64) -> String {
    format!("{:.1}", kibibytes as f64 / 1024.0)
}

fn page(cli: &Cli, rows: &[Row], operator: &str, kubernetes: &str, plot: &str) -> String {
    let mut page = format!(
        "# What the operator costs\n\n\
        Written by `make bench-operator` on {} with {operator}, Kubernetes {kubernetes} and {} pods for each SocketIoCluster, on a \
        machine with {} cores. The API server and its store are real, and share these cores with the operator; pods are objects \
        without a kubelet, whose part and that of the sidecars a program plays.\n\n\
        | SocketIoClusters | made ready at first in | restart until all were looked at | most memory, MiB | memory at rest, MiB | writes a minute at rest \
        | requests a minute at rest | CPU a minute at rest | a changed pod shows, median | p99 | most |\n\
        | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        cli.pods,
        std::thread::available_parallelism().map_or(0, usize::from),
    );
    for row in rows {
        let Row {
            size,
            cutover,
            restart,
            memory,
            memory_at_rest,
            writes_at_rest,
            requests_at_rest,
            cpu_at_rest,
            changes,
            ..
        } = row;
        let [median, p99, most] = [50, 99, 100].map(|percent| percentile(changes, percent).as_millis());
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| {size} | {:.0} s | {:.1} s | {} | {} | {writes_at_rest:.0} | {requests_at_rest:.0} | {:.2} s | {median} ms | {p99} ms | {most} ms |",
            cutover.as_secs_f64(),
            restart.as_secs_f64(),
            mebibytes(memory.peak.max(memory_at_rest.peak)),
            mebibytes(memory_at_rest.resident),
            cpu_at_rest.as_secs_f64(),
        );
    }
    let _ = write!(page, "\n![Growth]({plot})\n\n");
    if let Some(row) = rows.last() {
        page += &goals(row);
        page += &requests(row);
    }
    page
}

fn goals(row: &Row) -> String {
    let p99 = percentile(&row.changes, 99);
    let peak = row.memory.peak.max(row.memory_at_rest.peak);
    let met = |met: bool| if met { "met" } else { "not met" };
    format!(
        "## Goals, with {} SocketIoClusters\n\n| what | goal | measured | |\n| --- | --- | --- | --- |\n\
        | restart over programmed objects until all were looked at | ≤ {RESTART_GOAL:?} | {:.1} s | {} |\n\
        | resident memory, the most | ≤ {} MiB | {} MiB | {} |\n\
        | writes at rest, without Leases | 0 a minute | {:.0} a minute | {} |\n\
        | a changed pod shows, p99 of {} | ≤ {CHANGE_GOAL:?} | {:.2} s | {} |\n\n",
        row.size,
        row.restart.as_secs_f64(),
        met(row.restart <= RESTART_GOAL),
        MEMORY_GOAL / 1024,
        mebibytes(peak),
        met(peak <= MEMORY_GOAL),
        row.writes_at_rest,
        met(row.writes_at_rest < 0.5),
        row.changes.len(),
        p99.as_secs_f64(),
        met(p99 <= CHANGE_GOAL),
    )
}

fn requests(row: &Row) -> String {
    let mut text = format!(
        "## Requests of a pass\n\nAs the API server counts them over the restart with {} SocketIoClusters, divided by the passes.\n\n\
        | request | for each pass |\n| --- | ---: |\n",
        row.size
    );
    for (name, count) in &row.requests {
        let _ = writeln!(text, "| {name} | {count:.3} |");
    }
    text
}

/// Two curves beside each other, over the logarithm of the size.
fn plot(rows: &[Row]) -> String {
    let restart: Vec<_> = rows.iter().map(|row| (row.size, row.restart.as_secs_f64())).collect();
    let memory: Vec<_> =
        rows.iter().map(|row| (row.size, row.memory_at_rest.resident as f64 / 1024.0)).collect();
    let curves = [("restart, s", restart), ("memory at rest, MiB", memory)];
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"300\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"720\" height=\"300\" fill=\"white\"/>\n",
    );
    for (left, (title, points)) in [50.0, 410.0].into_iter().zip(curves) {
        curve(&mut svg, left, title, &points);
    }
    svg += "</svg>\n";
    svg
}

fn curve(svg: &mut String, left: f64, title: &str, points: &[(u32, f64)]) {
    const WIDTH: f64 = 280.0;
    const TOP: f64 = 50.0;
    const HEIGHT: f64 = 190.0;
    let most = points.iter().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
    let log = |size: u32| f64::from(size.max(1)).ln();
    let (first, last) = (log(points.first().map_or(1, |it| it.0)), log(points.last().map_or(1, |it| it.0)));
    let x = |size: u32| left + WIDTH * (log(size) - first) / (last - first).max(f64::MIN_POSITIVE);
    let y = |value: f64| TOP + HEIGHT * (1.0 - value / most);
    let bottom = TOP + HEIGHT;
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"30\">{title}</text>");
    let _ =
        writeln!(svg, "<path d=\"M{left} {TOP}V{bottom}H{}\" fill=\"none\" stroke=\"#888\"/>", left + WIDTH);
    let line: Vec<_> =
        points.iter().map(|(size, value)| format!("{:.1},{:.1}", x(*size), y(*value))).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#1a6\" stroke-width=\"2\"/>",
        line.join(" ")
    );
    for (size, value) in points {
        let (x, y) = (x(*size), y(*value));
        let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#1a6\"/>");
        let _ =
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value:.1}</text>", y - 8.0);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{size}</text>",
            bottom + 18.0
        );
    }
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
