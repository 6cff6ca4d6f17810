// Looks at a page as three people do: at a desk by day, at a desk by night, on a phone. Each look is kept as a picture, is
// searched for what keeps people out (axe), and must not have to be pushed sideways.

import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

const DESK = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
const LOOKS = [
  ['light', { viewport: DESK, colorScheme: 'light' }],
  ['dark', { viewport: DESK, colorScheme: 'dark' }],
  ['phone', { viewport: PHONE, colorScheme: 'light' }],
  ['phone-dark', { viewport: PHONE, colorScheme: 'dark' }],
];
// Less is advice, and counted by nobody.
const GRAVE = ['serious', 'critical'];

// `inspect(page, of)` leaves the page as it was found: at the desk, by day.
export function looks(installed, screens, story, say, trouble) {
  const reading = readFile(join(resolve(installed), 'node_modules/axe-core/axe.min.js'), 'utf8');
  return async (page, of) => {
    const axe = await reading;
    for (const [look, { viewport, colorScheme }] of LOOKS) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      await settled(page);
      const shown = { of, look, page: page.url() };
      await page.screenshot({ path: join(screens, `${story}-${of}-${look}.png`), fullPage: true, animations: 'disabled' });
      for (const wide of await widerThanTheScreen(page)) trouble('wider than the screen', { ...shown, wide });
      say('look', { ...shown, ...(await barriers(page, axe, (found) => trouble('barrier', { ...shown, ...found }))) });
    }
    await page.setViewportSize(DESK);
    await page.emulateMedia({ colorScheme: 'light' });
    await settled(page);
  };
}

// Fonts are there, and what was asked for is on the screen.
async function settled(page) {
  await page.evaluate(async () => {
    await document.fonts.ready;
    await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  });
}

// What sticks out, unless it is inside something that scrolls by itself.
async function widerThanTheScreen(page) {
  return page.evaluate(() => {
    const { clientWidth, scrollWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const out = [...document.body.querySelectorAll('*')].filter((it) => it.getBoundingClientRect().right > clientWidth + 1);
    const named = (it) => `${it.tagName.toLowerCase()}${it.id ? `#${it.id}` : ''}${[...it.classList].map((c) => `.${c}`).join('')}`;
    return [`${scrollWidth} of ${clientWidth}: ${out.slice(0, 5).map(named).join(', ')}`];
  });
}

async function barriers(page, source, grave) {
  // Given to the page by the driver, so that the page's policy has nothing to refuse.
  await page.evaluate(source);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  for (const violation of found.violations.filter((it) => GRAVE.includes(it.impact))) {
    const where = violation.nodes.slice(0, 3).map((node) => `${node.target.join(' ')}: ${node.any[0]?.message ?? node.failureSummary}`);
    grave({ rule: violation.id, impact: violation.impact, help: violation.help, where });
  }
  return { passed: found.passes.length, minor: found.violations.filter((it) => !GRAVE.includes(it.impact)).map((it) => it.id) };
}
