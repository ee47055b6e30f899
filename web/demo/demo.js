// The page: what was chosen and written goes to the reader, what the reader tells goes into the document, as text only.
import { Reader } from './reader.js';
import { Tally } from './tally.js';
import { words } from './words.js';

const CHANNEL = 'demo:lobby';
const LINES_MAX = 300; // lines kept in the document
const BURST = { events: 50, pause_ms: 60 };

const $ = (id) => document.getElementById(id);
const tally = new Tally();
let text = words[navigator.language.startsWith('ko') ? 'ko' : 'en'];
let atEnd = true; // whether the newest line is in sight
let repeatsBefore = 0; // repeats dropped before the change of transport that is going on

const reader = new Reader([CHANNEL], {
  event(frame, transport) {
    tally.event(frame);
    const said = frame.data?.text ?? frame.data ?? text.binary(atob(frame.binary ?? '').length);
    const line = add('event', typeof said === 'string' ? said : JSON.stringify(said));
    line.prepend(time(frame.time), part('seq', frame.seq));
    line.append(part('by', () => text[transport]));
    line.dataset.seq = frame.seq;
  },
  gap(frame) {
    tally.gap(frame);
    add('gap', () => text[frame.reason]?.(frame.lost) ?? frame.reason);
  },
  hole: (frame) => add('note', () => text.hole(frame.seq)),
  changed({ from, to, ms }) {
    const repeats = reader.repeats - repeatsBefore;
    add('change', () => text.changed(text[from], text[to], ms, repeats));
  },
  failed: ({ transport, why, retry }) => add('note', () => text[retry ? 'failed' : 'stopped'](text[transport], why)),
  state: () => requestAnimationFrame(draw),
});

/** One more line at the end of the list. It is brought into sight, but for whoever has scrolled away. */
function add(kind, content) {
  const feed = $('feed');
  const line = document.createElement('li');
  line.className = kind;
  line.append(part('said', content));
  feed.append(line);
  while (feed.children.length > LINES_MAX) feed.firstChild.remove();
  toEnd();
  return line;
}

function toEnd() {
  if (atEnd) $('feed').scrollTop = $('feed').scrollHeight;
}

/** A piece of text. A function is asked again when the language changes. */
function part(kind, content) {
  const span = document.createElement('span');
  span.className = kind;
  if (typeof content === 'function') span.retell = content;
  span.textContent = span.retell?.() ?? content;
  return span;
}

function time(ms) {
  const stamp = document.createElement('time');
  stamp.dateTime = new Date(ms).toISOString();
  stamp.textContent = clock(ms);
  return stamp;
}

const clock = (ms) => new Date(ms).toTimeString().slice(0, 8);
const seconds = (since) => Math.max(0, Math.round((Date.now() - since) / 1000));
const shorten = (cursor) => (cursor.length > 16 ? `${cursor.slice(0, 8)}…${cursor.slice(-6)}` : cursor);

function draw() {
  const { name, since, cursor, heard, down, next } = reader.state;
  const inUse = next ? text.changing(text[name], text[next]) : down ? text.lost_connection(text[name]) : text[name];
  const shown = {
    lost: tally.lost, repeated: tally.repeated, received: tally.received, coming: tally.coming,
    dropped: reader.repeats, gaps: tally.gaps, 'in-use': inUse, since: text.since_at(clock(since), seconds(since)),
    heard: text.ago(seconds(heard)), cursor: shorten(cursor),
  };
  for (const [id, value] of Object.entries(shown)) if ($(id).textContent !== `${value}`) $(id).textContent = value;
  $('cursor').title = cursor;
  document.querySelector(`[value=${next ?? name}]`).checked = true; // a change that failed goes back
  document.body.dataset.transport = next || down ? '' : name;
  document.body.dataset.verdict = tally.lost + tally.repeated ? 'bad' : 'good';
}

function speak(language) {
  text = words[language];
  document.documentElement.lang = language;
  for (const item of document.querySelectorAll('[data-text]')) item.textContent = text[item.dataset.text];
  for (const item of document.querySelectorAll('[data-label]')) item.ariaLabel = text[item.dataset.label];
  for (const span of document.querySelectorAll('#feed span')) if (span.retell) span.textContent = span.retell();
  $('text').placeholder = text.write;
  $('language').textContent = text.language;
  $('language').lang = language === 'ko' ? 'en' : 'ko';
}

/** Publishes and hears what became of it. Nothing is sent again: without an answer it may have been stored. */
async function publish(said) {
  const frame = { type: 'publish', channel: CHANNEL, name: 'say', data: { text: said } };
  const answer = await reader.send(frame);
  if (answer.type === 'ok') tally.stored(answer);
  $('trouble').textContent = answer.type === 'ok' ? '' : text[isRefusal(answer) ? 'refused' : 'unsure'](answer.message);
  draw();
}

/** Whether the server has said that it is not stored (docs/protocol/once.md); without a code nobody answered. */
const isRefusal = ({ code }) => code && !['unavailable', 'internal', 'storage_failed'].includes(code);

async function burst() {
  $('burst').disabled = true;
  for (let at = 1; at <= BURST.events; at++) {
    $('burst').textContent = text.bursting(at);
    publish(`${at} / ${BURST.events}`);
    await new Promise((done) => setTimeout(done, BURST.pause_ms));
  }
  $('burst').disabled = false;
  $('burst').textContent = text.burst;
}

$('transports').addEventListener('change', ({ target }) => {
  repeatsBefore = reader.repeats;
  reader.use(target.value);
});
$('say').addEventListener('submit', (event) => {
  event.preventDefault();
  if ($('text').value.trim()) publish($('text').value.trim());
  $('text').value = '';
});
$('burst').addEventListener('click', burst);
$('language').addEventListener('click', () => {
  speak(text === words.ko ? 'en' : 'ko');
  draw();
});
$('feed').addEventListener('scroll', ({ target }) => (atEnd = target.scrollHeight - target.scrollTop - target.clientHeight < 40));
new ResizeObserver(toEnd).observe($('feed'));

$('curl').textContent = `curl --json '{"channel":"${CHANNEL}","data":"hello"}' ${location.origin}/v1/publish\ncurl -N '${location.origin}/v1/sse?channel=${CHANNEL}&last=5'`;
speak(text === words.ko ? 'ko' : 'en');
reader.use('sse');
setInterval(draw, 1000);
