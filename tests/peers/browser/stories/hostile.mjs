// An agent that wants something else from whoever reads: markup, turned text, endless words, bytes that are no text. Nothing of
// it is run, hidden, or wider than the screen.

import { bytes, enter, read, shownArguments } from '../pages.mjs';

export default async function ({ page, given, say, inspect }) {
  await enter(page, given.link);
  await inspect(page, 'inbox');
  for (const [kind, hold] of Object.entries(given.holds)) {
    await read(page, hold);
    // Unfolded, all of it.
    await page.evaluate(() => document.querySelectorAll('details').forEach((it) => (it.open = true)));
    await inspect(page, kind);
    const made = await page.evaluate(() => document.querySelectorAll('main script, main img, main iframe, main svg, main b').length);
    say(kind, { shown: await shownArguments(page), ...(await bytes(page)), made, ran: await page.evaluate(() => 'ran' in window) });
  }
}
