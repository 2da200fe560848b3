"""Writes what is made of something else, so that there is one source of each:

- prometheus/rules/objectives.yml, from the objectives and windows below
- grafana/dashboards/*.json, from dashboards.py
- ../kubernetes/components/monitoring/rules.yaml, a PrometheusRule with all of prometheus/rules

`--check` writes nothing, and fails where a file is not what it would be.
"""

import argparse
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from dashboards import DASHBOARDS  # noqa: E402

HERE = Path(__file__).resolve().parent
RULES = HERE / "prometheus" / "rules"
KUBERNETES = HERE.parent / "kubernetes" / "components" / "monitoring" / "rules.yaml"

WINDOWS = ("5m", "30m", "1h", "6h", "3d")
# How many times faster than allowed the budget is spent, over a long window and a short one, and who is told. Google's SRE
# workbook, chapter 5: 2 % of a month's budget in an hour, 5 % in six hours, 10 % in three days.
BURNS = ((14.4, "1h", "5m", "2m", "critical"), (6, "6h", "30m", "15m", "critical"), (1, "3d", "6h", "1h", "warning"))
# 99.9 %
BUDGET = 0.001

OURS = 'waited_for!~"customer|retry"'
OBJECTIVES = (
    {
        "name": "orders_late",
        "group": "quadrille-objective-orders",
        "alert": "OrdersConfirmedLate",
        "summary": "Too many orders are not confirmed within 5 s.",
        "description": "The budget of the objective (99.9 % within 5 s) is spent {burn} times as fast as it may be.",
        "about": "An order is confirmed within 5 s. Orders that nobody confirms count as long as they wait, and when they time out.\n"
        "# How long a customer takes who must authenticate is not ours.",
        "waiting_record": "quadrille:orders_late:waiting",
        "waiting": 'sum(max by (waiting_for, waiting_from) (orders_overdue{waiting_for=~"stock.reserved|payment.authorized", '
        'waiting_from!="customer"})) or vector(0)',
        "late": (
            f"(sum(increase(order_confirmed_seconds_count{{{OURS}}}[{{w}}])) or vector(0))",
            f'- (sum(increase(order_confirmed_seconds_bucket{{{OURS}, le=~"5|5.0"}}[{{w}}])) or vector(0))',
            "+ (sum(increase(order_confirmations_timed_out_total[{w}])) or vector(0))",
        ),
        "all": (
            f"(sum(increase(order_confirmed_seconds_count{{{OURS}}}[{{w}}])) or vector(0))",
            "+ (sum(increase(order_confirmations_timed_out_total[{w}])) or vector(0))",
        ),
    },
    {
        "name": "events_late",
        "group": "quadrille-objective-events",
        "alert": "EventsPublishedLate",
        "summary": "Too many events are not in Kafka within 2 s.",
        "description": "The budget of the objective (99.9 % within 2 s) is spent {burn} times as fast as it may be.",
        "about": "A committed event is in Kafka within 2 s, from the beginning of its transaction to the broker's acknowledgement. Events\n"
        "# that are not there yet count as long as the oldest of their outbox is older than that.",
        "waiting_record": "quadrille:events_late:waiting",
        "waiting": "sum(max by (database) (outbox_relay_pending_estimate) * (max by (database) (outbox_relay_oldest_pending_seconds) "
        "> bool 2)) or vector(0)",
        "late": (
            "(sum(increase(outbox_relay_delivery_seconds_count[{w}])) or vector(0))",
            '- (sum(increase(outbox_relay_delivery_seconds_bucket{{le=~"2|2.0"}}[{w}])) or vector(0))',
        ),
        "all": ("(sum(increase(outbox_relay_delivery_seconds_count[{w}])) or vector(0))",),
    },
)


def indented(lines, by):
    return "".join(f"{' ' * by}{line}\n" for line in lines)


def objective(one):
    text = f"  # {one['about']}\n".replace("\n#", "\n  #")
    text += f"  - name: {one['group']}\n    rules:\n"
    text += f"      - record: {one['waiting_record']}\n        expr: {one['waiting']}\n"
    for window in WINDOWS:
        late = [part.replace("{w}", window).replace("{{", "{").replace("}}", "}") for part in one["late"]]
        whole = [part.replace("{w}", window).replace("{{", "{").replace("}}", "}") for part in one["all"]]
        text += f"      - record: quadrille:{one['name']}:ratio{window}\n        expr: |\n"
        text += indented(["(", *(f"  {line}" for line in late), f"  + {one['waiting_record']}", ") / ("], 10)
        text += indented([*(f"  {line}" for line in whole), f"  + {one['waiting_record']}", ")"], 10)
    for burn, long, short, lasts, severity in BURNS:
        limit = f"{burn:g} * {BUDGET}"
        text += f"      - alert: {one['alert']}\n        expr: |\n"
        text += indented(
            [f"quadrille:{one['name']}:ratio{long} > {limit}", f"  and quadrille:{one['name']}:ratio{short} > {limit}"], 10
        )
        text += f"        for: {lasts}\n        labels: {{severity: {severity}, window: {long}}}\n        annotations:\n"
        text += f"          summary: {one['summary']}\n          description: {one['description'].replace('{burn}', f'{burn:g}')}\n"
        text += f"          runbook_url: docs/runbooks/{one['alert']}.md\n"
    return text


def objectives():
    head = (
        "# Made by `deploy/observability/generate.py`: change that. The two objectives of docs/OPERATIONS.md, with alarms on how fast\n"
        "# their budgets are spent: several windows, each long and short at once, so that an alarm ends soon after its cause.\n"
        "groups:\n"
    )
    return head + "\n".join(objective(one) for one in OBJECTIVES)


def prometheus_rule(rules):
    """The same groups as an object of Prometheus' operator: the rules' own text, two deeper."""
    head = (
        "# Made by `deploy/observability/generate.py` from deploy/observability/prometheus/rules: change those.\n"
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: quadrille\nspec:\n  groups:\n"
    )
    groups = "".join(text.split("groups:\n", 1)[1].rstrip("\n") + "\n\n" for text in rules).rstrip("\n")
    return head + "".join(f"  {line}\n" if line else "\n" for line in groups.splitlines())


def made():
    """Every file that is made, with what is in it."""
    own = objectives()
    files = {RULES / "objectives.yml": own, KUBERNETES: prometheus_rule([(RULES / "alerts.yml").read_text(), own])}
    for name, dashboard in DASHBOARDS.items():
        files[HERE / "grafana" / "dashboards" / f"{name}.json"] = json.dumps(dashboard, indent=2) + "\n"
    return files


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="write nothing, and fail where a file is another")
    check = options.parse_args().check
    stale = [path for path, text in made().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(HERE.parent.parent)} {'is not what generate.py writes' if check else 'is written'}")
        if not check:
            path.write_text(made()[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
