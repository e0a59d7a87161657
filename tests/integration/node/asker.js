// A node:http client for the framing corpus: asks each question, and a marker behind it on the same agent.
//
//   node asker.js FILE
//
// FILE holds [{id, host, port, method, target, marker}]. Prints one line for each, in any order:
// {id, interim, status, fields, body, complete, error, marker}. Bytes are strings with one character a byte.

import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";

const LONGEST_WAIT_MS = 10_000;
const AT_ONCE = 32;
const MAX_HEAD_BYTES = 256 * 1024;

const pairs = (raw) => Array.from({ length: raw.length / 2 }, (_, at) => [raw[2 * at], raw[2 * at + 1]]);

function ask({ host, port }, method, target, agent) {
  return new Promise((resolve) => {
    const seen = { interim: [], status: null, fields: [], body: "", complete: false, error: null };
    const limits = { timeout: LONGEST_WAIT_MS, maxHeaderSize: MAX_HEAD_BYTES };
    const asking = request({ host, port, method, path: target, agent, ...limits });
    asking.on("information", (head) => seen.interim.push(head.statusCode));
    asking.on("upgrade", (head, socket) => {
      Object.assign(seen, { status: head.statusCode, fields: pairs(head.rawHeaders), complete: true });
      socket.destroy();
    });
    asking.on("response", (answer) => {
      Object.assign(seen, { status: answer.statusCode, fields: pairs(answer.rawHeaders) });
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("error", ({ code }) => (seen.error ??= code));
      answer.on("close", () => {
        seen.complete = answer.complete;
        seen.body = Buffer.concat(chunks).toString("latin1");
        resolve(seen);
      });
    });
    asking.on("timeout", () => asking.destroy(Object.assign(new Error("late"), { code: "LATE" })));
    asking.on("error", ({ code }) => (seen.error ??= code));
    asking.on("close", () => asking.res || resolve(seen));
    asking.end();
  });
}

async function inTurn(questions) {
  for (let question = questions.shift(); question; question = questions.shift()) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const seen = await ask(question, question.method, question.target, agent);
    const marker = await ask(question, "GET", question.marker, agent);
    agent.destroy();
    console.log(JSON.stringify({ id: question.id, ...seen, marker: `${marker.status} ${marker.body}` }));
  }
}

const questions = JSON.parse(readFileSync(process.argv[2], "utf8"));
await Promise.all(Array.from({ length: AT_ONCE }, () => inTurn(questions)));
