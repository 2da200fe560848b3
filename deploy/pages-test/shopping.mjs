// What customers do, in the words that the pages have.

import { until } from './shop.mjs';

export const ANN = { name: 'Ann Lee', email: 'ann@example.com', line1: '1 Quay St', city: 'Cork', postal: 'T12', country: 'Ireland' };
export const CARDS = {
  accepted: 'Card that is accepted',
  declined: 'Card that the bank declines',
  asks: 'Card that asks for approval (3-D Secure)',
};

const ORDER = /\/orders\/([0-9a-f-]{36})/;

/// Puts something into the basket, from its own page.
export async function takes(visitor, sku, pieces = 1) {
  await visitor.opens(`/products/${sku}`);
  if (pieces !== 1) await visitor.fills(/^How many of/, String(pieces));
  await visitor.presses(/^Into the basket/);
  await visitor.sees('Your basket');
}

/// Fills in the checkout; what isn't given stays as the page has it.
export async function fillsIn(visitor, { name, email, line1, line2, city, postal, country, card = CARDS.accepted }) {
  const typed = [['Name', name], ['E-mail', email], ['Street and number', line1], ['Flat, floor or the like', line2], ['Town', city], ['Postal code', postal]];
  for (const [label, text] of typed) if (text !== undefined) await visitor.fills(label, text);
  if (country !== undefined) await visitor.main().getByLabel('Country').selectOption({ label: country });
  await visitor.main().getByLabel('Card', { exact: true }).selectOption({ label: card });
}

/// Orders what is in the basket; returns the order's id.
export async function checksOut(visitor, details) {
  await visitor.opens('/checkout');
  await fillsIn(visitor, details);
  await visitor.presses(/^Order and pay/);
  await visitor.page.waitForURL(ORDER);
  return orderOf(visitor);
}

export function orderOf(visitor) {
  return visitor.page.url().match(ORDER)[1];
}

/// Waits until the order's page says so: by itself with scripts, and without when it is loaded again.
export async function isTold(visitor, words) {
  if (visitor.js) return visitor.reads(words);
  return until(`the page says ${words}`, 60_000, async () => {
    await visitor.page.reload();
    return (await visitor.main().getByText(words).count()) > 0;
  });
}
