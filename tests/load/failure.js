// Gives an error of the client library a short name that says what the server or the network
// did: "400 Session ID unknown", "ECONNREFUSED", "timeout".
//
// Must be called synchronously from the event: the library empties the failed request
// (`context`) right after. With polling it holds status and body; of a refused WebSocket
// handshake only the status survives, inside a message of `ws`.

const MAX_LENGTH = 120;

/** `{kind, status, during}` of an error; `during` is the library's own message, such as "xhr poll error". */
export function classify(error) {
  const during = String(error?.message ?? error?.description ?? error);
  const { kind, status = null } = fromRequest(error) ?? fromWebSocket(error) ?? { kind: error?.code ?? during };
  return { kind: String(kind).slice(0, MAX_LENGTH), status, during: during.slice(0, MAX_LENGTH) };
}

function fromRequest(error) {
  const request = error?.context;
  if (typeof request?.status !== "number" || !("responseText" in request)) {
    // Clients of 2.x keep the status only.
    return error?.description >= 100 ? { status: error.description, kind: String(error.description) } : null;
  }
  const { status } = request;
  if (status > 0) return { status, kind: `${status} ${saidBy(request.responseText)}`.trim() };
  // Here `statusText` is the error of Node's request.
  return { kind: request.statusText?.code ?? request.statusText?.message ?? "no answer" };
}

function saidBy(body) {
  const text = String(body ?? "");
  try {
    const { message } = JSON.parse(text);
    if (typeof message === "string") return message;
  } catch {
    // Not an Engine.IO error: the first line will do.
  }
  return text.split("\n", 1)[0].trim();
}

function fromWebSocket(error) {
  const failed = error?.description?.error;
  if (!failed) return null;
  const answered = /^Unexpected server response: (\d{3})$/.exec(failed.message);
  if (answered) return { status: Number(answered[1]), kind: `${answered[1]} to the WebSocket handshake` };
  return { kind: failed.code ?? failed.message };
}
