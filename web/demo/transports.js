// How frames reach a browser: five transports of one shape.
//
//   open()                 starts
//   send(frame) -> frame   one frame up; resolves with the `ok` or `error` that answers it
//   close()                the end, after which the place hears nothing more
//
// `place` is where the connection stands and whom it tells:
//   {channels, cursor, last, hole}   what to ask for
//   take(frame) alive() away() ended({why, retry, after_ms})
// A transport reads the cursor and never moves it. Every frame it hands over carries its cursor, whichever way that
// travelled; {type:"place"} and {type:"caught_up"} carry nothing else.

class Transport {
  patience = 35_000;
  #stop = new AbortController();
  #watch;

  constructor(place) {
    this.place = place;
  }

  open() {
    this.#wait();
    this.run().catch((fault) => this.end({ why: fault.message, ...fault.end }));
  }

  close() {
    clearTimeout(this.#watch);
    this.#stop.abort();
  }

  async send(frame) {
    const headers = { 'Content-Type': 'application/x-ndjson' };
    const response = await fetch('/v1/send', { method: 'POST', headers, body: JSON.stringify(frame) });
    const answer = await response.json();
    return response.ok ? answer : { type: 'error', code: answer.code, message: answer.detail };
  }

  get signal() {
    return this.#stop.signal;
  }

  /** Bytes came. */
  alive() {
    if (this.signal.aborted) return;
    this.#wait();
    this.place.alive();
  }

  /** A connection that is mute for longer than the server promised is dead, whatever the socket says. */
  #wait() {
    clearTimeout(this.#watch);
    if (this.patience) this.#watch = setTimeout(() => this.end({ why: 'no_heartbeat' }), this.patience);
  }

  receive(frame) {
    if (this.signal.aborted) return;
    if (frame.heartbeat_ms) this.patience = frame.heartbeat_ms + 10_000;
    if (frame.type !== 'goodbye') return this.place.take(frame);
    const { name: why, retry, after_ms = 0, spread_ms = 0 } = frame;
    this.end({ why, retry, after_ms: after_ms + Math.random() * spread_ms });
  }

  end(end) {
    if (this.signal.aborted) return;
    this.close();
    this.place.ended({ retry: true, after_ms: 0, ...end });
  }

  url(path, more = {}) {
    const { channels, cursor, last, hole } = this.place;
    const query = new URLSearchParams(channels.map((channel) => ['channel', channel]));
    const rest = { ...(cursor ? { after: cursor } : { last }), ...(hole && { hole }), ...more };
    for (const [key, value] of Object.entries(rest)) query.append(key, value);
    return `${path}?${query}`;
  }

  async fetch(url) {
    const response = await fetch(url, { signal: this.signal });
    this.alive();
    if (response.ok) return response;
    const { detail, retry, retry_after_ms } = await response.json();
    throw Object.assign(new Error(detail), { end: { retry, after_ms: retry_after_ms } });
  }
}

/** Poll and long-poll: the same question again and again. They differ in how long the server may think about it. */
class OneShot extends Transport {
  async ask(path, more) {
    const answer = await (await this.fetch(this.url(path, more))).json();
    for (const frame of answer.frames) this.receive(frame);
    this.receive({ type: answer.more ? 'place' : 'caught_up', cursor: answer.cursor });
    const pause = answer.more ? 0 : (answer.next_ms ?? answer.rearm_ms ?? 0);
    this.patience = pause + 35_000;
    this.alive();
    await new Promise((done) => setTimeout(done, pause));
    return !this.signal.aborted;
  }
}

class Poll extends OneShot {
  async run() {
    while (await this.ask('/v1/poll'));
  }
}

class LongPoll extends OneShot {
  async run() {
    // The first question is not held: a reader that has everything learns so at once.
    for (let wait = 0; await this.ask('/v1/long-poll', { wait }); wait = 25);
  }
}

class Stream extends Transport {
  async run() {
    const response = await this.fetch(this.url('/v1/stream'));
    const chunks = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = '', chunk; !(chunk = await chunks.read()).done; ) {
      this.alive();
      const lines = (rest + chunk.value).split('\n');
      rest = lines.pop();
      for (const line of lines) if (line) this.receive(JSON.parse(line)); // an empty line is a heartbeat
    }
    this.end({ why: 'closed' });
  }
}

class Sse extends Transport {
  async run() {
    const source = new EventSource(this.url('/v1/sse'));
    this.signal.addEventListener('abort', () => source.close());
    const heard = ({ data, lastEventId }) => {
      this.receive({ ...JSON.parse(data), cursor: lastEventId });
      this.patience = 0; // EventSource shows no heartbeats, so silence says nothing
      this.alive();
    };
    for (const type of ['message', 'welcome', 'gap', 'caught_up', 'goodbye']) source.addEventListener(type, heard);
    // It comes back by itself, with Last-Event-ID; only a refusal is the end.
    source.onerror = () => (source.readyState === EventSource.CLOSED ? this.end({ why: 'refused' }) : this.place.away());
  }
}

class Socket extends Transport {
  #socket;
  #unanswered = new Map(); // id -> what takes the answer
  #id = 0;

  async run() {
    this.#socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/v1/websocket`, 'sosik.v1.json');
    this.#socket.onmessage = ({ data }) => this.#heard(JSON.parse(data));
    this.#socket.onclose = ({ code, reason }) => {
      for (const answer of this.#unanswered.values()) answer({ type: 'error', message: 'closed' });
      this.end({ why: reason || `closed ${code}`, retry: !(code >= 4000 && code < 4100) });
    };
    await new Promise((opened) => (this.#socket.onopen = opened));
    const { channels, cursor, last } = this.place;
    this.#socket.send(JSON.stringify({ type: 'hello', protocol: 1 }));
    const ok = await this.send({ type: 'subscribe', channels, ...(cursor ? { after: cursor } : { last }) });
    if (ok.type === 'error') this.end({ why: ok.message, retry: ok.retry, after_ms: ok.retry_after_ms });
  }

  send(frame) {
    if (this.#socket.readyState !== WebSocket.OPEN) return super.send(frame);
    this.#socket.send(JSON.stringify({ ...frame, id: ++this.#id }));
    return new Promise((answer) => this.#unanswered.set(this.#id, answer));
  }

  #heard(frame) {
    this.alive();
    const answer = this.#unanswered.get(frame.id);
    this.#unanswered.delete(frame.id);
    // Of all answers only that of a subscribe says where the reader stands; that of a publish says where the event is.
    if (answer && frame.channels) this.receive({ type: 'place', cursor: frame.cursor });
    answer ? answer(frame) : this.receive(frame);
    if (this.signal.aborted) this.#leave();
  }

  close() {
    super.close();
    this.#leave();
    setTimeout(() => this.#socket.close(), 5_000);
  }

  /** A socket that is closed over a publish leaves its fate unknown, so what was sent is answered first. */
  #leave() {
    if (this.#unanswered.size === 0) this.#socket.close();
  }
}

export const transports = { poll: Poll, long_poll: LongPoll, stream: Stream, sse: Sse, websocket: Socket };
