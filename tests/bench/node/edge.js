// Stands in for an edge that knows nothing of sessions, at no cost: the clients' own agent, which keeps
// connections and sends each request to the next target in turn. A proxy would add the same to each
// system, and hide by it what the systems differ in.

import { Agent } from "node:http";

export class Edge extends Agent {
  #targets;
  #next = 0;

  /** `targets` are URLs. */
  constructor(targets) {
    super({ keepAlive: true, maxFreeSockets: Infinity });
    this.#targets = targets.map((target) => new URL(target));
  }

  /** Where clients are told to go. */
  get url() {
    return this.#targets[0].href;
  }

  // Called by Node for each request, those for a WebSocket included; not in its documentation, but what
  // agents of others have built upon for as long as there are any.
  addRequest(request, options) {
    const target = this.#targets[this.#next];
    this.#next = (this.#next + 1) % this.#targets.length;
    super.addRequest(request, { ...options, host: target.hostname, hostname: target.hostname, port: target.port });
  }
}
