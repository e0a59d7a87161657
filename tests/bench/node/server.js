// A pod of a whole system: a real Socket.IO server that answers `message` and does nothing else.
//
//   node server.js HOST PORT
//
// Ends when standard input is closed, so that it never outlives the benchmark.

import { createServer } from "node:http";
import { Server } from "socket.io";

const [host, port] = process.argv.slice(2);
const http = createServer();
// Longer than whoever is before a server keeps its connections, or it would close them under requests.
http.keepAliveTimeout = 75_000;
const io = new Server(http);
io.on("connection", (socket) => socket.on("message", (text, ack) => ack(text.length)));
http.listen(Number(port), host);
process.stdin.on("end", () => process.exit(0)).on("error", () => process.exit(0)).resume();
