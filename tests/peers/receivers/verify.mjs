// Verifies webhooks for a test with standardwebhooks, the specification's own package.
//
//   node verify.mjs <directory of node_modules> <secret>
//
// Each line of standard input is one request as JSON: `{"headers": {...}, "body": "..."}`. The answer is a line: `good`, or
// `bad: ` and why. It ends with its standard input.

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const require = createRequire(join(resolve(process.argv[2]), 'package.json'));
const { Webhook } = require('standardwebhooks');
const webhook = new Webhook(process.argv[3]);

for await (const line of createInterface({ input: process.stdin })) {
  const { headers, body } = JSON.parse(line);
  try {
    webhook.verify(body, headers);
    console.log('good');
  } catch (error) {
    console.log(`bad: ${error.message}`);
  }
}
