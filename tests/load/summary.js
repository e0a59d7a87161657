// Adds up what the clients counted, overall and by mode. The field names are what tests read.

import { describeRooms } from "./room.js";
import { Tally, bump } from "./tally.js";

/** Of the timer that measures how late this program runs. */
export const LAG_RESOLUTION_MS = 10;

export function summarize(options, clients, rooms, handshakes, elapsedMs, lag) {
  const by_mode = {};
  for (const mode of options.modes) {
    const some = clients.filter((client) => client.mode === mode);
    if (some.length > 0) by_mode[mode] = describe(some);
  }
  return {
    url: options.url,
    elapsed_s: Math.round(elapsedMs / 100) / 10,
    keep_alive: options.keepAlive,
    ...describe(clients),
    ...(rooms.length > 0 && { rooms: describeRooms(rooms) }),
    ...(handshakes && { handshakes: handshakes.toJSON() }),
    // How late this program itself was: round trips include it.
    loop_lag_ms: { p50: late(lag.percentile(50)), p99: late(lag.percentile(99)), max: late(lag.max) },
    by_mode,
  };
}

function describe(clients) {
  const total = clients.reduce((sum, client) => sum.add(client.tally), new Tally());
  const transports_at_end = {};
  for (const client of clients) if (client.connected) bump(transports_at_end, client.transport, 1);
  return {
    clients: clients.length,
    connected_at_end: clients.filter((client) => client.connected).length,
    never_connected: clients.filter((client) => client.tally.connects === 0).length,
    transports_at_end,
    faults: total.faults,
    ...total.toJSON(),
  };
}

/** What was not as it should be, in words; empty if all was well. */
export function complaints(summary) {
  const { clients, connected_at_end, connect_errors, disconnects, upgrade_errors, lost, ticks_lost, held_back, violation_count, rooms, handshakes } = summary;
  return Object.entries({
    "failed attempts to connect": connect_errors,
    "refused handshakes": handshakes ? handshakes.sent - handshakes.good : 0,
    "lost sessions": disconnects,
    "failed upgrades": upgrade_errors,
    "lost messages": lost + ticks_lost,
    "messages held back": held_back,
    "messages that did not reach a member of their room": rooms?.missing ?? 0,
    "messages to rooms without an answer": rooms?.unanswered ?? 0,
    "rooms in which nothing was due": Object.values(rooms?.by_room ?? {}).filter((room) => room.due === 0).length,
    "messages repeated or out of order": violation_count,
    "clients without a connection at the end": clients - connected_at_end,
  }).filter(([, count]) => count > 0).map(([what, count]) => `${count.toLocaleString("en-US")} ${what}`);
}

/** Whether everything was as it should be. */
export function isGood(summary) {
  return complaints(summary).length === 0 && summary.acked > 0;
}

/** A sample, in nanoseconds, is the time between two ticks of a timer. */
function late(sample) {
  return Math.max(0, Math.round(sample / 1e4 - LAG_RESOLUTION_MS * 100) / 100);
}
