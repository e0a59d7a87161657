//! Numbers for readers.

use crate::stats::Spread;

/// A number with about three digits that matter.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        1000.0.. => grouped(value),
        100.0..1000.0 => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The median, with both ends in brackets unless there is but one round.
pub(super) fn spread(spread: Option<Spread>) -> String {
    let Some(spread) = spread else { return "–".to_owned() };
    let median = number(spread.median);
    if spread.least == spread.greatest {
        median
    } else {
        format!("{median} ({}–{})", number(spread.least), number(spread.greatest))
    }
}

/// As [`spread`], of a ratio.
pub(super) fn ratio(spread: Option<Spread>) -> String {
    let Some(spread) = spread else { return "–".to_owned() };
    if spread.least == spread.greatest {
        format!("{:.2}×", spread.median)
    } else {
        format!("{:.2}× ({:.2}–{:.2})", spread.median, spread.least, spread.greatest)
    }
}

/// A whole number.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        assert_eq!(number(0.123), "0.12");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(123.4), "123");
        assert_eq!(number(1_234_567.0), "1,234,567");
        assert_eq!(number(-1234.0), "-1,234");
    }

    #[test]
    fn one_round_has_no_spread() {
        assert_eq!(ratio(Spread::of([0.5])), "0.50×");
        assert_eq!(ratio(Spread::of([0.5, 1.0, 2.0])), "1.00× (0.50–2.00)");
        assert_eq!(spread(None), "–");
    }
}
