// A client of the official TypeScript SDK that speaks the revision 2026-07-28 alone, and does what lines of JSON tell it.
//
//   node stateless-client.mjs <directory of node_modules> <URL>
//   node stateless-client.mjs <directory of node_modules> <command> [argument …]      a server over stdio
//
// The lines are those of client.mjs, and
//
// {"do":"leave","name":…,"arguments":{…}}   calls a tool, hears of its progress once, and goes away
// {"do":"listen","filter":{…}}              wants to be told of changes
// {"do":"heard"}                            waits for the next that the tools have changed
// {"do":"closed"}                           waits until it is told nothing more
//
// Whatever its server asks of it, it accepts. With CLIENT_ERA=auto it speaks whatever its server does. With CLIENT_MODES=url it takes links
// too, each of which is a line {"link":…}.

import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { obeyLines, say } from './lines.mjs';

const [installed, command, ...args] = process.argv.slice(2);
const modules = join(resolve(installed), 'node_modules');
const load = (path) => import(pathToFileURL(join(modules, path)));
const { Client, StreamableHTTPClientTransport } = await load('@modelcontextprotocol/client/dist/index.mjs');
const { StdioClientTransport } = await load('@modelcontextprotocol/client/dist/stdio.mjs');
const mode = process.env.CLIENT_ERA === 'auto' ? 'auto' : { pin: '2026-07-28' };

const modes = process.env.CLIENT_MODES ? { [process.env.CLIENT_MODES]: {} } : {};

const client = new Client(
  { name: 'checkrein-tests', version: '1' },
  { capabilities: { elicitation: { form: {}, ...modes } }, versionNegotiation: { mode } },
);
client.setRequestHandler('elicitation/create', async ({ params }) => {
  if (params.mode !== 'url') return { action: 'accept', content: { sure: true } };
  say({ link: params.url });
  return { action: 'accept' };
});
let changes = 0;
let waiting = [];
client.setNotificationHandler('notifications/tools/list_changed', () => {
  changes += 1;
  waiting.splice(0).forEach((tell) => tell());
});
let subscription;
await client.connect(
  command.startsWith('http')
    ? new StreamableHTTPClientTransport(new URL(command))
    : new StdioClientTransport({ command, args, env: process.env, stderr: 'inherit' }),
);

async function obey(line) {
  const given = { name: line.name, arguments: line.arguments };
  const onprogress = (progress) => say({ progress });
  switch (line.do) {
    case 'list':
      return client.listTools(undefined, { cacheMode: 'refresh' });
    case 'call':
      return client.callTool(given, { timeout: line.within, onprogress });
    case 'ask':
      return line.method === 'resources/read' ? client.readResource(line.params) : client.request({ method: line.method, params: line.params });
    case 'leave': {
      const left = new AbortController();
      const leave = () => left.abort(new Error('left'));
      return client.callTool(given, { signal: left.signal, onprogress: leave });
    }
    case 'listen':
      subscription = await client.listen(line.filter);
      return subscription.honoredFilter;
    case 'heard':
      if (changes === 0) await new Promise((tell) => waiting.push(tell));
      changes = 0;
      return { heard: 'tools' };
    case 'closed':
      return { closed: await subscription.closed };
    default:
      throw new Error(`nobody knows how to ${line.do}`);
  }
}

await obeyLines(client, obey);
