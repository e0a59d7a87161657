//! The table of a sidecar among few and among many.

use super::numbers::{grouped, number, ratio, spread};
use super::tables::head;
use crate::results::Results;
use crate::scale::{CROWD, LEFT_ALONE, Look, World, WorldSample};
use crate::stats::Spread;

/// What is said before the table.
pub(super) fn text() -> String {
    format!(
        "Of one sidecar among 3, and of one among 300, all of them real. It is told of no other one: it knows those that it\n\
         has forwarded to, by the tags in their sids. CPU time is its own, without the owner's, of one request at a time.\n\
         *Connected* is after a request of each other one's session was forwarded to it, and each has forwarded one here. In a\n\
         *crowd*, {} polls of the others' sessions wait at the same time, and then are answered: of the connections that\n\
         they took, it keeps no more than a bound for each owner and one for all. *Left alone* is {} s later.",
        number(CROWD as f64),
        LEFT_ALONE.as_secs()
    )
}

/// The table, empty where nothing was measured.
pub(super) fn table(results: &Results) -> String {
    let sample =
        |world: World| results.scale.iter().find(|(id, _)| id == world.id()).map(|(_, sample)| sample);
    let samples: Vec<(World, &WorldSample)> =
        World::ALL.into_iter().filter_map(|world| Some((world, sample(world)?))).collect();
    if samples.is_empty() {
        return String::new();
    }
    let row = |what: &str, value: &dyn Fn(&WorldSample) -> String, ratio: String| {
        let cells: Vec<String> = samples.iter().map(|(_, sample)| value(sample)).chain([ratio]).collect();
        format!("| {what} | {} |\n", cells.join(" | "))
    };
    let plain = |what, value: &dyn Fn(&WorldSample) -> String| row(what, value, String::new());
    let cpu = |what, value: fn(&WorldSample) -> &Vec<f64>| {
        let of = |world| sample(world).map(|it| value(it).iter().copied().map(Some).collect::<Vec<_>>());
        let both = of(World::Many).zip(of(World::Few));
        let ratio = both.map_or_else(String::new, |(many, few)| ratio(Spread::of_ratios(&many, &few)));
        row(what, &|it| spread(Spread::of(value(it).iter().copied())), ratio)
    };
    let rows = [
        plain("threads", &|it| it.threads.to_string()),
        plain("memory at rest", &|it| mebibytes(it.at_rest.resident)),
        cpu("CPU per local hit, µs", |it| &it.local_us),
        cpu("CPU per forwarded hit, always to the same owner, µs", |it| &it.one_owner_us),
        cpu("CPU per forwarded hit, to the next owner each time, µs", |it| &it.each_owner_us),
        plain("memory after local hits", &|it| mebibytes(it.used.resident)),
        plain("connected: connections to owners, from others", &|it| connections(&it.connected)),
        plain("connected: memory", &|it| mebibytes(it.connected.resident)),
        plain("connected: bytes for each connection", &|it| {
            each(it).map_or("too few to tell".to_owned(), number)
        }),
        plain("a crowd waits: memory", &|it| mebibytes(it.waiting.resident)),
        plain("after a crowd: connections to owners, from others", &|it| connections(&it.crowded)),
        plain("after a crowd: memory", &|it| mebibytes(it.crowded.resident)),
        plain("left alone: connections to owners, from others", &|it| connections(&it.left_alone)),
        plain("left alone: memory", &|it| mebibytes(it.left_alone.resident)),
    ];
    let titles = samples.iter().map(|(world, _)| world.title().to_owned());
    head("", titles.chain(["ratio".to_owned()])) + &rows.concat()
}

/// What a connection takes, where there are enough to tell: memory comes in pages.
fn each(sample: &WorldSample) -> Option<f64> {
    let enough = sample.connected.connections() >= 100.0;
    enough.then(|| sample.connected.each_since(&sample.used))?
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0)
}

fn connections(look: &Look) -> String {
    format!("{}, {}", grouped(look.to_owners), grouped(look.from_others))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_connection_takes_is_told_where_there_are_enough() {
        let look = |private, to_owners| Look { resident: 6 << 20, private, to_owners, from_others: 1.0 };
        let sample = |connections| WorldSample {
            threads: 1,
            local_us: vec![20.0],
            one_owner_us: vec![40.0],
            each_owner_us: vec![50.0],
            at_rest: look(1_000_000, 0.0),
            used: look(1_000_000, 0.0),
            connected: look(6_000_000, connections),
            waiting: look(0, 0.0),
            crowded: look(0, 1024.0),
            left_alone: look(0, 0.0),
        };
        assert_eq!(table(&Results::default()), "");
        let scale = [(World::Few, sample(2.0)), (World::Many, sample(250.0))];
        let scale = scale.map(|(world, sample)| (world.id().to_owned(), sample)).into();
        let table = table(&Results { scale, ..Results::default() });
        for row in [
            "| CPU per local hit, µs | 20.0 | 20.0 | 1.00× |",
            "| connected: bytes for each connection | too few to tell | 20,000 |  |",
            "| after a crowd: connections to owners, from others | 1,024, 1 | 1,024, 1 |  |",
        ] {
            assert!(table.contains(row), "{table}");
        }
    }
}
