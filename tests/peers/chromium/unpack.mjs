// Unpacks the browser that @sparticuz/chromium ships, with its libraries and its font.
//
//   TMPDIR=<directory> node unpack.mjs <directory of node_modules>
//
// The package unpacks itself where temporary files go, and believes what it finds there: so that place is a directory of ours.

import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const shipped = join(resolve(process.argv[2]), 'node_modules/@sparticuz/chromium');
const { default: chromium, inflate } = await import(pathToFileURL(join(shipped, 'build/index.js')));

await chromium.executablePath();
// What a server often lacks: NSS and expat. The package unpacks them by itself only on the hosts that it was made for.
await inflate(join(shipped, 'bin/al2023.tar.br'));
