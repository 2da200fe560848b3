// A story: what somebody does in the shop, played in a browser. Each begins with a browser that knows nothing.

import { test } from 'node:test';
import { join } from 'node:path';

import { Shop } from './shop.mjs';
import { Visitor } from './visitor.mjs';

const LONGEST = 300_000;

/// What every story is played in; `main.mjs` sets it.
export const stage = { shop: null, program: null, browser: null, pictures: null, failures: null, only: null };

/// `play({ shop, comes, opens, picture })`: `comes({ js, dark, phone })` brings a visitor, `picture(visitor, name)` keeps what they see, if
/// pictures are asked for. `opens(settings)` opens another shop with variables of its own, where `comes({ to })` brings visitors.
export function story(name, play) {
  const skip = stage.only !== null && !stage.only.some((words) => name.includes(words));
  test(name, { skip, timeout: LONGEST }, async () => {
    const { shop, browser } = stage;
    const [visitors, others] = [[], []];
    const comes = async ({ to = shop, ...how } = {}) => {
      const visitor = await Visitor.come(browser, to, how);
      visitors.push(visitor);
      return visitor;
    };
    const opens = async (settings) => {
      const other = await Shop.open(stage.program, settings);
      others.push(other);
      return other;
    };
    const picture = async (visitor, file) => {
      if (stage.pictures) await visitor.page.screenshot({ path: join(stage.pictures, `${file}.png`) });
    };
    try {
      await play({ shop, comes, opens, picture });
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
      await Promise.all(others.map((other) => other.close()));
    }
  });
}
