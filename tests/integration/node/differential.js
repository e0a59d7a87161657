// What Node and its libraries understand of bytes that they are given, for the differential tests.
//
//   node differential.js
//
// Reads one question a line on standard input and prints one answer a line, in order; ends with its
// input. Bytes are strings with one character a byte.
//
//   ask        with                 is answered by
//   requests   bytes, upgrades      a node:http server that gets them on a connection, which then ends
//   answer     bytes, method        a node:http client that gets them for a request of that method
//   query      target               the Engine.IO servers of Socket.IO 4.x and 2.x
//   payload    bytes                the parser of an Engine.IO client, after a browser's JSONP if it is such
//   messages   bytes, at            the receiver of `ws`: at which of these offsets would another message fit?

import { createRequire } from "node:module";
import { createServer, request } from "node:http";
import { createServer as createRawServer, connect } from "node:net";
import { createInterface } from "node:readline";
import { Script } from "node:vm";
import { Receiver } from "ws";

const LONGEST_WAIT_MS = 10_000;
const WAITING = "waiting";

const dependencyOf = (parent, name) => createRequire(createRequire(import.meta.url).resolve(parent))(name);
const engineV4 = dependencyOf("socket.io", "engine.io").Server;
const engineV3 = dependencyOf("socket.io-v2", "engine.io").Server;
const { decodePayload } = dependencyOf("engine.io-client", "engine.io-parser");

const fromText = (text) => Buffer.from(text, "latin1");
const toText = (chunks) => Buffer.concat(chunks).toString("latin1");
const pairs = (raw) => Array.from({ length: raw.length / 2 }, (_, at) => [raw[2 * at], raw[2 * at + 1]]);

/** The body of a message, in `chunks`, and a promise of its end. */
function collect(message) {
  const chunks = [];
  message.on("data", (chunk) => chunks.push(chunk));
  message.on("error", () => {});
  return { chunks, ended: new Promise((resolve) => message.on("close", resolve)) };
}

// --- requests

/** The question that is being answered, of which there is one at a time. */
let asked;

const server = createServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 });
// Nothing is answered, so that every pipelined request is read.
server.httpAllowHalfOpen = true;
for (const event of ["request", "checkContinue", "checkExpectation"]) {
  server.on(event, (message) => asked.seen.push({ message, ...collect(message) }));
}
server.on("clientError", (error) => asked.over(error.code === "HPE_INVALID_EOF_STATE" ? WAITING : error.code));
server.on("connection", (socket) => {
  asked.socket = socket;
  const { over } = asked;
  socket.on("end", () => over(WAITING));
  socket.on("close", () => over("closed"));
});
const upgraded = (message) => {
  asked.seen.push({ message, chunks: [] });
  asked.over("upgraded");
};

async function requests({ bytes, upgrades }) {
  const seen = [];
  server.removeAllListeners("upgrade");
  if (upgrades) server.on("upgrade", upgraded);
  const end = await new Promise((over) => {
    asked = { seen, over };
    const client = connect(server.address().port, "127.0.0.1", () => client.end(fromText(bytes)));
    client.on("error", () => {}).resume();
    asked.client = client;
  });
  // Whole is a message whose end the parser has seen; the last pieces of its body may still be on their way.
  const whole = seen.filter(({ message }) => message.complete || end === "upgraded");
  await Promise.all(whole.filter(({ ended }) => ended).map(({ message, ended }) => message.readableEnded || ended));
  asked.client.destroy();
  asked.socket.destroy();
  const messages = whole.map(({ message, chunks }) => ({
    method: message.method,
    target: message.url,
    version: message.httpVersion,
    headers: pairs(message.rawHeaders),
    body: toText(chunks),
  }));
  // Without a listener for upgrades it takes such a request for any other, and drops what comes behind it.
  const last = whole.at(-1)?.message.headers;
  const drops = last?.upgrade !== undefined && /\bupgrade\b/i.test(last.connection);
  return { messages, end: end === WAITING && drops ? "upgraded" : end };
}

// --- answers

let toSend;
const rawServer = createRawServer((socket) => {
  socket.on("error", () => {});
  socket.once("data", () => socket.end(toSend));
});

async function answer({ bytes, method }) {
  toSend = fromText(bytes);
  const messages = [];
  const noted = (head, chunks) =>
    messages.push({
      status: head.statusCode,
      reason: head.statusMessage,
      version: head.httpVersion,
      headers: pairs(head.rawHeaders),
      body: toText(chunks),
    });
  const end = await new Promise((over) => {
    let error;
    const asking = request({ host: "127.0.0.1", port: rawServer.address().port, method, agent: false });
    asking.on("information", (head) => noted(head, []));
    asking.on("response", (message) => {
      const { chunks } = collect(message);
      message.on("close", () => {
        if (message.complete) noted(message, chunks);
        over(message.complete ? "complete" : (error ?? WAITING));
      });
    });
    asking.on("upgrade", (head, socket) => {
      noted(head, []);
      socket.destroy();
      over("upgraded");
    });
    asking.on("error", ({ code }) => (error = code === "ECONNRESET" ? WAITING : code));
    asking.on("close", () => asking.res || over(error ?? WAITING));
    asking.end();
  });
  return { messages, end };
}

// --- Engine.IO and WebSocket

function query({ target }) {
  const read = (engine) => {
    const message = { url: target };
    try {
      engine.prototype.prepare.call({}, message);
      return message._query;
    } catch {
      return null;
    }
  };
  return { v4: read(engineV4), v3: read(engineV3) };
}

function payload({ bytes }) {
  let text = fromText(bytes).toString("utf8");
  if (text.startsWith("___eio")) {
    const script = new Script(text);
    const callbacks = new Proxy({}, { get: () => (given) => (text = given) });
    script.runInNewContext({ ___eio: callbacks }, { timeout: LONGEST_WAIT_MS });
  }
  const packets = decodePayload(text);
  return { open: packets[0].type === "open" ? JSON.parse(packets[0].data) : null, others: packets.slice(1) };
}

function messages({ bytes, at }) {
  const probe = Buffer.from("\x81\x06(probe", "latin1");
  return at.map((offset) => {
    const receiver = new Receiver({ allowSynchronousEvents: true, skipUTF8Validation: true });
    const said = [];
    receiver.on("error", () => {}).on("message", (data) => said.push(data.toString("latin1")));
    for (const event of ["ping", "pong"]) receiver.on(event, () => said.push(event));
    let concluded = false;
    receiver.on("conclude", () => (concluded = true));
    if (offset > 0) receiver.write(fromText(bytes).subarray(0, offset));
    if (receiver.errored) return "refused";
    if (concluded) return "concluded";
    const before = said.length;
    receiver.write(probe);
    return said.length === before + 1 && said[before] === "(probe" ? "between" : "inside";
  });
}

// --- one after another

const answers = { requests, answer, query, payload, messages };

async function within(what) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, LONGEST_WAIT_MS, { failed: "no answer in time" })));
  try {
    return await Promise.race([what(), late]);
  } catch (error) {
    return { failed: String(error) };
  } finally {
    clearTimeout(timer);
  }
}

for (const each of [server, rawServer]) await new Promise((ready) => each.listen(0, "127.0.0.1", ready));
for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  const answered = await within(async () => answers[question.ask](question));
  // Half a surrogate pair is a string only in JavaScript.
  const wellFormed = (_, value) => (typeof value === "string" ? value.toWellFormed() : value);
  process.stdout.write(`${JSON.stringify(answered, wellFormed)}\n`);
}
process.exit(0);
