// The example chat: an HTTP server with one page, a health check and Socket.IO.
//
// Nothing in it knows about the sidecar: it is what an application looks like before
// and after. Each process keeps its own sessions in memory, which is exactly why a
// request that reaches the wrong pod fails without help. Its rooms too, unless REDIS_URL
// says which Redis passes events between the pods; it then listens once Redis answers.
//
// PORT (3000), HOST (all addresses) and POD_NAME (the host's name) come from the environment.
// SIGTERM ends the process within SHUTDOWN_DEADLINE_MS.

import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { hostname } from "node:os";
import { fileURLToPath } from "node:url";
import { Server } from "socket.io";
import { openChat } from "./chat.js";
import { answerNumbered } from "./numbered.js";
import { connectRedis } from "./redis.js";

const SHUTDOWN_DEADLINE_MS = 5_000;
const PAGE = fileURLToPath(new URL("public/index.html", import.meta.url));

const pod = process.env.POD_NAME || hostname();
const port = readPort(process.env.PORT ?? "3000");
const redisUrl = readRedisUrl(process.env.REDIS_URL);
let stopping = false;
let io = null;
let redis = null;

process.on("SIGTERM", stop);
process.on("SIGINT", stop);

const http = createServer((request, response) => {
  const path = request.url.split("?", 1)[0];
  const readable = request.method === "GET" || request.method === "HEAD";
  if (readable && path === "/healthz") {
    response.writeHead(stopping ? 503 : 200, { "Content-Type": "text/plain; charset=utf-8" });
    response.end(stopping ? "stopping\n" : "ok\n");
  } else if (readable && (path === "/" || path === "/index.html")) {
    response.writeHead(200, { "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache" });
    createReadStream(PAGE).on("error", () => response.destroy()).pipe(response);
  } else {
    response.writeHead(404, { "Content-Type": "text/plain; charset=utf-8" });
    response.end("There is nothing here. The chat is at /.\n");
  }
});

if (redisUrl) {
  redis = await connectRedis(redisUrl);
} else {
  console.log("REDIS_URL is not set: a room spans the people on this pod only");
}

// Socket.IO also serves its browser client, at /socket.io/socket.io.js.
io = new Server(http, redis ? { adapter: redis.adapter } : {});
await redis?.subscribed();
const serveChat = openChat(io, pod, redis !== null);

io.on("connection", (socket) => {
  socket.emit("hello", { pod });
  serveChat(socket);
  answerNumbered(socket, pod);
});

http.on("error", (error) => {
  console.error(`The chat cannot listen on port ${port}: ${error.message}`);
  process.exit(1);
});
http.listen(port, process.env.HOST, () => {
  console.log(`The chat runs as ${pod} on port ${http.address().port}`);
});

// Closes every session, so that clients reconnect elsewhere, then the listener. What was said
// before is still sent to the other pods.
function stop() {
  if (stopping) return;
  stopping = true;
  console.log(`The chat stops; ${io?.engine.clientsCount ?? 0} sessions are closed`);
  if (!http.listening) process.exit(0);
  setTimeout(() => process.exit(1), SHUTDOWN_DEADLINE_MS).unref();
  io.close(async () => {
    await redis?.close();
    process.exit(0);
  });
}

function readPort(text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 65535) {
    console.error(`PORT must be a number from 0 to 65535, not "${text}".`);
    process.exit(2);
  }
  return value;
}

function readRedisUrl(text) {
  if (!text || /^rediss?:\/\/[^/]/.test(text)) return text;
  // Not shown: it may hold a password.
  console.error("REDIS_URL must be an address such as redis://redis:6379.");
  process.exit(2);
}
