// Judges the order in which numbered things arrive: each should come once, after all lower ones. Pure.

/** How many missing numbers are remembered; beyond, a late one is taken for a repeated one. */
const MAX_MISSING = 10_000;

export class Arrivals {
  #last = 0;
  #missing = new Set();

  /** The highest number that came. */
  get last() {
    return this.#last;
  }

  /** How many lower numbers than the last have not come. */
  get missing() {
    return this.#missing.size;
  }

  /** Takes a number; returns what is wrong with it: nothing (null), "reordered" or "duplicated". */
  take(n) {
    if (n > this.#last) {
      for (let gap = this.#last + 1; gap < n && this.#missing.size < MAX_MISSING; gap += 1) this.#missing.add(gap);
      this.#last = n;
      return null;
    }
    return this.#missing.delete(n) ? "reordered" : "duplicated";
  }
}
