// Somebody with a browser, who notices what goes wrong in it.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

// They are installed beside what is built.
const require = createRequire(`${process.env.PAGES_TEST_MODULES ?? '.'}/`);
const { chromium } = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

/// How long anything on a page may take that is waited for.
export const PATIENCE = 20_000;
const DESK = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };

export const launch = (program) => chromium.launch({ executablePath: program, headless: true });

export class Visitor {
  /// `js`: whether scripts run. `dark`: what the system prefers. `phone`: a small window.
  static async come(browser, shop, { js = true, dark = false, phone = false } = {}) {
    const context = await browser.newContext({
      javaScriptEnabled: js,
      colorScheme: dark ? 'dark' : 'light',
      viewport: phone ? PHONE : DESK,
      reducedMotion: 'reduce',
      baseURL: shop.url('console'),
    });
    context.setDefaultTimeout(PATIENCE);
    const visitor = new Visitor();
    Object.assign(visitor, { shop, context, js, troubles: [], expected: [], clicks: 0 });
    visitor.page = await context.newPage();
    visitor.watch();
    return visitor;
  }

  /// A policy that something breaks, an exception, a dialog, another host that is asked: nobody should notice any.
  watch() {
    const { page, context } = this;
    const trouble = (what) => this.troubles.push(`${what}, on ${page.url()}`);
    page.on('console', (said) => said.type() === 'error' && trouble(`the browser says: ${said.text()}`));
    page.on('pageerror', (error) => trouble(`a script fails: ${error.message}`));
    page.on('dialog', (dialog) => {
      trouble(`a dialog opens: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on('response', (answer) => answer.status() >= 500 && trouble(`${answer.url()} answers ${answer.status()}`));
    const known = Object.values(this.shop.addresses().services).map(({ url }) => new URL(url).origin);
    context.on('request', (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol !== 'data:' && !known.includes(origin)) trouble(`another host is asked: ${request.url()}`);
    });
  }

  /// Says that a story itself brings about what this fits, such as a page that is refused.
  expects(pattern) {
    this.expected.push(pattern);
  }

  mustHaveHadNoTrouble() {
    const left = this.troubles.filter((trouble) => !this.expected.some((pattern) => pattern.test(trouble)));
    assert.deepEqual(left, []);
  }

  /// Opens a page, which must be there.
  async opens(path, status = 200) {
    if (status >= 400) this.expects(new RegExp(`status of ${status}`));
    const answer = await this.page.goto(path);
    assert.equal(answer.status(), status, `${path}: ${await this.title()}`);
    return this;
  }

  async title() {
    return this.page.getByRole('heading', { level: 1 }).first().innerText();
  }

  /// Waits until the page has this as its heading.
  async sees(heading) {
    await this.page.getByRole('heading', { level: 1, name: heading }).waitFor();
  }

  /// Waits until a text is shown somewhere below the bar, or in `within`.
  async reads(text, within = this.main()) {
    await within.getByText(text).first().waitFor();
  }

  main() {
    return this.page.getByRole('main');
  }

  async follows(name, within = this.page) {
    this.clicks += 1;
    await within.getByRole('link', { name }).first().click();
  }

  async presses(name, within = this.main()) {
    this.clicks += 1;
    await within.getByRole('button', { name }).first().click();
  }

  async fills(label, text) {
    await this.main().getByLabel(label).first().fill(text);
  }

  /// What asks before it does something, opened.
  async asksFor(what, within = this.main()) {
    const asks = within.locator('details', { has: this.page.getByText(what, { exact: true }) }).first();
    this.clicks += 1;
    await asks.locator('summary').click();
    return asks;
  }

  /// Opens what asks before it destroys, and says yes.
  async confirms(what, yes, within = this.main()) {
    await this.presses(yes, await this.asksFor(what, within));
  }

  /// Signs in at the issuer, and comes back.
  async signsIn(who) {
    const { page } = this;
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Sign in' }).click();
    await this.givesPassword(who);
  }

  /// On the issuer's page.
  async givesPassword(who) {
    const { page } = this;
    await page.getByLabel('E-mail').fill(`${who}@example.com`);
    await page.getByLabel('Password').fill(`sandbox-${who}`);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
  }

  /// What can be done on the page: where its links lead, and what its forms send where, by which buttons. What lies in something
  /// that is closed counts, too.
  async offers() {
    return this.page.locator('body').evaluate((body) => {
      const words = (element) => element.textContent.trim().replaceAll(/\s+/g, ' ');
      const links = [...body.querySelectorAll('a[href]')].map((link) => `${words(link)} leads to ${link.getAttribute('href')}`);
      const field = (field) => (field.localName === 'button' ? `[${words(field)} ${field.getAttribute('formaction') ?? ''}]` : field.name);
      const forms = [...body.querySelectorAll('form')].map((form) => {
        const fields = [...form.elements].map(field).sort();
        return `${form.getAttribute('method')} ${form.getAttribute('action')} with ${fields.join(', ')}`;
      });
      return [...new Set([...links, ...forms])].sort();
    });
  }

  /// Every rule of axe's that the page breaks.
  async axe() {
    await this.page.evaluate(AXE);
    const { violations } = await this.page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    return violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, html }) => `${id} (${help}): ${target} ${html.slice(0, 200)}`));
  }

  /// How many pixels of the page stick out at the side.
  async overhang() {
    return this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  }

  /// Keeps what is shown, as an image and as text.
  async keep(folder, name) {
    mkdirSync(folder, { recursive: true });
    await this.page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
    writeFileSync(join(folder, `${name}.html`), await this.page.content());
  }

  async leaves() {
    await this.context.close();
  }
}
