// Customers whose bank asks for them (3-D Secure), at the sandbox's bank.

import assert from 'node:assert/strict';

import { TEA } from '../shop.mjs';
import { ANN, CARDS, checksOut, isTold, takes } from '../shopping.mjs';
import { story } from '../story.mjs';

const ASKED = 'Your bank asks for your approval';

/// Orders with a card whose bank asks.
async function orders(guest) {
  await takes(guest, TEA);
  const order = await checksOut(guest, { ...ANN, card: CARDS.asks });
  await isTold(guest, ASKED);
  return order;
}

async function goesToTheBank(guest) {
  await isTold(guest, "Open my bank's page");
  await guest.follows("Open my bank's page", guest.main());
  await guest.sees(/Your bank/);
}

for (const js of [true, false]) {
  const how = js ? '' : ', without scripts';

  story(`a customer approves the payment at their bank's, and comes back to their order${how}`, async ({ shop, comes }) => {
    const guest = await comes({ js });
    const order = await orders(guest);
    await goesToTheBank(guest);
    await guest.presses('Approve the payment', guest.page);
    await guest.page.waitForURL(`**/orders/${order}`);
    await isTold(guest, 'Your order is confirmed');
    await shop.becomes(order, 'confirmed');
  });

  story(`a customer refuses it there, and nothing is charged${how}`, async ({ shop, comes }) => {
    const guest = await comes({ js });
    const order = await orders(guest);
    await goesToTheBank(guest);
    await guest.presses('Refuse it', guest.page);
    await guest.page.waitForURL(`**/orders/${order}`);
    await isTold(guest, 'Your order is cancelled');
    await isTold(guest, /not approved at your bank/);
    await isTold(guest, 'You were not charged.');
    assert.equal((await shop.becomes(order, 'cancelled')).reason, 'payment_declined');
  });
}

story('a customer who left is told by mail, whose link leads to their order on any device', async ({ shop, comes }) => {
  const guest = await comes();
  const order = await orders(guest);
  await goesToTheBank(guest);
  await guest.leaves();
  const mail = await shop.mail(order, 'payment_action_required');
  const link = mail.match(new RegExp(`${shop.url('console')}/orders/${order}\\?token=[A-Za-z0-9._-]+`));
  assert.ok(link, mail);
  const phone = await comes({ phone: true });
  await phone.page.goto(link[0]);
  assert.ok(!phone.page.url().includes('token'), 'the token stands in no history');
  await goesToTheBank(phone);
  await phone.presses('Approve the payment', phone.page);
  await isTold(phone, 'Your order is confirmed');
});

story('a customer who walks away from their bank loses the order at its deadline, and nothing is taken', async ({ opens, comes }) => {
  const hasty = await opens({ PAYMENT_DEADLINE: '10s' });
  const guest = await comes({ to: hasty });
  const order = await orders(guest);
  await guest.reads(/Approve the payment at your bank's by/);
  // Nobody opens the bank's page: by itself this one tells how it ends.
  await guest.reads('Your order is cancelled');
  await guest.reads(/The payment was not approved at your bank in time\./);
  await guest.reads('You were not charged.');
  assert.equal((await hasty.becomes(order, 'cancelled')).reason, 'payment_declined');
  const { items } = await hasty.ask('GET', 'payment-svc', `/api/v1/payments?order_id=${order}`);
  assert.deepEqual(items.map(({ captured }) => captured.amount), [0]);
  const journal = await hasty.request('GET', 'sandbox-gateway', `/sandbox/journal?order_id=${order}`, {});
  assert.deepEqual(journal.items.filter(({ operation }) => operation !== 'void'), [], 'the bank has moved no money');
});
