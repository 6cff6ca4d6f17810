// Shows a page, and waits for what never comes.

export default async function ({ page, say, told }) {
  await page.setContent('<h1>Waiting</h1>');
  say('it runs');
  await told();
}
