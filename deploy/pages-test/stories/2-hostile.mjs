// Whatever somebody types is text.

import assert from 'node:assert/strict';

import { TEA } from '../shop.mjs';
import { ANN, checksOut, isTold, takes } from '../shopping.mjs';
import { story } from '../story.mjs';

const SCRIPT = '"><script>alert(1)</script><img src=x onerror=alert(2)>';
const TEMPLATE = '{{7*7}}${7*7}<b hx-get="/" hx-trigger="load">';
const LONG = 'W'.repeat(120);

const HOSTILE = { ...ANN, name: SCRIPT, line1: `'; alert(3)//</textarea>${TEMPLATE}`, line2: LONG, city: '<svg onload=alert(4)>' };

/// Pages on which an order of a guest's is shown.
const shownOn = (order) => ['/control/orders', `/control/orders/${order}`, '/control/topics', '/control/warehouse', '/control/money', '/control/actions'];

story('a hostile name and address are shown as text, to the customer and in the control room', async ({ shop, comes }) => {
  const guest = await comes({ phone: true });
  await takes(guest, TEA);
  const order = await checksOut(guest, HOSTILE);
  await isTold(guest, 'Your order is confirmed');
  await guest.reads(HOSTILE.city);
  assert.ok((await guest.overhang()) <= 0, 'the page is wider than the phone');
  assert.deepEqual(await guest.axe(), []);

  const ada = await comes({ phone: true });
  await ada.opens('/');
  await ada.signsIn('ada');
  for (const path of shownOn(order)) {
    await ada.opens(path);
    assert.ok((await ada.overhang()) <= 0, `${path} is wider than the phone`);
    assert.equal(await ada.page.locator('main script, main img, main svg[onload], main [hx-trigger="load"]').count(), 0, path);
  }
  await ada.opens(`/control/orders/${order}`);
  await ada.page.getByText(SCRIPT).first().waitFor({ state: 'attached' });
  assert.deepEqual(await ada.axe(), []);
  await shop.becomes(order, 'confirmed');
});

story('what is looked for is shown as text', async ({ comes }) => {
  const visitor = await comes();
  await visitor.opens(`/?q=${encodeURIComponent(SCRIPT)}`);
  assert.equal(await visitor.main().getByLabel('Look for').inputValue(), SCRIPT);
  await visitor.opens('/');
  await visitor.signsIn('ada');
  for (const path of ['/control/orders', '/control/topics']) {
    await visitor.opens(`${path}?q=${encodeURIComponent(SCRIPT)}&key=${encodeURIComponent(SCRIPT)}&text=${encodeURIComponent(SCRIPT)}`);
  }
});
