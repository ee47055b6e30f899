// Counts what reached the page, apart from the reader that it judges: were the reader wrong, the page would say so.
export class Tally {
  received = 0;
  lost = 0; // numbers jumped over with no gap that says so
  repeated = 0; // numbers at or below one that was shown
  gaps = 0;
  #shown = new Map(); // "epoch channel" -> last seq shown, or told to be gone
  #coming = new Set(); // "epoch channel seq" that the server has stored and the page has not

  event({ epoch, channel, seq }) {
    const key = `${epoch} ${channel}`;
    const last = this.#shown.get(key) ?? seq - 1;
    this.received += 1;
    if (seq <= last) this.repeated += 1;
    else this.lost += seq - last - 1;
    this.#shown.set(key, Math.max(seq, last));
    this.#coming.delete(`${key} ${seq}`);
  }

  gap({ epoch, channel, next_seq }) {
    const key = `${epoch} ${channel}`;
    this.gaps += 1;
    if (next_seq) this.#shown.set(key, Math.max(this.#shown.get(key) ?? 0, next_seq - 1));
  }

  /** The `ok` of a publish: without it a loss at the very end would never be seen. */
  stored({ epoch, channel, seq }) {
    const key = `${epoch} ${channel}`;
    if (seq > (this.#shown.get(key) ?? 0)) this.#coming.add(`${key} ${seq}`);
  }

  get coming() {
    return this.#coming.size;
  }
}
