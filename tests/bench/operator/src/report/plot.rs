//! How it grows, as an SVG.

use socketio_affinity_bench::svg;

use crate::measure::Row;

/// Curves beside each other, over the logarithm of the size.
pub(super) fn plot(rows: &[Row]) -> String {
    let over = |value: fn(&Row) -> f64| rows.iter().map(|row| (row.size, value(row))).collect::<Vec<_>>();
    svg::curves(&[
        ("restart, s, by SocketIoClusters (logarithmic)", over(|row| row.restart.as_secs_f64())),
        (
            "most memory, MiB, by SocketIoClusters (logarithmic)",
            over(|row| row.most_memory() as f64 / 1024.0),
        ),
        ("requests a minute at rest, by SocketIoClusters (logarithmic)", over(|row| row.requests_at_rest)),
    ])
}
