// A real OpenID provider for a test: oidc-provider on the loopback, with one client for each person who signs in.
//
//   node issuer.mjs <directory of node_modules>
//
// Says its address on the first line. Then it obeys: `token <person> <resource>` prints a token that the provider itself gave
// over HTTP, `rotate` gives it a new signing key, and `console <address> <secret>` makes it know a client that people come back to
// there. It ends with its standard input.
//
// For a token, a person signs in with a client's credentials, because there is nobody at a browser. A browser that is sent to
// sign in is shown a page that asks who is there, and believes it; it is asked nothing where its `login_hint` names somebody. What
// the tokens are, who signs them, where the keys are listed and what a code is good for is the provider's own doing.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const installed = join(resolve(process.argv[2]), 'node_modules/oidc-provider/lib/index.js');
const { default: Provider } = await import(pathToFileURL(installed));

// Standard output is the test's.
console.log = console.info = console.warn = console.error;

const PEOPLE = { olga: ['ops', 'staff'], bob: ['risk'], eve: ['staff'] };
const SECRET = 'not a secret: it opens a provider that lives as long as a test';

const PAGE = `<!doctype html><html lang="en"><meta charset="utf-8"><title>The organisation</title><link rel="icon" href="data:,">
<main><h1>The organisation</h1><form method="post"><label>Who are you? <input name="person"></label> <button>Go on</button></form></main></html>`;

const clients = Object.keys(PEOPLE).map((person) => ({
  client_id: person,
  client_secret: SECRET,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
}));

const key = () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'ES256' };
};
let keys = [key()];

function provider(issuer) {
  return new Provider(issuer, {
    clients,
    jwks: { keys },
    pkce: { required: () => true },
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'] },
    conformIdTokenClaims: false,
    findAccount: (_, person) => ({
      accountId: person,
      claims: () => ({ sub: person, preferred_username: person, groups: PEOPLE[person] }),
    }),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant: async ({ oidc }) => {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope('openid profile');
      await grant.save();
      return grant;
    },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          scope: '',
          audience: resource.replace('urn:', ''),
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    extraTokenClaims: (_, token) => ({
      preferred_username: token.clientId,
      groups: PEOPLE[token.clientId],
    }),
  });
}

let current;
let answer;
const serve = (issuer) => {
  current = provider(issuer);
  answer = current.callback();
};
const server = createServer((request, response) => {
  if (request.url.startsWith('/interaction/')) signIn(request, response);
  else answer(request, response);
});
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  serve(issuer);
  process.stdout.write(`${issuer}\n`);
  obey(issuer);
});

async function signIn(request, response) {
  const { params } = await current.interactionDetails(request, response);
  const person = request.method === 'POST' ? (await form(request)).get('person') : params.login_hint;
  if (person) await current.interactionFinished(request, response, { login: { accountId: person } });
  else response.setHeader('content-type', 'text/html').end(PAGE);
}

async function form(request) {
  let body = '';
  for await (const piece of request) body += piece;
  return new URLSearchParams(body);
}

async function obey(issuer) {
  for await (const line of createInterface({ input: process.stdin })) {
    const [verb, person, resource] = line.split(' ');
    if (verb === 'rotate') {
      keys = [key()];
      serve(issuer);
      process.stdout.write('rotated\n');
    } else if (verb === 'console') {
      const [address, secret] = [person, resource];
      clients.push({ client_id: 'console', client_secret: secret, redirect_uris: [address] });
      serve(issuer);
      process.stdout.write('known\n');
    } else {
      process.stdout.write(`${await token(issuer, person, resource)}\n`);
    }
  }
  process.exit(0);
}

async function token(issuer, person, resource) {
  const found = await fetch(`${issuer}/.well-known/openid-configuration`);
  const { token_endpoint: endpoint } = await found.json();
  const form = { grant_type: 'client_credentials', client_id: person, client_secret: SECRET, resource };
  const given = await fetch(endpoint, { method: 'POST', body: new URLSearchParams(form) });
  const body = await given.json();
  if (!body.access_token) throw new Error(`${given.status}: ${JSON.stringify(body)}`);
  return body.access_token;
}
