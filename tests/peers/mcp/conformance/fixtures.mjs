// What the conformance suite of MCP wants to find at a server: tools, prompts and resources of these names, which answer so.
//
// Tools that ask their client something stand in asking.mjs.

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC';
const SILENCE = 'UklGRiUAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQEAAACAAA==';
const PAUSE_MS = 50;

const image = { type: 'image', data: PIXEL, mimeType: 'image/png' };
const pause = () => new Promise((done) => setTimeout(done, PAUSE_MS));
export const say = (text) => ({ content: [{ type: 'text', text }] });

// A schema with whatever the dialect 2020-12 has that a list must not lose.
const WIDE = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

export function addTools(add, changed) {
  add('test_simple_text', {}, () => say('text'));
  add('test_image_content', {}, () => ({ content: [image] }));
  add('test_audio_content', {}, () => ({ content: [{ type: 'audio', data: SILENCE, mimeType: 'audio/wav' }] }));
  const resource = (name, mimeType, text) => ({ type: 'resource', resource: { uri: `test://${name}`, mimeType, text } });
  add('test_embedded_resource', {}, () => ({ content: [resource('embedded-resource', 'text/plain', 'embedded')] }));
  add('test_multiple_content_types', {}, () => ({
    content: [...say('mixed').content, image, resource('mixed-content-resource', 'application/json', '{"mixed":true}')],
  }));
  add('test_error_handling', {}, () => {
    throw new Error('this tool always fails');
  });
  const logs = async (_, { mcpReq }) => {
    for (const words of ['begun', 'under way', 'done']) {
      await mcpReq.log('info', words);
      await pause();
    }
    return say('logged');
  };
  add('test_tool_with_logging', {}, logs);
  add('test_logging_tool', {}, logs);
  add('test_tool_with_progress', {}, async (_, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      const params = { progressToken, progress, total: 100 };
      if (progressToken !== undefined) await mcpReq.notify({ method: 'notifications/progress', params });
      await pause();
    }
    return say('done');
  });
  add('test_reconnection', {}, async (_, { http }) => {
    http?.closeSSE?.();
    await pause();
    await pause();
    return say('still here');
  });
  const region = { type: 'string', 'x-mcp-header': 'Region' };
  add('test_mirrored_argument', { type: 'object', properties: { region }, required: ['region'] }, ({ region }) => say(region));
  add('json_schema_2020_12_tool', WIDE, (given) => say(JSON.stringify(given)));
  add('test_trigger_tool_change', {}, () => say(changed('tools')));
  add('test_trigger_prompt_change', {}, () => say(changed('prompts')));
}

export function addPrompts(add) {
  const user = (content) => ({ role: 'user', content });
  const words = (text) => user({ type: 'text', text });
  add('test_simple_prompt', [], () => ({ messages: [words('a prompt')] }));
  add('test_prompt_with_arguments', ['arg1', 'arg2'], ({ arg1, arg2 }) => ({
    messages: [words(`arg1='${arg1}', arg2='${arg2}'`)],
  }));
  add('test_prompt_with_embedded_resource', ['resourceUri'], ({ resourceUri }) => ({
    messages: [
      user({ type: 'resource', resource: { uri: resourceUri, mimeType: 'text/plain', text: 'embedded' } }),
      words('what is this?'),
    ],
  }));
  add('test_prompt_with_image', [], () => ({ messages: [user(image), words('what is this?')] }));
}

export function addResources(server, ResourceTemplate) {
  const add = (name, at, mimeType, read) =>
    server.registerResource(name, at, { description: `A ${name}`, mimeType }, async (uri, given) => ({
      contents: [{ uri: uri.href, mimeType, ...read(given) }],
    }));
  add('text', 'test://static-text', 'text/plain', () => ({ text: 'text' }));
  add('binary', 'test://static-binary', 'image/png', () => ({ blob: PIXEL }));
  add('watched', 'test://watched-resource', 'text/plain', () => ({ text: 'watched' }));
  const template = new ResourceTemplate('test://template/{id}/data', { list: undefined });
  add('template', template, 'application/json', ({ id }) => ({ text: JSON.stringify({ id, templateTest: true }) }));
}
