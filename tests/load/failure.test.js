import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { io } from "socket.io-client";
import { hashSid } from "./client.js";
import { classify } from "./failure.js";

/** What `classify` makes of the first failure to connect to a server that answers so. */
async function failureAgainst(transport, status, body) {
  const server = createServer((_, response) => response.writeHead(status).end(body));
  server.on("upgrade", (_, socket) => socket.end(`HTTP/1.1 ${status} No\r\nConnection: close\r\n\r\n`));
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  try {
    return await failureOf(transport, server.address().port);
  } finally {
    server.close();
  }
}

function failureOf(transport, port) {
  const socket = io(`http://127.0.0.1:${port}`, { forceNew: true, transports: [transport], reconnection: false });
  return new Promise((done) => {
    socket.on("connect_error", (error) => {
      done(classify(error));
      socket.disconnect();
    });
  });
}

test("an Engine.IO error is named by status and message", async () => {
  const failure = await failureAgainst("polling", 400, '{"code":1,"message":"Session ID unknown"}');
  assert.deepEqual(failure, { kind: "400 Session ID unknown", status: 400, during: "xhr poll error" });
});

test("another error page is named by its first line", async () => {
  const failure = await failureAgainst("polling", 502, "Bad Gateway\nsecret details");
  assert.equal(failure.kind, "502 Bad Gateway");
});

test("a refused WebSocket handshake is named by its status", async () => {
  const failure = await failureAgainst("websocket", 400, "");
  assert.deepEqual(failure, { kind: "400 to the WebSocket handshake", status: 400, during: "websocket error" });
});

for (const transport of ["polling", "websocket"]) {
  test(`a refused connection is named by its code, with ${transport}`, async () => {
    const server = createServer();
    await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
    const { port } = server.address();
    await new Promise((closed) => server.close(closed));
    assert.equal((await failureOf(transport, port)).kind, "ECONNREFUSED");
  });
}

test("the hash of a session is that of its id without the owner tag", () => {
  assert.equal(hashSid("MnhRJWLdKT_sGkDsAAAA.some-tag"), hashSid("MnhRJWLdKT_sGkDsAAAA"));
  assert.notEqual(hashSid("a.b.tag"), hashSid("a"));
  assert.match(hashSid("MnhRJWLdKT_sGkDsAAAA"), /^[0-9a-f]{16}$/);
});
