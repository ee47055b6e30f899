// Counts what reached the page, apart from the reader that it judges: were it wrong, the page would say so.
export class Tally {
  received = 0;
  lost = 0; // numbers jumped over without a gap that says so
  repeated = 0; // numbers shown at or below one that was shown
  gaps = 0;
  #shown = new Map(); // "epoch channel" -> last seq shown or told to be gone
  #stored = new Map(); // "epoch channel" -> last seq that the server said it had stored

  event({ epoch, channel, seq }) {
    const key = `${epoch} ${channel}`;
    const last = this.#shown.get(key) ?? seq - 1;
    this.received += 1;
    if (seq <= last) this.repeated += 1;
    else this.lost += seq - last - 1;
    this.#shown.set(key, Math.max(seq, last));
  }

  gap({ epoch, channel, next_seq = 1 }) {
    const key = `${epoch} ${channel}`;
    this.gaps += 1;
    this.#shown.set(key, Math.max(this.#shown.get(key) ?? 0, next_seq - 1));
  }

  stored({ epoch, channel, seq }) {
    const key = `${epoch} ${channel}`;
    this.#stored.set(key, Math.max(this.#stored.get(key) ?? 0, seq));
  }

  /** Stored for certain and not yet here. Without it a loss at the very end would never be seen. */
  get coming() {
    const behind = ([key, seq]) => Math.max(0, seq - (this.#shown.get(key) ?? 0));
    return [...this.#stored].map(behind).reduce((sum, count) => sum + count, 0);
  }
}
