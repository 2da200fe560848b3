// An order is stuck, and an operator mends it.

import assert from 'node:assert/strict';

import { until } from '../shop.mjs';
import { story } from '../story.mjs';

/// The numbers of an order's dead letters that don't only wait behind another, as links.
async function letters(olga, order) {
  await olga.opens(`/control/dead-letters?key=${order}`);
  const rows = olga.main().locator('tbody tr').filter({ hasNotText: 'waits behind another' });
  return rows.getByRole('link');
}

story('an operator finds an order that is stuck by an event that nobody can read, mends it and sees it go on', async ({ shop, comes, picture }) => {
  const olga = await comes();
  await olga.opens('/control');
  await olga.givesPassword('olga');
  const order = await shop.whileUnreadable(async () => {
    const { id } = await shop.order();
    await until('it is a dead letter', 60_000, async () => (await (await letters(olga, id)).count()) > 0);
    return id;
  });
  await olga.opens('/control/dead-letters');
  await olga.reads(/stock\.reserved/);
  await picture(olga, 'dead-letters');
  assert.deepEqual(await olga.axe(), []);
  // Each service that hears of it has a dead letter of its own.
  let mended = 0;
  await until('the order is confirmed', 120_000, async () => {
    const left = await letters(olga, order);
    if ((await left.count()) > 0) {
      await left.first().click();
      await mends(olga, picture, mended === 0);
      mended += 1;
    }
    return (await shop.ask('GET', 'order-svc', `/api/v1/orders/${order}`)).status === 'confirmed';
  });
  assert.ok(mended >= 2, `${mended} services could not read it`);
  await olga.opens('/control/actions');
  await olga.reads(/dead-letters/);
});

/// From the page of a dead letter: tries what is mended dry, saves it, and replays it.
async function mends(olga, picture, isFirst) {
  await olga.sees(/^Dead letter /);
  const change = olga.page.getByRole('region', { name: 'Change it' });
  const body = change.getByLabel('Body, as JSON');
  await body.fill((await body.inputValue()).replace('expired_at', 'expires_at'));
  await change.getByLabel('Why', { exact: true }).fill('the field has another name');
  await olga.presses('Try it dry', change);
  await olga.page.getByRole('region', { name: /^What would come of it applied/ }).waitFor();
  if (isFirst) {
    await picture(olga, 'dry-run');
    assert.deepEqual(await olga.axe(), []);
  }
  await olga.presses('Save the change', change);
  await olga.reads(/^Version 1, by /);
  await olga.fills('Why it goes through now', 'its field is mended');
  await olga.presses('Replay it, and what waits behind it');
  await olga.sees('Dead letters');
}
