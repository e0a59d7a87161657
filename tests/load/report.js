// What the program prints: JSON lines for programs, or progress and a summary for people.

import { complaints, isGood } from "./summary.js";

const UNKNOWN = /Session ID unknown/;

export class JsonReport {
  event(event) {
    write({ t: new Date().toISOString(), ...event });
  }

  progress({ clients, connected_at_end, elapsed_s, connects, connect_errors, disconnects, sent, acked, violation_count, rtt_ms }) {
    this.event({
      event: "progress", elapsed_s, clients, connected: connected_at_end, connects, connect_errors, disconnects, sent, acked,
      violations: violation_count, rtt_ms,
    });
  }

  finish(summary, clients) {
    for (const { index, mode, tally } of clients) write({ event: "client", client: index, mode, ...tally.toJSON() });
    const ok = isGood(summary);
    write({ summary: { ok, ...summary } });
    return ok;
  }
}

export class HumanReport {
  constructor(options) {
    const rate = Math.round((options.clients * 1_000) / options.intervalMs);
    say(`${options.clients} clients (${options.modes.join(", ")}) against ${options.url}, ${rate} messages a second, for ${options.durationMs / 1_000} s`);
  }

  event() {
    // Single events are for programs; people read the totals.
  }

  progress(now) {
    const time = `${Math.round(now.elapsed_s)} s`.padStart(6);
    const errors = now.connect_errors + now.upgrade_errors + now.violation_count;
    say(`${time}  ${now.connected_at_end}/${now.clients} connected   ${num(now.sent)} sent   ${num(now.acked)} acknowledged   `
      + `${num(errors)} errors   ${num(now.disconnects)} disconnects   median ${time_of(now.rtt_ms.p50)}`);
  }

  finish(summary, _clients) {
    const ok = isGood(summary);
    say("");
    say(ok ? "All well: every message arrived once and in order, and no session was lost." : `NOT WELL: ${complaints(summary).join(", ") || "no message was acknowledged"}.`);
    say("");
    for (const [mode, part] of Object.entries(summary.by_mode)) this.#part(mode, part);
    if (summary.rooms) this.#rooms(summary.rooms);
    if (summary.handshakes) this.#handshakes(summary.handshakes);
    row("pods", Object.entries(summary.sessions_per_pod).map(([pod, n]) => `${pod} ${n}`).sort().join(", ") || "none");
    if (summary.loop_lag_ms.p99 > 100) {
      row("note", `this program ran ${time_of(summary.loop_lag_ms.p99)} late at times (99th percentile); round trips include that`);
    }
    return ok;
  }

  #rooms(rooms) {
    say(`Rooms: ${num(rooms.count)}`);
    row("said", `${num(rooms.sent)} messages, ${num(rooms.confirmed)} acknowledged`);
    row("arrived", `${num(rooms.due - rooms.missing)} of ${num(rooms.due)} deliveries that were due; ${num(rooms.across_pods)} went from one pod to another`);
    row("missing", `${num(rooms.missing)}, of which ${num(rooms.missing_across_pods)} were to go from one pod to another`
      + (rooms.missing > 0 && rooms.missing === rooms.missing_across_pods ? "  <- the server passes nothing between pods: it needs an adapter" : ""));
    row("faults", `${num(rooms.duplicated)} repeated, ${num(rooms.reordered)} out of order, ${num(rooms.astray)} astray, ${num(rooms.unanswered)} unanswered`);
    if (rooms.excused) row("excused", `${num(rooms.excused)} deliveries, because their member's session ended just then`);
    say("");
  }

  #handshakes(handshakes) {
    say(`Handshakes: ${num(handshakes.sent)}`);
    row("answered", `${num(handshakes.good)} with a session; ${counts(handshakes.refused_kinds) || "none refused"}`);
    say("");
  }

  #part(mode, part) {
    say(`${{ polling: "Polling only", websocket: "WebSocket only", default: "Polling, then an upgrade" }[mode]}: ${part.clients} clients`);
    row("connected", `${part.connected_at_end} at the end (${counts(part.transports_at_end) || "none"}), ${num(part.connects)} sessions in all`
      + (part.never_connected ? `; ${part.never_connected} clients never got one` : ""));
    row("failed", `${num(part.connect_errors)} attempts to connect, ${num(part.disconnects)} sessions, ${num(part.upgrade_errors)} upgrades`);
    for (const kinds of [part.connect_error_kinds, part.disconnect_kinds, part.upgrade_error_kinds]) {
      for (const [kind, count] of Object.entries(kinds)) {
        row("", `${num(count)} × ${kind}${UNKNOWN.test(kind) ? "  <- the request reached a pod that does not hold the session" : ""}`);
      }
    }
    row("messages", `${num(part.sent)} sent, ${num(part.acked)} acknowledged, ${num(part.lost)} lost, ${num(part.cut_off)} cut off with their session`);
    row("ticks", `${num(part.ticks)} received, ${num(part.ticks_lost)} lost`);
    row("violations", part.violation_count === 0 ? "none" : counts(part.violations));
    if (part.held_back) row("held back", `${num(part.held_back)} messages, because too many were unanswered`);
    if (part.rtt_ms.count) {
      const { p50, p90, p99, max } = part.rtt_ms;
      row("round trip", `median ${time_of(p50)}, 90 % ${time_of(p90)}, 99 % ${time_of(p99)}, longest ${time_of(max)}`);
    }
    if (part.outage_ms.count) row("reconnects", `${num(part.reconnects)}, median ${time_of(part.outage_ms.p50)}, longest ${time_of(part.outage_ms.max)}`);
    say("");
  }
}

function write(value) {
  say(JSON.stringify(value));
}

function say(line) {
  process.stdout.write(`${line}\n`);
}

function row(name, text) {
  say(`  ${name.padEnd(11)} ${text}`);
}

function counts(table) {
  return Object.entries(table).map(([name, count]) => `${num(count)} ${name}`).join(", ");
}

function num(value) {
  return value.toLocaleString("en-US");
}

function time_of(ms) {
  if (ms === null) return "–";
  return ms >= 1_000 ? `${(ms / 1_000).toFixed(1)} s` : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}
