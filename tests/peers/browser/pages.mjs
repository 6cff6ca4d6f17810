// What a person finds on our pages, by what they are called and not by how they are made.

export const approve = (page) => page.getByRole('button', { name: 'Approve', exact: true });
export const deny = (page) => page.getByRole('button', { name: 'Deny', exact: true });
export const heading = (page, name) => page.getByRole('heading', { name, level: 1 });
// Of the inbox: one of what waits, by its tool.
export const waiting = (page, tool) => page.getByRole('main').getByRole('link', { name: tool });
// Said because something could not be done.
export const alert = (page) => page.getByRole('alert');

// Follows a link that signs in once, and waits for the inbox.
export async function enter(page, link) {
  await page.goto(link);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await heading(page, 'Inbox').waitFor();
}

// The page of a hold.
export async function read(page, hold) {
  await page.goto(new URL(`/holds/${hold}`, page.url()).href);
  await page.getByRole('heading', { name: 'Why it waits' }).waitFor();
}

// What the page of a hold says of the very bytes, unfolded.
export async function bytes(page) {
  const details = page.locator('details', { has: page.getByText('The very bytes') });
  if (!(await details.evaluate((it) => it.open))) await details.getByText('The very bytes').click();
  const fact = (name) => details.locator('dt', { hasText: name }).locator('xpath=following-sibling::dd[1]').locator('code');
  return { sha256: await fact('SHA-256').innerText(), arguments: await fact('Arguments').innerText() };
}

// What the page of a hold says of each argument.
export async function shownArguments(page) {
  return page.locator('table.arguments tbody tr').evaluateAll((rows) =>
    Object.fromEntries(rows.map((row) => [row.querySelector('th').innerText, row.querySelector('td').innerText])),
  );
}
