// Bob has the inbox open when an agent asks. He reads it and says yes, sees what comes of it, and says no to the next.

import { approve, bytes, deny, enter, heading, read, shownArguments, waiting } from '../pages.mjs';

export default async function ({ page, given, told, say, inspect }) {
  await enter(page, given.link);
  await page.getByText('Nothing waits for your answer.').waitFor();
  await inspect(page, 'inbox-empty');
  await page.evaluate(() => (window.stillTheSame = true));
  say('an empty inbox');

  await told();
  await waiting(page, given.tool).waitFor();
  await page.getByText('One action waits for your answer.').waitFor();
  say('it came', { reloaded: !(await page.evaluate(() => window.stillTheSame)), text: await page.getByRole('main').innerText() });
  await inspect(page, 'inbox');
  await waiting(page, given.tool).click();
  await heading(page, given.tool).waitFor();
  await inspect(page, 'hold');
  say('the hold', { ...(await bytes(page)), shown: await shownArguments(page), text: await page.getByRole('main').innerText() });
  await inspect(page, 'hold-bytes');
  await approve(page).click();
  await page.getByText('Your yes was counted.').waitFor();
  await inspect(page, 'approved');
  say('approved');

  // What comes of it is told while the page is open.
  await told();
  await page.getByText('It was approved, released and done.').waitFor();
  say('done', { answerable: (await approve(page).count()) + (await deny(page).count()) });

  const { hold } = await told();
  await read(page, hold);
  await page.getByLabel('Why not?').fill('That is not our supplier.');
  await deny(page).click();
  await page.getByText('Your no was counted.').waitFor();
  await inspect(page, 'denied');
  say('denied');
}
