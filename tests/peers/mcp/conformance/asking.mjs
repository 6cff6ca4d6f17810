// Tools and a prompt that ask their client something, as either era has it: by a request of the server's own, or by an answer that
// wants another.

import { say } from './fixtures.mjs';

const text = { type: 'string' };
const object = (properties, required = Object.keys(properties)) => ({ type: 'object', properties, required });

const DEFAULTS = {
  name: { ...text, default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { ...text, enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
};

const options = ['option1', 'option2', 'option3'];
const titled = (word) => ['value1', 'value2', 'value3'].map((value, at) => ({ const: value, title: `${word} ${at + 1}` }));
const ENUMS = {
  untitledSingle: { ...text, enum: options },
  titledSingle: { ...text, oneOf: titled('Option') },
  legacyEnum: { ...text, enum: ['opt1', 'opt2', 'opt3'], enumNames: ['One', 'Two', 'Three'] },
  untitledMulti: { type: 'array', items: { ...text, enum: options } },
  titledMulti: { type: 'array', items: { anyOf: titled('Choice') } },
};

/// By a request of the server's own, up to the revision 2025-11-25.
export function addAskingTools(add) {
  const asks = (name, given, schema, words) =>
    add(name, given, async ({ message }, { mcpReq }) => {
      const params = { message: message ?? words, requestedSchema: object(schema, []) };
      const { action, content } = await mcpReq.send({ method: 'elicitation/create', params });
      return say(`${action}: ${JSON.stringify(content)}`);
    });
  asks('test_elicitation', object({ message: text }), { username: text, email: text });
  asks('test_elicitation_sep1034_defaults', {}, DEFAULTS, 'who is it?');
  asks('test_elicitation_sep1330_enums', {}, ENUMS, 'which of these?');
  add('test_sampling', object({ prompt: text }), async ({ prompt }, { mcpReq }) => {
    const messages = [{ role: 'user', content: { type: 'text', text: prompt } }];
    const { content } = await mcpReq.send({ method: 'sampling/createMessage', params: { messages, maxTokens: 100 } });
    return say(JSON.stringify(content));
  });
}

/// By an answer, from the revision 2026-07-28 on.
export function addRounds(add, prompt, { inputRequired, inputResponse, states }) {
  const ask = (name) => inputRequired.elicit({ message: `Your ${name}?`, requestedSchema: object({ [name]: text }) });
  const sample = () => {
    const messages = [{ role: 'user', content: { type: 'text', text: 'What is the capital of France?' } }];
    return inputRequired.createMessage({ messages, maxTokens: 100 });
  };
  const roots = () => inputRequired.listRoots();
  // What is still unanswered of what was asked; none, if all is there.
  const missing = (asked, { mcpReq }) =>
    Object.keys(asked).some((key) => inputResponse(mcpReq.inputResponses, key).kind === 'missing');
  const round = (asks, requestState, done) => async (_, context) => {
    const inputRequests = asks(context);
    if (!missing(inputRequests, context)) return done;
    const state = requestState && (await states.mint({ of: requestState }, context));
    return inputRequired({ inputRequests, ...(state && { requestState: state }) });
  };
  const tool = (name, asks, state) => add(`test_input_required_result_${name}`, {}, round(asks, state, say(`${name}: done`)));
  tool('elicitation', () => ({ user_name: ask('name') }));
  tool('sampling', () => ({ capital_question: sample() }));
  tool('list_roots', () => ({ client_roots: roots() }));
  tool('request_state', () => ({ confirm: ask('answer') }), 'state');
  tool('tampered_state', () => ({ confirm: ask('answer') }), 'tampered');
  tool('multiple_inputs', () => ({ user_name: ask('name'), greeting: sample(), client_roots: roots() }), 'all');
  tool('capabilities', ({ mcpReq }) => {
    const has = mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'] ?? {};
    return { ...(has.sampling && { greeting: sample() }), ...(has.elicitation && { name: ask('name') }) };
  });
  add('test_input_required_result_multi_round', {}, async (_, context) => {
    const before = context.mcpReq.requestState()?.step ?? 0;
    const step = missing({ [`step${before}`]: true }, context) ? 1 : before + 1;
    if (step > 2) return say('three rounds');
    const inputRequests = { [`step${step}`]: ask(step === 1 ? 'name' : 'color') };
    return inputRequired({ inputRequests, requestState: await states.mint({ step }, context) });
  });
  add('test_missing_capability', {}, round(() => ({ question: sample() }), undefined, say('sampled')));
  add('test_streaming_elicitation', {}, round(() => ({ question: ask('name') }), undefined, say('asked')));
  const answered = { messages: [{ role: 'user', content: { type: 'text', text: 'in context' } }] };
  prompt('test_input_required_result_prompt', [], round(() => ({ user_context: ask('context') }), undefined, answered));
}
