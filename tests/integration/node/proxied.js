// An HTTP application that reports the client as its framework sees it.
//
//   node proxied.js --framework express|nest [--host 127.0.0.1] [--port 0]
//     [--trust VALUE]   the setting `trust proxy`: a number of proxies, or a name such as loopback
//
// Prints {"port":…} once it listens, and ends when standard input is closed.
//
// GET /limited: express-rate-limit, 15 requests for each address.
// GET /login: a session whose cookie is `secure`, so it is set only where the protocol is https.
// Any other path: {"address", "protocol", "host"}.

import "reflect-metadata";
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import express from "express";
import { rateLimit } from "express-rate-limit";
import session from "express-session";
import { All, Controller, Module, Req } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";

const LIMIT = 15;

const { values: options } = parseArgs({
  options: {
    framework: { type: "string", default: "express" },
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "0" },
    trust: { type: "string" },
  },
});
const trust = /^\d+$/.test(options.trust ?? "") ? Number(options.trust) : options.trust;

const describe = (request) => ({ address: request.ip, protocol: request.protocol, host: request.host });

function useMiddleware(app) {
  app.use(session({ secret: "test", resave: false, saveUninitialized: true, cookie: { secure: true } }));
  // What it would log of an unset `trust proxy` is what the tests are about.
  app.use("/limited", rateLimit({ windowMs: 60_000, limit: LIMIT, validate: false }));
}

function startExpress() {
  const app = express();
  if (trust !== undefined) app.set("trust proxy", trust);
  useMiddleware(app);
  app.use((request, response) => response.json(describe(request)));
  const server = createServer(app);
  server.listen(Number(options.port), options.host, () => announce(server.address().port));
}

async function startNest() {
  class Who {
    who(request) {
      return describe(request);
    }
  }
  Controller()(Who);
  All("*path")(Who.prototype, "who", Object.getOwnPropertyDescriptor(Who.prototype, "who"));
  Req()(Who.prototype, "who", 0);
  class App {}
  Module({ controllers: [Who] })(App);
  const app = await NestFactory.create(App, { logger: false });
  if (trust !== undefined) app.set("trust proxy", trust);
  useMiddleware(app);
  await app.listen(Number(options.port), options.host);
  announce(app.getHttpServer().address().port);
}

function announce(port) {
  console.log(JSON.stringify({ port }));
}

process.stdin.resume();
process.stdin.on("end", () => process.exit());
await (options.framework === "nest" ? startNest() : startExpress());
