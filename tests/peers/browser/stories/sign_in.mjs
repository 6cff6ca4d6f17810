// Bob comes without a session, is shown how to get one, gets it by a link, and leaves. Nobody gets in by that link again.

import { alert, enter, heading } from '../pages.mjs';

export default async function ({ page, visit, given, say, inspect }) {
  await page.goto(given.console);
  await heading(page, 'Sign in').waitFor();
  say('outside', { at: new URL(page.url()).pathname });
  await inspect(page, 'outside');
  await page.goto(given.link);
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  await inspect(page, 'by-link');
  await enter(page, given.link);
  const [cookie] = await page.context().cookies();
  say('inside', { address: page.url(), httpOnly: cookie.httpOnly, sameSite: cookie.sameSite });

  const another = await visit();
  await another.goto(given.link);
  await alert(another).waitFor();
  say('used before', { says: await alert(another).innerText() });
  await inspect(another, 'used-before');

  await page.getByRole('button', { name: 'Sign out' }).click();
  await heading(page, 'Sign in').waitFor();
  await page.goto(given.console);
  await heading(page, 'Sign in').waitFor();
  say('left', { cookies: (await page.context().cookies()).length });
}
