import assert from "node:assert/strict";
import { test } from "node:test";
import { GRACE_MS, Room } from "./room.js";

const SENDER = 0;
const POD = "pod-a";
const OTHER_POD = "pod-b";

/** A room with the members 0, 1, 2…; even ones are on one pod, odd ones on another. */
function room(members) {
  const room = new Room("r");
  for (let member = 0; member < members; member += 1) room.join(member, podOf(member));
  return room;
}

const podOf = (member) => (member % 2 === 0 ? POD : OTHER_POD);
const say = (room, now = 0) => room.next(SENDER, 1, now);
const receive = (room, member, text, now = 1) => room.receive(member, podOf(member), { text, from: POD }, now);

/** What was counted, without what is zero. */
function counts(room) {
  const { delivery_ms, ...counts } = room.toJSON();
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0));
}

test("a message that reaches everybody once is complete", () => {
  const r = room(3);
  const text = say(r);
  r.confirm(text);
  for (const member of [0, 1, 2]) assert.deepEqual(receive(r, member, text), []);
  assert.equal(r.complete, true);
  assert.deepEqual(counts(r), { members: 3, pods: 2, sent: 1, confirmed: 1, due: 3, delivered: 3, across_pods: 1 });
});

test("a message may reach members before its acknowledgement reaches the sender", () => {
  const r = room(2);
  const text = say(r);
  for (const member of [0, 1]) receive(r, member, text);
  assert.equal(r.complete, false);
  r.confirm(text);
  assert.equal(r.complete, true);
  assert.equal(counts(r).due, 2);
});

test("a message that does not reach a member is missing, and told by whether it had to change pods", () => {
  const r = room(3);
  const text = say(r);
  r.confirm(text);
  receive(r, 0, text);
  assert.equal(r.complete, false);
  r.finish();
  const { due, missing, missing_across_pods } = counts(r);
  assert.deepEqual({ due, missing, missing_across_pods }, { due: 3, missing: 2, missing_across_pods: 1 });
});

test("a member that joins after the sending is not waited for, but may get it once", () => {
  const r = room(1);
  const text = say(r);
  r.join(1, OTHER_POD);
  r.confirm(text);
  receive(r, 0, text);
  assert.equal(r.complete, true);
  assert.deepEqual(receive(r, 1, text), []);
  assert.deepEqual(receive(r, 1, text), ["room_message_duplicated"]);
  assert.equal(counts(r).due, 1);
});

test("a member whose session ends within the grace time is excused", () => {
  const r = room(2);
  const text = say(r, 0);
  r.confirm(text);
  receive(r, 0, text);
  r.leave(1, GRACE_MS - 1);
  assert.equal(r.complete, true);
  const { due, excused, missing = 0 } = counts(r);
  assert.deepEqual({ due, excused, missing }, { due: 1, excused: 1, missing: 0 });
});

test("a member whose session ends later is not", () => {
  const r = room(2);
  const text = say(r, 0);
  r.confirm(text);
  receive(r, 0, text);
  r.leave(1, GRACE_MS);
  r.finish();
  assert.equal(counts(r).missing, 1);
});

test("what is said while a member is away is not due there", () => {
  const r = room(2);
  r.leave(1, 0);
  const text = say(r, 1);
  r.join(1, OTHER_POD);
  r.confirm(text);
  receive(r, 0, text);
  r.finish();
  const { due, missing = 0 } = counts(r);
  assert.deepEqual({ due, missing }, { due: 1, missing: 0 });
});

test("a second delivery is reported even if the member has reconnected in between", () => {
  const r = room(2);
  const text = say(r);
  receive(r, 1, text);
  r.leave(1, 1);
  r.join(1, POD);
  assert.deepEqual(receive(r, 1, text), ["room_message_duplicated"]);
  assert.equal(counts(r).duplicated, 1);
});

test("a message whose sender's session ended before the acknowledgement is due nowhere", () => {
  const r = room(2);
  say(r);
  r.leave(SENDER, 1);
  assert.equal(r.complete, true);
  r.finish();
  const { due = 0, missing = 0, unanswered = 0 } = counts(r);
  assert.deepEqual({ due, missing, unanswered }, { due: 0, missing: 0, unanswered: 0 });
});

test("a message that the server never answers is unanswered", () => {
  const r = room(2);
  const text = say(r);
  receive(r, 0, text);
  receive(r, 1, text);
  r.finish();
  assert.equal(counts(r).unanswered, 1);
});

test("messages of one sender that change places are reported, those of two senders are not", () => {
  const r = room(2);
  const [first, second] = [say(r), say(r)];
  const other = r.next(1, 1, 0);
  assert.deepEqual(receive(r, 1, second), []);
  assert.deepEqual(receive(r, 1, other), []);
  assert.deepEqual(receive(r, 1, first), ["room_message_reordered"]);
});

test("a sender's sessions are numbered apart, so that a new one starts afresh", () => {
  const r = room(2);
  const before = r.next(SENDER, 1, 0);
  r.leave(SENDER, 1);
  r.join(SENDER, OTHER_POD);
  const after = r.next(SENDER, 2, 2);
  assert.notEqual(before, after);
  assert.deepEqual(receive(r, 1, before), []);
  assert.deepEqual(receive(r, 1, after), []);
});

test("what was said in another room, or by nobody, is astray", () => {
  const r = room(1);
  say(r);
  for (const text of ["other 0.1.1", "r 7.1.1", "hello", ""]) assert.deepEqual(receive(r, 0, text), ["room_message_astray"]);
});

test("a message is given up in the end, so that memory does not grow", () => {
  const r = room(2);
  r.confirm(say(r, 0));
  say(r, 120_000);
  assert.equal(counts(r).missing, 2);
});
