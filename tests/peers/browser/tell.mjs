// Tells one story in a real browser, for a test that knows what must be true meanwhile.
//
//   node tell.mjs <directory of node_modules> <browser> <directory for screenshots> <story>
//
// Every line on either side is a JSON document. The test begins with what the story has to know. The story says what it saw
// (`{"saw": …}`), and whatever a browser should never have to say of our pages (`{"trouble": …}`); where it waits for the test to
// do something, it waits for a line. It ends with its standard input, and the browser with it: whoever dies, nothing is left.

import { createInterface } from 'node:readline';

import { launch } from './launch.mjs';
import { looks } from './look.mjs';
import { watch } from './watch.mjs';

// How long anything on a page may take to come true.
const WAIT_MAX_MS = 20_000;

const [installed, executable, screens, name] = process.argv.slice(2);
const write = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const say = (saw, more = {}) => write({ saw, ...more });
const trouble = (kind, more) => write({ trouble: kind, ...more });

// Standard output is the test's.
console.log = console.info = console.warn = console.error;

const told = listen();
const story = await import(`./stories/${name}.mjs`);
const given = await told();
const browser = await launch(installed, executable);

// A person at a browser of their own: nothing that another signed in with is known to it.
async function visit(options = {}) {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(WAIT_MAX_MS);
  await watch(context, trouble);
  return context.newPage();
}

const inspect = looks(installed, screens, name, say, trouble);
await story.default({ page: await visit(), visit, given, told, say, trouble, inspect });
await browser.close();
say('the end');
process.exit(0);

function listen() {
  const input = createInterface({ input: process.stdin });
  const lines = input[Symbol.asyncIterator]();
  input.on('close', () => process.exit(1));
  return async () => JSON.parse((await lines.next()).value);
}
