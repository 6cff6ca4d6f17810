// What a browser says to itself and to nobody else: errors, refusals by the content security policy, requests that leave the
// machine. Of pages in order there is none, so all of it is told.

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]']);
// A page that is left takes its requests with it.
const LEFT = 'net::ERR_ABORTED';

export async function watch(context, trouble) {
  // Told by the page itself: only some of the refusals reach the console.
  await context.exposeBinding('__refusedByPolicy', ({ page }, refused) =>
    trouble('content security policy', { page: page.url(), ...refused }),
  );
  await context.addInitScript(() =>
    addEventListener('securitypolicyviolation', (event) =>
      window.__refusedByPolicy({ directive: event.violatedDirective, what: event.blockedURI, sample: event.sample }),
    ),
  );
  context.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) {
      trouble('console', { page: message.page()?.url(), says: message.text(), of: message.location().url });
    }
  });
  context.on('weberror', (error) => trouble('script', { page: error.page()?.url(), says: String(error.error()) }));
  context.on('dialog', (dialog) => {
    trouble('dialog', { page: dialog.page()?.url(), says: dialog.message() });
    return dialog.dismiss();
  });
  context.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (/^https?:|^wss?:/.test(protocol) && !LOOPBACK.has(hostname)) trouble('leaves the machine', { url: request.url() });
  });
  context.on('requestfailed', (request) => {
    const why = request.failure()?.errorText;
    if (why !== LEFT) trouble('request', { url: request.url(), says: why });
  });
  context.on('response', (response) => {
    if (response.status() >= 500) trouble('server', { url: response.url(), status: response.status() });
  });
}
