// A real Socket.IO client for the tests, 4.x or 2.x.
//
//   node client.js --engine v4|v2 --url URL [--transport polling|websocket|default]
//     [--messages 20] [--interval MS (10)]   numbered messages, judged as in the load program
//     [--binary BYTES] [--big BYTES]         a binary echo, and an answer of that size
//     [--hold MS]                            stay connected, idle, afterwards
//     [--path PATH] [--header "Name: value"]…
//     [--timeout MS (30000)]                 for everything but the hold
//
// Prints {"event":"connected",…} and at last {"result":{…}}; exit code 0 if ok, else 1.
// It does not reconnect: what fails once is the result.

import { parseArgs } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { classify } from "../../load/failure.js";
import { Sequence } from "../../load/sequence.js";
import { readHeaders } from "./headers.js";

const { values: options } = parseArgs({
  options: {
    engine: { type: "string", default: "v4" },
    url: { type: "string" },
    path: { type: "string", default: "/socket.io" },
    transport: { type: "string", default: "default" },
    messages: { type: "string", default: "20" },
    interval: { type: "string", default: "10" },
    binary: { type: "string", default: "0" },
    big: { type: "string", default: "0" },
    hold: { type: "string", default: "0" },
    header: { type: "string", multiple: true, default: [] },
    timeout: { type: "string", default: "30000" },
  },
});

const result = {
  ok: false, engine: options.engine, pod: null, transport_at_open: null, transport_at_end: null,
  socket_id: null, engine_id: null, server: null, same_socket_id: null, same_engine_id: null,
  messages: { sent: 0, acked: 0, lost: 0 }, ticks: { received: 0, lost: 0 }, violations: [],
  binary_ok: null, big_ok: null, upgrades: 0, upgrade_errors: [], disconnects: [], errors: [],
};

const io = await loadClient(options.engine);
const socket = io(options.url, {
  path: options.path,
  forceNew: true,
  reconnection: false,
  ...(options.transport !== "default" && { transports: [options.transport] }),
  ...(options.header.length > 0 && { extraHeaders: readHeaders(options.header) }),
});
// Before the library probes an upgrade, which may be over when the socket connects.
socket.io.on("open", () => {
  const engine = socket.io.engine;
  result.transport_at_open = engine.transport.name;
  engine.on("upgrade", () => (result.upgrades += 1));
  engine.on("upgradeError", (error) => result.upgrade_errors.push(error.message));
});
const failed = new Promise((_, reject) => {
  const most = Number(options.timeout) + Number(options.hold);
  const timer = setTimeout(() => reject(new Error("timeout")), most);
  timer.unref();
  socket.on("connect_error", (error) => reject(new Error(describe(error))));
  socket.on("disconnect", (reason, details) => {
    if (reason === "io client disconnect") return;
    result.disconnects.push(reason);
    reject(new Error(details ? `${reason}: ${describe(details)}` : reason));
  });
});

try {
  await Promise.race([run(), failed]);
  if (Number(options.hold) > 0) await Promise.race([sleep(Number(options.hold)), failed]);
} catch (error) {
  result.errors.push(error.message);
}
result.transport_at_end = socket.io.engine?.transport?.name ?? null;
result.ok = result.errors.length === 0 && result.disconnects.length === 0 && result.violations.length === 0
  && result.messages.lost === 0 && result.ticks.lost === 0 && result.binary_ok !== false && result.big_ok !== false;
process.stdout.write(`${JSON.stringify({ result })}\n`);
process.exitCode = result.ok ? 0 : 1;
socket.close();
setTimeout(() => process.exit(), 1_000).unref();

async function run() {
  const sequence = new Sequence();
  socket.on("tick", ({ n }) => {
    result.ticks.received += 1;
    result.violations.push(...sequence.tick(n));
  });
  const greeted = new Promise((done) => socket.once("hello", done));
  await new Promise((done) => socket.once("connect", done));
  const engine = socket.io.engine;
  result.pod = (await greeted).pod;
  result.socket_id = socket.id;
  result.engine_id = engine.id;
  process.stdout.write(`${JSON.stringify({ event: "connected", pod: result.pod, engine_id: engine.id, transport: engine.transport.name })}\n`);

  for (let i = 0; i < Number(options.messages); i += 1) {
    send(sequence);
    await sleep(Number(options.interval));
  }
  if (Number(options.binary) > 0) {
    const bytes = Buffer.alloc(Number(options.binary), "0123456789abcdef");
    result.binary_ok = bytes.equals(Buffer.from(await ask("echo", bytes)));
  }
  if (Number(options.big) > 0) {
    result.big_ok = (await ask("big", Number(options.big))).length === Number(options.big);
  }
  result.server = await ask("whoami");
  result.same_socket_id = result.server.socket_id === socket.id;
  result.same_engine_id = result.server.engine_id === engine.id;
  // Bounded by the race with `failed`; what is missing then is counted below.
  const settle = performance.now() + 5_000;
  while (!sequence.complete && performance.now() < settle) await sleep(10);
  const missing = sequence.finish();
  result.messages.lost = missing.messages;
  result.ticks.lost = missing.ticks;
}

/** "xhr poll error: 400 Session ID unknown" */
function describe(error) {
  const { during, kind } = classify(error);
  return during === kind ? kind : `${during}: ${kind}`;
}

function send(sequence) {
  const n = sequence.next(performance.now());
  result.messages.sent += 1;
  socket.emit("numbered", { n }, (record) => {
    result.messages.acked += 1;
    result.violations.push(...sequence.acknowledge(n, record, performance.now()).faults);
  });
}

function ask(...request) {
  return new Promise((done) => socket.emit(...request, done));
}

async function loadClient(engine) {
  if (engine === "v4") return (await import("socket.io-client")).io;
  if (engine === "v2") return (await import("socket.io-client-v2")).default;
  throw new Error(`--engine must be v4 or v2, not "${engine}"`);
}
