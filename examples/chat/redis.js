// Passes events between the pods through Redis, with the official adapter.
//
// While Redis is away the chat goes on, and each message reaches the people on its own pod only. It is
// not kept for later: pods would come back one by one, and some people would get it minutes late and
// others never. Both connections are made anew by the client library, which also subscribes again.

import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";

const CONNECT_MS = 5_000;
const PING_MS = 5_000;
/** Longer without an answer, to the ping at least, and the connection counts as broken. */
const SILENCE_MS = 15_000;
const CLOSE_MS = 1_000;

/**
 * Waits until Redis answers, however long that takes. Then:
 * `adapter` for the Socket.IO server, `subscribed()` to await once the server has it, `close()` at the end.
 */
export async function connectRedis(url) {
  const pub = createClient({
    url,
    disableOfflineQueue: true,
    pingInterval: PING_MS,
    socket: { connectTimeout: CONNECT_MS, socketTimeout: SILENCE_MS },
  });
  // The adapter subscribes on a connection of its own.
  const sub = pub.duplicate({ disableOfflineQueue: false });
  logChanges([pub, sub]);
  await Promise.all([pub.connect(), sub.connect()]);
  // The adapter does not wait for these, so nobody else would take their failure, and that ends a process.
  tolerate(pub, ["publish"]);
  tolerate(sub, ["pUnsubscribe", "unsubscribe"]);
  return {
    adapter: createAdapter(pub, sub),
    // Redis answers in order: once it has answered this, it has the subscriptions before.
    subscribed: () => sub.ping(),
    close: () => close([pub, sub]),
  };
}

/** Says each thing that is wrong once, and that it is over; the library tries again every two seconds. */
function logChanges(clients) {
  let wrong = null;
  let started = false;
  for (const client of clients) {
    client.on("error", (error) => {
      const now = error.message || error.code;
      const meaning = started ? "messages reach the people on this pod only" : "the chat waits for it";
      if (now !== wrong) console.error(`Redis is away (${now}): ${meaning}`);
      wrong = now;
    });
    client.on("ready", () => {
      if (!clients.every((one) => one.isReady)) return;
      console.log(started ? "Redis is back" : "Redis passes messages between the pods");
      started = true;
      wrong = null;
    });
  }
}

function tolerate(client, commands) {
  for (const command of commands) {
    const send = client[command].bind(client);
    client[command] = (...args) => send(...args).catch(() => undefined);
  }
}

/** Sends what is still to be sent. */
async function close(clients) {
  const closed = Promise.allSettled(clients.map((client) => client.close()));
  await Promise.race([closed, new Promise((late) => setTimeout(late, CLOSE_MS))]);
}
