// Judges what is said in one room: every message must reach every member once, and each sender's in
// order. Pure: whoever calls says what happened and when, in milliseconds.
//
// A message is due at the members whose join was acknowledged before it was sent, if the server
// acknowledged it. A member whose session ends within GRACE_MS of the sending is excused from it: the
// session may have ended at the server earlier than its client noticed. Between two sessions a member
// is no member. Nothing excuses a message that a member gets twice, in whichever of its sessions.

import { Arrivals } from "./arrivals.js";
import { Histogram } from "./histogram.js";

export const GRACE_MS = 5_000;
/** A message that has not reached a member by then is missing; what comes later does not change that. */
const GIVE_UP_MS = 60_000;

const COUNTERS = [
  "sent", "confirmed", "due", "delivered", "across_pods", "missing", "missing_across_pods", "excused",
  "duplicated", "reordered", "astray", "unanswered",
];

export class Room {
  #members = new Map();
  #streams = new Map();
  #open = new Map();
  #arrivals = new Map();
  #everMembers = new Set();
  #pods = new Set();
  #delivery = new Histogram();
  #counts = Object.fromEntries(COUNTERS.map((name) => [name, 0]));

  constructor(name) {
    this.name = name;
  }

  /** The server acknowledged that `member`'s session on `pod` is in the room. */
  join(member, pod) {
    this.#members.set(member, pod);
    this.#everMembers.add(member);
    this.#pods.add(pod);
  }

  /** `member`'s session has ended. */
  leave(member, now) {
    this.#members.delete(member);
    for (const [text, message] of this.#open) {
      // Whether the server ever got it is not known.
      if (message.sender === member && !message.confirmed) this.#open.delete(text);
      else if (message.awaited.has(member) && now < message.sentAt + GRACE_MS) {
        message.awaited.delete(member);
        message.excused += 1;
        this.#closeIfDone(text, message);
      }
    }
  }

  /** The text that `member` sends next, in its `session`, which is a number of its own for each. */
  next(member, session, now) {
    this.#giveUp(now);
    const stream = `${member}.${session}`;
    const n = (this.#streams.get(stream) ?? 0) + 1;
    this.#streams.set(stream, n);
    const text = `${this.name} ${stream}.${n}`;
    this.#open.set(text, {
      sender: member, pod: this.#members.get(member), sentAt: now, confirmed: false,
      awaited: new Map(this.#members), delivered: 0, excused: 0,
    });
    this.#counts.sent += 1;
    return text;
  }

  /** The server acknowledged it. */
  confirm(text) {
    const message = this.#open.get(text);
    if (!message) return;
    message.confirmed = true;
    this.#counts.confirmed += 1;
    this.#closeIfDone(text, message);
  }

  /** `member`, on `pod`, got what came through `from`; returns the faults that it shows. */
  receive(member, pod, { text, from }, now) {
    const named = /^(.+) (\d+\.\d+)\.(\d+)$/.exec(text);
    if (!named || named[1] !== this.name || !this.#streams.has(named[2])) return this.#fault("astray");
    const stream = `${member} from ${named[2]}`;
    if (!this.#arrivals.has(stream)) this.#arrivals.set(stream, new Arrivals());
    const fault = this.#arrivals.get(stream).take(Number(named[3]));
    if (fault === "duplicated") return this.#fault(fault);
    this.#counts.delivered += 1;
    if (from !== pod) this.#counts.across_pods += 1;
    const message = this.#open.get(text);
    if (message) {
      this.#delivery.record(now - message.sentAt);
      if (message.awaited.delete(member)) message.delivered += 1;
      this.#closeIfDone(text, message);
    }
    return fault === null ? [] : this.#fault(fault);
  }

  /** Whether every message has come to everybody. */
  get complete() {
    return this.#open.size === 0;
  }

  /** Ends the waiting: what has not come is missing. */
  finish() {
    for (const [text, message] of this.#open) this.#close(text, message);
  }

  toJSON() {
    return { members: this.#everMembers.size, pods: this.#pods.size, ...this.#counts, delivery_ms: this.#delivery.toJSON() };
  }

  #fault(kind) {
    this.#counts[kind] += 1;
    return [`room_message_${kind}`];
  }

  #giveUp(now) {
    // Oldest first.
    for (const [text, message] of this.#open) {
      if (now < message.sentAt + GIVE_UP_MS) return;
      this.#close(text, message);
    }
  }

  #closeIfDone(text, message) {
    if (message.confirmed && message.awaited.size === 0) this.#close(text, message);
  }

  #close(text, message) {
    this.#open.delete(text);
    if (!message.confirmed) {
      this.#counts.unanswered += 1;
      return;
    }
    this.#counts.due += message.delivered + message.awaited.size;
    this.#counts.excused += message.excused;
    this.#counts.missing += message.awaited.size;
    for (const pod of message.awaited.values()) if (pod !== message.pod) this.#counts.missing_across_pods += 1;
  }
}

/** All rooms together, and each. */
export function describeRooms(rooms) {
  const by_room = Object.fromEntries(rooms.map((room) => [room.name, room.toJSON()]));
  const total = Object.fromEntries(COUNTERS.map((name) => [name, Object.values(by_room).reduce((sum, room) => sum + room[name], 0)]));
  return { count: rooms.length, ...total, by_room };
}
