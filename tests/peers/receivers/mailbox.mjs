// A real SMTP server for a test: smtp-server on the loopback.
//
//   node mailbox.mjs <directory of node_modules> <implicit|starttls|none> [<key.pem> <certificate.pem>]
//
// Says its port on the first line. Each message that it takes is one line of JSON: who it is from and to, as the envelope says,
// and the message as it came. It ends with its standard input.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const [installed, mode, key, certificate] = process.argv.slice(2);
const require = createRequire(join(resolve(installed), 'package.json'));
const { SMTPServer } = require('smtp-server');

// Whom somebody wanted to write to: `refused` never gets anything, `later` nothing at the first try.
const seen = new Set();
const server = new SMTPServer({
  secure: mode === 'implicit',
  hideSTARTTLS: mode === 'none',
  ...(key ? { key: readFileSync(key), cert: readFileSync(certificate) } : {}),
  allowInsecureAuth: false,
  authOptional: true,
  onAuth(auth, session, done) {
    const known = auth.username === 'checkrein' && auth.password === 'a password of a test';
    done(known ? null : new Error('who is that?'), { user: auth.username });
  },
  onRcptTo(address, session, done) {
    const name = address.address.split('@')[0];
    const code = name === 'refused' ? 550 : name === 'later' && !seen.has(name) ? 451 : 0;
    seen.add(name);
    done(code ? Object.assign(new Error('not to them'), { responseCode: code }) : null);
  },
  onData(stream, session, done) {
    const parts = [];
    stream.on('data', (part) => parts.push(part));
    stream.on('end', () => {
      console.log(
        JSON.stringify({
          from: session.envelope.mailFrom.address,
          to: session.envelope.rcptTo.map((to) => to.address),
          user: session.user || '',
          secure: session.secure,
          message: Buffer.concat(parts).toString('utf8'),
        }),
      );
      done();
    });
  },
});
server.on('error', (error) => console.error(error.message));
server.listen(0, '127.0.0.1', () => console.log(server.server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
