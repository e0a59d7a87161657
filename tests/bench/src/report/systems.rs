//! The table of whole systems.

use super::numbers::{ratio, spread};
use super::tables::head;
use crate::results::{Results, SystemSeries};
use crate::stats::Spread;
use crate::system::System;
use crate::system::measure::{CLIENTS, RATE, SystemSample, Talk};

/// Takes one number of a sample.
type Pick = fn(&SystemSample) -> Option<f64>;

/// The rows: what is shown, and how it is found. A thousand times a microsecond is a millisecond.
const ROWS: [(&str, Pick); 14] = [
    ("polling, round trip, p50, ms", |it| Some(it.polling.round_trip.p50_us / 1e3)),
    ("polling, round trip, p99, ms", |it| Some(it.polling.round_trip.p99_us / 1e3)),
    ("polling, CPU per 1,000 messages, servers, ms", |it| Some(it.polling.servers_us)),
    ("polling, CPU per 1,000 messages, sidecars, ms", |it| it.polling.sidecars_us),
    ("polling, CPU per 1,000 messages, together, ms", |it| Some(it.polling.pods_us())),
    ("WebSocket, round trip, p50, ms", |it| Some(it.websocket.round_trip.p50_us / 1e3)),
    ("WebSocket, round trip, p99, ms", |it| Some(it.websocket.round_trip.p99_us / 1e3)),
    ("WebSocket, CPU per 1,000 messages, servers, ms", |it| Some(it.websocket.servers_us)),
    ("WebSocket, CPU per 1,000 messages, sidecars, ms", |it| it.websocket.sidecars_us),
    ("WebSocket, CPU per 1,000 messages, together, ms", |it| Some(it.websocket.pods_us())),
    ("connect over polling, p50, ms", |it| Some(it.connect_polling.p50_us / 1e3)),
    ("connect over polling, p99, ms", |it| Some(it.connect_polling.p99_us / 1e3)),
    ("connect over WebSocket, p50, ms", |it| Some(it.connect_websocket.p50_us / 1e3)),
    ("connect over WebSocket, p99, ms", |it| Some(it.connect_websocket.p99_us / 1e3)),
];

/// What is said before the table.
pub(super) fn text(results: &Results) -> String {
    let mut text = format!(
        "Real Socket.IO servers and clients: {CLIENTS} clients, who send {RATE} messages a second for {} s, each of which is\n\
         acknowledged. A connect is complete when the client may send; one comes after the other. All pods share one core here.",
        results.talk
    );
    let samples = results.systems.iter().flat_map(|series| series.samples.iter().flatten());
    let talks: Vec<&Talk> = samples.flat_map(|sample| [&sample.polling, &sample.websocket]).collect();
    if !talks.is_empty() {
        let most = |pick: fn(&Talk) -> f64| 100.0 * talks.iter().map(|talk| pick(talk)).fold(0.0, f64::max);
        text.push_str(&format!(
            "\nOf their core they used {:.0} % at most, and the clients {:.0} % of theirs.",
            most(|talk| talk.pods_used),
            most(|talk| talk.clients_used)
        ));
    }
    let forwarded = results.of_system(System::RoundRobin, |it| it.forwarded);
    if let Some(forwarded) = Spread::of(forwarded.into_iter().flatten()) {
        let percent = 100.0 * forwarded.median;
        text.push_str(&format!(" Sidecars forwarded {percent:.0} % of what came from clients."));
    }
    text
}

/// The table, with what has failed below. Empty where nothing was tried.
pub(super) fn table(results: &Results) -> String {
    let measured = |system: &System| {
        results.system(*system).is_some_and(|series| series.samples.iter().any(Option::is_some))
    };
    let systems: Vec<System> = System::ALL.into_iter().filter(measured).collect();
    let mut table = String::new();
    if !systems.is_empty() {
        let pairs: [(System, System); 2] =
            [(System::RoundRobin, System::OnePod), (System::RoundRobin, System::ThreePods)];
        let pairs: Vec<_> =
            pairs.into_iter().filter(|(of, to)| systems.contains(of) && systems.contains(to)).collect();
        let titles = systems.iter().map(|system| system.title().to_owned());
        let ratios = pairs.iter().map(|(of, to)| format!("{} / {}", of.short(), to.short()));
        table.push_str(&head("", titles.chain(ratios)));
        for (what, pick) in ROWS {
            let seen = systems.iter().map(|system| results.of_system(*system, pick));
            let seen = seen.map(|seen| Spread::of(seen.into_iter().flatten()).map(|seen| spread(Some(seen))));
            let ratios = pairs.iter().map(|(of, to)| {
                Spread::of_ratios(&results.of_system(*of, pick), &results.of_system(*to, pick))
                    .map(|seen| ratio(Some(seen)))
            });
            let cells: Vec<String> = seen.chain(ratios).map(Option::unwrap_or_default).collect();
            table.push_str(&format!("| {what} | {} |\n", cells.join(" | ")));
        }
    }
    for series in &results.systems {
        table.push_str(&failure(series).unwrap_or_default());
    }
    table
}

fn failure(series: &SystemSeries) -> Option<String> {
    let why = series.failure.as_ref()?.replace('\n', " ");
    let failed = series.samples.iter().filter(|sample| sample.is_none()).count();
    let system = System::ALL.into_iter().find(|system| system.id() == series.system)?;
    let (title, rounds) = (system.title(), series.samples.len());
    Some(format!("\nFailed in {failed} of {rounds} rounds: {title}. At last: {why}.\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::measure::Times;

    fn sample(p50_us: f64, sidecars_us: Option<f64>) -> SystemSample {
        let times = Times { p50_us, p99_us: 2.0 * p50_us };
        let talk =
            Talk { round_trip: times, servers_us: 400.0, sidecars_us, pods_used: 0.2, clients_used: 0.1 };
        SystemSample {
            polling: talk.clone(),
            websocket: talk,
            connect_polling: times,
            connect_websocket: times,
            forwarded: sidecars_us.map(|_| 0.625),
        }
    }

    #[test]
    fn a_system_is_shown_beside_the_others_of_its_rounds() {
        let mut results = Results::default();
        for round in [1.0, 2.0] {
            results.add_system(System::OnePod, Ok(sample(1000.0 * round, None)));
            results.add_system(System::RoundRobin, Ok(sample(1500.0 * round, Some(200.0))));
        }
        let table = table(&results);
        let row = |what: &str| table.lines().find(|line| line.starts_with(&format!("| {what} |"))).unwrap();
        let expected = "| 1.50 (1.00–2.00) | 2.25 (1.50–3.00) | 1.50× |";
        assert!(row("polling, round trip, p50, ms").ends_with(expected), "{table}");
        assert!(row("polling, CPU per 1,000 messages, sidecars, ms").ends_with("|  | 200 |  |"), "{table}");
        assert!(
            row("polling, CPU per 1,000 messages, together, ms").ends_with("| 400 | 600 | 1.50× |"),
            "{table}"
        );
        assert!(text(&results).ends_with("Sidecars forwarded 62 % of what came from clients."));
    }

    #[test]
    fn what_failed_is_said() {
        let mut results = Results::default();
        assert_eq!(table(&results), "");
        results.add_system(System::OnePod, Err("it\nbroke".to_owned()));
        assert_eq!(table(&results), "\nFailed in 1 of 1 rounds: one pod. At last: it broke.\n");
        results.add_system(System::OnePod, Ok(sample(1000.0, None)));
        assert!(
            table(&results).ends_with("| 2.00 |\n\nFailed in 1 of 2 rounds: one pod. At last: it broke.\n")
        );
    }
}
