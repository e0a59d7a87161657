//! What a person reads while waiting: one line per step on standard error.

use std::fmt::Arguments;
use std::time::Duration;

/// Says one line, so that it can be told apart from the command's own output.
pub(crate) fn say(line: Arguments<'_>) {
    eprintln!("cluster: {line}");
}

/// A duration as people write it: `4.2 s`, `3 min 05 s`.
pub(crate) fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f32())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(elapsed(Duration::from_millis(4210)), "4.2 s");
        assert_eq!(elapsed(Duration::from_secs(185)), "3 min 05 s");
    }
}
