// Rooms and messages. Everything a client sends is checked, bounded and acknowledged
// with {ok: true, …} or {ok: false, error}.
//
// Without a Socket.IO adapter a room spans the people on one pod only.

const MAX_NAME = 40;
const MAX_TEXT = 2_000;
const HISTORY = 50;

/** Messages of each room that has somebody in it, oldest first. */
const histories = new Map();

export function serveChat(io, socket, pod) {
  socket.on("join", async (wish, ack) => {
    const name = clean(wish?.name, MAX_NAME);
    const room = clean(wish?.room, MAX_NAME);
    if (!name || !room) return answer(ack, { ok: false, error: "A name and a room are needed." });
    await leave(io, socket);
    if (!socket.connected) return;
    socket.data.name = name;
    socket.data.room = room;
    await socket.join(key(room));
    answer(ack, { ok: true, room, history: histories.get(room) ?? [] });
    await announce(io, room);
  });

  socket.on("message", (message, ack) => {
    const text = clean(message?.text, MAX_TEXT);
    const { name, room } = socket.data;
    if (!room) return answer(ack, { ok: false, error: "Join a room first." });
    if (!text) return answer(ack, { ok: false, error: "The message is empty." });
    const said = { from: name, text, at: Date.now(), pod };
    const history = histories.get(room) ?? [];
    histories.set(room, [...history, said].slice(-HISTORY));
    io.to(key(room)).emit("message", said);
    answer(ack, { ok: true });
  });

  socket.on("disconnect", () => leave(io, socket));
}

async function leave(io, socket) {
  const { room } = socket.data;
  if (!room) return;
  socket.data.room = undefined;
  await socket.leave(key(room));
  await announce(io, room);
}

/** Tells a room who is in it, and forgets its messages once nobody is. */
async function announce(io, room) {
  const sockets = await io.in(key(room)).fetchSockets();
  if (sockets.length === 0) histories.delete(room);
  io.to(key(room)).emit("people", sockets.map((one) => one.data.name).sort());
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
