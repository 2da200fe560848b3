// An order's page tells what happens, whatever is killed meanwhile.

import assert from 'node:assert/strict';

import { TEA } from '../shop.mjs';
import { ANN, checksOut, takes } from '../shopping.mjs';
import { story } from '../story.mjs';

story('an order is followed live through a kill of order-svc and one of the console', async ({ shop, comes }) => {
  const guest = await comes();
  // What is killed answers nobody for a while; what listens to it says that it is gone, as an event.
  guest.expects(/Failed to load resource|answers 50[23]|Status Error Code 50[23]|\[object Event\]/);
  await takes(guest, TEA);
  const order = await checksOut(guest, ANN);
  await guest.reads('Your order is confirmed');
  await guest.page.evaluate(() => (globalThis.sameDocument = true));

  const killed = shop.kill('order-svc');
  const parcel = await shop.dispatch(order, 'AP-9');
  await shop.isBack('order-svc', killed);
  await guest.reads('Your order is on its way', guest.main());
  const console = shop.kill('console');
  await shop.isBack('console', console);
  await shop.deliver(parcel);
  await guest.reads('Your order has arrived');
  assert.ok(await guest.page.evaluate(() => globalThis.sameDocument), 'nobody has loaded the page again');
});
