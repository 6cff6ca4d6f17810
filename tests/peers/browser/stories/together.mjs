// Three tasks ask the same. Bob reads it once and answers two of them together; the third stays.

import { enter, heading, waiting } from '../pages.mjs';

export default async function ({ page, given, say, inspect }) {
  await enter(page, given.link);
  await inspect(page, 'inbox');
  await waiting(page, given.tool).click();
  await page.getByRole('button', { name: 'Approve them' }).waitFor();
  const boxes = page.getByRole('checkbox');
  const ticked = await boxes.count();
  await page.locator(`input[type=checkbox][value="${given.left}"]`).uncheck();
  await inspect(page, 'together');
  await page.getByRole('button', { name: 'Approve them' }).click();
  await heading(page, 'Inbox').waitFor();
  await page.getByText('One action waits for your answer.').waitFor();
  say('answered', { ticked });
}
