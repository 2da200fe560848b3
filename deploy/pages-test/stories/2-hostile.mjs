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

  await shop.dispatch(order, SCRIPT);
  await shop.ask('POST', 'order-svc', `/api/v1/orders/${order}/notes`, { body: { text: `${SCRIPT}\n${TEMPLATE}` } });
  await guest.reads(SCRIPT);
  const ada = await comes({ phone: true });
  await ada.opens('/');
  await ada.signsIn('ada');
  await areText(ada, shownOn(order));
  await ada.opens(`/control/orders/${order}`);
  await ada.page.getByText(SCRIPT).first().waitFor({ state: 'attached' });
  await ada.reads(TEMPLATE);
  assert.deepEqual(await ada.axe(), []);
  await shop.becomes(order, 'shipped');
});

/// Nothing on these pages is what somebody typed but text, and they fit the phone.
async function areText(who, paths) {
  for (const path of paths) {
    await who.opens(path);
    assert.ok((await who.overhang()) <= 0, `${path} is wider than the phone`);
    assert.equal(await who.page.locator('main script, main img, main svg[onload], main [hx-trigger="load"]').count(), 0, path);
  }
}

const FIELD = '<script>alert(5)</script>';

story('a hostile header and body of an event are shown as text, as a dead letter, too', async ({ shop, comes }) => {
  const heard = ['order-svc', 'payment-svc', 'notification-svc'];
  const ada = await comes({ phone: true });
  await ada.opens('/');
  await ada.signsIn('ada');
  const { id: order } = await shop.whileUnreadable(
    async () => {
      const placed = await shop.order();
      await shop.letter('payment-svc', placed.id);
      return placed;
    },
    FIELD,
    ['<img src=x onerror=alert(6)>', SCRIPT],
  );
  await ada.opens(`/control/dead-letters?key=${order}`);
  const letter = await ada.main().locator('tbody').getByRole('link').first().getAttribute('href');
  const topics = `/control/topics?text=${encodeURIComponent(FIELD)}`;
  await areText(ada, [`/control/dead-letters?key=${order}`, `/control/orders/${order}`, topics, letter]);
  await ada.page.getByText(FIELD).first().waitFor({ state: 'attached' });
  await ada.page.getByText('onerror=alert(6)').first().waitFor({ state: 'attached' });
  assert.deepEqual(await ada.axe(), []);
  for (const service of heard) await shop.mends(service, order, FIELD);
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
