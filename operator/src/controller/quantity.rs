//! Kubernetes quantities: a decimal number, and a suffix or an exponent. Pure, and on the ground floor.

/// Suffixes of quantities, each with its factor.
const SUFFIXES: [(&str, f64); 16] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("", 1.0),
];

/// The amount that a quantity stands for. `None` where the API server cannot read the quantity as an amount.
pub(crate) fn amount(quantity: &str) -> Option<f64> {
    let end = quantity.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (number, rest) = quantity.split_at(end.unwrap_or(quantity.len()));
    let amount = match SUFFIXES.iter().find(|(suffix, _)| *suffix == rest) {
        Some((_, factor)) => number.parse::<f64>().ok()? * factor,
        None => {
            // An exponent takes the place of a suffix.
            rest.strip_prefix(['e', 'E'])?.parse::<i16>().ok()?;
            quantity.parse().ok()?
        }
    };
    amount.is_finite().then_some(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_a_suffix_or_an_exponent() {
        for (quantity, expected) in [
            ("0", 0.0),
            ("0.5", 0.5),
            ("1.", 1.0),
            (".5", 0.5),
            ("500m", 0.5),
            ("64Mi", 67_108_864.0),
            ("1e3", 1e3),
            ("1E-3", 1e-3),
            ("1e+3", 1e3),
            ("2E", 2e18),
        ] {
            assert_eq!(amount(quantity), Some(expected), "{quantity}");
        }
        for quantity in [
            "", ".", "-1", "+1", "much", "inf", "nan", "1e400", "1e", "1e3Mi", "1eMi", "1 Mi", "64MiB", "é",
            "1_0",
        ] {
            assert_eq!(amount(quantity), None, "{quantity}");
        }
    }
}
