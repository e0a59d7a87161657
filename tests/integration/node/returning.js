// Real Socket.IO clients, 4.x or 2.x, that reconnect as their library does, and say what happened.
//
//   node returning.js --engine v4|v2 --url URL [--transport polling|websocket|default]
//     [--clients 4] [--interval MS (20)]     each sends numbered messages, judged per session
//
// Prints {"event":"all connected"} once they are, and upgraded where they may be. When standard input
// is closed they stop sending, and it prints {"result":{"clients":[…]}}: per client its connects, its
// disconnects with time and reason, its errors, and what the numbered messages showed. `lost` is what
// is missing in its last session, which nobody has cut.

import { parseArgs } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { classify } from "../../load/failure.js";
import { Sequence } from "../../load/sequence.js";

/** Longest wait, at the end, for what is still missing. */
const SETTLE_MS = 5_000;

const { values: options } = parseArgs({
  options: {
    engine: { type: "string", default: "v4" },
    url: { type: "string" },
    transport: { type: "string", default: "default" },
    clients: { type: "string", default: "4" },
    interval: { type: "string", default: "20" },
  },
});

const io = await loadClient(options.engine);
let sending = true;

class Client {
  seen = { connects: 0, acked: 0, disconnects: [], errors: [], violations: [], lost: 0, transport: null };
  #sequence = null;

  constructor() {
    this.socket = io(options.url, {
      forceNew: true,
      reconnectionDelay: 200,
      ...(options.transport !== "default" && { transports: [options.transport] }),
    });
    this.socket.on("connect", () => {
      this.seen.connects += 1;
      this.#sequence = new Sequence();
    });
    this.socket.on("tick", ({ n }) => this.seen.violations.push(...this.#sequence.tick(n)));
    this.socket.on("disconnect", (reason, details) => {
      this.seen.disconnects.push({ at: Date.now(), reason, ...(details && { kind: classify(details).kind }) });
      this.#sequence = null;
    });
    this.socket.on("connect_error", (error) => this.seen.errors.push(classify(error).kind));
    this.socket.on("error", (error) => this.seen.errors.push(classify(error).kind));
    setInterval(() => this.#send(), Number(options.interval));
  }

  get transport() {
    return this.socket.connected ? this.socket.io.engine.transport.name : null;
  }

  get settled() {
    return this.#sequence?.complete ?? false;
  }

  #send() {
    const sequence = this.#sequence;
    if (!sending || !sequence) return;
    this.socket.emit("numbered", { n: sequence.next(performance.now()) }, (record) => {
      this.seen.acked += 1;
      const { faults } = sequence.acknowledge(record.n, record, performance.now());
      this.seen.violations.push(...faults);
    });
  }

  conclude() {
    const missing = this.#sequence?.finish() ?? { messages: 0, ticks: 0 };
    this.seen.lost = missing.messages + missing.ticks;
    this.seen.transport = this.transport;
    return this.seen;
  }
}

const clients = Array.from({ length: Number(options.clients) }, () => new Client());
const last = options.transport === "polling" ? "polling" : "websocket";
const watching = setInterval(() => {
  if (!clients.every((client) => client.transport === last)) return;
  clearInterval(watching);
  say({ event: "all connected" });
}, 20);

process.stdin.on("end", async () => {
  sending = false;
  const until = performance.now() + SETTLE_MS;
  while (!clients.every((client) => client.settled) && performance.now() < until) await sleep(20);
  const result = { clients: clients.map((client) => client.conclude()) };
  process.stdout.write(`${JSON.stringify({ result })}\n`, () => process.exit(0));
}).on("error", () => {}).resume();

function say(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

async function loadClient(engine) {
  if (engine === "v4") return (await import("socket.io-client")).io;
  if (engine === "v2") return (await import("socket.io-client-v2")).default;
  throw new Error(`--engine must be v4 or v2, not "${engine}"`);
}
