// Bob wants to read a page, signs in by the page of whoever his organisation signs in with, and is back where he wanted to be. Then
// he answers. Eve, whom the organisation knows and nobody here, comes no further than being told so.

import { alert, approve, heading, read } from '../pages.mjs';

async function signIn(page, person) {
  await page.getByRole('link', { name: /^Sign in with 127\.0\.0\.1/ }).click();
  await heading(page, 'The organisation').waitFor();
  const at = page.url();
  await page.getByLabel('Who are you?').fill(person);
  await page.getByRole('button', { name: 'Go on' }).click();
  return at;
}

export default async function ({ page, visit, given, say, inspect }) {
  await page.goto(`${given.console}/approvals`);
  await heading(page, 'Sign in').waitFor();
  await inspect(page, 'offered');
  const at = await signIn(page, 'bob');
  await heading(page, 'Standing approvals').waitFor();
  const kept = await page.context().cookies(given.console);
  say('inside', { at, address: page.url(), kept: kept.map(({ name, httpOnly, sameSite }) => ({ name, httpOnly, sameSite })) });

  await read(page, given.hold);
  await approve(page).click();
  await page.getByText('Your yes was counted.').waitFor();
  say('approved');

  const eve = await visit();
  await eve.goto(given.console);
  await signIn(eve, 'eve');
  await alert(eve).waitFor();
  await inspect(eve, 'not-known');
  say('not known', { says: await alert(eve).innerText() });
  await eve.goto(given.console);
  await heading(eve, 'Sign in').waitFor();

  await page.getByRole('button', { name: 'Sign out' }).click();
  await heading(page, 'Sign in').waitFor();
  await page.goto(`${given.console}/approvals`);
  await heading(page, 'Sign in').waitFor();
  say('left');
}
