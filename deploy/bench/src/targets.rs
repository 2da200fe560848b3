//! Every row of the tables that the work is judged by: what it was, what it is now, what it is to be.

use serde::Serialize;

use crate::results::Results;

#[derive(Debug, Serialize)]
pub struct Row {
    pub what: String,
    pub before: &'static str,
    pub now: String,
    pub target: &'static str,
    /// Nothing where there is no target, or no figure.
    pub met: Option<bool>,
    /// The figure by itself, and the target's, of rows that have one number: for the picture and the smoke run.
    pub figure: Option<f64>,
    pub bound: Option<Bound>,
}

/// What the target says of the number.
#[derive(Debug, Clone, Copy, Serialize)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(most) => figure <= most,
            Self::AtLeast(least) => figure >= least,
        }
    }

    /// How many times the target it is, so that more than one is worse.
    pub fn missed_by(self, figure: f64) -> f64 {
        match self {
            Self::AtMost(most) => figure / most,
            Self::AtLeast(least) => least / figure.max(f64::MIN_POSITIVE),
        }
    }
}

use Bound::{AtLeast, AtMost};

struct Table<'a> {
    results: &'a Results,
    rows: Vec<Row>,
}

impl Table<'_> {
    /// A row with one number.
    fn row(
        &mut self,
        what: &str,
        before: &'static str,
        figure: Option<f64>,
        unit: &str,
        target: (&'static str, Option<Bound>),
    ) {
        let now = figure.map_or_else(|| "not measured".to_owned(), |figure| format!("{}{unit}", short(figure)));
        let met = figure.zip(target.1).map(|(figure, bound)| bound.holds(figure));
        self.rows.push(Row { what: what.to_owned(), before, now, target: target.0, met, figure, bound: target.1 });
    }

    /// A row that tells several figures, of which none has a target.
    fn told(&mut self, what: &str, before: &'static str, names: &[&str], unit: &str) {
        let found = names.iter().map(|name| self.results.median(name).map_or_else(|| "?".to_owned(), short));
        let now = if names.iter().any(|name| self.results.median(name).is_some()) {
            format!("{}{unit}", found.collect::<Vec<_>>().join(" / "))
        } else {
            "not measured".to_owned()
        };
        self.rows.push(Row { what: what.to_owned(), before, now, target: "", met: None, figure: None, bound: None });
    }
}

/// All rows, in the order of the two tables.
pub fn rows(results: &Results) -> Vec<Row> {
    let mut table = Table { results, rows: Vec::new() };
    whole(&mut table);
    placement(&mut table);
    reads(&mut table);
    reactions(&mut table);
    relay(&mut table);
    standing(&mut table);
    telemetry(&mut table);
    table.rows
}

/// An arm that runs only where it is named.
fn telemetry(table: &mut Table<'_>) {
    for (what, name) in [("placement", "placement_per_second"), ("whole orders", "orders_per_second")] {
        let of = |is_on: &str| format!("telemetry/{is_on}/{name}");
        let Some(ratio) = table.results.ratio(&of("on"), &of("off")) else { continue };
        let shown = ["on", "off"].map(|is_on| table.results.median(&of(is_on)).map_or_else(|| "?".to_owned(), short));
        let what = format!("{what} with a tenth of the traces exported : without any");
        let unit = format!(" ({} a second)", shown.join(" : "));
        table.row(&what, "", Some(ratio), &unit, (">= 0.95", Some(AtLeast(0.95))));
    }
}

fn whole(table: &mut Table<'_>) {
    let median = |name: &str| table.results.median(name);
    let cpu = median("saturation/cpu/all_but_sandbox/ms_per_order");
    let (rate, statements) = (median("saturation/orders_per_second"), median("saturation/statements/per_order"));
    let (commits, alone) = (median("saturation/commits/per_order"), median("one/statements/per_order"));
    let alone_commits = median("one/commits/per_order");
    table.row(
        "CPU an order at saturation, all but the sandbox",
        "51 to 54 ms",
        cpu,
        " ms",
        ("<= 8 ms", Some(AtMost(8.0))),
    );
    let parts = ["own_services", "PostgreSQL", "Kafka", "sandbox-gateway"].map(|part| match part {
        "own_services" => "saturation/cpu/own_services/ms_per_order",
        "PostgreSQL" => "saturation/cpu/PostgreSQL/ms_per_order",
        "Kafka" => "saturation/cpu/Kafka/ms_per_order",
        _ => "saturation/cpu/sandbox-gateway/ms_per_order",
    });
    table.told("of it: own services / PostgreSQL / Kafka / sandbox", "13.9 / 31 / 8 / 3.4 ms", &parts, " ms");
    table.row(
        "whole shop, sustained",
        "34 orders/s",
        rate,
        " orders/s",
        (">= 200 (stretch 400)", Some(AtLeast(200.0))),
    );
    table.row("SQL statements an order at saturation", "about 185", statements, "", ("<= 20", Some(AtMost(20.0))));
    table.row("commits an order at saturation", "75", commits, "", ("<= 4", Some(AtMost(4.0))));
    table.told("WAL an order at saturation", "58 kB", &["saturation/wal/kb_per_order"], " kB");
    table.row("statements an order, one at a time", "", alone, "", ("<= 70", Some(AtMost(70.0))));
    table.row("commits an order, one at a time", "", alone_commits, "", ("<= 16", Some(AtMost(16.0))));
    for (what, name, before, most) in [
        ("confirmed", "one/confirmed", "42 ms", ("<= 12 ms", AtMost(12.0))),
        ("captured", "one/captured", "75 ms", ("<= 22 ms", AtMost(22.0))),
    ] {
        let (p50, p99) = (format!("{name}/p50_ms"), format!("{name}/p99_ms"));
        let figure = table.results.median(&p50);
        table.row(&format!("placed to {what}, one at a time, p50"), before, figure, " ms", (most.0, Some(most.1)));
        let spread = table.results.ratio(&p99, &p50);
        table.row(
            &format!("placed to {what}, one at a time, p99"),
            "",
            spread,
            " x p50",
            ("<= 4 x p50", Some(AtMost(4.0))),
        );
    }
    let half = table.results.median("half/confirmed/p99_ms");
    table.row(
        "placed to confirmed at 50 % load, p99",
        "saturated at 30 orders/s: p50 1.6 s",
        half,
        " ms",
        ("<= 150 ms", Some(AtMost(150.0))),
    );
    let half = table.results.median("half/captured/p99_ms");
    table.row("placed to captured at 50 % load, p99", "", half, " ms", ("<= 150 ms", Some(AtMost(150.0))));
    let most = [
        "four_fifths/confirmed/p50_ms",
        "four_fifths/confirmed/p99_ms",
        "four_fifths/captured/p50_ms",
        "four_fifths/captured/p99_ms",
    ];
    table.told("at 80 % load: confirmed p50 / p99, captured p50 / p99", "", &most, " ms");
}

fn placement(table: &mut Table<'_>) {
    for (connections, before) in [
        (1, "356 : 890 = 0.40"),
        (8, "940 : 3,413 = 0.28"),
        (32, "1,138 : 3,358 = 0.34"),
        (128, "1,206 : 2,644 = 0.46"),
    ] {
        let (http, limit) =
            (format!("placement/{connections}/http_per_second"), format!("placement/{connections}/pgbench_per_second"));
        let shown =
            [&http, &limit].map(|name| table.results.median(name).map_or_else(|| "?".to_owned(), short)).join(" : ");
        let target = if connections == 32 { (">= 0.7", Some(AtLeast(0.7))) } else { ("", None) };
        let ratio = table.results.ratio(&http, &limit);
        table.row(
            &format!("placement : pgbench, {connections} connections"),
            before,
            ratio,
            &format!(" ({shown} a second)"),
            target,
        );
    }
}

fn reads(table: &mut Table<'_>) {
    for (what, name, program) in [
        ("a product", "product", "stock-svc"),
        ("the catalogue's first page", "catalogue", "stock-svc"),
        ("an order", "order", "order-svc"),
    ] {
        let of = |what: &str| format!("reads/{name}/{what}");
        let (http, limit) = (of("per_second"), of("pgbench_per_second"));
        let [service, postgresql] = ["service", "postgresql"].map(|process| of(&format!("cpu/{process}/us_per_read")));
        let names = [&http, &limit, &format!("reads/{program}/healthz/per_second"), &service, &postgresql];
        let [http_shown, limit_shown, cheapest, service, postgresql] =
            names.map(|name| table.results.median(name).map_or_else(|| "?".to_owned(), short));
        let shown = format!(
            " ({http_shown} : {limit_shown} a second; /healthz {cheapest}; CPU of service {service} us, of PostgreSQL {postgresql} us)"
        );
        let ratio = table.results.ratio(&http, &limit);
        table.row(&format!("looking up {what} : pgbench, 32 connections"), "", ratio, &shown, ("", None));
    }
}

fn reactions(table: &mut Table<'_>) {
    for (what, name, before, target) in [
        (
            "stock-svc, order.placed, fifty SKUs",
            "stock-svc/fifty_skus",
            "606 events/s",
            (">= 5,000", Some(AtLeast(5_000.0))),
        ),
        (
            "stock-svc, order.placed, one hot SKU",
            "stock-svc/one_sku",
            "642 events/s",
            (">= 4,000", Some(AtLeast(4_000.0))),
        ),
        ("order-svc, stock facts", "order-svc/stock_facts", "3,570 events/s", ("", None)),
        ("payment-svc, orders and stock", "payment-svc/orders_and_stock", "", ("", None)),
        ("notification-svc, orders and stock", "notification-svc/orders_and_stock", "", ("", None)),
    ] {
        let figure = table.results.median(&format!("catch_up/{name}/events_per_second"));
        table.row(&format!("catch-up: {what}"), before, figure, " events/s", target);
    }
}

fn relay(table: &mut Table<'_>) {
    let relay = "relay/quadrille/rows_per_second";
    let ratio = |to: &str| table.results.ratio(relay, &format!("relay/{to}/rows_per_second"));
    let (raw, textbook, batches) = (ratio("raw_producer"), ratio("textbook_awaiting_each"), ratio("textbook_batches"));
    let debezium = ratio("debezium");
    let memory = table.results.ratio("relay/quadrille/memory_mb", "relay/debezium/memory_mb");
    let null = table.results.ratio("relay/null_publisher/rows_per_second", "relay/bare_sql/rows_per_second");
    let shown =
        ["relay/quadrille/rows_per_second", "relay/quadrille/steady_rows_per_second", "relay/archive/rows_per_second"];
    table.told("relay drain, rows/s: from exec / steady / with archive", "68,000 / 76,000 / 51,000", &shown, "");
    let cost = ["relay/quadrille/cpu/us_per_row", "relay/quadrille/memory_mb"];
    table.told("relay: CPU a row (us) / memory (MB)", "10 / 50", &cost, "");
    table.row("drain : raw producer", "0.38 to 0.42", raw, "", (">= 0.5", Some(AtLeast(0.5))));
    table.row("drain : textbook awaiting each", "45", textbook, "", (">= 40", Some(AtLeast(40.0))));
    table.row("drain : textbook at its best batch", "1.9", batches, "", (">= 2.5", Some(AtLeast(2.5))));
    table.row("drain : Debezium, tuned", "30 (its defaults)", debezium, "", (">= 10", Some(AtLeast(10.0))));
    let watermill = table.results.ratio(relay, "relay/watermill/rows_per_second");
    table.row("drain : Watermill (Go), open-outbox's not being to be had", "", watermill, "", ("", None));
    table.row("memory : Debezium's", "0.05", memory, "", ("<= 1/20", Some(AtMost(0.05))));
    table.row("null publisher : bare SQL", "", null, "", (">= 0.8", Some(AtLeast(0.8))));
}

/// What must stay as it is over time.
fn standing(table: &mut Table<'_>) {
    let results = table.results;
    for (what, of) in [("whole orders", "orders"), ("placement", "placement"), ("relay drain", "drain")] {
        let fall = results.ratio(&format!("growth/{of}/most/per_second"), &format!("growth/{of}/least/per_second"));
        let fall = fall.map(|ratio| (1.0 - ratio) * 100.0);
        table.row(&format!("growth: {what}, rate falls by"), "", fall, " %", ("< 10 %", Some(AtMost(10.0))));
    }
    table.told(
        "looking for due timers with many pending",
        "53 ms with 120,000",
        &["growth/timers/most/look_ms"],
        " ms",
    );
    table.row(
        "relay's memory with the most rows pending",
        "",
        results.median("growth/drain/most/memory_mb"),
        " MB",
        ("<= 60 MB", Some(AtMost(60.0))),
    );
    let fall = results.ratio("snapshot/held/orders_per_second", "snapshot/before/orders_per_second");
    table.row(
        "a snapshot held: rate falls by",
        "",
        fall.map(|ratio| (1.0 - ratio) * 100.0),
        " %",
        ("< 20 %", Some(AtMost(20.0))),
    );
    let (core, asked) =
        (results.median("idle/own_processes/percent_of_a_core"), results.median("idle/statements_per_second"));
    table.row("idle, own processes", "7 % of a core", core, " % of a core", ("<= 1 %", Some(AtMost(1.0))));
    table.row("idle, statements", "80 a second", asked, " a second", ("<= 20", Some(AtMost(20.0))));
    let services = ["order-svc", "stock-svc", "payment-svc", "notification-svc"];
    for (what, before, name) in [("bound port", "35 ms", "bound_ms"), ("ready", "110 ms", "ready_ms")] {
        let slowest = largest(results, &services.map(|service| format!("start/{service}/{name}")));
        table.row(&format!("start, exec to {what}, the slowest service"), before, slowest, " ms", ("", None));
    }
    let loaded = largest(results, &services.map(|service| format!("memory/{service}/under_load_mb")));
    table.row("memory of a service under load, the largest", "30 MB", loaded, " MB", ("<= 40 MB", Some(AtMost(40.0))));
}

fn largest(results: &Results, names: &[String]) -> Option<f64> {
    names.iter().filter_map(|name| results.median(name)).reduce(f64::max)
}

/// A number with as many digits as say something.
pub fn short(figure: f64) -> String {
    let digits = match figure.abs() {
        large if large >= 100.0 => 0,
        middling if middling >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{figure:.digits$}");
    if digits > 0 || figure.abs() < 1_000.0 {
        return text;
    }
    let (sign, number) = text.strip_prefix('-').map_or(("", text.as_str()), |number| ("-", number));
    let head = number.len() % 3;
    let groups = (0..number.len() / 3).map(|group| &number[head + group * 3..head + group * 3 + 3]);
    let groups = (head > 0).then_some(&number[..head]).into_iter().chain(groups);
    format!("{sign}{}", groups.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_held_against_its_target() {
        let mut results = Results::default();
        results.add("saturation/orders_per_second", 250.0);
        results.add("placement/32/http_per_second", 1_200.0);
        results.add("placement/32/pgbench_per_second", 3_000.0);
        let rows = rows(&results);
        let row = |what: &str| rows.iter().find(|row| row.what.contains(what)).unwrap();
        assert_eq!(row("sustained").met, Some(true));
        assert_eq!((row("32 connections").met, row("32 connections").figure), (Some(false), Some(0.4)));
        assert_eq!(row("idle, statements").met, None);
    }

    #[test]
    fn numbers_have_as_many_digits_as_say_something() {
        let shown = [0.456, 12.34, 999.6, 1_234_567.0, -12_345.0].map(short);
        assert_eq!(shown, ["0.46", "12.3", "1000", "1,234,567", "-12,345"]);
    }
}
