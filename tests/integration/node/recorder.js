// A node:http server that notes each message that it reads, for the framing corpus.
//
//   node recorder.js --host HOST --port PORT
//
// Prints {"port":…,"control":…} once it listens, and ends when standard input is closed.
//
// Every message is answered with 200 and `X-Message: ID`, once it is whole; a target with `&early` is answered
// at its head. WebSocket upgrades are answered with 101, and what follows is sent back.
// GET /records on the control port returns {messages, errors}. Bytes are strings with one character a byte.

import { createServer } from "node:http";
import { parseArgs } from "node:util";

const MAX_HEAD_BYTES = 256 * 1024;

const { values: options } = parseArgs({
  options: { host: { type: "string", default: "127.0.0.1" }, port: { type: "string", default: "0" } },
});

const messages = [];
const errors = [];
let connections = 0;

const pairs = (raw) => Array.from({ length: raw.length / 2 }, (_, at) => [raw[2 * at], raw[2 * at + 1]]);

function note(request, socket) {
  const noted = {
    id: messages.length,
    connection: socket.number,
    method: request.method,
    target: request.url,
    version: request.httpVersion,
    fields: pairs(request.rawHeaders),
    body: "",
    trailers: [],
    complete: false,
    switched: false,
  };
  messages.push(noted);
  return noted;
}

// The limits are the sidecar's to keep, so those of Node are out of the way.
const server = createServer({
  requestTimeout: 0,
  headersTimeout: 0,
  keepAliveTimeout: 60_000,
  maxHeaderSize: MAX_HEAD_BYTES,
});

function answer(noted, response, status = 200) {
  const text = `message ${noted.id}\n`;
  response.writeHead(status, { "X-Message": noted.id, "Content-Length": text.length });
  response.end(text);
}

function onRequest(request, response, status) {
  const noted = note(request, request.socket);
  const chunks = [];
  const isEarly = request.url.includes("&early");
  if (isEarly) answer(noted, response, status);
  request.on("error", () => {});
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    noted.complete = request.complete;
    noted.body = Buffer.concat(chunks).toString("latin1");
    noted.trailers = pairs(request.rawTrailers);
    if (!isEarly) answer(noted, response, status);
  });
}

server.on("request", (request, response) => onRequest(request, response));
server.on("checkContinue", (request, response) => {
  response.writeContinue();
  onRequest(request, response);
});
server.on("checkExpectation", (request, response) => onRequest(request, response, 417));
server.on("connection", (socket) => (socket.number = connections++));
server.on("upgrade", (request, socket, head) => {
  const noted = note(request, socket);
  noted.complete = true;
  noted.switched = true;
  const fields = `Connection: Upgrade\r\nUpgrade: websocket\r\nX-Message: ${noted.id}\r\n`;
  socket.on("error", () => {});
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`);
  socket.write(head);
  socket.on("data", (bytes) => socket.write(bytes));
  socket.on("end", () => socket.end());
});
server.on("clientError", (error, socket) => {
  errors.push({ code: error.code, connection: socket.number, packet: error.rawPacket?.toString("latin1") ?? "" });
  if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  else socket.destroy();
});

const control = createServer((_, response) => response.end(JSON.stringify({ messages, errors })));

server.listen(Number(options.port), options.host, () =>
  control.listen(0, options.host, () =>
    console.log(JSON.stringify({ port: server.address().port, control: control.address().port })),
  ),
);
process.stdin.on("end", () => process.exit(0)).resume();
