// A server written by hand that can be made to end in the middle of a call, and keeps a line of every start and every call. It says nothing
// before a handshake.
//
//   node mortal.mjs <log>

import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const log = process.argv[2];
const note = (line) => appendFileSync(log, `${line}\n`);
const inputSchema = { type: 'object', properties: {} };
const tools = ['die', 'look'].map((name) => ({ name, description: `Does ${name}`, inputSchema }));
const serverInfo = { name: 'mortal', version: '1' };
let greeted = 0;

function result(method, params) {
  if (method === 'initialize') {
    return { protocolVersion: params.protocolVersion, capabilities: { tools: { listChanged: true } }, serverInfo };
  }
  if (method === 'tools/list') return { tools };
  note(params.name);
  if (params.name === 'die') process.kill(process.pid, 'SIGKILL');
  return { content: [{ type: 'text', text: `greeted ${greeted} times` }] };
}

note('started');
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (method === 'notifications/initialized') greeted += 1;
  if (id === undefined || (greeted === 0 && method !== 'initialize')) continue;
  console.log(JSON.stringify({ jsonrpc: '2.0', id, result: result(method, params) }));
}
