// A server written by hand that can be made to end in the middle of a call, or over HTTP to forget its sessions, and keeps a line of every
// start and every call. It says nothing before a handshake.
//
//   node mortal.mjs <log>              over stdio
//   node mortal.mjs <log> http         over HTTP, with sessions; says where, as JSON

import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const [log, transport] = process.argv.slice(2);
const note = (line) => appendFileSync(log, `${line}\n`);
const inputSchema = { type: 'object', properties: {} };
const tools = ['die', 'look'].map((name) => ({ name, description: `Does ${name}`, inputSchema }));
const serverInfo = { name: 'mortal', version: '1' };
const sessions = new Set();
let greeted = 0;

function result(method, params) {
  if (method === 'initialize') {
    return { protocolVersion: params.protocolVersion, capabilities: { tools: { listChanged: true } }, serverInfo };
  }
  if (method === 'tools/list') return { tools };
  note(params.name);
  if (params.name === 'die' && transport === 'http') sessions.clear();
  else if (params.name === 'die') process.kill(process.pid, 'SIGKILL');
  return { content: [{ type: 'text', text: `greeted ${greeted} times` }] };
}

async function serve(request, response) {
  if (request.method !== 'POST') return response.writeHead(405).end();
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const { id, method, params } = JSON.parse(Buffer.concat(pieces).toString());
  const headers = { 'content-type': 'application/json' };
  if (method === 'initialize') {
    note('started');
    headers['mcp-session-id'] = randomUUID();
    sessions.add(headers['mcp-session-id']);
  } else if (!sessions.has(request.headers['mcp-session-id'])) {
    return response.writeHead(404).end();
  }
  if (method === 'notifications/initialized') greeted += 1;
  if (id === undefined) return response.writeHead(202).end();
  response.writeHead(200, headers).end(JSON.stringify({ jsonrpc: '2.0', id, result: result(method, params) }));
}

if (transport === 'http') {
  createServer(serve).listen(0, '127.0.0.1', function () {
    console.log(JSON.stringify({ url: `http://127.0.0.1:${this.address().port}/mcp` }));
  });
} else {
  note('started');
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, method, params } = JSON.parse(line);
    if (method === 'notifications/initialized') greeted += 1;
    if (id === undefined || (greeted === 0 && method !== 'initialize')) continue;
    console.log(JSON.stringify({ jsonrpc: '2.0', id, result: result(method, params) }));
  }
}
