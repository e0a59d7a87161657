// The load program: starts the clients over the ramp, lets them send for the duration, waits a
// bounded time for outstanding answers, reports, and ends by itself. See --help.
//
// SIGINT or SIGTERM ends the sending early, with a summary; a second one ends at once.

import { randomBytes } from "node:crypto";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "./client.js";
import { Handshakes } from "./handshakes.js";
import { Usage, readOptions } from "./options.js";
import { HumanReport, JsonReport } from "./report.js";
import { Room } from "./room.js";
import { LAG_RESOLUTION_MS, summarize } from "./summary.js";

const PROGRESS_MS = 2_000;
const CLOSE_MS = 3_000;

const interrupted = new AbortController();

try {
  await main(readOptions(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof Usage)) throw error;
  process.stderr.write(`load: ${error.message} See --help.\n`);
  process.exitCode = 2;
}

async function main(options) {
  if (options.help) {
    process.stdout.write(options.help);
    return;
  }
  // Whoever reads the output may go away.
  process.stdout.on("error", () => process.exit(1));
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => (interrupted.signal.aborted ? process.exit(1) : interrupted.abort()));
  }

  const report = options.json ? new JsonReport() : new HumanReport(options);
  const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  lag.enable();
  const started = performance.now();
  // Earlier runs may have left messages in rooms of the same number.
  const run = randomBytes(4).toString("hex");
  const rooms = Array.from({ length: options.rooms }, (_, index) => new Room(`load-${run}-${index}`));
  const clients = Array.from({ length: options.clients }, (_, index) => {
    const mode = options.modes[index % options.modes.length];
    // Every mode in every room.
    const room = rooms[Math.floor(index / options.modes.length) % rooms.length] ?? null;
    return new Client(index, mode, options, room, (event) => report.event(event));
  });
  const handshakes = options.handshakes > 0 ? new Handshakes(options, (event) => report.event(event)) : null;
  const describe = () => summarize(options, clients, rooms, handshakes, performance.now() - started, lag);
  const progress = setInterval(() => report.progress(describe()), PROGRESS_MS);

  for (const client of clients) {
    if (!(await pause(client.index === 0 ? 0 : options.rampMs / options.clients))) break;
    client.start();
  }
  handshakes?.start();
  await pause(options.durationMs);

  handshakes?.stop();
  for (const client of clients) client.stop();
  const deadline = performance.now() + options.settleMs;
  const settled = () => clients.every((client) => client.settled) && rooms.every((room) => room.complete)
    && (handshakes?.pending ?? 0) === 0;
  while (performance.now() < deadline && !settled()) await sleep(50);

  clearInterval(progress);
  for (const client of clients) client.conclude();
  for (const room of rooms) room.finish();
  const ok = report.finish(describe(), clients);
  for (const client of clients) client.close();
  process.exitCode = ok ? 0 : 1;
  // Connections that do not close must not keep the program.
  setTimeout(() => process.exit(), CLOSE_MS).unref();
}

/** Waits; false if interrupted. */
async function pause(ms) {
  try {
    await sleep(ms, undefined, { signal: interrupted.signal });
    return true;
  } catch {
    return false;
  }
}
