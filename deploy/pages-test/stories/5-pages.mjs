// Each page by itself: axe, light and dark, on a phone, and without scripts.

import assert from 'node:assert/strict';

import { TEA } from '../shop.mjs';
import { ANN, checksOut, takes } from '../shopping.mjs';
import { story } from '../story.mjs';

/// The pages that anybody may see.
const SHOP = ['/', '/?q=tea', `/products/${TEA}`, '/basket', '/checkout'];
/// Those of whoever works here. `ORDER` stands for one.
const CONTROL = [
  '/control', '/control/stuck', '/control/orders', '/control/orders/ORDER', '/control/dead-letters', '/control/topics', '/control/map',
  '/control/holds', '/control/warehouse', '/control/money', '/control/actions',
];

/// Something to see: an order of Ada's that went through, and one that was declined.
let seen;
async function something(shop) {
  seen ??= (async () => {
    const ada = { customer: { id: 'a-4001', name: 'Ada Byrne', email: 'ada@example.com' } };
    const { id } = await shop.order(ada);
    const declined = await shop.order({ ...ada, payment_method: 'pm_card_chargeDeclined' });
    await shop.deliver(await shop.dispatch(id));
    await shop.becomes(id, 'completed');
    await shop.becomes(declined.id, 'cancelled');
    return id;
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

const paths = (order) => [...SHOP, '/account', `/orders/${order}`, ...CONTROL].map((path) => path.replace('ORDER', order));

for (const dark of [false, true]) {
  story(`axe finds nothing on any page, ${dark ? 'dark' : 'light'}`, async ({ shop, comes }) => {
    const order = await something(shop);
    const ada = await arrives(comes, { dark });
    const found = {};
    for (const path of paths(order)) {
      await ada.opens(path);
      const broken = await ada.axe();
      if (broken.length > 0) found[path] = broken;
    }
    assert.deepEqual(found, {});
  });
}

story('no page is wider than a phone', async ({ shop, comes }) => {
  const order = await something(shop);
  const ada = await arrives(comes, { phone: true });
  const wide = {};
  for (const path of paths(order)) {
    await ada.opens(path);
    const overhang = await ada.overhang();
    if (overhang > 0) wide[path] = overhang;
  }
  assert.deepEqual(wide, {});
});

story('each page is the same without scripts', async ({ shop, comes }) => {
  const order = await something(shop);
  const [ada, plain] = [await arrives(comes), await arrives(comes, { js: false })];
  for (const path of paths(order)) {
    await ada.opens(path);
    await plain.opens(path);
    assert.equal(await plain.title(), await ada.title(), path);
    const says = async (visitor) => (await visitor.main().innerText()).length;
    assert.ok((await says(plain)) >= (await says(ada)) / 2, `${path} says less without scripts`);
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
