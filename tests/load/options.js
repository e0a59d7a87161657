// The command line: parsing, limits and help. A mistake is one sentence, and exit code 2.

import { parseArgs } from "node:util";

export const MODES = ["polling", "default", "websocket"];

const HELP = `Usage: node load.js [options]

Runs real Socket.IO clients against a chat server, each sending numbered messages, and
checks that every message and every answer arrives complete, once and in order.

  --url URL              the server (http://127.0.0.1:3000)
  --path PATH            the Engine.IO path (/socket.io/)
  --clients N            how many clients, 1 to 5000 (200)
  --transport MODE       polling, default (polling, then an upgrade) or websocket (default)
  --mix                  all three modes, evenly
  --duration TIME        how long to send once all clients are started: 120s, 2m (60s)
  --interval TIME        between two messages of one client: 1s, 250ms (1s)
  --ramp TIME            over which the clients are started (5s)
  --settle TIME          at most, for outstanding answers at the end (10s)
  --rooms N              each client also joins one of N rooms, and everything said in a room
                         must reach each of its members, on whichever pod: needs the example
                         chat, and an adapter in it (no rooms)
  --handshakes N         also N handshakes a second, each on a connection of its own (none)
  --keep-alive           each client reuses its HTTP connections, as browsers do; without it
                         each request has a connection of its own, as the library does in Node
  --json                 JSON lines: an event each, then {"summary": …}
  --help                 this text

Exit code: 0 all well, 1 errors or messages lost, repeated or out of order, 2 wrong usage.
`;

export class Usage extends Error {}

/** The checked options, or `{help: text}`. Throws `Usage`. */
export function readOptions(args) {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        url: { type: "string", default: "http://127.0.0.1:3000" },
        path: { type: "string", default: "/socket.io/" },
        clients: { type: "string", default: "200" },
        transport: { type: "string" },
        mix: { type: "boolean", default: false },
        duration: { type: "string", default: "60s" },
        interval: { type: "string", default: "1s" },
        ramp: { type: "string", default: "5s" },
        settle: { type: "string", default: "10s" },
        rooms: { type: "string" },
        handshakes: { type: "string" },
        "keep-alive": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }));
  } catch (error) {
    throw new Usage(`${error.message.split(". ", 1)[0].replace(/\.$/, "")}.`);
  }
  if (values.help) return { help: HELP };
  if (values.mix && values.transport) throw new Usage("--mix and --transport exclude each other.");
  const transport = values.transport ?? "default";
  if (!MODES.includes(transport)) {
    throw new Usage(`--transport must be ${MODES.join(", ")}, not "${transport}".`);
  }
  const clients = readCount("--clients", values.clients, 5_000);
  return {
    url: readUrl(values.url),
    path: values.path,
    clients,
    rooms: values.rooms === undefined ? 0 : readCount("--rooms", values.rooms, clients),
    handshakes: values.handshakes === undefined ? 0 : readCount("--handshakes", values.handshakes, 1_000),
    modes: values.mix ? MODES : [transport],
    durationMs: readTime("--duration", values.duration, 1_000, 24 * 3_600_000),
    intervalMs: readTime("--interval", values.interval, 10, 3_600_000),
    rampMs: readTime("--ramp", values.ramp, 0, 3_600_000),
    settleMs: readTime("--settle", values.settle, 0, 600_000),
    keepAlive: values["keep-alive"],
    json: values.json,
  };
}

function readUrl(text) {
  try {
    const url = new URL(text);
    if (url.protocol === "http:" || url.protocol === "https:") return url.origin;
  } catch {
    // Falls through to the sentence below.
  }
  throw new Usage(`--url must be an http or https address, not "${text}".`);
}

function readCount(name, text, most) {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new Usage(`${name} must be a whole number from 1 to ${most}, not "${text}".`);
}

function readTime(name, text, leastMs, mostMs) {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text);
  const unit = { ms: 1, s: 1_000, m: 60_000 }[match?.[2] ?? "s"];
  const value = match ? Number(match[1]) * unit : NaN;
  if (value >= leastMs && value <= mostMs) return value;
  throw new Usage(`${name} must be a time such as 250ms, 10s or 2m, from ${leastMs} ms to ${mostMs / 1_000} s, not "${text}".`);
}
