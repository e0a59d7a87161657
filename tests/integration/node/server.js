// A real Socket.IO server for the tests, 4.x or 2.x, on a port of its own.
//
//   node server.js --engine v4|v2 [--host 127.0.0.1] [--port 0] [--name NAME]
//     [--allow-eio3]             4.x: also serve EIO 3 clients
//     [--initial-packet BYTES]   4.x: a packet of that size rides on each handshake
//     [--cookie]                 4.x: set the io cookie (2.x does by default)
//     [--cors ORIGIN]            4.x: CORS with credentials for that origin
//     [--max-body BYTES]         maxHttpBufferSize (1000000)
//     [--ping-interval MS] [--ping-timeout MS]
//     [--path PATH]              (/socket.io)
//     [--close-delay MS]         closes a connection so long after an answer, without announcing it,
//     [--close-after ANSWERS]    … after so many answers on that connection (1)
//     [--close-idle MS]          closes a connection that has been idle so long, without announcing it
//     [--keep-alive MS]          Node's keepAliveTimeout (5000), announced in whole seconds
//     [--bare-1.0]               answers HTTP/1.0 without a Connection field, and closes as HTTP/1.0 asks
//
// Prints {"port":…} once it listens, and ends on SIGTERM or when standard input is closed,
// so that no server outlives its test. JSONP is on in both, as it is by default.
//
// Events, each with an acknowledgement: `numbered {n}` (and `tick {n}`); `echo value`, text or
// binary, returns it; `big bytes` returns that many; `whoami` returns the ids as the server
// knows them. On connect: `hello {pod}`.
//
// HTTP: GET /stats (JSON, see `stats`); /at-once is answered before a body is read; any other path outside Socket.IO's returns the request.

import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { answerNumbered } from "../../../examples/chat/numbered.js";

const MAX_KEPT = 1_000;

const { values: options } = parseArgs({
  options: {
    engine: { type: "string", default: "v4" },
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "0" },
    name: { type: "string" },
    path: { type: "string", default: "/socket.io" },
    cors: { type: "string" },
    cookie: { type: "boolean", default: false },
    "allow-eio3": { type: "boolean", default: false },
    "initial-packet": { type: "string" },
    "max-body": { type: "string", default: "1000000" },
    "ping-interval": { type: "string", default: "25000" },
    "close-delay": { type: "string" },
    "close-after": { type: "string", default: "1" },
    "close-idle": { type: "string" },
    "keep-alive": { type: "string" },
    "bare-1.0": { type: "boolean", default: false },
    "ping-timeout": { type: "string", default: "20000" },
  },
});

const stats = {
  /** Sessions that live now, by Engine.IO id. */
  sids: [],
  alive: 0,
  opened: 0,
  /** Sessions that ended, by Engine.IO's reason; an aborted poll is a "transport error". */
  closes: {},
  /** Engine.IO requests by the status answered, or "aborted" where the other side went away first. */
  requests: {},
  /** WebSocket handshakes that arrived, whatever became of them. */
  http_upgrades: 0,
  /** Of the last handshake. */
  handshake: null,
};
const alive = new Set();

const http = createServer((request, response) => {
  if (request.url === "/stats") {
    const sids = [...alive].slice(0, MAX_KEPT).map((session) => session.id);
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ ...stats, sids, alive: alive.size }));
  } else if (request.url === "/at-once") {
    response.end("ok");
  } else {
    describeRequest(request, response);
  }
});

if (options["keep-alive"]) http.keepAliveTimeout = Number(options["keep-alive"]);

const io = await makeServer();
const pod = options.name ?? `${options.engine}-${process.pid}`;

// 2.x keeps the engine's events under the same names.
io.engine.on("connection", (session) => {
  alive.add(session);
  stats.opened += 1;
  const { url, headers, socket } = session.request;
  stats.handshake = { url, headers, peer: socket.remoteAddress };
  session.on("close", (reason) => {
    alive.delete(session);
    stats.closes[reason] = (stats.closes[reason] ?? 0) + 1;
  });
});
// Engine.IO has put itself before the listener above, and passes on what is not under its path.
http.on("request", (request, response) => {
  if (!request.url.startsWith(options.path)) return;
  response.on("close", () => {
    const outcome = response.writableFinished ? response.statusCode : "aborted";
    stats.requests[outcome] = (stats.requests[outcome] ?? 0) + 1;
  });
});
// Engine.IO answers requests in a listener of its own, whatever the order.
if (options["close-delay"] || options["close-idle"]) http.prependListener("request", closeSilently);
if (options["bare-1.0"]) http.prependListener("request", leaveOutConnection);
http.on("upgrade", ({ socket }) => clearTimeout(socket.closeTimer));
http.on("upgrade", () => (stats.http_upgrades += 1));

io.on("connection", (socket) => {
  socket.emit("hello", { pod });
  answerNumbered(socket, pod);
  socket.on("echo", (value, ack) => ack(value));
  socket.on("big", (bytes, ack) => ack("x".repeat(Math.min(bytes, 50_000_000))));
  socket.on("whoami", (ack) => {
    ack({ socket_id: socket.id, engine_id: socket.conn.id, transport: socket.conn.transport.name, address: socket.handshake.address });
  });
});

http.listen(Number(options.port), options.host, () => console.log(JSON.stringify({ port: http.address().port })));
process.on("SIGTERM", () => process.exit(0));
process.stdin.on("end", () => process.exit(0)).on("error", () => {}).resume();

async function makeServer() {
  const common = {
    path: options.path,
    maxHttpBufferSize: Number(options["max-body"]),
    pingInterval: Number(options["ping-interval"]),
    pingTimeout: Number(options["ping-timeout"]),
    ...(options["initial-packet"] && { initialPacket: filler(Number(options["initial-packet"])) }),
  };
  if (options.engine === "v2") {
    const { default: listen } = await import("socket.io-v2");
    return listen(http, common);
  }
  if (options.engine !== "v4") throw new Error(`--engine must be v4 or v2, not "${options.engine}"`);
  const { Server } = await import("socket.io");
  return new Server(http, {
    ...common,
    allowEIO3: options["allow-eio3"],
    cookie: options.cookie,
    ...(options.cors && { cors: { origin: options.cors, credentials: true } }),
  });
}

/** Closes connections as the options say, while the answer's fields promise to keep them. */
function closeSilently({ socket }, response) {
  clearTimeout(socket.closeTimer);
  response.on("finish", () => {
    socket.answers = (socket.answers ?? 0) + 1;
    if (options["close-idle"]) socket.closeTimer = setTimeout(() => socket.destroy(), Number(options["close-idle"]));
    if (!options["close-delay"] || socket.answers < Number(options["close-after"])) return;
    const delay = Number(options["close-delay"]);
    if (delay === 0) socket.destroy();
    else setTimeout(() => socket.destroy(), delay);
  });
}

/** Node sends `Connection: close` to HTTP/1.0; other servers close without it. */
function leaveOutConnection({ httpVersion }, response) {
  if (httpVersion === "1.0") response.removeHeader("Connection");
}

/** An event for a Socket.IO namespace that no client joins, so that they all ignore it. */
function filler(bytes) {
  return `2/filler,["filler","${"i".repeat(bytes)}"]`;
}

function describeRequest(request, response) {
  let bytes = 0;
  request.on("data", (chunk) => (bytes += chunk.length));
  request.on("end", () => {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, bytes, pod }));
  });
}
