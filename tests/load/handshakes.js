// A steady stream of handshakes, each on a connection of its own, as of clients that just arrive.
// Their sessions are left alone; the server ends them when nobody answers its pings.

import { get as httpGet } from "node:http";
import { get as httpsGet } from "node:https";
import { bump } from "./tally.js";

const TIMEOUT_MS = 10_000;

export class Handshakes {
  sent = 0;
  good = 0;
  refused_kinds = {};
  #timer = null;

  /** `report(event)` receives what was not answered with a session. */
  constructor(options, report) {
    this.options = options;
    this.report = report;
  }

  get pending() {
    return this.sent - this.good - this.refused;
  }

  get refused() {
    return Object.values(this.refused_kinds).reduce((sum, count) => sum + count, 0);
  }

  start() {
    this.#timer = setInterval(() => this.#send(), 1_000 / this.options.handshakes);
  }

  stop() {
    clearInterval(this.#timer);
  }

  toJSON() {
    const { sent, good, refused, refused_kinds } = this;
    return { sent, good, refused, refused_kinds };
  }

  #send() {
    this.sent += 1;
    const { url, path } = this.options;
    const get = url.startsWith("https:") ? httpsGet : httpGet;
    const request = get(`${url}${path}?EIO=4&transport=polling`, { agent: false, timeout: TIMEOUT_MS });
    // An answer may be cut off after its head: that is one failure, whichever event tells.
    let told = false;
    const tell = (kind) => {
      if (told) return;
      told = true;
      if (kind === null) this.good += 1;
      else {
        bump(this.refused_kinds, kind, 1);
        this.report({ event: "handshake_refused", kind });
      }
    };
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.on("error", (error) => tell(error.code ?? error.message));
    request.on("response", (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (part) => (body += part));
      response.on("error", (error) => tell(error.code ?? error.message));
      response.on("end", () => tell(response.statusCode === 200 && body.startsWith("0{") ? null : String(response.statusCode)));
    });
  }
}
