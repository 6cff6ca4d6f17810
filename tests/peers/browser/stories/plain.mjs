// A browser that runs no scripts at all: everything works, only nothing comes by itself.

import { approve, enter, waiting } from '../pages.mjs';

export default async function ({ visit, given, say }) {
  const page = await visit({ javaScriptEnabled: false });
  await enter(page, given.link);
  await waiting(page, given.tool).click();
  await approve(page).click();
  await page.getByText('Your yes was counted.').waitFor();
  say('approved');
}
