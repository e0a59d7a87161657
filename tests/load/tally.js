// Counts what happened, per client, and adds up. Bounded: kinds of errors beyond a limit are
// counted as "other", and round trips go into a histogram.

import { Histogram } from "./histogram.js";

const MAX_KINDS = 50;

const COUNTERS = [
  "connects", "reconnects", "connect_errors", "disconnects", "upgrades", "upgrade_errors",
  "sent", "acked", "lost", "cut_off", "ticks", "ticks_lost", "held_back",
];

export class Tally {
  constructor() {
    for (const name of COUNTERS) this[name] = 0;
    this.connect_error_kinds = {};
    this.disconnect_kinds = {};
    this.upgrade_error_kinds = {};
    this.violations = {};
    this.sessions_per_pod = {};
    this.rtt = new Histogram();
    this.outage = new Histogram();
  }

  /** Counts an event that has a kind: `group` is connect_error, disconnect or upgrade_error. */
  fail(group, kind) {
    this[`${group}s`] += 1;
    bump(this[`${group}_kinds`], kind, 1);
  }

  add(other) {
    for (const name of COUNTERS) this[name] += other[name];
    for (const name of ["connect_error_kinds", "disconnect_kinds", "upgrade_error_kinds", "violations", "sessions_per_pod"]) {
      for (const [kind, count] of Object.entries(other[name])) bump(this[name], kind, count);
    }
    this.rtt.add(other.rtt);
    this.outage.add(other.outage);
    return this;
  }

  get violation_count() {
    return Object.values(this.violations).reduce((sum, count) => sum + count, 0);
  }

  /** Everything that must be zero when all is well. */
  get faults() {
    return this.connect_errors + this.disconnects + this.upgrade_errors + this.lost + this.ticks_lost
      + this.held_back + this.violation_count;
  }

  toJSON() {
    const { rtt, outage, ...rest } = this;
    return { ...rest, violation_count: this.violation_count, rtt_ms: rtt.toJSON(), outage_ms: outage.toJSON() };
  }
}

/** Adds to a bounded table of counts. */
export function bump(table, kind, by) {
  const known = kind in table || Object.keys(table).length < MAX_KINDS;
  const name = known ? kind : "other";
  table[name] = (table[name] ?? 0) + by;
}
