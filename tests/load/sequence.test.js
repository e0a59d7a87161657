import assert from "node:assert/strict";
import { test } from "node:test";
import { Sequence } from "./sequence.js";

/** A sequence that has sent `n` messages. */
function sent(n) {
  const sequence = new Sequence();
  for (let i = 0; i < n; i += 1) sequence.next(0);
  return sequence;
}

const record = (n, count = n, previous = n - 1) => ({ n, count, previous });

test("a session without faults is complete and has lost nothing", () => {
  const sequence = sent(3);
  for (const n of [1, 2, 3]) {
    assert.deepEqual(sequence.acknowledge(n, record(n), 7), { rtt: 7, faults: [] });
    assert.deepEqual(sequence.tick(n), []);
  }
  assert.equal(sequence.complete, true);
  assert.deepEqual(sequence.finish(), { messages: 0, ticks: 0 });
});

test("a message that the server received twice is reported once", () => {
  const sequence = sent(3);
  assert.deepEqual(sequence.acknowledge(1, record(1), 0).faults, []);
  assert.deepEqual(sequence.acknowledge(2, record(2, 3, 2), 0).faults, ["message_duplicated"]);
  assert.deepEqual(sequence.acknowledge(3, record(3, 4), 0).faults, []);
});

test("messages swapped on the way up are reported", () => {
  const sequence = sent(2);
  assert.deepEqual(sequence.acknowledge(2, record(2, 1, 0), 0).faults, []);
  assert.deepEqual(sequence.acknowledge(1, record(1, 2, 2), 0).faults, ["message_reordered", "message_reordered_upstream"]);
});

test("acknowledgements swapped on the way down are reported", () => {
  const sequence = sent(2);
  sequence.acknowledge(2, record(2), 0);
  assert.deepEqual(sequence.acknowledge(1, record(1), 0).faults, ["message_reordered"]);
});

test("an acknowledgement of another message is reported", () => {
  assert.deepEqual(sent(2).acknowledge(1, record(2), 0).faults, ["message_mismatched"]);
});

test("a message without an acknowledgement is lost at the end", () => {
  const sequence = sent(2);
  sequence.acknowledge(1, record(1), 0);
  sequence.tick(1);
  assert.equal(sequence.complete, false);
  assert.deepEqual(sequence.finish(), { messages: 1, ticks: 0 });
});

test("repeated, swapped and missing ticks are told apart", () => {
  const sequence = sent(5);
  for (const n of [1, 2, 3, 4, 5]) sequence.acknowledge(n, record(n), 0);
  assert.deepEqual(sequence.tick(1), []);
  assert.deepEqual(sequence.tick(1), ["tick_duplicated"]);
  assert.deepEqual(sequence.tick(4), []);
  assert.deepEqual(sequence.tick(2), ["tick_reordered"]);
  assert.deepEqual(sequence.finish(), { messages: 0, ticks: 2 });
});
