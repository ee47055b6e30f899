// Follows an SSE address as the `eventsource` package of npm does it, which is not our client.
//
//   node eventsource.mjs URL COUNT [LAST_EVENT_ID]
//
// Prints one line per message, {"id","data"} with both as the strings the package hands out, and ends with 0 after
// COUNT messages. Reconnects are the package's own; a refusal it does not retry ends with 1. Whoever starts this
// bounds its time. Frames other than events carry an `event:` line, so `onmessage` must not see them.
import { EventSource } from 'eventsource';

const [url, count, lastEventId] = process.argv.slice(2);
let left = Number(count);
if (!url || !(left > 0)) {
  console.error('usage: node eventsource.mjs URL COUNT [LAST_EVENT_ID]');
  process.exit(2);
}

const source = new EventSource(url, {
  fetch: (input, init) => fetch(input, lastEventId ? withLastEventId(init) : init),
});

source.onmessage = ({ lastEventId: id, data }) => {
  if (left === 0) return;
  left -= 1;
  process.stdout.write(`${JSON.stringify({ id, data })}\n`);
  if (left === 0) source.close();
};

source.onerror = (error) => {
  console.error(`eventsource: ${error.code ?? ''} ${error.message ?? 'connection lost'}`.trim());
  if (source.readyState === EventSource.CLOSED) process.exitCode = 1;
};

// A page that was reloaded starts with the id it stored; the package has no option for that, only its own resume.
function withLastEventId(init) {
  return { ...init, headers: { 'Last-Event-ID': lastEventId, ...init.headers } };
}
