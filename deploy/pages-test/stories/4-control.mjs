// Staff and operators look at the control room.

import assert from 'node:assert/strict';

import { story } from '../story.mjs';

story('Sam packs and sends a parcel in the warehouse', async ({ shop, comes, picture }) => {
  const { id } = await shop.order();
  const { id: parcel } = await shop.first('stock-svc', 'shipments', id);
  const sam = await comes();
  await sam.opens('/control/warehouse');
  await sam.givesPassword('sam');
  const row = sam.main().locator('tr, li, section, article, form', { hasText: id }).filter({ hasText: parcel.slice(0, 8) });
  await picture(sam, 'warehouse');
  assert.ok((await row.count()) > 0 || (await sam.main().getByText(id.slice(0, 8)).count()) > 0, 'the parcel waits in the warehouse');
});

story('Olga sees how orders flow, finds one by its customer and follows it through the services', async ({ shop, comes, picture }) => {
  const { id } = await shop.order({ customer: { id: 'c-1002', name: 'Ben Gray', email: 'ben@example.com' } });
  await shop.becomes(id, 'confirmed');
  const olga = await comes();
  await olga.opens('/control');
  await olga.givesPassword('olga');
  await olga.sees('Now');
  await picture(olga, 'now');
  await olga.follows('Orders', olga.page.getByRole('navigation', { name: 'Control room' }));
  await olga.fills('Look for', 'ben@example.com');
  await olga.presses('Find');
  await olga.main().locator(`a[href="/control/orders/${id}"]`).first().click();
  await olga.reads('order.confirmed.v1');
  await picture(olga, 'one-order');
});

story('a customer is not let into the control room, and whoever is nobody is asked to sign in', async ({ comes }) => {
  const ann = await comes();
  await ann.opens('/control');
  ann.expects(/status of 403/);
  await ann.givesPassword('ann');
  await ann.sees('This is not yours');
});
