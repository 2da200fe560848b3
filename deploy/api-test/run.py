"""Asks every service of a running shop whatever its OpenAPI document allows, and what it forbids.

Starts a shop of its own, and ends it. First requests that must be refused; each that was is sent once more while nothing
else is, after which no row of any database may be another. Then all kinds, with every check that schemathesis has; then
`quadrille audit`.
"""

import argparse
import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import psycopg

HERE = Path(__file__).parent
SERVICES = ("order-svc", "stock-svc", "payment-svc", "notification-svc")
READY_SECONDS = 300
# Rows that change while nobody asks anything: how far topics were read, and what was cleared away.
UPKEEP = ("consumer_progress", "outbox_archive_state")

ORDER = {
    "customer": {"id": "c-1001", "name": "Ann Lee", "email": "ann@example.com"},
    "delivery_address": {"line1": "1 Quay St", "line2": None, "city": "Cork", "postal_code": "T12", "country": "IE"},
    "currency": "EUR",
    "lines": [{"sku": "TEA-EARL-GREY-250", "quantity": 2}],
    "payment_method": "pm_card_visa",
}


def say(text):
    print(f"== {text}", flush=True)


def asked(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def until(what, seconds, ready):
    """Waits for a condition, whatever is refused meanwhile."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            found = ready()
            if found:
                return found
        except (OSError, ValueError, KeyError) as error:
            last = error
        time.sleep(0.25)
    sys.exit(f"{what}: not within {seconds} s (last seen: {last})")


class Shop:
    """A shop of its own, for as long as the block lasts."""

    def __init__(self, program, data):
        self.program, self.data = program, data

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

    def an_order(self):
        """One order that waits for its parcel to leave, so that there is something to be spoilt."""
        orders = f"{self.url('order-svc')}/api/v1/orders"
        placed = until("an order is taken", 60, lambda: asked(orders, ORDER))
        one = f"{orders}/{placed['id']}"
        until("its parcel waits", 120, lambda: asked(one)["waiting_for"]["fact"].startswith("shipment."))
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
    """The requests of a run that would have changed something and were refused for what they are."""
    for line in report.read_text().splitlines():
        for one in parts_of(json.loads(line)):
            request, status = one["request"], int(one["response"].get("status_code") or 0)
            if request["method"] in ("POST", "PUT", "DELETE", "PATCH") and status in (400, 404, 405, 413, 415, 422):
                yield request


def answer_to(request):
    """The status of a request that is sent once more, byte for byte."""
    url = urllib.parse.urlsplit(request["uri"])
    body = request.get("body")
    if isinstance(body, dict):
        body = base64.b64decode(body["$base64"])
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    try:
        connection.putrequest(request["method"], urllib.parse.urlunsplit(("", "", *url[2:4], "")) or "/")
        for name, values in request["headers"].items():
            for value in values:
                connection.putheader(name, value.encode("latin-1", "replace") if isinstance(value, str) else value)
        if body and not any(name.lower() == "content-length" for name in request["headers"]):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        return connection.getresponse().status
    except (ValueError, http.client.InvalidURL):
        return None  # what this client would not send is not what was sent
    finally:
        connection.close()


def refused_again(shop, names, reports):
    """Whether everything that was refused is refused again, and nothing is written by it."""
    before, sent, taken = shop.quiet_rows(), 0, []
    for name in names:
        for request in refused_of(reports / f"{name}-negative.ndjson"):
            status = answer_to(request)
            sent += status is not None
            if status is not None and (status < 400 or status >= 500):
                taken.append(f"{request['method']} {request['uri']}: {status}")
    after = shop.quiet_rows()
    written = sorted(table for table in before if before[table] != after.get(table))
    say(f"{sent} refused requests sent again: {len(taken)} not refused, "
        f"{', '.join(written) or 'nothing'} written ({len(before)} tables)")
    for one in taken:
        print(one)
    return sent > 0 and not taken and not written


def schemathesis(shop, name, examples, mode, phases, reports):
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / "schemathesis.toml"), "run",
        f"{shop.url(name)}/openapi.json", "--checks", "all", "--mode", mode, "--phases", phases,
        "--max-examples", str(examples), "--seed", "1", "--continue-on-failure", "--warnings", "off",
        "--output-sanitize", "false",
        "--report", "junit,ndjson", "--report-junit-path", str(reports / f"{name}-{mode}.xml"),
        "--report-ndjson-path", str(reports / f"{name}-{mode}.ndjson"),
    ]
    started = time.monotonic()
    code = subprocess.run(command, cwd=reports).returncode
    say(f"{name}, {mode}: {'no failure' if code == 0 else f'FAILED ({code})'} in {time.monotonic() - started:.0f} s")
    return code == 0


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
    well = True
    with tempfile.TemporaryDirectory(prefix="quadrille-api-") as data, Shop(chosen.quadrille, Path(data)) as shop:
        shop.an_order()
        for name in names:
            say(f"{name}: what must be refused")
            well &= schemathesis(shop, name, chosen.examples, "negative", "coverage,fuzzing", reports)
        well &= refused_again(shop, names, reports)
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
