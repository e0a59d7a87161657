//! The tables of the page.

use std::collections::BTreeSet;

use super::numbers::{number, ratio, spread};
use crate::measure::{BUSY, Sample};
use crate::programs::Peer;
use crate::results::Results;
use crate::stats::Spread;
use crate::subject::Subject;
use crate::work::{Cell, Loop, Work};

const PROXIES: [Subject; 7] = [
    Subject::Peer(Peer::Nginx),
    Subject::Peer(Peer::Haproxy),
    Subject::Peer(Peer::Envoy),
    Subject::Local,
    Subject::Forwarded,
    Subject::Observe,
    Subject::Off,
];

/// Takes one number of a sample.
type Pick = fn(&Sample) -> Option<f64>;

/// Title, text and table of each section; the table is empty where nothing was measured.
pub(super) fn all(results: &Results) -> Vec<(&'static str, String, String)> {
    let sections = [
        (
            "CPU time",
            "Microseconds of the proxy's CPU time per answer, and per echoed message; of a forwarded hit, of both sidecars.",
            each(results, Loop::Closed, |work, subject| {
                spread(Spread::of(results.cpu(work, Loop::Closed, subject).into_iter().flatten()))
            }),
        ),
        ("CPU time, as ratios", "Of the same rounds.", ratios(results)),
        (
            "CPU time, kernel and own",
            "Of the above, what the kernel did for the proxy's system calls and what the proxy did itself. Where two make the\n\
             same calls, the kernel's part is the same, and bounds how far one can fall below the other.",
            each(results, Loop::Closed, |work, subject| kernel_and_own(results, work, subject)),
        ),
        (
            "CPU time at a fixed rate",
            "As in the first table, at the rates of the latencies below: less comes at once, so an answer mostly costs more.",
            each(results, Loop::Open, |work, subject| {
                spread(Spread::of(results.cpu(work, Loop::Open, subject).into_iter().flatten()))
            }),
        ),
        (
            "Capacity",
            "Answers per second on one core; in brackets, without their spread, where the proxy's core was not used up, so that\n\
             it bears more than that.",
            each(results, Loop::Closed, |work, subject| capacity(results, work, subject)),
        ),
        (
            "Latency",
            "Microseconds from when a request was due; of the proxies, what they add. *Overloaded*: at this rate the proxy\n\
             used at least 90 % of its core in most rounds, so requests queued.",
            latency(results),
        ),
        ("Memory", "At rest, resident. Of an idle WebSocket, bytes of memory of its own.", memory(results)),
        ("System calls", "Per answer, by strace.", calls(results)),
        (
            "Instructions and allocations",
            "Per answer in user space, with one client, by valgrind.",
            instructions(results),
        ),
    ];
    sections.map(|(title, text, table): (_, &str, _)| (title, text.to_owned(), table)).into()
}

/// The head of a table.
pub(super) fn head(first: &str, columns: impl IntoIterator<Item = String>) -> String {
    let columns: Vec<String> = columns.into_iter().collect();
    format!("| {first} | {} |\n| --- |{}\n", columns.join(" | "), " --- |".repeat(columns.len()))
}

fn titles(subjects: &[Subject]) -> impl Iterator<Item = String> {
    subjects.iter().map(|subject| subject.title().to_owned())
}

/// The proxies that this run measured.
fn measured(results: &Results) -> Vec<Subject> {
    let any = |subject: &Subject| results.series.iter().any(|series| series.subject == subject.id());
    PROXIES.into_iter().filter(any).collect()
}

fn works(results: &Results, offered: Loop) -> impl Iterator<Item = Work> {
    let cells = Cell::ALL.into_iter().filter(move |cell| cell.offered == offered);
    cells.filter(|cell| results.series.iter().any(|series| series.cell == cell.id())).map(|cell| cell.work)
}

fn each(results: &Results, offered: Loop, value: impl Fn(Work, Subject) -> String) -> String {
    let subjects = measured(results);
    let rows: String = works(results, offered)
        .map(|work| {
            let values: Vec<String> = subjects
                .iter()
                .map(|subject| match results.series(Cell { work, offered }, *subject) {
                    None => String::new(),
                    Some(series) if series.samples.iter().all(Option::is_none) => "failed".to_owned(),
                    Some(_) => value(work, *subject),
                })
                .collect();
            format!("| {} | {} |\n", work.title(), values.join(" | "))
        })
        .collect();
    if rows.is_empty() || subjects.is_empty() { String::new() } else { head("", titles(&subjects)) + &rows }
}

fn ratios(results: &Results) -> String {
    let pairs: [(Subject, Subject); 6] = [
        (Subject::Local, Subject::Peer(Peer::Nginx)),
        (Subject::Local, Subject::Peer(Peer::Haproxy)),
        (Subject::Local, Subject::Peer(Peer::Envoy)),
        (Subject::Forwarded, Subject::Local),
        (Subject::Observe, Subject::Local),
        (Subject::Off, Subject::Local),
    ];
    let subjects = measured(results);
    let pairs: Vec<_> =
        pairs.into_iter().filter(|(of, to)| subjects.contains(of) && subjects.contains(to)).collect();
    let rows: String = works(results, Loop::Closed)
        .map(|work| {
            let values: Vec<String> = pairs
                .iter()
                .map(|(of, to)| {
                    let (of, to) =
                        (results.cpu(work, Loop::Closed, *of), results.cpu(work, Loop::Closed, *to));
                    ratio(Spread::of_ratios(&of, &to))
                })
                .collect();
            format!("| {} | {} |\n", work.title(), values.join(" | "))
        })
        .collect();
    if rows.is_empty() || pairs.is_empty() {
        return String::new();
    }
    head("", pairs.iter().map(|(of, to)| format!("{} / {}", of.id(), to.id()))) + &rows
}

fn kernel_and_own(results: &Results, work: Work, subject: Subject) -> String {
    let part = |of: fn(f64) -> f64| {
        let value = move |sample: &Sample| Some(sample.cpu_us? * of(sample.kernel?));
        Spread::of(results.values(work, Loop::Closed, subject, value).into_iter().flatten())
    };
    match (part(|kernel| kernel), part(|kernel| 1.0 - kernel)) {
        (Some(kernel), Some(own)) => format!("{} + {}", number(kernel.median), number(own.median)),
        _ => "–".to_owned(),
    }
}

fn capacity(results: &Results, work: Work, subject: Subject) -> String {
    match Spread::of(results.capacity(work, subject).into_iter().flatten()) {
        Some(counted) => spread(Some(counted)),
        None => {
            let seen = results.values(work, Loop::Closed, subject, |sample| Some(sample.rate));
            Spread::of(seen.into_iter().flatten())
                .map_or("–".to_owned(), |seen| format!("[{}]", number(seen.median)))
        }
    }
}

fn latency(results: &Results) -> String {
    let subjects = measured(results);
    let mut rows = String::new();
    for work in works(results, Loop::Open) {
        let rate =
            results.rates.iter().find(|(of, _)| of == work.paced_by().title()).map_or(0, |(_, rate)| *rate);
        let percentiles: [(&str, Pick); 2] =
            [("p50", |sample| sample.p50_us), ("p99", |sample| sample.p99_us)];
        for (name, latency) in percentiles {
            let direct = results.values(work, Loop::Open, Subject::Direct, latency);
            // What is added is the difference to it.
            let Some(direct) = Spread::of(direct.into_iter().flatten()) else { continue };
            let direct = spread(Some(direct));
            let added = subjects.iter().map(|subject| {
                let failure = results.series(Cell { work, offered: Loop::Open }, *subject)?.failure.clone();
                let used = results.values(work, Loop::Open, *subject, |sample| Some(sample.used));
                if Spread::of(used.into_iter().flatten()).is_some_and(|used| used.median >= BUSY) {
                    return Some("overloaded".to_owned());
                }
                match Spread::of(results.added(work, *subject, latency).into_iter().flatten()) {
                    None => Some(failure.unwrap_or_else(|| "–".to_owned())),
                    Some(added) if added.median >= 0.0 => Some(format!("+ {}", spread(Some(added)))),
                    added => Some(spread(added)),
                }
            });
            let added: Vec<String> = added.map(Option::unwrap_or_default).collect();
            let what = format!("{}, {rate} per second, {name}", work.title());
            rows.push_str(&format!("| {what} | {direct} | {} |\n", added.join(" | ")));
        }
    }
    if rows.is_empty() || subjects.is_empty() {
        return String::new();
    }
    head("", std::iter::once(Subject::Direct.title().to_owned()).chain(titles(&subjects))) + &rows
}

fn memory(results: &Results) -> String {
    let footprints = PROXIES.map(|subject| (subject, results.footprint(subject)));
    let counts: BTreeSet<usize> =
        footprints.iter().flat_map(|(_, (_, idle))| idle.iter().map(|(count, _)| *count)).collect();
    let mut rows = String::new();
    for (subject, (resting, idle)) in footprints {
        let Some(resting) = resting else { continue };
        let of = |count: &usize| idle.iter().find(|(of, _)| of == count).map(|(_, bytes)| *bytes);
        let idle: Vec<String> = counts.iter().map(|count| spread(of(count))).collect();
        let mebibytes = resting.median / 1024.0 / 1024.0;
        rows.push_str(&format!("| {} | {mebibytes:.1} MiB | {} |\n", subject.title(), idle.join(" | ")));
    }
    if rows.is_empty() {
        return String::new();
    }
    let each = counts.iter().map(|count| format!("each of {} idle", number(*count as f64)));
    head("", std::iter::once("at rest".to_owned()).chain(each)) + &rows
}

fn calls(results: &Results) -> String {
    let mut columns: Vec<(&str, usize)> = Vec::new();
    for (_, work, calls) in &results.calls {
        if !columns.contains(&(work, calls.clients)) {
            columns.push((work, calls.clients));
        }
    }
    let mut rows = String::new();
    for subject in PROXIES {
        let of = |column: &(&str, usize)| {
            let found = results
                .calls
                .iter()
                .find(|(id, work, calls)| id == subject.id() && (work.as_str(), calls.clients) == *column);
            found.map(|(_, _, calls)| calls)
        };
        let Some(first) = columns.iter().find_map(of) else { continue };
        let totals: Vec<String> = columns
            .iter()
            .map(|column| of(column).map_or("–".to_owned(), |calls| format!("{:.1}", calls.total())))
            .collect();
        let each: Vec<String> = first.each.iter().map(|(name, count)| format!("{name} {count:.2}")).collect();
        rows.push_str(&format!("| {} | {} | {} |\n", subject.title(), totals.join(" | "), each.join(", ")));
    }
    if rows.is_empty() {
        return String::new();
    }
    let columns = columns.iter().map(|(work, clients)| format!("{work}, {clients} at once"));
    head("", columns.chain(std::iter::once("the first of these, call by call".to_owned()))) + &rows
}

fn instructions(results: &Results) -> String {
    let mut works: Vec<&str> = Vec::new();
    for (_, work, _) in &results.counted_by_valgrind {
        if !works.contains(&work.as_str()) {
            works.push(work);
        }
    }
    let mut rows = String::new();
    for subject in PROXIES {
        let of = |work: &str| {
            let found =
                results.counted_by_valgrind.iter().find(|(id, of, _)| id == subject.id() && of == work);
            found.map(|(_, _, counted)| counted)
        };
        if works.iter().all(|work| of(work).is_none()) {
            continue;
        }
        let cells: Vec<String> = works
            .iter()
            .map(|work| match of(work) {
                Some(counted) => format!("{} | {:.1}", number(counted.instructions), counted.allocations),
                None => "– | –".to_owned(),
            })
            .collect();
        rows.push_str(&format!("| {} | {} |\n", subject.title(), cells.join(" | ")));
    }
    if rows.is_empty() {
        return String::new();
    }
    let columns = works.iter().flat_map(|work| [format!("{work}: instructions"), "allocations".to_owned()]);
    head("", columns) + &rows
}
