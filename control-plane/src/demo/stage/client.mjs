// A client of the official TypeScript SDK of MCP, which starts its server as every client does. It says which tools it sees, then makes
// the calls that lines of JSON name, one after another.
//
//   node client.mjs <directory of node_modules> <command> [argument …]

import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, command, ...args] = process.argv.slice(2);
const sdk = join(modules, '@modelcontextprotocol/sdk/dist/esm');
const load = (path) => import(pathToFileURL(join(sdk, path)));
const { Client } = await load('client/index.js');
const { StdioClientTransport } = await load('client/stdio.js');
const say = (value) => console.log(JSON.stringify(value));

const client = new Client({ name: 'checkrein-demo', version: '1' });
await client.connect(new StdioClientTransport({ command, args, env: process.env, stderr: 'inherit' }));
say(await client.listTools());
for await (const line of createInterface({ input: process.stdin })) {
  say(await client.callTool(JSON.parse(line)));
}
await client.close();
