//! Batches of any size cost the same few statements, and these stay prepared.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use diesel_async::AsyncPgConnection;
use notification_svc::commands::record_deliveries::record_deliveries;
use notification_svc::domain::Channel;
use notification_svc::store::notifications::take_due;
use service_kit::consumer::testing::react_to_all;
use service_kit::consumer::{Outcome, Record};
use service_kit::testing::{Statements, rows};
use shared_events::*;

/// The tables of this service's own statements; the kit has others for the inbox and for how far was read.
const OWN_TABLES: [&str; 5] = ["orders", "notifications", "line_names", "profiles", "outbox"];

/// Has a batch of orders placed, confirmed, cancelled, and what is due of them sent; returns what was asked in each step.
async fn steps(shop: &mut Shop, conn: &mut AsyncPgConnection, count: usize) -> Vec<Vec<String>> {
    let statements = Statements::of(conn);
    let orders: Vec<_> = (0..count).map(|_| OrderId::new()).collect();
    let events: [Vec<Record>; 3] = [
        orders.iter().map(|order| shop.says(placed(*order))).collect(),
        orders.iter().map(|order| shop.says(confirmed(*order))).collect(),
        orders.iter().map(|order| shop.says(cancelled(*order))).collect(),
    ];
    let mut asked = Vec::new();
    for records in &events {
        let outcomes = react_to_all(conn, &shop.reactions, records).await.unwrap();
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Applied), "{outcomes:?}");
        asked.push(statements.take());
    }
    let due = take_due(conn, Channel::Email, 100).await.unwrap();
    assert_eq!(due.len(), count);
    let tried: Vec<_> = due.iter().map(sent).collect();
    record_deliveries(conn, &tried).await.unwrap();
    asked.push(statements.take());
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_sixty_four_takes_as_many_statements_as_one_event_or_mail_and_no_more_than_a_dozen() {
    let mut shop = Shop::new().await;
    let conn = &mut *shop.db.conn().await;
    let counts = |steps: Vec<Vec<String>>| steps.iter().map(Vec::len).collect::<Vec<_>>();
    let one = counts(steps(&mut shop, conn, 1).await);
    shop.takes_and_sends().await;
    shop.takes_and_sends().await;
    let many = counts(steps(&mut shop, conn, 64).await);
    assert_eq!(one, many, "one, and sixty-four");
    assert!(many.iter().all(|count| *count <= 12), "{many:?}");
    let [.., delivering] = many[..] else { unreachable!() };
    assert!(delivering <= 8, "the take and the record of all of them: {delivering}");
    assert_eq!(shop.said().await.len(), 3 + 64, "all are announced");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_of_hearing_and_sending_is_parsed_twice() {
    let mut shop = Shop::new().await;
    let conn = &mut *shop.db.conn().await;
    let asked = steps(&mut shop, conn, 2).await.concat();
    let all = "select lower(replace(statement, '\"', '')) as statement from pg_prepared_statements";
    let prepared: Vec<String> = rows(conn, all).await;
    let own = asked.iter().filter(|statement| OWN_TABLES.iter().any(|table| statement.contains(table)));
    let parsed: Vec<_> = own.filter(|statement| !prepared.iter().any(|known| statement.starts_with(known))).collect();
    assert!(parsed.is_empty(), "{parsed:#?}");
}
