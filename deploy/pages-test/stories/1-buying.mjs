// Customers buy.

import assert from 'node:assert/strict';

import { TEA } from '../shop.mjs';
import { ANN, CARDS, checksOut, isTold, takes } from '../shopping.mjs';
import { story } from '../story.mjs';

for (const js of [true, false]) {
  const how = js ? '' : ', without scripts';

  story(`a guest buys, and sees the order go its way${how}`, async ({ shop, comes, picture }) => {
    const guest = await comes({ js });
    await guest.opens('/');
    await guest.fills('Look for', 'earl grey');
    await guest.presses('Search');
    await guest.reads(/Earl Grey/);
    await takes(guest, TEA, 2);
    const order = await checksOut(guest, ANN);
    await isTold(guest, 'Your order is confirmed');
    if (js) await picture(guest, 'order');
    const parcel = await shop.dispatch(order, 'AP-4711');
    await isTold(guest, 'Your order is on its way');
    await isTold(guest, 'AP-4711');
    await shop.deliver(parcel);
    await isTold(guest, 'Your order has arrived');
    assert.equal((await shop.becomes(order, 'completed')).customer.email, ANN.email);
  });

  story(`a card that is declined ends the order, and nothing is charged${how}`, async ({ shop, comes }) => {
    const guest = await comes({ js });
    await takes(guest, TEA);
    const order = await checksOut(guest, { ...ANN, card: CARDS.declined });
    await isTold(guest, 'Your order is cancelled');
    await isTold(guest, /The payment was declined/);
    await isTold(guest, 'You were not charged.');
    assert.equal((await shop.becomes(order, 'cancelled')).reason, 'payment_declined');
  });

  story(`a customer thinks better of it and cancels${how}`, async ({ shop, comes }) => {
    const guest = await comes({ js });
    await takes(guest, TEA);
    const order = await checksOut(guest, ANN);
    await isTold(guest, 'Your order is confirmed');
    await guest.confirms('Cancel this order', 'Yes, cancel it');
    await isTold(guest, 'Your order is cancelled');
    assert.equal((await shop.becomes(order, 'cancelled')).reason, 'customer');
  });

  story(`Ann signs in, buys, finds her orders again and signs out${how}`, async ({ shop, comes }) => {
    const ann = await comes({ js });
    await ann.opens('/');
    await ann.signsIn('ann');
    await takes(ann, TEA);
    const order = await checksOut(ann, { ...ANN, name: undefined, email: undefined });
    await isTold(ann, 'Your order is confirmed');
    assert.equal((await shop.ask('GET', 'order-svc', `/api/v1/orders/${order}`)).customer.id, 'c-1001');
    await ann.follows('Your orders');
    await ann.main().locator(`a[href="/orders/${order}"]`).first().click();
    await ann.reads('Your order is confirmed');
    await ann.presses('Sign out', ann.page);
    await ann.page.getByRole('link', { name: 'Sign in' }).waitFor();
  });
}

story('what is missing at the checkout is said at its field, and the rest stays filled in', async ({ comes }) => {
  const guest = await comes();
  await takes(guest, TEA);
  await guest.opens('/checkout');
  guest.expects(/status of 422/);
  await guest.fills('Name', 'Ann Lee');
  await guest.fills('E-mail', 'nobody');
  // The browser would say so first.
  await guest.page.evaluate(() => document.querySelectorAll('form').forEach((form) => (form.noValidate = true)));
  await guest.presses(/^Order and pay/);
  await guest.main().locator('input[name=email][aria-invalid=true]').waitFor();
  assert.equal(await guest.main().getByLabel('Name').first().inputValue(), 'Ann Lee');
  assert.deepEqual(await guest.axe(), []);
});

story('an order is nobody else\'s to see', async ({ shop, comes }) => {
  const { id } = await shop.order();
  const stranger = await comes();
  stranger.expects(/status of 40[134]/);
  const answer = await stranger.page.goto(`/orders/${id}`);
  const shown = await stranger.page.content();
  assert.ok(!shown.includes('Quay St') && !shown.includes('ann@example.com'), `${answer.status()} ${shown}`);
});
