// A headless Chromium that reaches nothing but this machine, and knows nothing of whoever runs the tests.

import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const FLAGS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
  // No name is looked up, and no other address is reached.
  '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost',
];
const LAUNCH_MAX_MS = 30_000;

// With its sandbox, where there can be one: root has none, and many machines don't let others have one. It is shown pages of
// our own only, so it does without.
export async function launch(installed, executablePath) {
  const driver = join(resolve(installed), 'node_modules/playwright-core/index.mjs');
  const { chromium } = await import(pathToFileURL(driver));
  const open = (chromiumSandbox) =>
    chromium.launch({ executablePath, chromiumSandbox, args: FLAGS, timeout: LAUNCH_MAX_MS });
  if (process.getuid() === 0) return open(false);
  return open(true).catch(() => open(false));
}
