// A bare WebSocket for the tests: what does a server answer to exactly this handshake?
//
//   node websocket.js --url ws://… [--send FRAME]… [--header "Name: value"]… [--wait MS (1000)]
//
// Sends the frames once open, waits, and prints {"status":101,"frames":[…],"closed":null|code}
// or {"status":400,"body":"…"} or {"error":"ECONNREFUSED"}. Bounded by twice the wait.

import { parseArgs } from "node:util";
import { WebSocket } from "ws";
import { readHeaders } from "./headers.js";

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    send: { type: "string", multiple: true, default: [] },
    header: { type: "string", multiple: true, default: [] },
    wait: { type: "string", default: "1000" },
  },
});
const wait = Number(options.wait);

const frames = [];
let closed = null;
const socket = new WebSocket(options.url, { headers: readHeaders(options.header), handshakeTimeout: wait });

socket.on("message", (data) => frames.push(data.toString()));
socket.on("close", (code) => (closed = code));
socket.on("unexpected-response", (_, response) => {
  let body = "";
  response.on("data", (chunk) => (body += chunk));
  response.on("end", () => finish({ status: response.statusCode, body }));
});
socket.on("error", (error) => finish({ error: error.code ?? error.message }));
socket.on("open", () => {
  for (const frame of options.send) socket.send(frame);
  setTimeout(() => finish({ status: 101, frames, closed }), wait);
});

function finish(outcome) {
  process.stdout.write(`${JSON.stringify(outcome)}\n`, () => process.exit(0));
}
