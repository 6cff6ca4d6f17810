// Carol has no mouse: from the sign-in to the yes by Tab and Enter alone.

import { approve, heading, waiting } from '../pages.mjs';
import { keyboard } from '../keyboard.mjs';

export default async function ({ page, given, say, trouble }) {
  const tabTo = keyboard(trouble);
  await page.goto(given.link);
  await tabTo(page, page.getByRole('button', { name: 'Sign in' }));
  await page.keyboard.press('Enter');
  await heading(page, 'Inbox').waitFor();
  const skip = page.getByRole('link', { name: 'Skip to the page' });
  const first = await tabTo(page, skip);
  const seen = await skip.evaluate((it) => {
    const { top, left, width, height } = it.getBoundingClientRect();
    return top >= 0 && left >= 0 && width > 1 && height > 1;
  });
  await page.keyboard.press('Enter');
  const skipped = await tabTo(page, waiting(page, given.tool));
  say('the inbox', { first, seen, skipped });

  await page.keyboard.press('Enter');
  await heading(page, given.tool).waitFor();
  await tabTo(page, page.getByRole('link', { name: 'Skip to the page' }));
  await page.keyboard.press('Enter');
  const pressed = await tabTo(page, approve(page));
  await page.keyboard.press('Enter');
  await page.getByText('Your yes was counted.').waitFor();
  say('approved', { pressed });
}
