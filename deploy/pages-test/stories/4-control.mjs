// Staff and operators look at the control room.

import assert from 'node:assert/strict';

import { story } from '../story.mjs';

story('Sam packs a parcel, hands it over, and notes that it has arrived', async ({ shop, comes, picture }) => {
  const { id } = await shop.order();
  const { id: parcel } = await shop.first('stock-svc', 'shipments', id);
  const sam = await comes();
  await sam.opens('/control/warehouse');
  await sam.givesPassword('sam');
  await sam.sees('Warehouse');
  await picture(sam, 'warehouse');
  await sam.opens(`/control/warehouse?order=${id}`);
  const card = sam.main().getByRole('article', { name: `Parcel ${parcel}` });
  await sam.presses(`Note that parcel ${parcel} is packed`);
  await card.getByText('packed', { exact: true }).waitFor();
  const handsOver = await sam.asksFor('Hand over', card);
  await handsOver.getByLabel('Carrier').fill('An Post');
  await handsOver.getByLabel('Tracking number').fill('AP-77');
  await sam.presses('It is handed over', handsOver);
  await card.getByText('AP-77').first().waitFor();
  await sam.confirms('Arrived', 'It has arrived', card);
  await shop.becomes(id, 'completed');
});

story('Sam gives a part of the money back with a reason, which is on record', async ({ shop, comes, picture }) => {
  const { id } = await shop.order();
  await shop.first('payment-svc', 'payments', id, ({ status }) => status === 'captured');
  const sam = await comes();
  await sam.opens(`/control/money?order=${id}`);
  await sam.givesPassword('sam');
  await sam.sees(/^Payment /);
  const gives = await sam.asksFor('An amount');
  await gives.getByLabel('Amount in EUR').fill('5.00');
  await gives.getByLabel('Reason').fill('a dented tin <b>');
  await sam.presses('Give it back', gives);
  await sam.reads('a dented tin <b>');
  await picture(sam, 'payment');
  const refunded = await shop.first('payment-svc', 'payments', id, ({ refunded }) => refunded.amount > 0);
  assert.equal(refunded.refunded.amount, 500);
  const olga = await comes();
  await olga.opens('/control/actions?sub=s-2001');
  await olga.givesPassword('olga');
  await olga.reads(/POST .*\/refunds/);
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
  await olga.reads(/^order\.confirmed/, olga.main().getByRole('region', { name: 'Events of this order' }));
  await picture(olga, 'one-order');
});

story('a customer is not let into the control room, and whoever is nobody is asked to sign in', async ({ comes }) => {
  const ann = await comes();
  await ann.opens('/control');
  ann.expects(/status of 403/);
  await ann.givesPassword('ann');
  await ann.sees('This is not yours');
});

/// How often a room is looked into that is not as it should be.
const LOOKS = 4;
const SERVICES = ['order-svc', 'payment-svc', 'stock-svc', 'notification-svc'];

/// Every room, and the services that it has something from. A page that is one service's alone is left out.
const rooms = (order, payment, service) => [
  ['/control', []],
  ['/control/stuck', ['order-svc']],
  ['/control/orders', []],
  [`/control/orders/${order}`, SERVICES],
  ['/control/orders?q=c-0000', ['order-svc']],
  ['/control/dead-letters', SERVICES],
  ['/control/topics', []],
  ['/control/map', []],
  ['/control/holds', []],
  ['/control/warehouse', ['stock-svc']],
  ['/control/money', ['payment-svc']],
  ...(service === 'payment-svc' ? [] : [[`/control/money/${payment}`, ['order-svc']]]),
  ['/control/actions', SERVICES],
];

story('a service that hangs leaves its part of each room saying so, and the rest stands', async ({ shop, comes }) => {
  const { id } = await shop.order();
  const { id: payment } = await shop.first('payment-svc', 'payments', id, ({ status }) => status === 'captured');
  const ada = await comes();
  await ada.opens('/control');
  await ada.givesPassword('ada');
  const told = {};
  for (const service of SERVICES) {
    const goOn = shop.freeze(service);
    try {
      await Promise.all(rooms(id, payment, service).map(async ([path, asks]) => {
        const room = await ada.context.newPage();
        const expected = JSON.stringify([200, asks.includes(service) ? [`${service} does not answer just now.`] : []]);
        let found;
        // Another may be late, too, on a machine that does much else; not each time.
        for (let look = 0; look < LOOKS && found !== expected; look += 1) {
          const answer = await room.goto(path);
          const said = await room.getByRole('main').getByText('does not answer just now.').allInnerTexts();
          found = JSON.stringify([answer.status(), [...new Set(said)]]);
        }
        if (found !== expected) told[`${service}: ${path}`] = found;
        await room.close();
      }));
    } finally {
      goOn();
    }
    await shop.isReady(service);
  }
  assert.deepEqual(told, {});
  await shop.becomes((await shop.order()).id, 'confirmed');
});
