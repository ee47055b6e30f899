// Opens a page in Chromium, does steps on it and prints what they answer: the browser's own EventSource, WebSocket
// and fetch, and our pages as a person sees them.
//
//   node page.mjs URL STEP...
//
//   eval:EXPRESSION     evaluate in the page (a promise is awaited), print {"step","value"}
//   wait:EXPRESSION     wait until it is true, print {"step","value"}
//   click:SELECTOR      click the element
//   fill:SELECTOR=TEXT  type into the element; the selector ends at the last ` = ` when there is one, else at the first `=`
//   press:KEY           a key, wherever the focus is
//   select:SELECTOR=VALUE
//   goto:URL            go on to another page
//   reload:
//   screenshot:PATH     the visible page as PNG
//   size:WIDTHxHEIGHT   of the page, in CSS pixels (1280x800)
//   scheme:dark         what the person prefers: light or dark
//
// Ends with 0 after the last step. A step that fails prints {"step","error"} and ends with 1. What the page logged and
// what it threw goes to standard error. CHROMIUM names another browser; STEP_MS the patience of one step (15,000);
// PAGE_LANGUAGE what navigator.language says (en-GB).
import { chromium } from 'playwright-core';

const [url, ...steps] = process.argv.slice(2);
if (!url) {
  console.error('usage: node page.mjs URL STEP...');
  process.exit(2);
}

const doers = {
  eval: (page, code) => page.evaluate(code),
  wait: until,
  click: (page, selector) => page.click(selector),
  fill: (page, text) => page.fill(...selectorAndText(text)),
  press: (page, key) => page.keyboard.press(key),
  select: (page, text) => page.selectOption(...selectorAndText(text)),
  goto: async (page, to) => (await page.goto(to))?.status(), // no answer to speak of: data: and about:
  reload: async (page) => (await page.reload())?.status(),
  screenshot: async (page, path) => void (await page.screenshot({ path })),
  size: (page, text) => page.setViewportSize(size(text)),
  scheme: (page, colorScheme) => page.emulateMedia({ colorScheme }),
};

const STEP_MS = Number(process.env.STEP_MS ?? 15_000);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  // A test talks to loopback alone, and the browser must not talk to anybody of its own accord.
  args: [
    '--no-sandbox', // root in a container has no other choice; the pages are ours
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
try {
  process.exitCode = await run(browser);
} finally {
  await browser.close();
}

async function run(browser) {
  const page = await browser.newPage({
    viewport: { width: 1280, height: 800 },
    locale: process.env.PAGE_LANGUAGE ?? 'en-GB',
  });
  page.setDefaultTimeout(STEP_MS);
  page.on('console', (message) => console.error(`page ${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => console.error(`page threw: ${error.message}`));
  for (const step of [`goto:${url}`, ...steps]) {
    const [, name, rest] = /^([a-z]+):(.*)$/s.exec(step) ?? [];
    try {
      if (!doers[name]) throw new Error(`unknown step; known are ${Object.keys(doers).join(' ')}`);
      print({ step, value: (await doers[name](page, rest)) ?? null });
    } catch (error) {
      print({ step, error: error.message });
      return 1;
    }
  }
  return 0;
}

// Playwright's own waiting evaluates text inside the page, which a strict policy of the page forbids.
async function until(page, code) {
  for (const end = Date.now() + STEP_MS; ; await page.waitForTimeout(20)) {
    const value = await page.evaluate(code);
    if (value) return value;
    if (Date.now() > end) throw new Error(`not true within ${STEP_MS} ms`);
  }
}

function selectorAndText(text) {
  const spaced = text.lastIndexOf(' = ');
  const [at, width] = spaced < 0 ? [text.indexOf('='), 1] : [spaced, 3];
  if (at < 0) throw new Error('needs SELECTOR=TEXT');
  return [text.slice(0, at), text.slice(at + width)];
}

function size(text) {
  const [width, height] = text.split('x').map(Number);
  return { width, height };
}

function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
