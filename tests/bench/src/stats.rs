//! The few statistics that the results need: percentiles, and medians with their spread.
//!
//! # Invariants
//! - A percentile is a value that was measured (nearest rank), never one between two.
//! - A spread is the least and the greatest of the rounds: with five of them, anything finer would pretend.

use serde::{Deserialize, Serialize};

/// The value below or at which `percent` of the sorted values are, or `None` of no values.
#[must_use]
pub fn percentile<T: Copy + Ord>(sorted: &[T], percent: usize) -> Option<T> {
    debug_assert!(sorted.is_sorted());
    let rank = (percent * sorted.len()).div_ceil(100);
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// The median of the rounds, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one, or the mean of the middle two.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// Of these values, or `None` where there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let above = *values.get(middle)?;
        let median = match values.len() % 2 {
            1 => above,
            _ => f64::midpoint(*values.get(middle - 1)?, above),
        };
        Some(Self { median, least, greatest })
    }

    /// Of the ratios of two measurements that were made in the same rounds. A round that lacks either
    /// does not count.
    #[must_use]
    pub fn of_ratios(of: &[Option<f64>], to: &[Option<f64>]) -> Option<Self> {
        Self::of(of.iter().zip(to).filter_map(|(of, to)| Some((*of)? / (*to)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_measured_value() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&values, 50), Some(50));
        assert_eq!(percentile(&values, 99), Some(99));
        assert_eq!(percentile(&values, 100), Some(100));
        assert_eq!(percentile(&values, 0), Some(1));
        assert_eq!(percentile(&[7], 99), Some(7));
        assert_eq!(percentile(&[1, 1000], 99), Some(1000));
        assert_eq!(percentile::<u64>(&[], 50), None);
    }

    #[test]
    fn a_spread_has_the_middle_and_both_ends() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, greatest: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]), Some(Spread { median: 2.5, least: 1.0, greatest: 4.0 }));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_of_the_same_round_and_skip_what_is_missing() {
        let of = [Some(1.0), Some(3.0), None, Some(8.0)];
        let to = [Some(2.0), Some(3.0), Some(5.0), None];
        assert_eq!(Spread::of_ratios(&of, &to), Some(Spread { median: 0.75, least: 0.5, greatest: 1.0 }));
    }

    #[test]
    fn a_division_by_zero_is_no_ratio() {
        assert_eq!(Spread::of_ratios(&[Some(1.0)], &[Some(0.0)]), None);
    }
}
