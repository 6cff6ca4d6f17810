// Whoever has no mouse: Tab from one thing to the next, until the one that is looked for.

// More than any page of ours has to be passed by.
const TABS_MAX = 80;

// `tabTo(page, target)` returns how often Tab was pressed. Wherever it stops, a person has to see that it stops there.
export function keyboard(trouble) {
  return async (page, target) => {
    for (let pressed = 1; pressed <= TABS_MAX; pressed += 1) {
      await page.keyboard.press('Tab');
      const unseen = await page.evaluate(focusUnseen);
      if (unseen) trouble('focus is not seen', { page: page.url(), unseen });
      if (await target.evaluate((it) => it === document.activeElement)) return pressed;
    }
    throw new Error(`${TABS_MAX} times Tab, and never at ${target}`);
  };
}

// What has the focus and does not show it, if it is so.
function focusUnseen() {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(at);
  const { width, height } = at.getBoundingClientRect();
  const ringed = (outlineStyle !== 'none' && parseFloat(outlineWidth) > 0) || boxShadow !== 'none';
  return ringed && width > 0 && height > 0 ? null : at.outerHTML.slice(0, 120);
}
