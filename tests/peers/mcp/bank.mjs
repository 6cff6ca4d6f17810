// A server written by hand: it offers what a catalog says, does nothing, and keeps a line of every call that it got.
//
//   node bank.mjs <catalog> <log>                 over stdio
//   node bank.mjs <catalog> <log> http            over HTTP, with and without sessions; says where, as JSON

import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const [catalog, log, transport] = process.argv.slice(2);
const { tools } = JSON.parse(readFileSync(catalog, 'utf8'));

function result(method, params) {
  if (method === 'initialize') {
    const { protocolVersion } = params;
    return { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'bank', version: '1' } };
  }
  if (method === 'tools/list') return { tools, ttlMs: 0, cacheScope: 'private' };
  appendFileSync(log, `${params.name}\n`);
  return { content: [{ type: 'text', text: `done: ${params.name}` }] };
}

function answer(text) {
  const { id, method, params } = JSON.parse(text);
  return id === undefined ? undefined : JSON.stringify({ jsonrpc: '2.0', id, result: result(method, params) });
}

async function serve(request, response) {
  if (request.method !== 'POST') return response.writeHead(405).end();
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const told = answer(Buffer.concat(pieces).toString());
  if (told === undefined) return response.writeHead(202).end();
  response.writeHead(200, { 'content-type': 'application/json' }).end(told);
}

if (transport === 'http') {
  createServer(serve).listen(0, '127.0.0.1', function () {
    console.log(JSON.stringify({ url: `http://127.0.0.1:${this.address().port}/mcp` }));
  });
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    const told = answer(line);
    if (told !== undefined) console.log(told);
  }
}
