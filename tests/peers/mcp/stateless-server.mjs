// A server of the official TypeScript SDK that speaks the revision 2026-07-28 alone, over Streamable HTTP or stdio.
//
//   node stateless-server.mjs <directory of node_modules>        says where it listens on its standard output, as JSON
//   node stateless-server.mjs <directory of node_modules> stdio
//   node stateless-server.mjs <directory of node_modules> both         over stdio, and with a handshake too
//
// `echo` gives back a text; `deploy` asks its client a question first; `wait` tells how it goes on until nobody waits for it any more;
// `seen` says which calls and which headers reached it, and which of the calls were broken off.

import { createServer } from 'node:http';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';

const modules = join(resolve(process.argv[2]), 'node_modules');
const load = (path) => import(pathToFileURL(join(modules, path)));
const { McpServer, createMcpHandler, fromJsonSchema, inputRequired, inputResponse } = await load(
  '@modelcontextprotocol/server/dist/index.mjs',
);
const { serveStdio } = await load('@modelcontextprotocol/server/dist/stdio.mjs');

const calls = [];
const headers = new Set();
const brokenOff = [];
const object = (properties, required = []) => fromJsonSchema({ type: 'object', properties, required });
const say = (text) => ({ content: [{ type: 'text', text }] });

function serve() {
  const server = new McpServer({ name: 'stateless', version: '1' }, { capabilities: { tools: {} } });
  const tool = (name, inputSchema, answer) =>
    server.registerTool(name, { description: `Does ${name}`, inputSchema }, (given, context) => {
      calls.push(name);
      return answer(given, context);
    });
  tool('echo', object({ message: { type: 'string' } }, ['message']), ({ message }) => say(`Echo: ${message}`));
  tool('deploy', object({ env: { type: 'string' } }, ['env']), ({ env }, context) => {
    const answer = inputResponse(context.mcpReq.inputResponses, 'sure');
    if (answer.kind === 'missing') {
      const requestedSchema = { type: 'object', properties: { sure: { type: 'boolean' } }, required: ['sure'] };
      const sure = inputRequired.elicit({ message: `Deploy to ${env}?`, requestedSchema });
      return inputRequired({ inputRequests: { sure }, requestState: `state of ${env}: \u00e9` });
    }
    return say(`deployed to ${env}: ${JSON.stringify(answer)}`);
  });
  tool('wait', object({}), async (_, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (let progress = 1; !mcpReq.signal.aborted; progress += 1) {
      if (progressToken !== undefined) {
        await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress } });
      }
      await new Promise((done) => setTimeout(done, 20));
    }
    brokenOff.push('wait');
    return say('nobody reads this');
  });
  tool('pay', object({ amount: { type: 'integer' } }, ['amount']), ({ amount }) => say(`paid ${amount}`));
  tool('seen', object({}), () => say(JSON.stringify({ calls, headers: [...headers].sort(), brokenOff })));
  return server;
}

const overStdio = ['stdio', 'both'].includes(process.argv[3]);
const legacy = process.argv[3] === 'both' ? 'serve' : 'reject';
const handler = overStdio ? serveStdio(serve, { legacy }) : createMcpHandler(serve, { legacy });

const web = createServer(async (request, response) => {
  Object.keys(request.headers).forEach((name) => headers.add(name));
  const left = new AbortController();
  response.on('close', () => left.abort());
  const hasBody = !['GET', 'HEAD'].includes(request.method);
  const answer = await handler.fetch(
    new Request(`http://${request.headers.host}${request.url}`, {
      method: request.method,
      headers: request.headers,
      body: hasBody ? Readable.toWeb(request) : undefined,
      duplex: 'half',
      signal: left.signal,
    }),
  );
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  if (!answer.body) return response.end();
  response.flushHeaders();
  const body = Readable.fromWeb(answer.body);
  body.on('error', () => response.destroy());
  response.on('close', () => body.destroy());
  body.pipe(response);
});

if (!overStdio) web.listen(0, '127.0.0.1', function () {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${this.address().port}/mcp` }));
});
