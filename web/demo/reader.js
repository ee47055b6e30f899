// One stream of events, whichever transport carries it: the cursor, repeats, holes, and changes of transport.
import { transports } from './transports.js';

const RETRY_MS = [500, 10_000]; // first and longest pause; the real one is drawn below it, so that clients spread

/**
 * Follows channels and tells `on`:
 *   event(frame, transport) gap(frame) changed({from, to, ms}) failed({transport, why}) hole(frame) state()
 */
export class Reader {
  repeats = 0; // dropped here, never shown
  #channels;
  #on;
  #last = new Map(); // "epoch channel" -> seq of the last event taken
  #gaps = new Set(); // gaps told
  #hole; // the event that stood behind a hole and was asked for again
  #link; // the connection in use
  #next; // the one that shall replace it

  constructor(channels, on) {
    this.#channels = channels;
    this.#on = on;
  }

  /** Transport, since when, cursor, last sign of life (ms since 1970), whether it is lost, and what it changes to. */
  get state() {
    const { name, since, cursor, heard, down } = this.#link;
    return { name, since, cursor, heard, down, next: this.#next?.name };
  }

  /** Changes the transport. Make before break: the one in use goes on until the other has delivered or is caught up. */
  use(name) {
    this.#next?.transport.close();
    this.#next = undefined;
    if (!this.#link) this.#link = this.#open(name);
    else if (name !== this.#link.name) this.#next = this.#open(name, this.#link);
    this.#on.state();
  }

  /** Sends one frame by the transport in use and resolves with its answer, an `error` if there will be none. */
  async send(frame) {
    return this.#link.transport.send(frame).catch((fault) => ({ type: 'error', message: fault.message }));
  }

  /** A connection of its own: it starts where `from` stands, and only its own frames move it. */
  #open(name, { cursor = '', failures = 0, hole } = {}) {
    const link = { name, cursor, failures, hole, channels: this.#channels, last: 50, since: Date.now(), heard: 0 };
    link.take = (frame) => this.#take(link, frame);
    link.alive = () => Object.assign(link, { heard: Date.now(), down: false });
    link.away = () => ((link.down = true), this.#on.state());
    link.ended = (end) => this.#ended(link, end);
    link.transport = new transports[name](link);
    link.transport.open();
    return link;
  }

  #take(link, frame) {
    link.failures = 0;
    const fresh = { event: () => this.#event(link, frame), gap: () => this.#gap(frame) }[frame.type]?.() ?? true;
    // A repeat moves no cursor, and a connection that was opened anew over a hole is not this one any more.
    if (fresh && frame.cursor) link.cursor = frame.cursor;
    if (link === this.#next && ['event', 'gap', 'caught_up'].includes(frame.type)) this.#change();
    this.#on.state();
  }

  /** Whether the event was shown. What is at or below the last one was there before; a jump is a hole. */
  #event(link, frame) {
    const key = `${frame.epoch} ${frame.channel}`;
    const last = this.#last.get(key) ?? frame.seq - 1;
    if (frame.seq <= last) return !++this.repeats;
    if (frame.seq > last + 1 && this.#hole !== `${key} ${frame.seq}`) {
      this.#hole = `${key} ${frame.seq}`;
      this.#reopen(link, { ...link, hole: 1 });
      this.#on.hole(frame);
      return false;
    }
    this.#last.set(key, frame.seq);
    this.#on.event(frame, link.name);
    return true;
  }

  /** A gap never lowers what is expected next. Over a change of transport the same one comes twice. */
  #gap(frame) {
    const { epoch, channel, reason, next_seq = 1, cursor } = frame;
    const key = `${epoch} ${channel}`;
    if (this.#gaps.has(`${key} ${reason} ${cursor}`)) return !++this.repeats;
    this.#gaps.add(`${key} ${reason} ${cursor}`);
    this.#last.set(key, Math.max(this.#last.get(key) ?? 0, next_seq - 1));
    this.#on.gap(frame);
    return true;
  }

  #change() {
    const [from, to] = [this.#link, this.#next];
    [this.#link, this.#next] = [to, undefined];
    clearTimeout(from.again);
    from.transport.close();
    this.#on.changed({ from: from.name, to: to.name, ms: Date.now() - to.since });
  }

  #reopen(link, from = link) {
    link.transport.close();
    const anew = this.#open(link.name, from);
    if (link === this.#next) this.#next = anew;
    else this.#link = anew;
  }

  #ended(link, { why, retry, after_ms }) {
    if (link === this.#next) this.#next = undefined;
    else {
      link.down = true;
      const pause = Math.min(RETRY_MS[0] * 2 ** link.failures++, RETRY_MS[1]);
      if (retry) link.again = setTimeout(() => this.#reopen(link), after_ms + Math.random() * pause);
    }
    this.#on.failed({ transport: link.name, why });
    this.#on.state();
  }
}
