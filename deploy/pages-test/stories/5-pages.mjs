// Each page by itself: axe, light and dark, on a phone, and without scripts.

import assert from 'node:assert/strict';

import { TEA } from '../shop.mjs';
import { ANN, checksOut, takes } from '../shopping.mjs';
import { story } from '../story.mjs';

/// The pages that anybody may see.
const SHOP = ['/', '/?q=tea', `/products/${TEA}`, '/basket', '/checkout'];
/// Those of whoever works here. ORDER, OPEN, PAYMENT and TODAY stand for what there is to see.
const CONTROL = [
  '/control', '/control/stuck', '/control/orders', '/control/orders?q=ada@example.com', '/control/orders/ORDER', '/control/orders/OPEN',
  '/control/dead-letters', '/control/topics', '/control/topics?live=1', '/control/map', '/control/holds', '/control/warehouse',
  '/control/warehouse?order=OPEN', '/control/money', '/control/money/PAYMENT', '/control/money/reconciliation?day=TODAY', '/control/dead-letters/stock-svc/jobs',
  '/control/actions',
];
/// Those that are refused.
const REFUSED = ['/products/NOTHING-LIKE-IT', '/orders/01980a10-7c00-7000-8000-0000000000a1', '/control/orders/nothing'];

/// Something to see: an order of Ada's that went through, one that waits in the warehouse, and one that was declined.
let seen;
async function something(shop) {
  seen ??= (async () => {
    const ada = { customer: { id: 'a-4001', name: 'Ada Byrne', email: 'ada@example.com' } };
    const [{ id: ORDER }, { id: OPEN }] = [await shop.order(ada), await shop.order(ada)];
    const declined = await shop.order({ ...ada, payment_method: 'pm_card_chargeDeclined' });
    await shop.deliver(await shop.dispatch(ORDER));
    await shop.becomes(ORDER, 'completed');
    await shop.becomes(OPEN, 'confirmed');
    await shop.becomes(declined.id, 'cancelled');
    const { id: PAYMENT } = await shop.first('payment-svc', 'payments', ORDER);
    return { ORDER, OPEN, PAYMENT, TODAY: new Date().toISOString().slice(0, 10) };
  })();
  return seen;
}

/// Brings Ada, who may see everything, with something in her basket.
async function arrives(comes, how) {
  const ada = await comes(how);
  await ada.opens('/');
  await ada.signsIn('ada');
  await takes(ada, TEA);
  return ada;
}

/// Every page with the status that it has.
function pages(seen) {
  const named = (path) => Object.entries(seen).reduce((path, [name, id]) => path.replace(name, id), path);
  const shown = [...SHOP, '/account', '/orders/ORDER', '/orders/OPEN', '/orders/OPEN/address', ...CONTROL].map(named);
  return [...shown.map((path) => [path, 200]), ...REFUSED.map((path) => [path, 404])];
}

for (const dark of [false, true]) {
  story(`axe finds nothing on any page, ${dark ? 'dark' : 'light'}`, async ({ shop, comes }) => {
    const seen = await something(shop);
    const ada = await arrives(comes, { dark });
    const found = {};
    for (const [path, status] of pages(seen)) {
      await ada.opens(path, status);
      const broken = await ada.axe();
      if (broken.length > 0) found[path] = broken;
    }
    assert.deepEqual(found, {});
  });
}

story('no page is wider than a phone', async ({ shop, comes }) => {
  const seen = await something(shop);
  const ada = await arrives(comes, { phone: true });
  const wide = {};
  for (const [path, status] of pages(seen)) {
    await ada.opens(path, status);
    const overhang = await ada.overhang();
    if (overhang > 0) wide[path] = overhang;
  }
  assert.deepEqual(wide, {});
});

story('each page is the same without scripts', async ({ shop, comes }) => {
  const seen = await something(shop);
  const [ada, plain] = [await arrives(comes), await arrives(comes, { js: false })];
  for (const [path, status] of pages(seen)) {
    await ada.opens(path, status);
    await plain.opens(path, status);
    assert.equal(await plain.title(), await ada.title(), path);
    const offered = await plain.offers();
    const missing = (await ada.offers()).filter((one) => !offered.includes(one));
    assert.deepEqual(missing, [], `${path} offers less without scripts`);
    assert.ok(offered.length > 0, `${path} offers nothing at all`);
  }
});

story('pictures of the shop for the documents', async ({ comes, picture }) => {
  const guest = await comes();
  await guest.opens('/');
  await picture(guest, 'shop');
  const phone = await comes({ phone: true, dark: true });
  await takes(phone, TEA);
  await checksOut(phone, ANN);
  await phone.reads('Your order is confirmed');
  await picture(phone, 'order-on-a-phone');
});
