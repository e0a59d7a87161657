//! The plot: CPU time per answer, as a ratio to HAProxy where it is there, bar by bar. Written as SVG by
//! hand; it is but rectangles, lines and text.

use super::numbers::ratio;
use crate::programs::Peer;
use crate::results::Results;
use crate::stats::Spread;
use crate::subject::Subject;
use crate::work::{Loop, Work};

const WORKS: [Work; 7] = [
    Work::PollSmall,
    Work::PollMiddle,
    Work::PostSmall,
    Work::EchoSmall,
    Work::EchoMiddle,
    Work::Handshake,
    Work::Churn,
];
const BARS: [(Subject, &str); 5] = [
    (Subject::Local, "#1f6feb"),
    (Subject::Forwarded, "#8cbcff"),
    (Subject::Peer(Peer::Nginx), "#2a9d4a"),
    (Subject::Peer(Peer::Haproxy), "#c98a1b"),
    (Subject::Peer(Peer::Envoy), "#a0529c"),
];
const REFERENCE: Subject = Subject::Peer(Peer::Haproxy);

const WIDTH: f64 = 900.0;
const LEFT: f64 = 200.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 64.0;
const BAR: f64 = 13.0;
const GAP: f64 = 16.0;
/// What is longer is cut off, so that the others can be told apart; its number is written all the same.
const LONGEST: f64 = 3.0;

/// The whole picture.
pub(crate) fn plot(results: &Results) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for work in WORKS {
        let reference = results.cpu(work, Loop::Closed, REFERENCE);
        let bars: Vec<_> = BARS
            .iter()
            .filter_map(|(subject, colour)| {
                let cpu = results.cpu(work, Loop::Closed, *subject);
                Some((*subject, *colour, Spread::of_ratios(&cpu, &reference)?))
            })
            .collect();
        if bars.is_empty() {
            continue;
        }
        let middle = y + BAR * bars.len() as f64 / 2.0 + 4.0;
        body.push_str(&text(LEFT - 10.0, middle, "end", work.title()));
        for (_, colour, spread) in &bars {
            body.push_str(&bar(y, colour, *spread));
            y += BAR;
        }
        y += GAP;
    }
    let height = y + 8.0;
    let one = x(1.0);
    let mut left = 20.0;
    let legend: String = BARS
        .iter()
        .map(|(subject, colour)| {
            let at = left;
            // A letter is some 7 wide.
            left += 50.0 + 7.0 * subject.title().len() as f64;
            format!("<rect x=\"{at}\" y=\"34\" width=\"12\" height=\"12\" fill=\"{colour}\"/>")
                + &text(at + 18.0, 44.0, "start", subject.title())
        })
        .collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#222\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n{}{legend}\n\
         <line x1=\"{one}\" x2=\"{one}\" y1=\"{}\" y2=\"{}\" stroke=\"#999\" stroke-dasharray=\"3 3\"/>\n{body}</svg>\n",
        text(
            20.0,
            20.0,
            "start",
            "CPU time per answer, as a ratio to HAProxy: median, least and greatest round"
        ),
        TOP - 6.0,
        height - 16.0,
    )
}

fn x(value: f64) -> f64 {
    LEFT + value.clamp(0.0, LONGEST) / LONGEST * (WIDTH - LEFT - RIGHT)
}

fn bar(y: f64, colour: &str, spread: Spread) -> String {
    let (start, end) = (x(0.0), x(spread.median));
    let (least, greatest, middle) = (x(spread.least), x(spread.greatest), y + BAR / 2.0);
    format!(
        "<rect x=\"{start:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\
         <line x1=\"{least:.1}\" x2=\"{greatest:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" stroke=\"#222\"/>{}\n",
        y + 1.0,
        end - start,
        BAR - 2.0,
        text(end.max(greatest) + 6.0, middle + 4.0, "start", &ratio(Some(spread))),
    )
}

/// The texts are this program's own, and hold nothing to be escaped.
fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_nothing_is_still_a_picture() {
        let picture = plot(&Results::default());
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    }

    #[test]
    fn a_long_bar_stays_in_the_picture() {
        assert!(x(100.0) <= WIDTH - RIGHT);
        assert!(x(-1.0) >= LEFT);
    }
}
