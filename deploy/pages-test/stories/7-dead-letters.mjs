// An order is stuck, and an operator mends it.

import assert from 'node:assert/strict';

import { until } from '../shop.mjs';
import { story } from '../story.mjs';

/// Services that hear that goods are held: order-svc, payment-svc and notification-svc.
const HEAR = 3;

/// The numbers of an order's dead letters that don't only wait behind another, as links.
async function letters(olga, order) {
  await olga.opens(`/control/dead-letters?key=${order}`);
  const rows = olga.main().locator('tbody tr').filter({ hasNotText: 'waits behind another' });
  return rows.getByRole('link');
}

story('an operator finds an order that is stuck by an event that nobody can read, mends it and sees it complete', async ({ shop, comes, picture }) => {
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
  // Each service that hears of it has a dead letter of its own, and none may be left.
  let [mended, applied] = [0, 0];
  await until('all letters are mended and the order is confirmed', 120_000, async () => {
    const left = await letters(olga, order);
    if ((await left.count()) > 0) {
      await left.first().click();
      applied += (await mends(olga, picture, mended === 0)) ? 1 : 0;
      mended += 1;
      return false;
    }
    return mended >= HEAR && (await shop.ask('GET', 'order-svc', `/api/v1/orders/${order}`)).status === 'confirmed';
  });
  assert.ok(mended === HEAR && applied >= 1, `${mended} services could not read it, and ${applied} have something to do on it`);
  await shop.deliver(await shop.dispatch(order));
  await shop.becomes(order, 'completed');
  await until('the order is shown as complete', 60_000, async () => {
    await olga.opens(`/control/orders/${order}`);
    return (await olga.main().getByText('completed', { exact: true }).count()) > 0;
  });
  await olga.opens('/control/actions');
  await olga.reads(/dead-letters/);
});

const MANY = 200;

story(`${MANY} dead letters of one cause are replayed as a job, through a pause and a kill of the service`, async ({ shop, comes, picture }) => {
  const olga = await comes();
  // What is killed answers nobody for a while.
  olga.expects(/Failed to load resource|answers 50[23]|Status Error Code 503/);
  await olga.opens('/control');
  await olga.givesPassword('olga');
  const orders = [];
  shop.closesTheBooks();
  try {
    while (orders.length < MANY) {
      const some = await Promise.all(Array.from({ length: 10 }, () => shop.order()));
      orders.push(...some.map(({ id }) => id));
    }
    await until('all are dead letters', 120_000, async () => {
      await olga.opens('/control/dead-letters');
      return (await olga.main().getByText(new RegExp(`^${MANY} letters in ${MANY} keys`)).count()) > 0;
    });
    shop.opensTheBooks();
    await begins(olga);
    await olga.presses('Pause');
    await olga.reads(/^paused/);
    await picture(olga, 'replay-job');
    assert.deepEqual(await olga.axe(), []);
    const killed = shop.kill('payment-svc');
    await shop.isBack('payment-svc', killed);
    await olga.page.reload();
    await olga.reads(/^paused/);
    const said = await olga.main().getByText(/are done, \d+ are left/).innerText();
    const left = Number(said.match(/(\d+) are left/)[1]);
    assert.ok(left > 0 && left <= MANY, said);
    await olga.presses('Go on');
    await ends(olga);
    // What the service heard of the same orders on another topic are letters of their own.
    await begins(olga);
    await ends(olga);
  } finally {
    shop.forgetsTheBooks();
  }
  await olga.opens('/control/dead-letters');
  assert.equal(await olga.main().getByText('the books are closed').count(), 0, 'no other letter of this cause is left');
  for (const order of orders) await shop.becomes(order, 'confirmed');
});

/// Begins the job that replays all letters of a cause.
async function begins(olga) {
  await olga.opens('/control/dead-letters');
  const group = olga.main().locator('.card', { hasText: `${MANY} letters in ${MANY} keys` }).first();
  const asks = await olga.asksFor(`Replay or discard all ${MANY}`, group);
  await asks.getByLabel('Why', { exact: true }).fill('the books are open again');
  await olga.presses(`Replay all ${MANY}`, asks);
  await olga.sees(/^A job of payment-svc/);
}

async function ends(olga) {
  await olga.main().getByText(`${MANY} of ${MANY} are done`).first().waitFor({ timeout: 120_000 });
}

/// From the page of a dead letter: tries what is mended dry, saves it, and replays it.
async function mends(olga, picture, isFirst) {
  await olga.sees(/^Dead letter /);
  const change = olga.page.getByRole('region', { name: 'Change it' });
  const body = change.getByLabel('Body, as JSON');
  await body.fill((await body.inputValue()).replace('expired_at', 'expires_at'));
  await change.getByLabel('Why', { exact: true }).fill('the field has another name');
  await olga.presses('Try it dry', change);
  // notification-svc reads it, too, and has nothing to do on it.
  const outcome = olga.page.getByRole('region', { name: /^What would come of it (applied|ignored)/ });
  await outcome.waitFor();
  const isApplied = /applied/.test(await outcome.innerText());
  if (isFirst) {
    await picture(olga, 'dry-run');
    assert.deepEqual(await olga.axe(), []);
  }
  await olga.presses('Save the change', change);
  await olga.reads(/^Version 1, by /);
  await olga.fills('Why it goes through now', 'its field is mended');
  await olga.presses('Replay it, and what waits behind it');
  await olga.sees('Dead letters');
  return isApplied;
}
