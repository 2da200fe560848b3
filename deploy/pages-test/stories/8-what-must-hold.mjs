// An operator breaks the shop on purpose, and watches that money and stock stay right.

import assert from 'node:assert/strict';

import { until } from '../shop.mjs';
import { story } from '../story.mjs';

const RULES = 13;
/// A look rests after it for much longer than it took.
const LOOKED_AGAIN = 200_000;

/// Waits until so many rules are green, of what is new (column 3) or of everything (column 4).
async function areGreen(olga, column, rules = RULES) {
  const green = olga.main().getByRole('region', { name: 'Rules' }).locator(`tbody td:nth-child(${column}) .tag.good`);
  await until(`${rules} rules are green`, LOOKED_AGAIN, async () => (await green.count()) === rules);
}

/// The row of a part of the run.
const part = (olga, name) => olga.main().locator(`#part-${name}`);

async function becomes(olga, name, state) {
  await part(olga, name).getByText(state, { exact: true }).waitFor();
}

story('an operator breaks the shop, places orders, ends all trouble and sees that every rule holds', async ({ shop, comes, picture }) => {
  const olga = await comes();
  await olga.opens('/control/holds');
  await olga.givesPassword('olga');
  await olga.sees('What must hold');
  await areGreen(olga, 3);
  assert.deepEqual(await olga.axe(), []);

  await olga.fills('Of 100 requests so many fail', '50');
  await olga.presses('Have it go wrong so');
  await olga.reads('something goes wrong');
  const orders = [];
  const order = async () => orders.push((await shop.order()).id);
  for (let count = 0; count < 5; count += 1) await order();

  const killed = shop.addresses().processes['payment-svc'].pid;
  await olga.presses('Kill: payment-svc');
  await shop.isBack('payment-svc', killed);
  await becomes(olga, 'payment-svc', 'running');

  const frozen = shop.addresses().processes['stock-svc'].pid;
  await olga.presses('Freeze: stock-svc');
  await becomes(olga, 'stock-svc', 'frozen');
  await olga.presses('Stop: notification-svc');
  await becomes(olga, 'notification-svc', 'stopped');
  await order();
  await order();
  await picture(olga, 'what-must-hold');
  assert.deepEqual(await olga.axe(), []);

  await olga.presses('End all trouble');
  await olga.reads('all is well');
  for (const name of ['stock-svc', 'notification-svc']) await becomes(olga, name, 'running');
  assert.equal(shop.addresses().processes['stock-svc'].pid, frozen, 'it went on where it was');
  for (const id of orders) await shop.becomes(id, 'confirmed');

  await olga.presses('Look at everything now');
  await areGreen(olga, 4);
  await areGreen(olga, 3);
  await olga.reads(`All ${RULES} rules hold for what is new.`);

  await olga.opens('/control/actions');
  for (const path of ['faults', 'parts/payment-svc/kill', 'parts/stock-svc/freeze', 'well', 'whole']) {
    await olga.reads(`POST /control/holds/${path}`);
  }
});

story('without scripts the switches work, and what the page stands on comes back by itself', async ({ shop, comes }) => {
  const olga = await comes({ js: false });
  await olga.opens('/control/holds');
  await olga.givesPassword('olga');
  await olga.main().getByLabel('Every capture fails').check();
  await olga.presses('Have it go wrong so');
  await olga.reads('something goes wrong');
  assert.ok(await olga.main().getByLabel('Every capture fails').isChecked());
  await olga.presses('End all trouble');
  await olga.reads('all is well');
  const known = shop.addresses().processes['sandbox-issuer'].pid;
  await olga.presses('Stop for 30 s: sandbox-issuer');
  await shop.isBack('sandbox-issuer', known);
});

story('a page of another site switches nothing', async ({ shop }) => {
  const runner = new URL(shop.addresses().audit).origin;
  const press = (headers, body) => fetch(`${runner}/parts/payment-svc/stop`, { method: 'POST', headers, body });
  assert.equal((await press({ 'content-type': 'text/plain' }, '{}')).status, 415);
  assert.equal((await press({ 'content-type': 'application/json', origin: 'https://evil.example' }, '{}')).status, 403);
  const { items } = await (await fetch(`${runner}/parts`)).json();
  assert.equal(items.find(({ name }) => name === 'payment-svc').state, 'running');
});
