// Judges the numbered messages of one session, in both directions. Pure.
//
// Up: message n must be acknowledged once, in order, with a record by the server that says it
// had received n messages, the one before being n - 1. The client library drops a second
// acknowledgement of one message, so a message delivered twice shows in `count` instead.
// Down: ticks must come as 1, 2, 3…
// Lost is only what is still missing when the session is closed with `finish`.

import { Arrivals } from "./arrivals.js";

/** How many repeated messages one acknowledgement can report. */
const MAX_EXTRA = 10_000;

export class Sequence {
  #sent = 0;
  #sentAt = new Map();
  #lastAck = 0;
  #extra = 0;
  #ticksExpected = 0;
  #ticks = new Arrivals();

  /** The next number to send. */
  next(now) {
    this.#sent += 1;
    this.#sentAt.set(this.#sent, now);
    return this.#sent;
  }

  get outstanding() {
    return this.#sentAt.size;
  }

  get complete() {
    return this.#sentAt.size === 0 && this.#ticks.missing === 0 && this.#ticks.last >= this.#ticksExpected;
  }

  /** Takes the acknowledgement of message `n`; returns the round trip and the faults that it shows. */
  acknowledge(n, record, now) {
    const faults = [];
    const rtt = now - (this.#sentAt.get(n) ?? now);
    this.#sentAt.delete(n);
    if (record?.n !== n || !Number.isInteger(record?.count)) return { rtt, faults: ["message_mismatched"] };
    if (n < this.#lastAck) faults.push("message_reordered");
    this.#lastAck = Math.max(this.#lastAck, n);
    // Each delivery beyond one per message raises the server's count for good: report the rise.
    // A late message is counted after higher ones, so the highest acknowledged is the measure.
    for (; this.#extra < Math.min(record.count - this.#lastAck, MAX_EXTRA); this.#extra += 1) faults.push("message_duplicated");
    if (record.previous > n) faults.push("message_reordered_upstream");
    this.#ticksExpected = Math.max(this.#ticksExpected, record.count);
    return { rtt, faults };
  }

  /** Takes a tick; returns the faults that it shows. */
  tick(n) {
    if (!Number.isInteger(n) || n < 1) return ["tick_mismatched"];
    const fault = this.#ticks.take(n);
    return fault === null ? [] : [`tick_${fault}`];
  }

  /** What never came. */
  finish() {
    return {
      messages: this.#sentAt.size,
      ticks: this.#ticks.missing + Math.max(0, this.#ticksExpected - this.#ticks.last),
    };
  }
}
