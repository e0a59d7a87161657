// Rooms and messages. Everything a client sends is checked, bounded and acknowledged
// with {ok: true, …} or {ok: false, error}.
//
// A room spans all pods if the server has an adapter, else the people on one pod. Its history does not:
// each pod remembers what was said while somebody on it was in the room, and tells newcomers that.

const MAX_NAME = 40;
const MAX_TEXT = 2_000;
const HISTORY = 50;
/** Many who come at once are announced together. */
const ANNOUNCE_AFTER_MS = 200;
const TRY_AGAIN_AFTER_MS = 2_000;

/** Returns what serves one socket. `spansPods`: the server's adapter passes events between pods. */
export function openChat(io, pod, spansPods) {
  const local = io.of("/").adapter;
  /** Messages by room, oldest first, of rooms with somebody on this pod. */
  const histories = new Map();
  /** Rooms whose people are about to be announced. */
  const announcing = new Set();

  local.on("delete-room", (room) => histories.delete(room));
  io.on("said", remember);

  function remember(room, said) {
    if (local.rooms.has(room)) histories.set(room, [...(histories.get(room) ?? []), said].slice(-HISTORY));
  }

  function leave(socket) {
    const { room } = socket.data;
    if (!room) return;
    socket.data.room = undefined;
    socket.leave(room);
    announce(room);
  }

  /** Tells a room who is in it, shortly. */
  function announce(room, afterMs = ANNOUNCE_AFTER_MS) {
    if (announcing.has(room)) return;
    announcing.add(room);
    setTimeout(async () => {
      announcing.delete(room);
      try {
        const sockets = await io.in(room).fetchSockets();
        io.to(room).emit("people", sockets.map((one) => one.data.name).sort());
      } catch {
        // A pod did not answer: it has just gone, or what passes events is away.
        announce(room, TRY_AGAIN_AFTER_MS);
      }
    }, afterMs);
  }

  return (socket) => {
    socket.on("join", async (wish, ack) => {
      const name = clean(wish?.name, MAX_NAME);
      const wanted = clean(wish?.room, MAX_NAME);
      if (!name || !wanted) return answer(ack, { ok: false, error: "A name and a room are needed." });
      leave(socket);
      const room = key(wanted);
      socket.data.name = name;
      socket.data.room = room;
      await socket.join(room);
      answer(ack, { ok: true, room: wanted, history: histories.get(room) ?? [] });
      announce(room);
    });

    socket.on("message", (message, ack) => {
      const text = clean(message?.text, MAX_TEXT);
      const { name, room } = socket.data;
      if (!room) return answer(ack, { ok: false, error: "Join a room first." });
      if (!text) return answer(ack, { ok: false, error: "The message is empty." });
      const said = { from: name, text, at: Date.now(), pod };
      io.to(room).emit("message", said);
      remember(room, said);
      if (spansPods) io.serverSideEmit("said", room, said);
      answer(ack, { ok: true });
    });

    socket.on("disconnect", () => leave(socket));
  };
}

/** A room's name inside Socket.IO; the prefix keeps it apart from socket ids, which are rooms too. */
function key(room) {
  return `chat:${room}`;
}

function clean(value, length) {
  return typeof value === "string" ? value.trim().slice(0, length) : "";
}

function answer(ack, value) {
  if (typeof ack === "function") ack(value);
}
