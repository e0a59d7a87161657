// Durations in buckets that each are 2 % wider than the one before: percentiles to 2 %, in
// memory that does not grow with the number of samples.

const FLOOR_MS = 0.01;
const STEP = Math.log(1.02);

export class Histogram {
  #buckets = new Map();
  #count = 0;
  #max = 0;

  record(ms) {
    const bucket = Math.ceil(Math.log(Math.max(ms, FLOOR_MS) / FLOOR_MS) / STEP);
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1);
    this.#count += 1;
    this.#max = Math.max(this.#max, ms);
  }

  add(other) {
    for (const [bucket, count] of other.#buckets) this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + count);
    this.#count += other.#count;
    this.#max = Math.max(this.#max, other.#max);
  }

  /** The duration that the given share of samples does not exceed; null without samples. */
  percentile(share) {
    let left = Math.ceil(this.#count * share);
    for (const bucket of [...this.#buckets.keys()].sort((a, b) => a - b)) {
      left -= this.#buckets.get(bucket);
      if (left <= 0) return Math.min(FLOOR_MS * Math.exp(bucket * STEP), this.#max);
    }
    return null;
  }

  toJSON() {
    const round = (ms) => (ms === null ? null : Math.round(ms * 100) / 100);
    const at = (share) => round(this.percentile(share));
    return { count: this.#count, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: this.#count ? round(this.#max) : null };
  }
}
