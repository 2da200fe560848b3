"""Tries dashboards and alarms on a running shop that Debian's Prometheus scrapes.

First promtool: configuration, rules, and the rules' own tests. Then a shop of its own, under load, on free ports of 127.0.0.1:
every query of every panel and rule has to return data; and each cause below is brought about, its alarm has to fire, and to end
once it is mended. A table at the end says how long each took.

Hours are made minutes: the rules that Prometheus gets here are those of prometheus/rules with every duration (`for`, ranges,
offsets) divided by 20, at least 10 s for a range, and with the thresholds of SHORTER. Everything is asked once a second.
"""

import argparse
import contextlib
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True

import picture  # noqa: E402
import servers  # noqa: E402
from load import Load  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RULES = HERE / "prometheus" / "rules"

SPEED = 20
# Thresholds in seconds that are reached by waiting alone: what the rules say, and what is tried here.
SHORTER = (
    ("(consumer_lag_seconds) > 60", "(consumer_lag_seconds) > 5"),
    ("(outbox_relay_oldest_pending_seconds) > 60", "(outbox_relay_oldest_pending_seconds) > 5"),
    ("(timers_oldest_due_seconds) > 60", "(timers_oldest_due_seconds) > 5"),
    ('(dispatched|delivered)"}) > 120', '(dispatched|delivered)"}) > 8'),
    ("(database_oldest_transaction_seconds) > 300", "(database_oldest_transaction_seconds) > 10"),
)
SERVICES = ("order-svc", "stock-svc", "payment-svc", "notification-svc")
OPEN_SECONDS = 300
DATA_SECONDS = 120
FIRES_SECONDS = 180
ENDS_SECONDS = 240
# The relays' advisory lock, as outbox-relay/src/control.rs has it: "outbox-r".
RELAYS_LOCK = 0x6F7574626F782D72


def say(text):
    print(f"== {text}", flush=True)


def fail(text):
    sys.exit(f"test-observability: {text}")


def until(what, seconds, ready, every=0.25):
    """Waits for a condition, and returns what it found and after how many seconds."""
    began, last = time.monotonic(), None
    while time.monotonic() - began < seconds:
        try:
            found = ready()
            if found:
                return found, time.monotonic() - began
        except (OSError, LookupError, ValueError) as error:
            last = error
        time.sleep(every)
    raise TimeoutError(f"{what}: not within {seconds} s" + (f" ({last})" if last else ""))


def asked(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


# --- Prometheus and promtool


def programs(work):
    """Prometheus and promtool: this machine's, or those of Debian's package, unpacked and not installed."""
    found = [path for path in os.environ.get("PATH", "").split(":") if all((Path(path) / name).exists() for name in ("prometheus", "promtool"))]
    if found:
        return Path(found[0]) / "prometheus", Path(found[0]) / "promtool"
    unpacked = work / "debian"
    if not (unpacked / "usr/bin/promtool").exists():
        say("fetching Debian's prometheus")
        unpacked.mkdir(parents=True, exist_ok=True)
        for attempt in range(2):
            if subprocess.run(["apt-get", "download", "--quiet", "prometheus"], cwd=unpacked).returncode == 0:
                break
            root = [] if os.geteuid() == 0 else ["sudo"]
            if attempt or subprocess.run([*root, "apt-get", "update", "-qq"]).returncode != 0:
                fail("Prometheus is not here, and apt-get can't fetch it: install prometheus and promtool, and run this again")
        package = max(unpacked.glob("prometheus_*.deb"))
        subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)
    return unpacked / "usr/bin/prometheus", unpacked / "usr/bin/promtool"


def checked(promtool):
    """What can be said of the files alone."""
    for command in (
        [sys.executable, HERE / "generate.py", "--check"],
        [promtool, "check", "config", HERE / "prometheus" / "prometheus.yml"],
        [promtool, "check", "rules", *sorted(RULES.glob("*.yml"))],
        [promtool, "test", "rules", *sorted((HERE / "prometheus" / "tests").glob("*.yml"))],
    ):
        if subprocess.run(command).returncode != 0:
            fail(" ".join(str(part) for part in command))


def dashboards_checked(work):
    """Grafana's own schema, where Go and its SDK can be had."""
    program = work.resolve() / "dashboards-schema"
    try:
        built = subprocess.run(["go", "build", "-o", program, "."], cwd=HERE / "schema", capture_output=True, text=True)
    except FileNotFoundError:
        return say("no Go: the dashboards are not held against Grafana's schema")
    if built.returncode != 0:
        return say(f"Grafana's SDK can't be had: the dashboards are not held against its schema ({built.stderr.strip()[-200:]})")
    if subprocess.run([program, *sorted((HERE / "grafana" / "dashboards").glob("*.json"))]).returncode != 0:
        fail("a dashboard is not as Grafana wants it")


def shortened(text):
    """Rules that happen within a test's time."""
    in_seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}

    def scaled(match, least):
        return f"{max(least, round(int(match[2]) * in_seconds[match[3]] / SPEED))}s"

    text = re.sub(r"(\[)(\d+)([smhd])\]", lambda match: f"[{scaled(match, 10)}]", text)
    text = re.sub(r"(for: )(\d+)([smhd])\b", lambda match: f"for: {scaled(match, 1)}", text)
    text = re.sub(r"(offset )(\d+)([smhd])\b", lambda match: f"offset {scaled(match, 10)}", text)
    for whole, short in SHORTER:
        text = text.replace(whole, short)
    return text


class Prometheus:
    def __init__(self, program, folder, targets):
        self.program, self.folder, self.targets = program, folder, targets

    def __enter__(self):
        rules = [(path.name, path.read_text()) for path in sorted(RULES.glob("*.yml"))]
        for whole, _ in SHORTER:
            if not any(whole in text for _, text in rules):
                fail(f"no rule has {whole!r} any more: change SHORTER")
        (self.folder / "rules").mkdir(parents=True)
        for name, text in rules:
            (self.folder / "rules" / name).write_text(shortened(text))
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules/*.yml"],
            "scrape_configs": [{"job_name": "quadrille", "static_configs": [{"targets": self.targets}]}],
        }
        (self.folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        self.log = open(self.folder / "prometheus.log", "wb")
        # A port may be taken between being found free and being used.
        for _ in range(3):
            self.url = f"http://127.0.0.1:{free_port()}"
            self.process = subprocess.Popen(
                [
                    self.program, f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                ],
                stdout=self.log, stderr=subprocess.STDOUT,
            )
            with contextlib.suppress(TimeoutError):
                until("Prometheus is ready", 30, self.ready)
                return self
            self.__exit__()
        fail(f"Prometheus does not start: {(self.folder / 'prometheus.log').read_text()[-2000:]}")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def ready(self):
        if self.process.poll() is not None:
            raise TimeoutError("it has ended")
        with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
            return answer.status == 200

    def query(self, expr):
        """The values that a query has now."""
        try:
            answer = asked(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expr})}")
        except urllib.error.HTTPError as refused:
            fail(f"{expr}: {refused.read().decode()}")
        result = answer["data"]["result"]
        values = [result] if answer["data"]["resultType"] == "scalar" else [one["value"] for one in result]
        return [value for _, value in values if not math.isnan(float(value))]

    def firing(self):
        alerts = asked(f"{self.url}/api/v1/alerts")["data"]["alerts"]
        return [one["labels"] for one in alerts if one["state"] == "firing"]

    def fired(self, begins, ends):
        """At which seconds each alarm fired."""
        query = {"query": 'group by (alertname) (ALERTS{alertstate="firing"})', "start": begins, "end": ends, "step": 1}
        found = asked(f"{self.url}/api/v1/query_range?{urllib.parse.urlencode(query)}")["data"]["result"]
        return {one["metric"]["alertname"]: [at for at, _ in one["values"]] for one in found}

    def fires(self, labels):
        return any(labels.items() <= one.items() for one in self.firing())


# --- The shop


class Shop:
    """A shop of its own. Of its services two are started here: the sandbox gateway, which `up` would start again at once, and
    notification-svc, of which `up` has mails written into files, and this one needs a server."""

    def __init__(self, program, folder, kafka):
        self.program, self.folder, self.kafka = program, folder, kafka
        self.stopped, self.sessions, self.gateway, self.notification = set(), [], None, None

    def __enter__(self):
        self.mail, self.collector = servers.mail(), servers.collector()
        os.environ.update({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.collector.port}", "OTEL_BSP_SCHEDULE_DELAY": "500"})
        self.log = open(self.folder / "up.log", "wb")
        command = [self.program, "up", "--no-auth", "--free-ports", "--quiet", "--without", "notification-svc,sandbox-gateway", "--data", self.folder / "shop"]
        environment = {**os.environ, "PAYMENT_GATEWAY_TIMEOUT": "2s", "RUST_LOG": "info"}
        self.process = subprocess.Popen([*command, *(["--kafka"] if self.kafka else [])], stdout=self.log, stderr=subprocess.STDOUT, env=environment)
        try:
            until("the shop's addresses", OPEN_SECONDS, lambda: self.alive() and self.addresses()["services"])
            until("services are started", OPEN_SECONDS, lambda: self.alive() and "order-svc" in self.addresses()["processes"])
            self.start_gateway()
            self.start_notification()
            for name in SERVICES:
                until(f"{name} is ready", OPEN_SECONDS, lambda name=name: self.alive() and asked(f"{self.url(name)}/readyz")["status"] == "ready")
            product = f"{self.url('stock-svc')}/api/v1/products/TEA-EARL-GREY-250"
            until("the catalogue is there", OPEN_SECONDS, lambda: self.alive() and asked(product)["available"] > 0)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for session in self.sessions:
            session.kill()
        for name in list(self.stopped):
            self.go_on(name)
        for process in (self.notification, self.gateway, self.process):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
        self.mail.stop()
        self.collector.stop()

    def alive(self):
        if self.process.poll() is not None:
            fail(f"the shop has ended: {(self.folder / 'up.log').read_text()[-2000:]}")
        return True

    def addresses(self):
        return json.loads((self.folder / "shop" / "addresses.json").read_text())

    def url(self, name):
        return self.addresses()["services"][name]["url"].rstrip("/")

    def targets(self):
        return [self.url(name).removeprefix("http://") for name in (*SERVICES, "outbox-relay")]

    def started(self, name, told):
        told = {"HTTP_ADDR": self.url(name).removeprefix("http://"), "DATABASE_URL": self.database(name), "LOG_FORMAT": "pretty", **told}
        with open(self.folder / f"{name}.log", "ab") as log:
            return subprocess.Popen([self.program, "run", name], env={**os.environ, **told}, stdout=log, stderr=subprocess.STDOUT)

    def start_gateway(self):
        webhooks = f"{self.url('payment-svc')}/api/v1/payments/webhooks/stripe"
        self.gateway = self.started("sandbox-gateway", {"SANDBOX_WEBHOOK_URL": webhooks, "SANDBOX_WEBHOOK_SECRET": "whsec_sandbox"})

    def end_gateway(self):
        self.gateway.kill()
        self.gateway.wait(10)

    def gateway_faults(self, faults):
        request = urllib.request.Request(f"{self.url('sandbox-gateway')}/sandbox/faults", json.dumps(faults).encode(), {"Content-Type": "application/json"}, method="PUT")
        urllib.request.urlopen(request, timeout=10).close()

    def start_notification(self):
        gateway = self.url("sandbox-gateway")
        told = {
            "KAFKA_BOOTSTRAP_SERVERS": self.addresses()["kafka"],
            "RELAY": "embedded", "AUTH": "off", "OUTBOX_RELAY_ARCHIVE": "7d",
            "MAIL_TRANSPORT": f"smtp://127.0.0.1:{self.mail.port}", "MAIL_FROM": "Quadrille <shop@quadrille.example>",
            "TWILIO_URL": gateway, "TWILIO_ACCOUNT_SID": "ACsandbox", "TWILIO_AUTH_TOKEN": "sandbox", "TWILIO_FROM": "+15005550006",
            "FCM_URL": gateway, "FCM_PROJECT": "sandbox", "FCM_ACCESS_TOKEN": "sandbox",
        }
        self.notification = self.started("notification-svc", told)

    def tool(self, *arguments):
        return subprocess.run([self.program, *arguments, "--data", self.folder / "shop"], capture_output=True, text=True)

    def pause(self, name):
        os.kill(self.addresses()["processes"][name]["pid"], signal.SIGSTOP)
        self.stopped.add(name)

    def go_on(self, name):
        os.kill(self.addresses()["processes"][name]["pid"], signal.SIGCONT)
        self.stopped.discard(name)

    def sql(self, service, statement):
        run = subprocess.run([psql(), "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement, self.database(service)], capture_output=True, text=True)
        if run.returncode != 0:
            fail(f"psql: {run.stderr}")
        return run.stdout.split()

    def session(self, service, *statements):
        """A session of somebody's that stays open."""
        process = subprocess.Popen([psql(), "-XqAt", self.database(service)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        process.stdin.write(";\n".join(statements) + ";\n")
        process.stdin.flush()
        self.sessions.append(process)

    def end_sessions(self):
        while self.sessions:
            session = self.sessions.pop()
            session.kill()
            session.wait(10)

    def database(self, service):
        return self.addresses()["services"][service]["database"]


def psql():
    on_path = [Path(path) / "psql" for path in os.environ.get("PATH", "").split(":")]
    found = [path for path in (*on_path, *Path("/usr/lib/postgresql").glob("*/bin/psql")) if path.exists()]
    return found[0] if found else fail("psql is missing: install PostgreSQL's client")


# --- What is asked


def filled(expr, service):
    return expr.replace("$__rate_interval", "20s").replace("$service", service).replace("$database", ".+")


def panels():
    """Every query of every panel, with its place; those of a service for each service by itself."""
    for path in sorted((HERE / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                services = SERVICES if path.stem == "service" else (".+",)
                for service in services if "$service" in target["expr"] else (".+",):
                    yield f"{path.stem}: {panel['title']} ({service})", filled(target["expr"], service)


def selectors(expr):
    """What an expression asks for, without its functions and comparisons."""
    plain = re.sub(r"\b(by|on|without|ignoring) \([^)]*\)", " ", expr)
    for match in re.finditer(r"([a-z_:][A-Za-z0-9_:]*)(\{[^}]*\})?(\s*\()?", re.sub(r"\[[^\]]*\]|offset \S+", "", plain)):
        name, labels, called = match.groups()
        if not called and name not in ("and", "or", "unless", "bool") and not inside_quotes(plain, match.start()):
            yield name, labels or ""


def inside_quotes(text, at):
    return text[:at].count('"') % 2 == 1


def rules(prometheus):
    """Every rule's queries: of a recording rule all of it, of an alarm what it compares."""
    for group in asked(f"{prometheus.url}/api/v1/rules")["data"]["groups"]:
        for rule in group["rules"]:
            if rule["type"] == "recording":
                yield rule["name"], rule["name"]
            else:
                for name, labels in selectors(rule["query"]):
                    yield f"{rule['name']}: {name}{labels}", name + labels


# What an alarm waits for, and what is there only once it has happened. Of those with labels the metric has to be there without.
RARE = re.compile(r'status=~"5|outcome="failed"|outcome=~"(put_off|dropped)|waiting_from="staff"')
RARE_METRICS = ("consumer_lane_waits_for_lock",)


def without_data(prometheus, queries):
    def is_rare(expr):
        return expr in RARE_METRICS or RARE.search(expr) and prometheus.query(expr.split("{")[0])

    return [place for place, expr in queries if not prometheus.query(expr) and not is_rare(expr)]


# --- What is caused


class Cause:
    def __init__(self, name, alarm, cause, mend, **labels):
        self.name, self.alarm, self.cause, self.mend = name, {"alertname": alarm, **labels}, cause, mend
        self.since = self.until = None


def causes(shop):
    def poison():
        """An event that nobody can read, by the way that all events take: as a row of an outbox."""
        headers = json.dumps([["ce_id", "0"], ["ce_type", "order.placed.v1"], ["ce_source", "test-observability"]])
        shop.sql(
            "order-svc",
            "insert into outbox (event_id, topic, key, headers, payload) values "
            f"(gen_random_uuid(), 'orders.v1', 'a-poisoned-key', '{headers}', 'no JSON')",
        )

    def discard():
        letters = [line.split()[:2] for line in shop.tool("dead-letters", "list").stdout.splitlines()]
        for service, number in letters:
            if service in SERVICES:
                shop.tool("dead-letters", "discard", service, number)

    def take_the_relays_lock():
        """Who waits for a lock gets it before those that only try."""
        shop.session("order-svc", f"select pg_advisory_lock({RELAYS_LOCK})")
        of_relays = f"locktype = 'advisory' and classid = {RELAYS_LOCK >> 32} and objid = {RELAYS_LOCK & 0xFFFFFFFF} and database = (select oid from pg_database where datname = current_database())"
        until("a session waits for the relays' lock", 20, lambda: shop.sql("order-svc", f"select pid from pg_locks where {of_relays} and not granted"))
        shop.sql("order-svc", f"select pg_terminate_backend(pid) from pg_locks where {of_relays} and granted")

    return (
        Cause("broker away", "BrokerAway", lambda: shop.pause("kafka"), lambda: shop.go_on("kafka")),
        Cause("gateway dead", "GatewayAway", shop.end_gateway, shop.start_gateway),
        Cause("gateway hangs", "GatewayAway", lambda: shop.gateway.send_signal(signal.SIGSTOP), lambda: shop.gateway.send_signal(signal.SIGCONT)),
        Cause("gateway fails", "GatewayAway", lambda: shop.gateway_faults({"failure_rate": 1}), lambda: shop.gateway_faults({})),
        Cause("SMTP away", "MailServerAway", shop.mail.stop, shop.mail.start),
        Cause("collector away", "SpansDropped", shop.collector.stop, shop.collector.start, service="order-svc"),
        Cause("a consumer stopped", "ConsumerStopped", lambda: shop.session("stock-svc", "begin", "lock table inbox in access exclusive mode"), shop.end_sessions, service="stock-svc"),
        Cause("a service hangs", "ServiceDown", lambda: shop.pause("payment-svc"), lambda: shop.go_on("payment-svc"), service="payment-svc"),
        Cause("a dead letter", "DeadLetter", poison, discard),
        Cause("a relay without leader", "RelayWithoutLeader", take_the_relays_lock, shop.end_sessions, database="order_svc"),
        Cause("a forgotten transaction", "ForgottenTransaction", lambda: shop.session("stock-svc", "begin isolation level repeatable read", "select count(*) from products"), shop.end_sessions, service="stock-svc"),
    )


def tried(prometheus, cause):
    """A line of the table: how long the alarm took to come and to go, or why it didn't."""
    say(f"{cause.name}: {cause.alarm['alertname']} is to fire")
    try:
        until("no such alarm before", ENDS_SECONDS, lambda: not prometheus.fires(cause.alarm))
        cause.since = time.time()
        cause.cause()
        try:
            _, came = until(f"{cause.alarm} fires", FIRES_SECONDS, lambda: prometheus.fires(cause.alarm))
            others = sorted({one["alertname"] for one in prometheus.firing()} - {cause.alarm["alertname"]})
        finally:
            cause.mend()
            cause.until = time.time()
        _, went = until(f"{cause.alarm} ends", ENDS_SECONDS, lambda: not prometheus.fires(cause.alarm))
    except TimeoutError as late:
        return (cause.name, cause.alarm["alertname"], "FAILED", str(late), "")
    say(f"  fired after {came:.0f} s, ended {went:.0f} s after it was mended")
    return (cause.name, cause.alarm["alertname"], f"{came:.0f}", f"{went:.0f}", ", ".join(others))


def table(rows):
    rows = [("cause", "alarm", "fires after s", "ends after s", "beside it"), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[4]]).rstrip() for row in rows)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quadrille", required=True, type=Path, help="the program")
    options.add_argument("--kafka", action="store_true", help="Apache Kafka instead of the embedded broker")
    options.add_argument("--only", help="causes whose name contains this")
    options.add_argument("--files", action="store_true", help="check the files alone, and start nothing")
    options.add_argument("--work", type=Path, default=ROOT / "target" / "observability", help="what is fetched, and the last run's logs")
    chosen = options.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    prometheus, promtool = programs(chosen.work)
    checked(promtool)
    dashboards_checked(chosen.work)
    if chosen.files:
        return 0
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=chosen.work))
    say(f"logs are in {os.path.relpath(folder)}")
    say(f"durations of rules are divided by {SPEED} (ranges last 10 s at least); " + "; ".join(f"{whole} is {short}" for whole, short in SHORTER))
    with Shop(chosen.quadrille.resolve(), folder, chosen.kafka) as shop, Prometheus(prometheus, folder, shop.targets()) as asks, Load(shop.url):
        say("the demonstration, so that everything has happened once")
        demo = shop.tool("demo")
        if demo.returncode != 0:
            fail(f"quadrille demo: {demo.stdout[-1000:]}{demo.stderr[-1000:]}")
        queries = [*panels(), *rules(asks)]
        try:
            until("every query returns data", DATA_SECONDS, lambda: not without_data(asks, queries), every=2)
            missing = []
            say(f"all {len(queries)} queries of panels and rules return data")
        except TimeoutError:
            missing = without_data(asks, queries)
            say(f"{len(missing)} of {len(queries)} queries return no data:")
            print("\n".join(missing))
        wanted = [cause for cause in causes(shop) if not chosen.only or chosen.only in cause.name]
        begins = time.time()
        rows = [tried(asks, cause) for cause in wanted]
        ends = time.time()
        caused = [(cause.name, cause.since, cause.until) for cause in wanted if cause.until]
        (chosen.work / "alarms.svg").write_text(picture.drawn(caused, asks.fired(begins, ends), begins, ends))
    print(f"\n{table(rows)}\n")
    failed = [row for row in rows if row[2] == "FAILED"]
    say(f"{len(failed)} of {len(rows)} causes FAILED" if failed else f"{len(rows)} causes: each alarm fired and ended")
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main())
