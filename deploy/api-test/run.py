"""Asks every service of a running shop whatever its OpenAPI document allows, and what it forbids.

Starts a shop of its own, and ends it. Whoever asks is customer, staff and operator at once. First requests that must be refused; each that was is sent once more while nothing
else is, and with them requests that are right in themselves and refused for how things stand, after which no row of any
database may be another. Then all kinds, with every check that schemathesis has; then `quadrille audit`.
"""

import argparse
import base64
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import psycopg

HERE = Path(__file__).parent
SERVICES = ("order-svc", "stock-svc", "payment-svc", "notification-svc")
READY_SECONDS = 300
CONFLICT = 409
# The scheme of guests' links.
LINK = "link"
# A token is good for ten minutes.
RENEWED_SECONDS = 240
REFUSED = (400, 401, 403, 404, 405, 408, CONFLICT, 412, 413, 415, 422, 428)
# Rows that change while nobody asks anything: how far topics were read, and what was cleared away. And what staff and operators
# have asked for, which is on record whatever it was answered.
UPKEEP = ("consumer_progress", "outbox_archive_state", "actions")

ORDER = {
    "customer": {"id": "c-1001", "name": "Ann Lee", "email": "ann@example.com"},
    "delivery_address": {"line1": "1 Quay St", "line2": None, "city": "Cork", "postal_code": "T12", "country": "IE"},
    "currency": "EUR",
    "lines": [{"sku": "TEA-EARL-GREY-250", "quantity": 2}],
    "payment_method": "pm_card_visa",
}


def say(text):
    print(f"== {text}", flush=True)


def asked(url, body=None, token=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if data else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        status = refused.code
        try:
            said = refused.read().decode()
        except (OSError, http.client.HTTPException) as error:
            said = f"and then {error!r}"
    raise OSError(f"{request.get_method()} {url}: {status} {said}")


def until(what, seconds, ready):
    """Waits for a condition, whatever is refused or breaks off meanwhile."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            found = ready()
            if found:
                return found
        except (OSError, http.client.HTTPException, LookupError, TypeError, ValueError) as error:
            last = error
        time.sleep(0.25)
    sys.exit(f"{what}: not within {seconds} s (last seen: {last})")


class Shop:
    """A shop of its own, for as long as the block lasts."""

    def __init__(self, program, data):
        self.program, self.data = program, data
        self.signed_in, self.held, self.tokens = float("-inf"), None, set()

    def __enter__(self):
        self.log = open(self.data / "up.log", "wb")
        command = [self.program, "up", "--free-ports", "--quiet", "--data", str(self.data)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        try:
            self.addresses = until("the shop's addresses", READY_SECONDS, self.read)
            for name in SERVICES:
                until(f"{name} is ready", READY_SECONDS, lambda: asked(f"{self.url(name)}/readyz")["status"] == "ready")
            products = f"{self.url('stock-svc')}/api/v1/products/TEA-EARL-GREY-250"
            until("the catalogue is there", READY_SECONDS, lambda: asked(products)["available"] > 0)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.log.close()

    def read(self):
        if self.process.poll() is not None:
            sys.exit(f"the shop has ended: {(self.data / 'up.log').read_text()[-2000:]}")
        addresses = json.loads((self.data / "addresses.json").read_text())
        return addresses if all(name in addresses["services"] for name in SERVICES) else None

    def url(self, name):
        return self.addresses["services"][name]["url"].rstrip("/")

    def token(self):
        """Of somebody who has every role; one that is good for some minutes yet."""
        if time.monotonic() - self.signed_in > RENEWED_SECONDS:
            login = f"{self.url('sandbox-issuer')}/api/v1/account/auth/login"
            ada = {"email": "ada@example.com", "password": "sandbox-ada"}
            self.signed_in, self.held = time.monotonic(), asked(login, ada)["access_token"]
            self.tokens.add(f"Bearer {self.held}")
        return self.held

    def asked(self, url, body=None):
        return asked(url, body, self.token())

    def an_order(self):
        """One order that waits for its parcel to leave, so that there is something to be spoilt."""
        orders = f"{self.url('order-svc')}/api/v1/orders"
        placed = until("an order is taken", 60, lambda: self.asked(orders, ORDER))
        one = f"{orders}/{placed['id']}"
        until("its parcel waits", 120, lambda: self.asked(one)["waiting_for"]["fact"].startswith("shipment."))
        return placed["id"]

    def rows(self):
        """For each table of each service, how many rows it has and a sum over what is in them."""
        found = {}
        for name in SERVICES:
            with psycopg.connect(self.addresses["services"][name]["database"]) as database:
                tables = database.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
                for (table,) in tables:
                    if table not in UPKEEP:
                        sums = f'select count(*), md5(coalesce(string_agg(t::text, \',\' order by t::text), \'\')) from "{table}" t'
                        found[f"{name}.{table}"] = database.execute(sums).fetchone()
        return found

    def quiet_rows(self):
        """The rows once nothing changes them any more."""
        def still():
            before = self.rows()
            time.sleep(2)
            return before if before == self.rows() else None
        return until("nothing is under way", 120, still)


def parts_of(whole):
    """Every object in a report that is a request with its answer."""
    if isinstance(whole, dict):
        if isinstance(whole.get("request"), dict) and isinstance(whole.get("response"), dict):
            yield whole
        whole = list(whole.values())
    if isinstance(whole, list):
        for part in whole:
            yield from parts_of(part)


def refused_of(report):
    """The requests of a run that would have changed something and were refused, each with its status."""
    for line in report.read_text().splitlines():
        for one in parts_of(json.loads(line)):
            request, status = one["request"], int(one["response"].get("status_code") or 0)
            if request["method"] in ("POST", "PUT", "DELETE", "PATCH") and status in REFUSED:
                yield request, status


def answer_to(shop, request):
    """The status of a request that is sent once more, byte for byte but for a token that would be too old by now."""
    url = urllib.parse.urlsplit(request["uri"])
    body = request.get("body")
    if isinstance(body, dict):
        body = base64.b64decode(body["$base64"])
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    try:
        connection.putrequest(request["method"], urllib.parse.urlunsplit(("", "", *url[2:4], "")) or "/")
        for name, values in request["headers"].items():
            for value in values:
                if value in shop.tokens:
                    value = f"Bearer {shop.token()}"
                connection.putheader(name, value.encode("latin-1", "replace") if isinstance(value, str) else value)
        if body and not any(name.lower() == "content-length" for name in request["headers"]):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        return connection.getresponse().status
    except (ValueError, http.client.InvalidURL):
        return None  # what this client would not send is not what was sent
    finally:
        connection.close()


def conflicts(shop, order):
    """Requests that are right in themselves and have begun to work when they are refused for how things stand."""
    stock, orders = (f"{shop.url(name)}/api/v1" for name in ("stock-svc", "order-svc"))
    tea = f"{stock}/products/{ORDER['lines'][0]['sku']}"
    product = {name: shop.asked(tea)[name] for name in ("sku", "name", "description", "price", "on_hand")}
    parcel = f"{stock}/shipments/{shop.asked(f'{stock}/shipments?order_id={order}')['items'][0]['id']}"
    payments = f"{shop.url('payment-svc')}/api/v1/payments"
    payment = shop.asked(f"{payments}?order_id={order}")["items"][0]["id"]
    # Of a product that no example names, so that nothing before has changed its price.
    too_many = dict(ORDER, lines=[{"sku": "COF-HOUSE-500", "quantity": 10_000}])
    ended = f"{orders}/orders/{shop.asked(f'{orders}/orders', too_many)['id']}"
    until("an order ends that is out of stock", 60, lambda: shop.asked(ended)["status"] == "cancelled")
    key = {"Idempotency-Key": ["a-conflict"]}
    for url, body, headers in (
        (f"{stock}/products", product, {}),
        (f"{stock}/categories", {"name": shop.asked(f"{stock}/categories")["items"][0]["name"]}, {}),
        (f"{tea}/adjustments", {"delta": -1_000_000_000, "reason": "more than there are"}, key),
        (f"{parcel}/deliver", {}, {}),
        (f"{parcel}/lost", {}, {}),
        (f"{parcel}/split", {"lines": ORDER["lines"]}, {}),
        (f"{parcel}/return", {"lines": ORDER["lines"]}, key),
        (f"{payments}/{payment}/refunds", {"amount": {"amount": 100_000, "currency": "EUR"}, "reason": "too much"}, key),
        (f"{ended}/cancel", {}, {}),
    ):
        headers = {"Content-Type": ["application/json"], "Authorization": [f"Bearer {shop.token()}"], **headers}
        text = base64.b64encode(json.dumps(body).encode()).decode()
        yield {"method": "POST", "uri": url, "headers": headers, "body": {"$base64": text}}, CONFLICT


def refused_again(shop, names, reports, order):
    """Whether everything that was refused is refused again, and nothing is written by it.

    What was a conflict may be none by now, since things have moved on: that is left out, and the rest is sent once more,
    until only refusals stand between the rows before and after.
    """
    wanted = list(conflicts(shop, order))
    missed = [f"{one['uri']}: {now}, not {CONFLICT}" for one, _ in wanted if (now := answer_to(shop, one)) != CONFLICT]
    refused = wanted + [one for name in names for one in refused_of(reports / f"{name}-negative.ndjson")]
    while True:
        before, again, taken, moved_on = shop.quiet_rows(), [], [], 0
        for request, status in refused:
            now = answer_to(shop, request)
            if now is None:
                continue
            if status == CONFLICT and now < 400:
                moved_on += 1
                continue
            again.append((request, status))
            if not 400 <= now < 500:
                taken.append(f"{request['method']} {request['uri']}: {now}")
        after, refused = shop.quiet_rows(), again
        if not moved_on:
            break
        say(f"{moved_on} requests are no conflict any more and are left out")
    written = sorted(table for table in before if before[table] != after.get(table))
    conflicting = sum(status == CONFLICT for _, status in refused)
    say(f"{len(refused)} refused requests sent again, {conflicting} of them conflicts: {len(taken)} not refused, "
        f"{', '.join(written) or 'nothing'} written ({len(before)} tables)")
    for one in taken + missed:
        print(one)
    return len(refused) > len(wanted) and not taken and not missed and not written


def document(shop, name, folder):
    """A service's document, but for links of guests: schemathesis would make some up and expect that they count."""
    whole = asked(f"{shop.url(name)}/openapi.json")
    for operation in [operation for path in whole["paths"].values() for operation in path.values()]:
        if "security" in operation:
            operation["security"] = [one for one in operation["security"] if LINK not in one]
    whole["components"].get("securitySchemes", {}).pop(LINK, None)
    file = folder / f"{name}.json"
    file.write_text(json.dumps(whole))
    return str(file)


def schemathesis(shop, name, examples, mode, phases, reports):
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / "schemathesis.toml"), "run",
        document(shop, name, reports), "--url", shop.url(name), "--header", f"Authorization: Bearer {shop.token()}", "--checks", "all", "--mode", mode, "--phases", phases,
        "--max-examples", str(examples), "--seed", "1", "--continue-on-failure", "--warnings", "off",
        "--output-sanitize", "false",
        "--report", "junit,ndjson", "--report-junit-path", str(reports / f"{name}-{mode}.xml"),
        "--report-ndjson-path", str(reports / f"{name}-{mode}.ndjson"),
    ]
    started = time.monotonic()
    code = subprocess.run(command, cwd=reports).returncode
    say(f"{name}, {mode}: {'no failure' if code == 0 else f'FAILED ({code})'} in {time.monotonic() - started:.0f} s")
    return code == 0


def keys_are_expected(shop):
    """Whether schemathesis.toml expects 422 of whatever takes an Idempotency-Key: one that was used for another request.

    Which keys come twice is chance, so what is forgotten there fails some day and not today.
    """
    said = tomllib.loads((HERE / "schemathesis.toml").read_text())["operations"]
    missed = []
    for name in SERVICES:
        document = asked(f"{shop.url(name)}/openapi.json")
        operations = [operation for path in document["paths"].values() for operation in path.values()]
        for operation in operations:
            takes = any(one.get("name") == "Idempotency-Key" for one in operation.get("parameters", ()))
            own = [one for one in said if names(one, operation["operationId"])]
            fine = any("422" in one["checks"]["positive_data_acceptance"]["expected-statuses"] for one in own)
            if takes and not fine:
                missed.append(operation["operationId"])
    for one in missed:
        say(f"{one} takes an Idempotency-Key: schemathesis.toml has to expect 422 of it")
    return not missed


def names(entry, operation):
    pattern = entry.get("include-operation-id-regex")
    return re.search(pattern, operation) is not None if pattern else entry.get("include-operation-id") == operation


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quadrille", required=True, help="the program")
    options.add_argument("--examples", type=int, default=25, help="how many requests for an operation, at most")
    options.add_argument("--reports", type=Path, default=Path("target/api-test/reports"))
    options.add_argument("--only", choices=SERVICES, action="append", help="one service alone")
    chosen = options.parse_args()
    names = chosen.only or SERVICES
    reports = chosen.reports.resolve()
    reports.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="quadrille-api-") as data, Shop(chosen.quadrille, Path(data)) as shop:
        well = keys_are_expected(shop)
        order = shop.an_order()
        for name in names:
            say(f"{name}: what must be refused")
            well &= schemathesis(shop, name, chosen.examples, "negative", "coverage,fuzzing", reports)
        well &= refused_again(shop, names, reports, order)
        for name in names:
            say(f"{name}: all kinds")
            well &= schemathesis(shop, name, chosen.examples, "all", "examples,coverage,fuzzing,stateful", reports)
            well &= asked(f"{shop.url(name)}/healthz")["status"] == "ok"
        say("quadrille audit")
        audit = subprocess.run([chosen.quadrille, "audit", "--data", data])
        well &= audit.returncode == 0
    say("no failure" if well else f"FAILED; reports are in {os.path.relpath(reports)}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
