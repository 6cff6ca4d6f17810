// Olga looks something up in the record: she types what she looks for, opens one of what was found, and goes on to its hold.

import { alert, enter, heading } from '../pages.mjs';

const field = (page, name) => page.getByRole('search', { name: 'Decisions' }).getByLabel(new RegExp(`^${name}`));
const search = (page) => page.getByRole('button', { name: 'Search' }).click();
const found = (page) =>
  page.getByRole('region', { name: 'Decisions found' }).locator('tbody tr').evaluateAll((rows) => rows.map((row) => row.innerText));

export default async function ({ page, given, say, inspect }) {
  await enter(page, given.link);
  await page.getByRole('link', { name: 'Decisions', exact: true }).click();
  await heading(page, 'Decisions').waitFor();
  say('everything', { found: await found(page) });

  await field(page, 'Tool').fill(given.tool);
  await field(page, 'Verdict').selectOption('permit');
  await field(page, 'Since').fill('1h');
  await search(page);
  await page.getByRole('link', { name: 'everything' }).waitFor();
  await inspect(page, 'found');
  const asked = { tool: await field(page, 'Tool').inputValue(), since: await field(page, 'Since').inputValue() };
  say('found', { found: await found(page), asked, query: Object.fromEntries(new URL(page.url()).searchParams) });

  await page.getByRole('region', { name: 'Decisions found' }).getByRole('link', { name: given.tool }).first().click();
  await page.getByRole('heading', { name: 'Who was asked' }).waitFor();
  await inspect(page, 'one');
  say('one', { text: await page.getByRole('main').innerText() });
  await page.getByRole('link', { name: 'the hold' }).click();
  await page.getByRole('heading', { name: 'Why it waits' }).waitFor();
  say('its hold', { at: new URL(page.url()).pathname });

  // Nothing like it, and nothing that can be looked for.
  await page.goBack();
  await page.goBack();
  await field(page, 'Tool').fill('bank/nothing');
  await search(page);
  await page.getByText('Nothing in the record is like that.').waitFor();
  await field(page, 'Since').fill('yesterday');
  await search(page);
  await alert(page).waitFor();
  await inspect(page, 'not-understood');
  say('not understood', { says: await alert(page).innerText() });
}
