// One stream of events, whichever transport carries it: the cursor, repeats, holes, and changes of transport.
import { transports } from './transports.js';

/**
 * Follows channels and tells `on`:
 *   event(frame, transport)  gap(frame)  hole(frame)  changed({from, to, ms})  failed({transport, why, retry})  state()
 */
export class Reader {
  repeats = 0; // dropped here, never shown
  #channels;
  #on;
  #last = new Map(); // "epoch channel" -> seq of the last event taken
  #gaps = new Set(); // gaps told
  #hole; // the event behind a hole that was asked for again
  #place; // the connection in use
  #next; // the one that shall replace it

  constructor(channels, on) {
    this.#channels = channels;
    this.#on = on;
  }

  /** Transport, since when, cursor, last sign of life, whether it is lost, what it changes to. Times: ms since 1970. */
  get state() {
    const { name, since, cursor, heard, down } = this.#place;
    return { name, since, cursor, heard, down, next: this.#next?.name };
  }

  /** Changes the transport. Make before break: the one in use goes on until the other has delivered or is caught up. */
  use(name) {
    this.#next?.transport.close();
    this.#next = undefined;
    if (!this.#place) this.#open((this.#place = this.#new(name, '')));
    else if (name !== this.#place.name) this.#open((this.#next = this.#new(name, this.#place.cursor)));
    this.#on.state();
  }

  /** Sends one frame by the transport in use and resolves with its answer; an `error` if there will be none. */
  send(frame) {
    return this.#place.transport.send(frame).catch((fault) => ({ type: 'error', message: fault.message }));
  }

  /** A connection's own place: it starts where it is told to, and only its own frames move it. */
  #new(name, cursor) {
    const [channels, now] = [this.#channels, Date.now()];
    const place = { name, channels, cursor, last: 50, hole: 0, since: now, heard: now, down: true, failures: 0 };
    place.take = (frame) => this.#take(place, frame);
    place.alive = () => Object.assign(place, { heard: Date.now(), down: false });
    place.away = () => this.#on.state((place.down = true));
    place.ended = (end) => this.#ended(place, end);
    return place;
  }

  #open(place, hole = 0) {
    place.hole = hole;
    place.transport?.close();
    place.transport = new transports[place.name](place);
    place.transport.open();
  }

  #take(place, frame) {
    this.#on.state();
    if (frame.type === 'event' && !this.#event(place, frame)) return; // what is not taken moves no cursor
    if (frame.type === 'gap' && !this.#gap(frame)) return;
    place.cursor = frame.cursor ?? place.cursor;
    place.hole = place.failures = 0;
    if (place === this.#next && ['event', 'gap', 'caught_up'].includes(frame.type)) this.#change();
  }

  /** Takes an event once. At or below the last one it is a repeat; above the next one it stands behind a hole. */
  #event(place, frame) {
    const key = `${frame.epoch} ${frame.channel}`;
    const last = this.#last.get(key) ?? frame.seq - 1;
    if (frame.seq <= last) {
      this.repeats += 1;
      return false;
    }
    if (frame.seq > last + 1 && this.#hole !== `${key} ${frame.seq}`) {
      this.#hole = `${key} ${frame.seq}`;
      this.#on.hole(frame);
      this.#open(place, 1);
      return false;
    }
    this.#last.set(key, frame.seq);
    this.#on.event(frame, place.name);
    return true;
  }

  /** Takes a gap once: over a change of transport it may come twice. It never lowers what is expected next. */
  #gap(frame) {
    const { epoch, channel, reason, next_seq, cursor } = frame;
    const gap = `${epoch} ${channel} ${reason} ${cursor}`;
    if (this.#gaps.has(gap)) return false;
    this.#gaps.add(gap);
    const key = `${epoch} ${channel}`;
    if (next_seq) this.#last.set(key, Math.max(this.#last.get(key) ?? 0, next_seq - 1));
    this.#on.gap(frame);
    return true;
  }

  #change() {
    const [from, to] = [this.#place, this.#next];
    [this.#place, this.#next] = [to, undefined];
    clearTimeout(from.again);
    from.transport.close();
    this.#on.changed({ from: from.name, to: to.name, ms: Date.now() - to.since });
  }

  #ended(place, { why, retry, after_ms }) {
    this.#on.failed({ transport: place.name, why, retry });
    if (place === this.#next) this.#next = undefined;
    else {
      place.down = true;
      const pause = Math.min(FIRST_PAUSE_MS * 2 ** place.failures++, LONGEST_PAUSE_MS);
      if (retry) place.again = setTimeout(() => this.#open(place), after_ms + Math.random() * pause);
    }
    this.#on.state();
  }
}

// The pause before a new attempt is drawn below these, so that many clients do not return together.
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
