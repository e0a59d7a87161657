// One client: a Socket.IO connection that sends numbered messages, judges the answers, and
// reconnects as the library does. Every session starts a new numbering, since the server's
// record of it is new. With a room, every session joins it, and says something in it whenever it
// sends a numbered message.
//
// Nothing in here waits without a bound: the library times connections out, `stop` ends the
// sending, and the caller decides how long to wait for `settled`.

import { createHash } from "node:crypto";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { io } from "socket.io-client";
import { classify } from "./failure.js";
import { Sequence } from "./sequence.js";
import { Tally, bump } from "./tally.js";

/** Messages of one client that may wait for an answer; beyond, it holds back. */
const MAX_OUTSTANDING = 100;

const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], default: undefined };

/** What logs may show of a session: a hash of its id, without the owner tag after the last dot. */
export function hashSid(sid) {
  const dot = sid.lastIndexOf(".");
  return createHash("sha256").update(dot < 0 ? sid : sid.slice(0, dot)).digest("hex").slice(0, 16);
}

export class Client {
  tally = new Tally();
  #session = null;
  #sid = null;
  #lostAt = null;
  #stopped = false;
  #closed = false;
  #timer = null;

  /** `report(event)` receives each event, without time; `room` may be null. */
  constructor(index, mode, options, room, report) {
    this.index = index;
    this.mode = mode;
    this.options = options;
    this.room = room;
    this.report = (event, more) => report({ event, client: index, mode, ...more });
    const Agent = options.url.startsWith("https:") ? HttpsAgent : HttpAgent;
    this.agent = options.keepAlive ? new Agent({ keepAlive: true }) : undefined;
  }

  get connected() {
    return this.#session !== null;
  }

  get transport() {
    return this.connected ? this.socket.io.engine.transport.name : null;
  }

  get settled() {
    return this.#session === null || (this.#session.pod !== null && this.#session.sequence.complete);
  }

  start() {
    this.socket = io(this.options.url, {
      path: this.options.path,
      forceNew: true,
      transports: TRANSPORTS[this.mode],
      ...(this.agent && { agent: this.agent }),
    });
    // Emitted before the library probes an upgrade, so no event of the engine is missed.
    this.socket.io.on("open", () => this.#watchEngine(this.socket.io.engine));
    this.socket.on("connect", () => this.#connected());
    this.socket.on("hello", ({ pod }) => this.#greeted(pod));
    this.socket.on("tick", ({ n }) => this.#ticked(n));
    if (this.room) this.socket.on("message", ({ text, pod }) => this.#heard(text, pod));
    this.socket.on("connect_error", (error) => this.#failedToConnect(error));
    this.socket.on("disconnect", (reason, details) => this.#disconnected(reason, details));
  }

  /** Ends the sending; answers are still taken. */
  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Counts what never came, once, when the waiting is over. */
  conclude() {
    if (!this.#session) return;
    if (this.#session.pod === null) this.#violated(["hello_missing"]);
    const missing = this.#session.sequence.finish();
    this.tally.lost += missing.messages;
    this.tally.ticks_lost += missing.ticks;
  }

  close() {
    this.stop();
    this.#closed = true;
    this.#session = null;
    this.socket?.disconnect();
    this.agent?.destroy();
  }

  #watchEngine(engine) {
    this.#sid = hashSid(engine.id);
    engine.on("upgrade", (transport) => {
      this.tally.upgrades += 1;
      this.report("upgrade", { transport: transport.name, sid: this.#sid });
    });
    engine.on("upgradeError", (error) => {
      // A probe that was under way when its session ended, or when the run did, is no finding.
      if (engine.readyState !== "open" || this.#stopped) return;
      const kind = error.message.replaceAll("Error: ", "");
      this.tally.fail("upgrade_error", kind);
      this.report("upgrade_error", { kind, sid: this.#sid });
    });
  }

  #connected() {
    const outageMs = this.#lostAt === null ? null : Math.round(performance.now() - this.#lostAt);
    this.tally.connects += 1;
    if (outageMs !== null) {
      this.tally.reconnects += 1;
      this.tally.outage.record(outageMs);
    }
    this.#lostAt = null;
    this.#session = { sequence: new Sequence(), pod: null, joined: false, outageMs };
  }

  #greeted(pod) {
    this.#session.pod = pod;
    bump(this.tally.sessions_per_pod, pod, 1);
    this.report("connect", { transport: this.transport, pod, sid: this.#sid, outage_ms: this.#session.outageMs });
    if (this.room) this.#join(this.#session);
    if (!this.#stopped) this.#sendAfter(Math.random() * this.options.intervalMs);
  }

  #join(session) {
    this.socket.emit("join", { name: `load-${this.index}`, room: this.room.name }, (answer) => {
      if (session !== this.#session) return;
      if (answer?.ok !== true) return this.#violated(["room_refused"]);
      session.joined = true;
      this.room.join(this.index, session.pod);
    });
  }

  #say(session) {
    const text = this.room.next(this.index, this.tally.connects, performance.now());
    this.socket.emit("message", { text }, (answer) => {
      if (session !== this.#session) return;
      if (answer?.ok === true) this.room.confirm(text);
      else this.#violated(["room_refused"]);
    });
  }

  #heard(text, from) {
    this.#violated(this.room.receive(this.index, this.#session.pod, { text: String(text), from }, performance.now()));
  }

  #sendAfter(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#sendAfter(this.options.intervalMs);
      this.#send(this.#session);
      if (this.#session.joined) this.#say(this.#session);
    }, ms);
  }

  #send(session) {
    if (session.sequence.outstanding >= MAX_OUTSTANDING) {
      this.tally.held_back += 1;
      return;
    }
    const n = session.sequence.next(performance.now());
    this.tally.sent += 1;
    this.socket.emit("numbered", { n }, (record) => {
      if (session !== this.#session) return;
      const { rtt, faults } = session.sequence.acknowledge(n, record, performance.now());
      this.tally.acked += 1;
      this.tally.rtt.record(rtt);
      if (record?.pod !== session.pod) faults.push("pod_changed");
      this.#violated(faults);
    });
  }

  #ticked(n) {
    this.tally.ticks += 1;
    this.#violated(this.#session.sequence.tick(n));
  }

  #violated(faults) {
    for (const kind of faults) {
      bump(this.tally.violations, kind, 1);
      this.report("violation", { kind, pod: this.#session.pod, sid: this.#sid });
    }
  }

  #failedToConnect(error) {
    const { kind, status, during } = classify(error);
    this.tally.fail("connect_error", kind);
    // A session that was opened, and failed before it was of use, has an id to look for in logs.
    this.report("connect_error", { kind, status, during, sid: this.#sid });
    this.#sid = null;
  }

  #disconnected(reason, details) {
    const session = this.#session;
    if (!session) {
      // Closed by us, or an attempt that failed half-way. The library emits connect_error for
      // those with an error, and says nothing else of those that were merely closed.
      if (!this.#closed && reason !== "transport error") this.#failedToConnect(new Error(`${reason} while connecting`));
      return;
    }
    clearTimeout(this.#timer);
    const cause = reason === "transport error" && details ? classify(details) : null;
    const kind = cause ? `${reason}: ${cause.kind}` : reason;
    this.tally.fail("disconnect", kind);
    this.tally.cut_off += session.sequence.outstanding;
    this.report("disconnect", {
      kind, status: cause?.status ?? null, transport: this.socket.io.engine.transport.name, pod: session.pod, sid: this.#sid,
      cut_off: session.sequence.outstanding,
    });
    this.#session = null;
    this.#sid = null;
    this.#lostAt = performance.now();
    this.room?.leave(this.index, this.#lostAt);
  }
}
