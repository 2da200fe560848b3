// A story: what somebody does in the shop, played in a browser. Each begins with a browser that knows nothing.

import { test } from 'node:test';
import { join } from 'node:path';

import { Visitor } from './visitor.mjs';

const LONGEST = 300_000;

/// What every story is played in; `main.mjs` sets it.
export const stage = { shop: null, browser: null, pictures: null, failures: null, only: null };

/// `play({ shop, comes, picture })`: `comes({ js, dark, phone })` brings a visitor, `picture(visitor, name)` keeps what they see, if
/// pictures are asked for.
export function story(name, play) {
  const skip = stage.only !== null && !name.includes(stage.only);
  test(name, { skip, timeout: LONGEST }, async () => {
    const { shop, browser } = stage;
    const visitors = [];
    const comes = async (how) => {
      const visitor = await Visitor.come(browser, shop, how);
      visitors.push(visitor);
      return visitor;
    };
    const picture = async (visitor, file) => {
      if (stage.pictures) await visitor.page.screenshot({ path: join(stage.pictures, `${file}.png`) });
    };
    try {
      await play({ shop, comes, picture });
      visitors.forEach((visitor) => visitor.mustHaveHadNoTrouble());
    } catch (error) {
      for (const [number, visitor] of visitors.entries()) {
        const file = `${name.replaceAll(/[^a-z0-9]+/gi, '-').slice(0, 60)}-${number}`;
        await visitor.keep(stage.failures, file).catch(() => {});
        if (visitor.troubles.length > 0) error.message += `\n${visitor.troubles.join('\n')}`;
      }
      error.message += `\nwhat was seen is in ${stage.failures}`;
      throw error;
    } finally {
      await Promise.all(visitors.map((visitor) => visitor.leaves()));
    }
  });
}
