// Bob does not know what it is for. He asks, and hands it on; Carol has the page open and sees it come, replies, and finds it in her inbox.

import { approve, enter, heading, read } from '../pages.mjs';

export default async function ({ page, visit, given, say, inspect }) {
  await enter(page, given.bob);
  await read(page, given.hold);
  const carol = await visit();
  await enter(carol, given.carol);
  await read(carol, given.hold);
  await carol.evaluate(() => (window.stillTheSame = true));
  say('no reply is asked for', { shown: await carol.getByLabel('Reply to what was asked').isVisible() });

  // Whoever types how often and presses Enter has not approved.
  await page.getByText('Also allow the same again').click();
  for (const field of ['Hours', 'Times', 'amount']) await page.getByLabel(field).press('Enter');
  await page.getByText('Also allow the same again').click();
  say('nothing was sent', { approvable: await approve(page).count() });

  // With the keyboard alone.
  await page.getByText('Ask something first').press('Enter');
  await page.keyboard.press('Tab');
  await page.keyboard.type('Which invoice is this for?');
  await inspect(page, 'asking');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByText('Your question was put.').waitFor();
  await inspect(page, 'asked');

  await carol.getByText('Which invoice is this for?').waitFor();
  say('it came', { reloaded: !(await carol.evaluate(() => window.stillTheSame)) });
  await inspect(carol, 'replying');
  await carol.getByLabel('Reply to what was asked').fill('For 4711, of March.');
  await carol.getByRole('button', { name: 'Reply' }).click();
  await carol.getByText('Your reply was put.').waitFor();
  await page.getByText('For 4711, of March.').waitFor();

  await page.getByText('Hand it on to somebody else').press('Enter');
  await page.getByLabel('To whom?').selectOption({ label: 'carol' });
  await page.getByLabel('Why', { exact: true }).fill('She knows the supplier.');
  await inspect(page, 'handing-on');
  await page.getByRole('button', { name: 'Hand on' }).click();
  await page.getByText('It was handed on.').waitFor();
  await inspect(page, 'handed-on');
  await carol.getByText('bob handed this to you.').waitFor();

  for (const [who, inbox] of [[page, 'inbox-of-bob'], [carol, 'inbox-of-carol']]) {
    await who.goto(new URL('/', who.url()).href);
    await heading(who, 'Inbox').waitFor();
    say(inbox, { text: await who.getByRole('main').innerText() });
    await inspect(who, inbox);
  }
  await read(carol, given.hold);
  await approve(carol).click();
  await carol.getByText('Your yes was counted.').waitFor();
  say('approved');
}
