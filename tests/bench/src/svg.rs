//! Plots as SVG, written by hand: they are but rectangles, lines and texts.

use std::fmt::Write;

/// Where a text is, as seen from its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Right of it.
    Start,
    /// Around it.
    Middle,
    /// Left of it.
    End,
}

/// A picture in the making. Writing into memory cannot fail, so nothing here does.
#[derive(Debug, Default)]
pub struct Picture {
    body: String,
}

impl Picture {
    /// Adds a text whose baseline is at `y`.
    pub fn text(&mut self, x: f64, y: f64, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
    }

    /// Adds a filled rectangle whose upper left corner is at `x` and `y`.
    pub fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), colour: &str) {
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        );
    }

    /// Adds a thin line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str) {
        self.line_with(from, to, colour, "");
    }

    /// Adds a thin dashed line.
    pub fn dashed(&mut self, from: (f64, f64), to: (f64, f64), colour: &str) {
        self.line_with(from, to, colour, " stroke-dasharray=\"3 3\"");
    }

    fn line_with(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, more: &str) {
        let _ = writeln!(
            self.body,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"{more}/>",
            from.0, from.1, to.0, to.1
        );
    }

    /// The whole picture, of this size, on white.
    #[must_use]
    pub fn finish(self, width: f64, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\" fill=\"#222\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n{}</svg>\n",
            self.body
        )
    }
}

/// Curves beside each other, each with its title and points, over the logarithm of a size. All numbers are
/// written beside their points.
#[must_use]
pub fn curves(curves: &[(&str, Vec<(u32, f64)>)]) -> String {
    const EACH: f64 = 360.0;
    let mut picture = Picture::default();
    let mut left = 50.0;
    for (title, points) in curves {
        curve(&mut picture, left, title, points);
        left += EACH;
    }
    picture.finish(left - 50.0, 300.0)
}

fn curve(picture: &mut Picture, left: f64, title: &str, points: &[(u32, f64)]) {
    const WIDTH: f64 = 280.0;
    const TOP: f64 = 50.0;
    const BOTTOM: f64 = 240.0;
    const COLOUR: &str = "#1a6";
    let log = |size: u32| f64::from(size.max(1)).ln();
    let ends = points.first().zip(points.last());
    let (first, last) = ends.map_or((0.0, 1.0), |(first, last)| (log(first.0), log(last.0)));
    let most = points.iter().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
    let decimals = usize::from(most < 1000.0);
    let at = |(size, value): (u32, f64)| {
        let x = left + WIDTH * (log(size) - first) / (last - first).max(f64::MIN_POSITIVE);
        (x, TOP + (BOTTOM - TOP) * (1.0 - value / most))
    };
    picture.text(left, 30.0, Anchor::Start, title);
    picture.line((left, TOP), (left, BOTTOM), "#888");
    picture.line((left, BOTTOM), (left + WIDTH, BOTTOM), "#888");
    for two in points.windows(2) {
        if let [from, to] = two {
            picture.line(at(*from), at(*to), COLOUR);
        }
    }
    for point in points {
        let (x, y) = at(*point);
        picture.bar((x - 2.5, y - 2.5), (5.0, 5.0), COLOUR);
        picture.text(x, y - 8.0, Anchor::Middle, &format!("{:.decimals$}", point.1));
        picture.text(x, BOTTOM + 18.0, Anchor::Middle, &point.0.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_nothing_is_still_a_picture() {
        for picture in [Picture::default().finish(1.0, 1.0), curves(&[]), curves(&[("a", Vec::new())])] {
            assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"), "{picture}");
            assert!(!picture.contains("NaN"), "{picture}");
        }
    }

    #[test]
    fn texts_cannot_break_a_picture() {
        let mut picture = Picture::default();
        picture.text(0.0, 0.0, Anchor::Start, "a < b & c");
        assert!(picture.finish(1.0, 1.0).contains(">a &lt; b &amp; c</text>"));
    }

    #[test]
    fn curves_show_their_points_over_the_logarithm() {
        let picture = curves(&[("MiB", vec![(10, 1.0), (100, 2.0), (1000, 4.0)])]);
        // 100 is in the middle of 10 and 1000, and the greatest value is on top.
        assert!(
            picture.contains("<text x=\"190.0\" y=\"137.0\" text-anchor=\"middle\">2.0</text>"),
            "{picture}"
        );
        assert!(
            picture.contains("<text x=\"330.0\" y=\"42.0\" text-anchor=\"middle\">4.0</text>"),
            "{picture}"
        );
        assert!(
            picture.contains("<text x=\"50.0\" y=\"184.5\" text-anchor=\"middle\">1.0</text>"),
            "{picture}"
        );
        assert!(curves(&[("requests", vec![(10, 58.0), (1000, 5833.4)])]).contains(">5833</text>"));
    }
}
