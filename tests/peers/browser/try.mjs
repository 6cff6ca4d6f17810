// Whether a browser can be driven: it is started, shows a page, and is closed.
//
//   node try.mjs <directory of node_modules> <browser>

import { launch } from './launch.mjs';

const [installed, executable] = process.argv.slice(2);
const browser = await launch(installed, executable);
const page = await browser.newPage();
await page.setContent('<h1>seen</h1>');
const seen = await page.textContent('h1');
await browser.close();
process.exit(seen === 'seen' ? 0 : 1);
