// Numbered messages, by which a client can prove that nothing was lost, repeated or
// reordered on the way, in either direction.
//
// The client sends `numbered {n}` with n = 1, 2, 3… in each session. The acknowledgement
// `{n, pod, count, previous}` says how many the server has received (n, if all is well) and
// which one came before (n - 1). Each one is also followed by `tick {n}`, numbered by a
// counter of its own, for the way down.

export function answerNumbered(socket, pod) {
  let previous = 0;
  let count = 0;
  socket.on("numbered", (message, ack) => {
    const n = message?.n;
    if (!Number.isSafeInteger(n) || typeof ack !== "function") return;
    count += 1;
    ack({ n, pod, count, previous });
    socket.emit("tick", { n: count });
    previous = n;
  });
}
