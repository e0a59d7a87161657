//! How it grows, as an SVG.

use std::fmt::Write;

use crate::measure::Row;

/// Curves beside each other, over the logarithm of the size.
pub(super) fn plot(rows: &[Row]) -> String {
    let over = |value: fn(&Row) -> f64| rows.iter().map(|row| (row.size, value(row))).collect::<Vec<_>>();
    let curves = [
        ("restart, s", over(|row| row.restart.as_secs_f64())),
        ("most memory, MiB", over(|row| row.most_memory() as f64 / 1024.0)),
        ("requests a minute at rest", over(|row| row.requests_at_rest)),
    ];
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1080\" height=\"300\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"1080\" height=\"300\" fill=\"white\"/>\n",
    );
    for (left, (title, points)) in [50.0, 410.0, 770.0].into_iter().zip(curves) {
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
    let decimals = usize::from(most < 1000.0);
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"30\">{title}, by SocketIoClusters</text>");
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
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value:.decimals$}</text>",
            y - 8.0,
        );
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
    fn a_curve_goes_from_the_first_size_to_the_last_and_up_to_the_most() {
        let mut svg = String::new();
        curve(&mut svg, 50.0, "memory", &[(10, 5.0), (100, 10.0), (1000, 20.0)]);
        assert!(svg.contains("points=\"50.0,192.5 190.0,145.0 330.0,50.0\""), "{svg}");
    }
}
