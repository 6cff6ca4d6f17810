// A client of the official TypeScript SDK, which starts its server as every MCP client does, and does what lines of JSON tell it.
//
//   node client.mjs <directory of node_modules> <command> [argument …]
//   node client.mjs <directory of node_modules> <URL>                        a server over Streamable HTTP
//
// {"do":"list"}                                        the tools
// {"do":"call","name":…,"arguments":{…},"within":ms}   calls one; hears of its progress
// {"do":"ask","method":…,"params":{…}}                 anything else: `resources/read`, `prompts/get`, …
//
// With TAKES_LINKS=1 in its environment it takes links for its user, says which it was given ({"link":…}) and which are done with
// ({"done_with":…}), and that its user opened them.
//
// Each line is answered by one, in the order in which answers come: {"to":<the line's number>,"result":…} or {"to":…,"error":…}. A line
// of progress is {"progress":…}. It ends with its standard input.

import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { obeyLines, say } from './lines.mjs';

const [installed, command, ...args] = process.argv.slice(2);
const sdk = join(resolve(installed), 'node_modules/@modelcontextprotocol/sdk/dist/esm');
const load = (path) => import(pathToFileURL(join(sdk, path)));
const { Client } = await load('client/index.js');
const { StdioClientTransport } = await load('client/stdio.js');
const { StreamableHTTPClientTransport } = await load('client/streamableHttp.js');
const types = await load('types.js');

const takesLinks = process.env.TAKES_LINKS === '1';
const capabilities = takesLinks ? { elicitation: { url: {} } } : {};
const client = new Client({ name: 'checkrein-tests', version: '1' }, { capabilities });
if (takesLinks) {
  client.setRequestHandler(types.ElicitRequestSchema, ({ params }) => {
    say({ link: params });
    return { action: 'accept' };
  });
  client.setNotificationHandler(types.ElicitationCompleteNotificationSchema, ({ params }) => say({ done_with: params }));
}
await client.connect(
  command.startsWith('http')
    ? new StreamableHTTPClientTransport(new URL(command))
    : new StdioClientTransport({ command, args, env: process.env, stderr: 'inherit' }),
);

async function obey(line) {
  const options = { timeout: line.within, onprogress: (progress) => say({ progress }) };
  switch (line.do) {
    case 'list':
      return client.listTools();
    case 'call':
      return client.callTool({ name: line.name, arguments: line.arguments }, undefined, options);
    case 'ask':
      return client.request({ method: line.method, params: line.params }, types.ResultSchema);
    default:
      throw new Error(`nobody knows how to ${line.do}`);
  }
}

await obeyLines(client, obey);
