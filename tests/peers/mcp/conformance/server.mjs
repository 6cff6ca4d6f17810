// A server of the official TypeScript SDK that has what the conformance suite of MCP asks for, in both eras.
//
//   node server.mjs <directory of node_modules>          over Streamable HTTP; says where it listens on its standard output, as JSON
//   node server.mjs <directory of node_modules> stdio    over stdio
//
// Up to the revision 2025-11-25 it has sessions, which can be resumed; in 2026-07-28 it has none.

import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';

import { addAskingTools, addRounds } from './asking.mjs';
import { addPrompts, addResources, addTools } from './fixtures.mjs';

const [installed, over] = process.argv.slice(2);
const modules = join(resolve(installed), 'node_modules/@modelcontextprotocol/server/dist');
const load = (path) => import(pathToFileURL(join(modules, path)));
const sdk = await load('index.mjs');
const { serveStdio } = await load('stdio.mjs');

const states = sdk.createRequestStateCodec({ key: randomBytes(32) });
const turned = { tools: false, prompts: false };
const open = new Map();
const subscribed = new Set();
let handler;
let own;

// Has a list change, and says so to whoever listens.
function changed(kind) {
  turned[kind] = !turned[kind];
  if (kind === 'tools') handler?.notify.toolsChanged();
  else handler?.notify.promptsChanged();
  if (kind === 'tools') own?.sendToolListChanged();
  else own?.sendPromptListChanged();
  for (const { server } of open.values()) {
    if (kind === 'tools') server.sendToolListChanged();
    else server.sendPromptListChanged();
  }
  return `${kind} have changed`;
}

function serve() {
  const capabilities = {
    tools: { listChanged: true },
    prompts: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
    logging: {},
    completions: {},
  };
  const cacheHints = { 'tools/list': { ttlMs: 60_000, cacheScope: 'public' } };
  const server = new sdk.McpServer(
    { name: 'conformance', version: '1' },
    { capabilities, cacheHints, requestState: { verify: states.verify } },
  );
  const object = { type: 'object', properties: {} };
  const tool = (name, inputSchema, answer) =>
    server.registerTool(
      name,
      { description: `Does ${name}`, inputSchema: sdk.fromJsonSchema({ ...object, ...inputSchema }) },
      async (given, context) => answer(given ?? {}, context),
    );
  const prompt = (name, given, answer) => {
    const properties = Object.fromEntries(given.map((name) => [name, { type: 'string' }]));
    const argsSchema = given.length > 0 ? sdk.fromJsonSchema({ ...object, properties, required: given }) : undefined;
    const asked = given.length > 0 ? answer : (context) => answer({}, context);
    server.registerPrompt(name, { description: `Is ${name}`, argsSchema }, async (...args) => asked(...args));
  };
  addTools(tool, changed);
  addAskingTools(tool);
  addRounds(tool, prompt, { ...sdk, states });
  addPrompts(prompt);
  addResources(server, sdk.ResourceTemplate);
  if (turned.tools) tool('test_tool_of_a_changed_list', {}, () => ({ content: [] }));
  if (turned.prompts) prompt('test_prompt_of_a_changed_list', [], () => ({ messages: [] }));
  server.server.setRequestHandler('completion/complete', async () => ({ completion: { values: ['paris', 'park'], total: 2 } }));
  server.server.setRequestHandler('resources/subscribe', async ({ params }) => subscribed.add(params.uri) && {});
  server.server.setRequestHandler('resources/unsubscribe', async ({ params }) => {
    subscribed.delete(params.uri);
    return {};
  });
  return server;
}

// What was said on each stream, for whoever comes back to it.
function store() {
  const said = [];
  return {
    storeEvent: async (stream, message) => `${stream}:${said.push({ stream, message })}`,
    replayEventsAfter: async (id, { send }) => {
      const [stream, number] = id.split(':');
      for (const [at, event] of said.entries()) {
        if (at >= Number(number) && event.stream === stream) await send(`${stream}:${at + 1}`, event.message);
      }
      return stream;
    },
  };
}

async function inSession(request) {
  const id = request.headers.get('mcp-session-id');
  if (id !== null) {
    const known = open.get(id);
    return known ? known.transport.handleRequest(request) : new Response('there is no such session', { status: 404 });
  }
  const server = serve();
  const transport = new sdk.WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (id) => open.set(id, { server, transport }),
    onsessionclosed: (id) => open.delete(id),
    eventStore: store(),
    retryInterval: 50,
  });
  await server.connect(transport);
  return transport.handleRequest(request);
}

async function answer(request) {
  const rejected =
    sdk.hostHeaderValidationResponse(request, sdk.localhostAllowedHostnames()) ??
    sdk.originValidationResponse(request, sdk.localhostAllowedOrigins());
  if (rejected) return rejected;
  return (await sdk.isLegacyRequest(request)) ? inSession(request) : handler.fetch(request);
}

async function listen(request, response) {
  const left = new AbortController();
  response.on('close', () => left.abort());
  const hasBody = !['GET', 'HEAD', 'DELETE'].includes(request.method);
  const answered = await answer(
    new Request(`http://${request.headers.host}${request.url}`, {
      method: request.method,
      headers: request.headers,
      body: hasBody ? Readable.toWeb(request) : undefined,
      duplex: 'half',
      signal: left.signal,
    }),
  );
  response.writeHead(answered.status, Object.fromEntries(answered.headers));
  if (!answered.body) return response.end();
  response.flushHeaders();
  const body = Readable.fromWeb(answered.body);
  body.on('error', () => response.destroy());
  response.on('close', () => body.destroy());
  body.pipe(response);
}

if (over === 'stdio') {
  serveStdio(() => (own = serve()));
} else {
  handler = sdk.createMcpHandler(serve, { legacy: 'reject' });
  createServer((request, response) => listen(request, response).catch(() => response.destroy())).listen(0, '127.0.0.1', function () {
    console.log(JSON.stringify({ url: `http://127.0.0.1:${this.address().port}/mcp` }));
  });
}
