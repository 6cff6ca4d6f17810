// What others did, or a page that shows other bytes than it sends: Carol is told in words, and nothing is counted.

import { alert, approve, enter, read } from '../pages.mjs';

export default async function ({ page, visit, given, told, say, inspect }) {
  await enter(page, given.link);

  // The form sends another hash than the page shows.
  await read(page, given.swapped);
  await page.locator('input[name=sha256]').first().evaluate((it) => (it.value = it.value.replace(/./g, '0')));
  await approve(page).click();
  await alert(page).waitFor();
  say('other bytes', { says: await alert(page).innerText() });
  await inspect(page, 'other-bytes');

  // Somebody else answers while the page is open.
  await read(page, given.late);
  // One of them hears of nothing, as on a bad line.
  const stale = await visit({ javaScriptEnabled: false, storageState: await page.context().storageState() });
  await stale.goto(page.url());
  say('both are open');
  await told();
  await page.getByText('A person said no.').waitFor();
  say('told of it');
  say('no form is left', { answerable: await approve(page).count() });
  await approve(stale).click();
  await alert(stale).waitFor();
  say('too late', { says: await alert(stale).innerText() });
}
