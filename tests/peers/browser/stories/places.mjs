// Olga walks through every page of the navigation, and from each on to the first thing that it lists.

import { enter } from '../pages.mjs';

export default async function ({ page, given, say, inspect }) {
  await enter(page, given.link);
  const places = await page.getByRole('navigation').getByRole('link').evaluateAll((links) => links.map((link) => link.pathname));
  const walked = [];
  for (const place of places) {
    await look(place);
    const listed = await page.getByRole('main').getByRole('link').evaluateAll((links) => links.map((link) => link.pathname));
    const next = listed.find((path) => !places.includes(path) && !walked.includes(path));
    if (next) await look(next);
  }
  say('walked', { walked });

  async function look(path) {
    const answer = await page.goto(new URL(path, given.console).href);
    if (!answer.ok()) throw new Error(`${path}: ${answer.status()}`);
    // Ids say nothing in the name of a picture.
    await inspect(page, path === '/' ? 'inbox' : path.slice(1).replaceAll('/', '-').replace(/_[0-9a-f]{32}/, ''));
    walked.push(path);
  }
}
