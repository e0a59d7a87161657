//! Two results side by side, for a terminal of 80 columns.

use std::fmt::Write;

use support::deployment::{ModeSummary, Summary};

/// What to try while the cluster is up.
pub(crate) const NEXT_STEPS: &str = "\
The cluster is up until Ctrl-C. From another terminal, here:

  target/debug/cluster exec -- kubectl -n chat get socketiocluster,pods
  target/debug/cluster exec -- kubectl -n chat describe socketiocluster chat
  target/debug/cluster exec -- kubectl -n chat scale deployment chat --replicas=5
  target/debug/cluster exec -- kubectl -n chat logs deployment/chat -c socketio-sidecar
  target/debug/cluster exec -- sh -c 'node tests/load/load.js --mix --clients 30 --duration 10s --url \\
      http://$(kubectl -n chat get service chat -o jsonpath={.spec.clusterIP})'

This takes some minutes, and then all is as it was before:

  target/debug/cluster exec -- kubectl -n chat delete socketiocluster chat

";

const BAR: usize = 20;
const COLUMN: usize = 32;

/// Draws them.
pub(crate) fn draw(without: &Summary, with: &Summary) -> String {
    let mut text = String::new();
    row(&mut text, "", "without the sidecar", "with the sidecar");
    for (mode, title) in [("polling", "polling"), ("default", "upgrade"), ("websocket", "websocket")] {
        let (Some(left), Some(right)) = (without.by_mode.get(mode), with.by_mode.get(mode)) else { continue };
        row(&mut text, title, &connected(left), &connected(right));
    }
    text.push('\n');
    let (left, right) = (&without.total, &with.total);
    for (title, left, right) in [
        ("tries", left.connects + left.connect_errors, right.connects + right.connect_errors),
        ("  failed", left.connect_errors, right.connect_errors),
        ("sessions lost", left.disconnects, right.disconnects),
        ("messages sent", left.sent, right.sent),
        ("arrived", left.acked, right.acked),
    ] {
        row(&mut text, title, &left.to_string(), &right.to_string());
    }
    row(&mut text, "most often", &most_often(&without.total), &most_often(&with.total));
    text
}

fn row(text: &mut String, title: &str, left: &str, right: &str) {
    let line = format!("  {title:<13} {left:<COLUMN$} {right}");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", line.trim_end());
}

fn connected(seen: &ModeSummary) -> String {
    let share = (BAR as u64 * seen.connected_at_end).checked_div(seen.clients).unwrap_or_default();
    let full = usize::try_from(share).unwrap_or(BAR);
    format!("{}{} {}/{}", "█".repeat(full), "░".repeat(BAR - full), seen.connected_at_end, seen.clients)
}

fn most_often(seen: &ModeSummary) -> String {
    let worst =
        seen.connect_error_kinds.iter().chain(&seen.disconnect_kinds).max_by_key(|(_, count)| **count);
    worst.map_or_else(|| "none".to_owned(), |(kind, count)| format!("{count} × {kind}"))
}
