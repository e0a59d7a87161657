//! The plot: CPU time per answer, as a ratio to HAProxy where it is there, bar by bar.

use super::numbers::ratio;
use crate::programs::Peer;
use crate::results::Results;
use crate::stats::Spread;
use crate::subject::Subject;
use crate::svg::{Anchor, Picture};
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
    let mut picture = Picture::default();
    let title = "CPU time per answer, as a ratio to HAProxy: median, least and greatest round";
    picture.text(20.0, 20.0, Anchor::Start, title);
    let mut left = 20.0;
    for (subject, colour) in BARS {
        picture.bar((left, 34.0), (12.0, 12.0), colour);
        picture.text(left + 18.0, 44.0, Anchor::Start, subject.title());
        // A letter is some 7 wide.
        left += 50.0 + 7.0 * subject.title().len() as f64;
    }
    let mut y = TOP;
    for work in WORKS {
        let reference = results.cpu(work, Loop::Closed, REFERENCE);
        let bars: Vec<_> = BARS
            .iter()
            .filter_map(|(subject, colour)| {
                let cpu = results.cpu(work, Loop::Closed, *subject);
                Some((*colour, Spread::of_ratios(&cpu, &reference)?))
            })
            .collect();
        if bars.is_empty() {
            continue;
        }
        let middle = y + BAR * bars.len() as f64 / 2.0 + 4.0;
        picture.text(LEFT - 10.0, middle, Anchor::End, work.title());
        for (colour, spread) in &bars {
            bar(&mut picture, y, colour, *spread);
            y += BAR;
        }
        y += GAP;
    }
    let one = x(1.0);
    picture.dashed((one, TOP - 6.0), (one, y - 8.0), "#999");
    picture.finish(WIDTH, y + 8.0)
}

fn x(value: f64) -> f64 {
    LEFT + value.clamp(0.0, LONGEST) / LONGEST * (WIDTH - LEFT - RIGHT)
}

fn bar(picture: &mut Picture, y: f64, colour: &str, spread: Spread) {
    let (start, end, middle) = (x(0.0), x(spread.median), y + BAR / 2.0);
    let (least, greatest) = (x(spread.least), x(spread.greatest));
    picture.bar((start, y + 1.0), (end - start, BAR - 2.0), colour);
    picture.line((least, middle), (greatest, middle), "#222");
    picture.text(end.max(greatest) + 6.0, middle + 4.0, Anchor::Start, &ratio(Some(spread)));
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
