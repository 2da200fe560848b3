// A shop of its own: `quadrille up` on free ports, with its data in a folder that goes with it.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, createWriteStream, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const OPEN_WITHIN = 300_000;
const STOPS_WITHIN = 60_000;
const ASK_AGAIN = 200;
/// Tokens are good for ten minutes.
const RENEWED_AFTER = 240_000;

export const TEA = 'TEA-EARL-GREY-250';

/// Waits until `ready` returns something; says what was missing last, if it doesn't in time.
export async function until(what, within, ready) {
  const end = Date.now() + within;
  let last = '';
  for (;;) {
    try {
      const found = await ready();
      if (found) return found;
    } catch (error) {
      last = ` (${error.message})`;
    }
    if (Date.now() >= end) throw new Error(`${what}: not within ${within / 1000} s${last}`);
    await pause(ASK_AGAIN);
  }
}

export class Shop {
  /// `settings` are variables of this shop's services.
  static async open(program, settings = {}) {
    const shop = new Shop();
    shop.people = [];
    shop.folder = mkdtempSync(join(tmpdir(), 'quadrille-pages-'));
    // PostgreSQL's user has to come through.
    chmodSync(shop.folder, 0o755);
    shop.data = join(shop.folder, 'shop');
    shop.log = join(shop.folder, 'up.log');
    const environment = { ...process.env, ...settings };
    delete environment.DATABASE_URL;
    delete environment.KAFKA_BOOTSTRAP_SERVERS;
    const command = ['up', '--free-ports', '--quiet', '--data', shop.data];
    // In a group of its own: Ctrl-C ends us, and we end it in order.
    shop.child = spawn(program, command, { env: environment, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const log = createWriteStream(shop.log);
    shop.child.stdout.pipe(log, { end: false });
    shop.child.stderr.pipe(log, { end: false });
    shop.ended = new Promise((resolve) => shop.child.once('close', (code, signal) => resolve(signal ?? code)));
    shop.ended.then((how) => (shop.hasEnded = how ?? 'nobody knows how'));
    try {
      await until('the shop is open', OPEN_WITHIN, () => shop.isOpen());
    } catch (error) {
      const said = shop.said();
      await shop.close();
      throw new Error(`${error.message}\n${said}`);
    }
    return shop;
  }

  said() {
    return readFileSync(this.log, 'utf8').slice(-4000);
  }

  addresses() {
    return JSON.parse(readFileSync(join(this.data, 'addresses.json'), 'utf8'));
  }

  url(service, path = '') {
    return this.addresses().services[service].url + path;
  }

  async isOpen() {
    if (this.hasEnded !== undefined) throw new Error(`it has ended: ${this.hasEnded}`);
    for (const [name, { url }] of Object.entries(this.addresses().services)) {
      const answer = await fetch(`${url}/readyz`);
      if (!answer.ok) throw new Error(`${name} is not ready: ${await answer.text()}`);
    }
    const tea = await fetch(this.url('stock-svc', `/api/v1/products/${TEA}`));
    // stock-svc answers for a product before order-svc has heard of it
    return tea.ok && this.said().includes('The shop is open');
  }

  /// Kills a part of it, which is started again. Returns what was killed.
  kill(name) {
    const { pid } = this.addresses().processes[name];
    process.kill(pid, 'SIGKILL');
    return pid;
  }

  /// Waits until another process is ready in the place of the one that was killed.
  async isBack(name, killed) {
    await until(`${name} is back`, 60_000, async () => {
      const { pid } = this.addresses().processes[name] ?? {};
      return pid !== undefined && pid !== killed && (await fetch(this.url(name, '/readyz'))).ok;
    });
  }

  /// Has a part of it stand still, as if it hung; returns what lets it go on.
  freeze(name) {
    const { pid } = this.addresses().processes[name];
    process.kill(pid, 'SIGSTOP');
    return () => process.kill(pid, 'SIGCONT');
  }

  async isReady(name) {
    await until(`${name} is ready`, 60_000, async () => (await fetch(this.url(name, '/readyz'))).ok);
  }

  /// What is to go wrong at the gateway; nothing if nothing is said.
  async faults(faults = {}) {
    await this.request('PUT', 'sandbox-gateway', '/sandbox/faults', { body: faults });
  }

  /// A token of somebody whom the issuer of this shop knows.
  async token(who) {
    this.tokens ??= {};
    const known = this.tokens[who];
    if (known && Date.now() - known.at < RENEWED_AFTER) return (await known.answer).access_token;
    const body = { email: `${who}@example.com`, password: `sandbox-${who}` };
    // Those who ask at the same time wait for the same answer: the issuer takes many attempts for guessing.
    const answer = this.request('POST', 'sandbox-issuer', '/api/v1/account/auth/login', { body });
    this.tokens[who] = { at: Date.now(), answer };
    return (await answer).access_token;
  }

  /// Asks a service as somebody, Ada if nothing else is said, who may do everything.
  async ask(method, service, path, { body, as = 'ada', key } = {}) {
    return this.request(method, service, path, { body, key, token: await this.token(as) });
  }

  async request(method, service, path, { body, token, key }) {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    if (token) headers.authorization = `Bearer ${token}`;
    if (key) headers['idempotency-key'] = key;
    const answer = await fetch(this.url(service, path), { method, headers, body: JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path} of ${service}: ${answer.status} ${text}`);
    return text === '' ? null : JSON.parse(text);
  }

  /// Places an order, of Ann's if nothing else is said.
  async order(changed = {}) {
    const body = {
      customer: { id: 'c-1001', name: 'Ann Lee', email: 'ann@example.com' },
      delivery_address: { line1: '1 Quay St', city: 'Cork', postal_code: 'T12', country: 'IE' },
      currency: 'EUR',
      lines: [{ sku: TEA, quantity: 1 }],
      payment_method: 'pm_card_visa',
      ...changed,
    };
    return this.ask('POST', 'order-svc', '/api/v1/orders', { body });
  }

  /// Waits until a service's list has something about an order.
  async first(service, list, order, fits = () => true) {
    return until(`${list} of ${order}`, 60_000, async () => {
      const { items } = await this.ask('GET', service, `/api/v1/${list}?order_id=${order}`);
      return items.find(fits);
    });
  }

  async becomes(order, status) {
    return until(`${order} is ${status}`, 60_000, async () => {
      const found = await this.ask('GET', 'order-svc', `/api/v1/orders/${order}`);
      return found.status === status ? found : null;
    });
  }

  /// Sends an order's parcel off.
  async dispatch(order, tracking = 'AP-1') {
    const parcel = await this.first('stock-svc', 'shipments', order);
    const body = { carrier: 'An Post', tracking_number: tracking };
    await this.ask('POST', 'stock-svc', `/api/v1/shipments/${parcel.id}/dispatch`, { body, key: `send-${parcel.id}` });
    return parcel.id;
  }

  async deliver(parcel) {
    await this.ask('POST', 'stock-svc', `/api/v1/shipments/${parcel}/deliver`, { body: {}, key: `bring-${parcel}` });
  }

  /// Has a service's database do something, for what no interface does.
  sql(service, statement) {
    const { database } = this.addresses().services[service];
    return execFileSync(psql(), [database, '-Atq', '-v', 'ON_ERROR_STOP=1', '-c', statement], { encoding: 'utf8' }).trim();
  }

  /// Puts the clock by which an order waits forward: nobody here waits for days.
  waited(order, time) {
    this.sql('order-svc', `
      update orders set waiting_since = waiting_since - interval '${time}', overdue_at = overdue_at - interval '${time}',
        overdue_not_before = overdue_at - interval '${time}' where id = '${order}'`);
  }

  /// Somebody has changed something by hand and not committed it.
  async forgetsToCommit(service, statement) {
    const { database } = this.addresses().services[service];
    const person = spawn(psql(), [database, '-Atq', '-v', 'ON_ERROR_STOP=1'], { stdio: ['pipe', 'pipe', 'inherit'] });
    person.stdin.write(`set idle_in_transaction_session_timeout = 0; begin; ${statement}; select 'done';\n`);
    await once(person.stdout, 'data');
    this.people.push(person);
  }

  /// While it lasts, whoever hears that goods are held for an order can't read it: a field has another name, and the event this
  /// header more, if one is given.
  async whileUnreadable(during, field = 'expired_at', header = null) {
    const more = header === null ? '' : `new.headers = (new.headers::jsonb || jsonb_build_array('${JSON.stringify(header)}'::jsonb))::json;`;
    this.sql('stock-svc', `
      create or replace function spoil() returns trigger language plpgsql as $$ begin
        new.payload = convert_to(replace(convert_from(new.payload, 'utf8'), '"expires_at"', '"${field}"'), 'utf8');
        ${more}
        return new;
      end $$;
      create trigger spoil before insert on outbox for each row when (new.topic = 'stock.v1') execute function spoil();`);
    try {
      return await during();
    } finally {
      this.sql('stock-svc', 'drop trigger spoil on outbox');
    }
  }

  /// The dead letter of an order that a service has, once it has one.
  async letter(service, order) {
    return until(`a dead letter of ${service} about ${order}`, 60_000, async () => {
      const { items } = await this.ask('GET', service, `/api/v1/dead-letters?key=${order}`);
      return items.find(({ error }) => error !== null);
    });
  }

  /// Gives a field of a dead letter its name back, and replays what waits for it.
  async mends(service, order, field) {
    const { id } = await this.letter(service, order);
    const { payload } = await this.ask('GET', service, `/api/v1/dead-letters/${id}`);
    const { [field]: expires_at, ...others } = payload.value;
    const body = { payload: { ...others, expires_at }, reason: 'the field has another name' };
    await this.ask('POST', service, `/api/v1/dead-letters/${id}/edit`, { body });
    const replay = { action: 'replay', key: order, reason: 'its field is mended' };
    await this.ask('POST', service, '/api/v1/dead-letters/jobs', { body: replay });
  }

  /// From here on payment-svc can write no payment, which makes dead letters of what it hears.
  closesTheBooks() {
    this.sql('payment-svc', `
      create or replace function books() returns trigger language plpgsql as $$ begin
        raise exception 'the books are closed' using errcode = 'check_violation';
      end $$;
      create trigger books before insert on payments for each row execute function books();`);
  }

  /// It can again, and takes its time: somebody has to be able to watch it.
  opensTheBooks() {
    this.sql('payment-svc', `
      create or replace function books() returns trigger language plpgsql as $$ begin
        perform pg_sleep(0.05);
        return new;
      end $$;`);
  }

  /// As it was before.
  forgetsTheBooks() {
    this.sql('payment-svc', 'drop trigger if exists books on payments');
  }

  /// The text of a mail about an order, once it is there.
  async mail(order, template) {
    return until(`the mail ${template} about ${order}`, 60_000, () => {
      const { mails } = this.addresses();
      const file = readdirSync(mails).find((name) => name.startsWith(`${order}.${template}.`));
      return file && plain(readFileSync(join(mails, file), 'utf8'));
    });
  }

  /// Ends it in order, and takes its data away.
  async close() {
    this.people.forEach((person) => person.kill());
    if (this.hasEnded === undefined) {
      this.child.kill('SIGINT');
      const late = pause(STOPS_WITHIN, 'late', { ref: false });
      if ((await Promise.race([this.ended, late])) === 'late') this.child.kill('SIGKILL');
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/// Of quoted-printable what it stands for.
function plain(text) {
  const joined = text.replaceAll(/=\r?\n/g, '');
  return joined.replaceAll(/=([0-9A-F]{2})/g, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
}

/// Beside the server that runs the shop's databases, or in the path.
function psql() {
  const folders = [process.env.PG, ...versions('/usr/lib/postgresql').map((one) => `${one}/bin`)].filter(Boolean);
  return folders.map((folder) => join(folder, 'psql')).find(existsSync) ?? 'psql';
}

function versions(folder) {
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
}
