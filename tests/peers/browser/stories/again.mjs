// Bob lets the same happen again within bounds, sees it used, and takes it back.

import { approve, enter, heading, read } from '../pages.mjs';

export default async function ({ page, given, told, say, inspect }) {
  await enter(page, given.link);
  await read(page, given.hold);
  await page.getByText('Also allow the same again').click();
  await page.getByLabel('In this task only').check();
  await page.getByLabel('Hours').fill('2');
  await page.getByLabel('Times').fill('3');
  await page.getByLabel('amount').fill('400');
  await inspect(page, 'terms');
  await approve(page).click();
  await page.getByText('Your yes was counted.').waitFor();
  await page.getByRole('link', { name: 'Standing approvals' }).click();
  await heading(page, 'Standing approvals').waitFor();
  await inspect(page, 'standing');
  say('given', { says: await page.getByRole('main').innerText() });

  await told();
  await page.reload();
  say('used', { says: await page.getByRole('main').innerText() });
  await page.getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('ended', { exact: true }).waitFor();
  await inspect(page, 'revoked');
  say('revoked', { revocable: await page.getByRole('button', { name: 'Revoke' }).count() });
}
