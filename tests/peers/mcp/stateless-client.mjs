// A client of the official TypeScript SDK that speaks the revision 2026-07-28 alone, and does what lines of JSON tell it.
//
//   node stateless-client.mjs <directory of node_modules> <URL>
//
// The lines are those of client.mjs, and {"do":"leave","name":…,"arguments":{…}}, which calls a tool, hears of its progress once, and
// goes away. Whatever its server asks of it, it accepts.

import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { obeyLines, say } from './lines.mjs';

const [installed, url] = process.argv.slice(2);
const modules = join(resolve(installed), 'node_modules');
const load = (path) => import(pathToFileURL(join(modules, path)));
const { Client, StreamableHTTPClientTransport } = await load('@modelcontextprotocol/client/dist/index.mjs');

const client = new Client(
  { name: 'checkrein-tests', version: '1' },
  { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode: { pin: '2026-07-28' } } },
);
client.setRequestHandler('elicitation/create', async () => ({ action: 'accept', content: { sure: true } }));
await client.connect(new StreamableHTTPClientTransport(new URL(url)));

async function obey(line) {
  const given = { name: line.name, arguments: line.arguments };
  const onprogress = (progress) => say({ progress });
  switch (line.do) {
    case 'list':
      return client.listTools(undefined, { cacheMode: 'refresh' });
    case 'call':
      return client.callTool(given, { timeout: line.within, onprogress });
    case 'leave': {
      const left = new AbortController();
      const leave = () => left.abort(new Error('left'));
      return client.callTool(given, { signal: left.signal, onprogress: leave });
    }
    default:
      throw new Error(`nobody knows how to ${line.do}`);
  }
}

await obeyLines(client, obey);
