// What every client here does: obeys lines of JSON on standard input, and answers each by one on standard output.

import { createInterface } from 'node:readline';

export const say = (value) => console.log(JSON.stringify(value));

export async function obeyLines(client, obey) {
  say({ server: client.getServerVersion() ?? {} });
  let number = 0;
  for await (const line of createInterface({ input: process.stdin })) {
    number += 1;
    const to = number;
    obey(JSON.parse(line)).then(
      (result) => say({ to, result }),
      (error) => say({ to, error: { code: error.code, message: error.message } }),
    );
  }
  await client.close();
}
