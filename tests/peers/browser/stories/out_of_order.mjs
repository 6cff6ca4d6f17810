// A page with one of everything that no page of ours may have. The tests see it told, so that their silence about other pages
// means something.

import { createServer } from 'node:http';

const POLICY = "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'unsafe-inline'";
const BAD = `<!doctype html><html><head><title>Out of order</title>
<style>p { color: #999; background: #aaa } div { width: 2000px } </style></head>
<body><p>Too pale to read.</p><div>Too wide.</div><input><img src="/lost"><img src="http://elsewhere.example/">
<button onclick="alert('run')">Runs</button><script>window.ran = true</script><script src="/broken.js"></script></body></html>`;
const BROKEN = 'throw new Error("broken")';

export default async function ({ page, say, inspect }) {
  const server = createServer((request, response) => {
    response.setHeader('content-security-policy', POLICY);
    if (request.url === '/lost') response.writeHead(500).end();
    else if (request.url === '/broken.js') response.setHeader('content-type', 'text/javascript').end(BROKEN);
    else response.setHeader('content-type', 'text/html').end(BAD);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  await page.goto(`http://127.0.0.1:${server.address().port}/`, { waitUntil: 'load' });
  say('the page', { ran: await page.evaluate(() => window.ran === true) });
  await inspect(page, 'page');
}
