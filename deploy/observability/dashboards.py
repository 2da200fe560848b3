"""The five dashboards, a line a query. `generate.py` writes them as Grafana's JSON into grafana/dashboards."""

RATE = "$__rate_interval"
HEIGHT = 8


def query(expr, legend=""):
    return {"expr": expr, "legend": legend}


def graph(title, unit, *queries, says="", width=8):
    return {"type": "timeseries", "title": title, "unit": unit, "queries": queries, "says": says, "width": width}


def stat(title, unit, expr, says="", red_above=None, red_below=None):
    return {
        "type": "stat", "title": title, "unit": unit, "queries": (query(expr),), "says": says, "width": 4,
        "red_above": red_above, "red_below": red_below,
    }


def by(label, metric, of="", operation="rate"):
    """A counter's rate by a label."""
    return query(f"sum by ({label}) ({operation}({metric}{{{of}}}[{RATE}]))", " ".join(f"{{{{{one.strip()}}}}}" for one in label.split(",")))


def quantiles(metric, of="", label=None, quantiles=("0.5", "0.95", "0.99")):
    """A histogram's quantiles, of all together or by a label."""
    labels = f"{label}, le" if label else "le"
    legend = "".join(f"{{{{{one.strip()}}}}} " for one in label.split(",")) if label else ""
    return tuple(
        query(f"histogram_quantile({each}, sum by ({labels}) (rate({metric}_bucket{{{of}}}[{RATE}])))", f"{legend}p{float(each) * 100:g}")
        for each in quantiles
    )


def or_none(expr):
    """0 where nothing was counted yet."""
    return f"({expr}) or vector(0)"


SERVICE = 'service=~"$service"'
DATABASE = 'database=~"$database"'
ASKED = 'route!~"/readyz|/healthz|/metrics"'

SHOP = (
    stat("Confirmed within 5 s, last hour", "percentunit", "1 - quadrille:orders_late:ratio1h", "The objective is 99.9 %.", red_below=0.999),
    stat("In Kafka within 2 s, last hour", "percentunit", "1 - quadrille:events_late:ratio1h", "The objective is 99.9 %.", red_below=0.999),
    stat("Orders a minute", "short", f'60 * sum(rate(outbox_appended_total{{type=~"order.placed.*"}}[{RATE}]))'),
    stat("Orders overdue", "short", or_none("sum(max by (waiting_for, waiting_from) (orders_overdue))"), "They wait longer than their step should take.", red_above=1),
    stat("Alarms", "short", or_none('count(ALERTS{alertstate="firing"})'), red_above=1),
    stat("Services", "short", "count(group by (service) (build_info))", "Those that answer."),
    graph("Orders by status", "short", query(f"60 * sum by (status, reason) (rate(order_status_changes_total[{RATE}]))", "{{status}} {{reason}}"), says="Changes a minute."),
    graph("Placed to confirmed", "s", *quantiles("order_confirmed_seconds"), says="Without counting who is not confirmed yet: see Orders overdue."),
    graph("Orders overdue, by what they wait for", "short", query("max by (waiting_for, waiting_from) (orders_overdue)", "{{waiting_for}} from {{waiting_from}}")),
    graph("The longest of those waits", "s", query("max by (waiting_for, waiting_from) (orders_overdue_oldest_seconds)", "{{waiting_for}} from {{waiting_from}}")),
    graph("Requests", "reqps", by("service", "http_request_duration_seconds_count", ASKED)),
    graph("Requests that failed (5xx)", "percentunit", query(
        f'sum by (service) (rate(http_request_duration_seconds_count{{status=~"5..", {ASKED}}}[{RATE}])) / sum by (service) (rate(http_request_duration_seconds_count{{{ASKED}}}[{RATE}])) or 0 * sum by (service) (rate(http_request_duration_seconds_count{{{ASKED}}}[{RATE}]))',
        "{{service}}")),
    graph("Time to answer", "s", *quantiles("http_request_duration_seconds", ASKED, "service", ("0.95",))),
    graph("How far consumers are behind", "s", query("max by (service, topic) (consumer_lag_seconds)", "{{service}} {{topic}}")),
    graph("Oldest event in an outbox", "s", query("max by (database) (outbox_relay_oldest_pending_seconds)", "{{database}}")),
    graph("Dead letters, parked keys and rows", "short",
          query("max by (service) (consumer_dead_letters)", "{{service}} dead letters"),
          query("max by (service) (consumer_parked_keys)", "{{service}} parked keys"),
          query("max by (database) (outbox_relay_parked_rows)", "{{database}} parked rows")),
    graph("Money, minor units a minute", "short", query(f"60 * sum by (operation, currency) (rate(payment_moved_minor_units_total[{RATE}]))", "{{operation}} {{currency}}")),
    graph("Stock short", "short", query(or_none(f'60 * sum(rate(outbox_appended_total{{type=~"stock.rejected.*"}}[{RATE}]))'), "orders a minute")),
    graph("Messages by outcome", "short", query(f"60 * sum by (channel, outcome) (rate(notifications_total[{RATE}]))", "{{channel}} {{outcome}}")),
    graph("Servers outside that are away", "short", query("max by (service, server) (outside_server_away)", "{{server}} of {{service}}"), says="1 while it can't be reached or refuses everybody."),
    graph("How fast the budget of orders is spent", "short", query("quadrille:orders_late:ratio1h / 0.001", "1 h"), query("quadrille:orders_late:ratio6h / 0.001", "6 h"), query("quadrille:orders_late:ratio3d / 0.001", "3 d"), says="1 spends it in a month; alarms at 14.4 (1 h), 6 (6 h), 1 (3 d)."),
    graph("How fast the budget of events is spent", "short", query("quadrille:events_late:ratio1h / 0.001", "1 h"), query("quadrille:events_late:ratio6h / 0.001", "6 h"), query("quadrille:events_late:ratio3d / 0.001", "3 d"), says="1 spends it in a month; alarms at 14.4 (1 h), 6 (6 h), 1 (3 d)."),
)

ONE_SERVICE = (
    stat("Instances", "short", f"count(build_info{{{SERVICE}}})", red_below=1),
    stat("Runs since", "s", f"time() - max(process_start_time_seconds{{{SERVICE}}})", "The youngest instance."),
    stat("Broker away", "short", f"max(consumer_broker_away{{{SERVICE}}})", red_above=1),
    stat("Consumer stopped", "short", f"max(consumer_stopped{{{SERVICE}}})", red_above=1),
    stat("Oldest transaction", "s", f"max(database_oldest_transaction_seconds{{{SERVICE}}})", red_above=300),
    stat("Oldest timer that can't fire", "s", or_none(f"max(timers_oldest_due_seconds{{{SERVICE}}})"), red_above=60),
    graph("Requests by route", "reqps", by("method, route", "http_request_duration_seconds_count", SERVICE)),
    graph("Requests by status", "reqps", by("status", "http_request_duration_seconds_count", SERVICE)),
    graph("Time to answer by route, p95", "s", *quantiles("http_request_duration_seconds", SERVICE, "method, route", ("0.95",))),
    graph("Requests given up", "reqps", by("service", "http_requests_given_up_total", SERVICE), says="Took too long, and were answered with 503."),
    graph("Database connections", "short",
          query(f"sum by (state) (database_pool_connections{{{SERVICE}}})", "{{state}}"),
          query(f"sum(database_pool_connections_max{{{SERVICE}}})", "most"),
          query(f"sum(database_pool_waiting{{{SERVICE}}})", "waiting")),
    graph("Wait for a connection, p95", "s", *quantiles("database_pool_wait_seconds", SERVICE, "share", ("0.95",))),
    graph("Connections that were not got in time", "ops", query(or_none(f"sum by (share) (rate(database_pool_timeouts_total{{{SERVICE}}}[{RATE}]))"), "{{share}}")),
    graph("Connections closed", "ops", query(or_none(f"sum by (why) (rate(database_connections_closed_total{{{SERVICE}}}[{RATE}]))"), "{{why}}"), says="Not fit for more use."),
    graph("How far it is behind", "s", query(f"max by (topic) (consumer_lag_seconds{{{SERVICE}}})", "{{topic}}")),
    graph("Events by outcome", "ops", by("topic, outcome", "consumer_events_total", SERVICE)),
    graph("Timers fired", "ops", query(or_none(f"sum by (kind) (rate(timers_fired_total{{{SERVICE}}}[{RATE}]))"), "{{kind}}"), query(or_none(f"sum(rate(timers_failed_total{{{SERVICE}}}[{RATE}]))"), "failed")),
    graph("Rows deleted by housekeeping", "ops", query(or_none(f"sum by (table) (rate(housekeeping_deleted_rows_total{{{SERVICE}}}[{RATE}]))"), "{{table}}")),
    graph("Oldest transaction in its database", "s", query(f"max by (service) (database_oldest_transaction_seconds{{{SERVICE}}})", "{{service}}")),
    graph("Spans by outcome", "ops", query(or_none(f"sum by (outcome) (rate(trace_spans_total{{{SERVICE}}}[{RATE}]))"), "{{outcome}}"), says="Nothing where no collector is named."),
    graph("CPU", "short", query(f"rate(process_cpu_seconds_total{{{SERVICE}}}[{RATE}])", "{{instance}}"), says="Cores."),
    graph("Memory", "bytes", query(f"process_resident_memory_bytes{{{SERVICE}}}", "{{instance}}")),
    graph("Open files and threads", "short",
          query(f"process_open_fds{{{SERVICE}}}", "{{instance}} files"), query(f"process_max_fds{{{SERVICE}}}", "{{instance}} files at most"),
          query(f"process_threads{{{SERVICE}}}", "{{instance}} threads")),
)

RELAY = (
    stat("Leaders", "short", f"sum(max by (database) (outbox_relay_leading{{{DATABASE}}}))", "One an outbox.", red_below=1),
    stat("Oldest pending", "s", f"max(outbox_relay_oldest_pending_seconds{{{DATABASE}}})", red_above=60),
    stat("Pending", "short", f"sum(max by (database) (outbox_relay_pending_estimate{{{DATABASE}}}))", "Never too few."),
    stat("Parked rows", "short", f"sum(max by (database) (outbox_relay_parked_rows{{{DATABASE}}}))", red_above=1),
    stat("Broker takes nothing", "short", f"max(outbox_relay_outage{{{DATABASE}}})", red_above=1),
    stat("Can't work in its database", "short", f"max(outbox_relay_waiting{{{DATABASE}}})", red_above=1),
    graph("Who leads", "short", query(f"outbox_relay_leading{{{DATABASE}}}", "{{database}}: {{relay}}")),
    graph("Oldest pending row", "s", query(f"max by (database) (outbox_relay_oldest_pending_seconds{{{DATABASE}}})", "{{database}}")),
    graph("Pending rows", "short", query(f"max by (database) (outbox_relay_pending_estimate{{{DATABASE}}})", "{{database}}")),
    graph("Published", "ops", by("database", "outbox_relay_published_total", DATABASE)),
    graph("Appended by type", "ops", by("service, type", "outbox_appended_total")),
    graph("From append to acknowledgement", "s", *quantiles("outbox_relay_delivery_seconds", DATABASE, "database", ("0.5", "0.99")), says="The objective: 99.9 % within 2 s."),
    graph("From handing over to acknowledgement", "s", *quantiles("outbox_relay_publish_seconds", DATABASE, "database", ("0.5", "0.99"))),
    graph("Rows handed over at once", "short", query(f"sum by (database) (rate(outbox_relay_batch_size_sum{{{DATABASE}}}[{RATE}])) / sum by (database) (rate(outbox_relay_batch_size_count{{{DATABASE}}}[{RATE}]))", "{{database}}")),
    graph("Rows parked", "ops", by("database", "outbox_relay_parked_total", DATABASE)),
)

CONSUMER = (
    stat("Behind", "s", f"max(consumer_lag_seconds{{{SERVICE}}})", red_above=60),
    stat("Events that wait", "short", f"sum(consumer_lag_records{{{SERVICE}}})"),
    stat("Dead letters", "short", f"sum(max by (service) (consumer_dead_letters{{{SERVICE}}}))", red_above=1),
    stat("Parked keys", "short", f"sum(max by (service) (consumer_parked_keys{{{SERVICE}}}))", red_above=1),
    stat("Lanes that wait for a lock", "short", or_none(f"sum(consumer_lane_waits_for_lock{{{SERVICE}}})"), red_above=1),
    stat("Inbox remembers", "s", f"min(inbox_reach_seconds{{{SERVICE}}})", "An event that comes again within this time is known."),
    graph("Behind, in seconds", "s", query(f"max by (service, topic) (consumer_lag_seconds{{{SERVICE}}})", "{{service}} {{topic}}")),
    graph("Behind, in events", "short", query(f"sum by (service, topic) (consumer_lag_records{{{SERVICE}}})", "{{service}} {{topic}}")),
    graph("Events by outcome", "ops", by("service, outcome", "consumer_events_total", SERVICE)),
    graph("Duplicates", "ops", query(or_none(f'sum(rate(consumer_events_total{{{SERVICE}, outcome="duplicate"}}[{RATE}]))'), "a second")),
    graph("Batches that are tried again", "ops", by("service, topic", "consumer_retries_total", SERVICE)),
    graph("Time for a batch", "s", *quantiles("consumer_batch_seconds", SERVICE, "service", ("0.5", "0.95"))),
    graph("Events in a batch", "short", query(f"sum by (service) (rate(consumer_batch_records_sum{{{SERVICE}}}[{RATE}])) / sum by (service) (rate(consumer_batch_records_count{{{SERVICE}}}[{RATE}]))", "{{service}}")),
    graph("Events in a shared transaction", "short", query(f"sum by (service) (rate(consumer_shared_records_sum{{{SERVICE}}}[{RATE}])) / sum by (service) (rate(consumer_shared_records_count{{{SERVICE}}}[{RATE}]))", "{{service}}")),
    graph("Shared transactions by outcome", "ops", by("service, outcome", "consumer_shared_transactions_total", SERVICE)),
    graph("From announced to handled, p95 of each hop", "s", *quantiles("event_hop_seconds", SERVICE, "hop", ("0.95",)), says="announced: the transaction, its commit and the relay; published: the broker and the fetch; waited: in the lane's queue; handled: until the commit."),
    graph("Dead letters and parked keys", "short", query(f"max by (service) (consumer_dead_letters{{{SERVICE}}})", "{{service}} dead letters"), query(f"max by (service) (consumer_parked_keys{{{SERVICE}}})", "{{service}} parked keys")),
    graph("Dead letters tried again", "ops", query(or_none(f"sum by (topic, outcome) (rate(consumer_replays_total{{{SERVICE}}}[{RATE}]))"), "{{topic}} {{outcome}}")),
    graph("Events that are missing from their topic", "ops", by("service, topic", "consumer_lost_events_total", SERVICE)),
    graph("Broker away, consumer stopped", "short", query(f"max by (service) (consumer_broker_away{{{SERVICE}}})", "{{service}} broker away"), query(f"max by (service) (consumer_stopped{{{SERVICE}}})", "{{service}} stopped")),
)

PAYMENTS = (
    stat("Gateway away", "short", 'max(outside_server_away{server="gateway"})', red_above=1),
    stat("Calls answered", "percentunit", f'sum(rate(payment_gateway_calls_total{{outcome="answered"}}[{RATE}])) / sum(rate(payment_gateway_calls_total{{outcome!="not_asked"}}[{RATE}]))', red_below=0.99),
    stat("Calls a second", "reqps", f"sum(rate(payment_gateway_calls_total[{RATE}]))"),
    stat("Orders that wait for money too long", "short", or_none('sum(max by (waiting_for, waiting_from) (orders_overdue{waiting_for=~"payment.*"}))'), red_above=1),
    stat("Refunds that the bank sent back", "short", "sum(increase(payment_refunds_come_back_total[1d]))", "In a day."),
    stat("Refunds of too much", "short", "sum(increase(payment_refunds_over_captured_total[1d]))", "In a day, made at the gateway itself.", red_above=1),
    graph("Gateway calls", "reqps", by("operation, outcome", "payment_gateway_calls_total")),
    graph("Gateway latency, p95", "s", *quantiles("payment_gateway_call_seconds", "", "operation", ("0.95",))),
    graph("Gateway latency, all operations", "s", *quantiles("payment_gateway_call_seconds")),
    graph("Money, minor units a minute", "short", query(f"60 * sum by (operation, currency) (rate(payment_moved_minor_units_total[{RATE}]))", "{{operation}} {{currency}}")),
    graph("What payments came to", "ops", by("type", "outbox_appended_total", 'service="payment-svc"')),
    graph("Webhooks", "reqps", by("type, outcome", "payment_webhooks_total")),
    graph("Calls of the worker by outcome", "ops", by("worker, outcome", "outside_calls_total", 'service="payment-svc"')),
    graph("How long a call takes with its transaction", "s", *quantiles("outside_call_seconds", 'service="payment-svc"')),
    graph("Refunds out of the ordinary", "short",
          query("sum(increase(payment_refunds_come_back_total[1h]))", "sent back by the bank"),
          query("sum(increase(payment_refunds_made_elsewhere_total[1h]))", "made at the gateway"),
          query("sum(increase(payment_refunds_over_captured_total[1h]))", "of too much"), says="In an hour."),
    graph("Orders that wait for money too long", "short", query(or_none('max by (waiting_for, waiting_from) (orders_overdue{waiting_for=~"payment.*"})'), "{{waiting_for}} from {{waiting_from}}")),
)


def thresholds(panel):
    above, below = panel.get("red_above"), panel.get("red_below")
    if above is not None:
        return {"mode": "absolute", "steps": [{"color": "green", "value": None}, {"color": "red", "value": above}]}
    if below is not None:
        return {"mode": "absolute", "steps": [{"color": "red", "value": None}, {"color": "green", "value": below}]}
    return {"mode": "absolute", "steps": [{"color": "text", "value": None}]}


SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def as_panel(number, panel, place):
    targets = [
        {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": one["expr"], "legendFormat": one["legend"] or "__auto"}
        for index, one in enumerate(panel["queries"])
    ]
    made = {
        "id": number, "type": panel["type"], "title": panel["title"], "description": panel["says"], "datasource": SOURCE,
        "gridPos": place, "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel["unit"], "min": 0, "thresholds": thresholds(panel)}, "overrides": []},
    }
    if panel["type"] == "stat":
        made["fieldConfig"]["defaults"]["decimals"] = 3 if panel["unit"] == "percentunit" else 1
        made["options"] = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value", "graphMode": "area",
            "justifyMode": "auto", "textMode": "auto", "orientation": "auto", "wideLayout": True, "showPercentChange": False, "percentChangeColorMode": "standard",
        }
    else:
        made["fieldConfig"]["defaults"]["custom"] = {"fillOpacity": 10, "showPoints": "never"}
        made["options"] = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return made


def placed(panels):
    """From left to right, a new row where one does not fit any more."""
    x = y = 0
    height = 0
    for number, panel in enumerate(panels, start=1):
        tall = 4 if panel["type"] == "stat" else HEIGHT
        if x + panel["width"] > 24 or (height and tall != height):
            x, y = 0, y + height
        height = tall
        yield as_panel(number, panel, {"x": x, "y": y, "w": panel["width"], "h": tall})
        x += panel["width"]


def variable(name, label, values):
    return {
        "name": name, "label": label, "type": "query", "datasource": SOURCE, "query": {"query": values, "refId": name}, "definition": values,
        "refresh": 2, "multi": True, "includeAll": True, "allValue": ".+", "sort": 1, "current": {"text": "All", "value": "$__all"},
    }


def dashboard(uid, title, panels, *variables):
    datasource = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {"text": "Prometheus", "value": "prometheus"}, "hide": 2}
    return {
        "uid": f"quadrille-{uid}", "title": title, "tags": ["quadrille"], "schemaVersion": 39, "version": 1, "editable": False, "refresh": "30s",
        "timezone": "browser", "time": {"from": "now-1h", "to": "now"}, "templating": {"list": [datasource, *variables]},
        "links": [{"type": "dashboards", "title": "Quadrille", "tags": ["quadrille"], "icon": "dashboard", "tooltip": "", "targetBlank": False, "asDropdown": False, "keepTime": True, "includeVars": False}],
        "annotations": {"list": [{"name": "Alarms", "datasource": SOURCE, "enable": True, "iconColor": "red", "expr": 'ALERTS{alertstate="firing"}', "titleFormat": "{{alertname}}"}]},
        "panels": list(placed(panels)),
    }


HEARS = variable("service", "Service", "label_values(consumer_stopped, service)")
DASHBOARDS = {
    "shop": dashboard("shop", "The shop at a glance", SHOP),
    "service": dashboard("service", "One service", ONE_SERVICE, HEARS),
    "relay": dashboard("relay", "Relay", RELAY, variable("database", "Outbox", "label_values(outbox_relay_leading, database)")),
    "consumer": dashboard("consumer", "Consumer", CONSUMER, HEARS),
    "payments": dashboard("payments", "Payments", PAYMENTS),
}
