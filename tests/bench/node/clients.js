// The clients of a whole system: real Socket.IO clients, in one process.
//
//   node clients.js affine|round-robin URL…
//
// affine: each client keeps to one of the URLs. round-robin: each request goes to the next one.
//
// Takes one command a line on standard input, and answers each with a line of JSON on standard output:
//   {"do":"connect","transports":[…],"clients":N}    one after the other → {"us":[…]}: until each was connected
//   {"do":"warm","messages":N}                       as many as they can, N in all → {}
//   {"do":"talk","rate":N,"ms":N}                    N messages a second, by all in turn → {"us":[…]}: each one's
//                                                    time until it was acknowledged
//   {"do":"disconnect"}                              → {}
// or {"error":"…"}, after which it ends. Anything that fails is an error: nothing is tried twice.
//
// Messages are sent when they are due, whatever became of those before. Their times count from when they were
// sent, since Node's timers are up to 1 ms late, which is no system's doing.

import { createInterface } from "node:readline";
import { io } from "socket.io-client";
import { Edge } from "./edge.js";

const TEXT = "Shall we meet at the usual place at noon?";

const [way, ...targets] = process.argv.slice(2);
const edges = way === "round-robin" ? [new Edge(targets)] : targets.map((target) => new Edge([target]));
let sockets = [];

const commands = {
  async connect({ transports, clients }) {
    const us = [];
    for (let index = 0; index < clients; index += 1) us.push(await connect(transports, edges[index % edges.length]));
    return { us };
  },

  async warm({ messages }) {
    let left = messages;
    const chat = async (socket) => {
      while (left-- > 0) await say(socket);
    };
    await Promise.all(sockets.map(chat));
    return {};
  },

  async talk({ rate, ms }) {
    const count = Math.floor((rate * ms) / 1_000);
    const began = performance.now();
    const under_way = [];
    while (under_way.length < count) {
      const due = Math.min(count, Math.floor(((performance.now() - began) * rate) / 1_000) + 1);
      while (under_way.length < due) under_way.push(say(sockets[under_way.length % sockets.length]));
      await new Promise((done) => setTimeout(done, 1));
    }
    return { us: await Promise.all(under_way) };
  },

  async disconnect() {
    const closed = sockets.map((socket) => {
      socket.off("disconnect").disconnect();
      // A poll under way is answered first.
      return new Promise((done) => (socket.io.engine.readyState === "closed" ? done() : socket.io.engine.once("close", done)));
    });
    sockets = [];
    await Promise.all(closed);
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: command, ...rest } = JSON.parse(line);
  answer(await commands[command](rest).catch(fail));
}
process.exit(0);

/** Opens one, and returns in how many microseconds. With an upgrade, it is over too when this returns. */
async function connect(transports, edge) {
  const began = performance.now();
  const socket = io(edge.url, { transports, agent: edge, forceNew: true, reconnection: false });
  const upgraded = transports.length === 1 || new Promise((done) => {
    socket.io.on("open", () => {
      socket.io.engine.on("upgrade", done);
      socket.io.engine.on("upgradeError", fail);
    });
  });
  socket.on("connect_error", fail);
  socket.on("disconnect", (reason, details) => fail(details instanceof Error ? details : new Error(reason)));
  await new Promise((done) => socket.on("connect", done));
  const us = since(began);
  await upgraded;
  sockets.push(socket);
  return us;
}

/** Says something, and returns after how many microseconds it was acknowledged. */
function say(socket) {
  const began = performance.now();
  return new Promise((done) => socket.emit("message", TEXT, () => done(since(began))));
}

function since(began) {
  return Math.round((performance.now() - began) * 1_000);
}

function answer(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function fail(error) {
  const cause = error.context?.responseText ?? error.description?.message ?? error.description;
  answer({ error: cause ? `${error.message}: ${cause}` : error.message });
  process.exit(1);
}
