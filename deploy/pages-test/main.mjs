// The console's pages as people see them: a shop of its own, Debian's Chromium, and what people do there.
//
//   node main.mjs --quadrille PROGRAM [--pictures] [--only WORDS]
//
// `--pictures` renews docs/pictures, `--only` plays the stories whose names have these words; it may be given several times.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { Shop } from './shop.mjs';
import { stage } from './story.mjs';
import { launch } from './visitor.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '..', '..');

const { values: chosen } = parseArgs({
  options: { quadrille: { type: 'string' }, pictures: { type: 'boolean' }, only: { type: 'string', multiple: true } },
});
if (!chosen.quadrille) throw new Error('--quadrille says which program to start');
stage.only = chosen.only ?? null;
stage.failures = join(ROOT, 'target', 'pages-test', 'failures');
rmSync(stage.failures, { recursive: true, force: true });
if (chosen.pictures) {
  stage.pictures = join(ROOT, 'docs', 'pictures');
  mkdirSync(stage.pictures, { recursive: true });
}

/// Debian's Chromium, or whichever CHROMIUM names.
function chromium() {
  const names = [process.env.CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome'].filter(Boolean);
  for (const name of names) {
    try {
      return execFileSync('sh', ['-c', 'command -v "$1"', 'sh', name], { encoding: 'utf8' }).trim();
    } catch {
      // the next one
    }
  }
  throw new Error(`no browser is here: ${names.join(', ')}`);
}

// Whatever ends this, the shop ends with it.
process.on('exit', () => stage.shop?.hasEnded === undefined && stage.shop?.child.kill('SIGINT'));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

before(async () => {
  stage.browser = await launch(chromium());
  stage.program = chosen.quadrille;
  stage.shop = await Shop.open(chosen.quadrille);
});
after(async () => {
  await stage.browser?.close();
  await stage.shop?.close();
});

const stories = readdirSync(join(HERE, 'stories')).filter((name) => name.endsWith('.mjs'));
for (const name of stories.sort()) await import(join(HERE, 'stories', name));
