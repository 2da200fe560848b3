//! What a shop of some size takes, computed from what was measured: the tables of docs/SCALING.md.

use std::fmt::Write as _;

use crate::results::Results;
use crate::targets::short;

/// Orders a second.
const RATES: [f64; 4] = [10.0, 50.0, 200.0, 1_000.0];
/// Rows of all outboxes that one order is, as docs/PERFORMANCE.md counts them.
const ROWS_AN_ORDER: f64 = 20.0;
const SERVICES: [&str; 4] = ["order-svc", "payment-svc", "stock-svc", "notification-svc"];

/// The tables; nothing where a figure is missing.
pub fn tables(results: &Results) -> String {
    processors(results).zip(others(results)).map_or_else(String::new, |(first, second)| format!("{first}\n{second}"))
}

/// What an order costs at two prices: alone, where nothing is shared, and at saturation.
struct Price {
    what: String,
    alone: f64,
    busy: f64,
}

fn processors(results: &Results) -> Option<String> {
    let both =
        |name: &str| Some((results.median(&format!("one/{name}"))?, results.median(&format!("saturation/{name}"))?));
    let mut prices = Vec::new();
    for service in SERVICES {
        let (alone, busy) = both(&format!("cpu/{service}/ms_per_order"))?;
        prices.push(Price { what: service.to_owned(), alone, busy });
    }
    let (server_alone, server_busy) = both("cpu/PostgreSQL/ms_per_order")?;
    let (all_alone, all_busy) = both("statements/per_order")?;
    for service in SERVICES {
        let (alone, busy) = both(&format!("statements/{}/per_order", service.replace('-', "_")))?;
        let share = (server_alone * alone / all_alone, server_busy * busy / all_busy);
        prices.push(Price { what: format!("{service}'s PostgreSQL"), alone: share.0, busy: share.1 });
    }
    let (alone, busy) = both("cpu/Kafka/ms_per_order")?;
    prices.push(Price { what: "each of three Kafka brokers".to_owned(), alone, busy });
    let mut table = "| cores for so many orders a second, alone / busy | ms an order |".to_owned();
    for rate in RATES {
        _ = write!(table, " {} |", short(rate).replace(".0", ""));
    }
    table.push_str("\n|---|---|---|---|---|---|\n");
    for Price { what, alone, busy } in prices {
        _ = write!(table, "| {what} | {} / {} |", short(alone), short(busy));
        for rate in RATES {
            _ = write!(table, " {} / {} |", short(alone * rate / 1e3), short(busy * rate / 1e3));
        }
        table.push('\n');
    }
    Some(table)
}

fn others(results: &Results) -> Option<String> {
    let wal = results.median("saturation/wal/kb_per_order")?;
    let row = results.median("relay/quadrille/cpu/us_per_row")?;
    let relay = results.median("relay/quadrille/steady_rows_per_second")?;
    let slowest = results.median("catch_up/payment-svc/orders_and_stock/events_per_second")?;
    let mut lines = vec![
        ("events a second", ROWS_AN_ORDER),
        ("all relays' CPU, cores", ROWS_AN_ORDER * row / 1e6),
        ("share of what one relay can publish, %", ROWS_AN_ORDER * 100.0 / relay),
        ("WAL of all databases, MB a second", wal / 1e3),
        ("the same, GB a day", wal * 86_400.0 / 1e6),
        ("what payment-svc needs for an hour's backlog of all of them, minutes", ROWS_AN_ORDER * 60.0 / slowest),
    ];
    let mut table = "| for so many orders a second |".to_owned();
    for rate in RATES {
        _ = write!(table, " {} |", short(rate).replace(".0", ""));
    }
    table.push_str("\n|---|---|---|---|---|\n");
    for (what, each) in lines.drain(..) {
        _ = write!(table, "| {what} |");
        for rate in RATES {
            _ = write!(table, " {} |", short(each * rate));
        }
        table.push('\n');
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let mut results = Results::default();
        for (arm, factor) in [("one", 2.0), ("saturation", 1.0)] {
            for service in SERVICES {
                results.add(format!("{arm}/cpu/{service}/ms_per_order"), 3.0 * factor);
                results.add(format!("{arm}/statements/{}/per_order", service.replace('-', "_")), 10.0 * factor);
            }
            results.add(format!("{arm}/cpu/PostgreSQL/ms_per_order"), 8.0 * factor);
            results.add(format!("{arm}/cpu/Kafka/ms_per_order"), 1.0 * factor);
            results.add(format!("{arm}/statements/per_order"), 40.0 * factor);
        }
        results.add("saturation/wal/kb_per_order", 40.0);
        results.add("relay/quadrille/cpu/us_per_row", 5.0);
        results.add("relay/quadrille/steady_rows_per_second", 100_000.0);
        results.add("catch_up/payment-svc/orders_and_stock/events_per_second", 5_000.0);
        results
    }

    #[test]
    fn a_size_is_what_was_measured_times_the_rate() {
        let tables = tables(&results());
        assert!(
            tables.contains("| order-svc | 6.00 / 3.00 | 0.06 / 0.03 | 0.30 / 0.15 | 1.20 / 0.60 | 6.00 / 3.00 |"),
            "{tables}"
        );
        // a quarter of the statements
        assert!(tables.contains("| stock-svc's PostgreSQL | 4.00 / 2.00 |"), "{tables}");
        assert!(tables.contains("| the same, GB a day | 34.6 | 173 | 691 | 3,456 |"), "{tables}");
        assert!(tables.contains("| share of what one relay can publish, % | 0.20 | 1.00 | 4.00 | 20.0 |"), "{tables}");
    }

    #[test]
    fn nothing_is_said_where_a_figure_is_missing() {
        let mut results = results();
        results.values.remove("saturation/wal/kb_per_order");
        assert_eq!(tables(&results), "");
    }
}
