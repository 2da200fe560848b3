#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::process::{Command, Output};

use common::*;
use quadrille_testing::{OutboxRow, outbox};
use serde_json::Value;
use shared_events::Topic;
use stock_svc::commands::{self, NewDetails};
use stock_svc::domain::Price;

fn stock_svc(warehouse: &Warehouse, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stock-svc"));
    command.args(arguments).env_clear().env("DATABASE_URL", &warehouse.db.url);
    tokio::task::block_in_place(|| command.output()).unwrap()
}

/// What each row of the outbox says of its product, in order: SKU, sequence, type, cents.
async fn said(warehouse: &Warehouse) -> Vec<(String, i64, String, i64)> {
    let rows = outbox(&warehouse.db).await.into_iter().filter(|row| row.topic == Topic::Products.name());
    let cents =
        |row: &OutboxRow| serde_json::from_str::<Value>(&row.payload).unwrap()["price"]["amount"].as_i64().unwrap();
    rows.map(|row| (row.key.clone(), row.sequence(), row.event_type().to_owned(), cents(&row))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_product_is_announced_as_it_is_with_its_next_sequence() {
    let warehouse = Warehouse::with(&[("GONE", 1), ("TEA", 3), ("CUP", 5)]).await;
    let pool = &warehouse.db.pool;
    let dearer = NewDetails { price: Price::try_from(eur(15_00)).unwrap(), ..tea() };
    commands::change_product(pool, &"TEA".parse().unwrap(), &commands::Expected::Any, dearer).await.unwrap();
    commands::withdraw_product(pool, &"GONE".parse().unwrap(), &commands::Expected::Any).await.unwrap();
    warehouse.db.run("delete from outbox").await;

    let output = stock_svc(&warehouse, &["reannounce"]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("3 products are announced again"));
    let all = said(&warehouse).await;
    let told: Vec<_> = all.iter().map(|(sku, n, kind, cents)| (sku.as_str(), *n, kind.as_str(), *cents)).collect();
    let (changed, withdrawn) = ("product.changed.v1", "product.withdrawn.v1");
    assert_eq!(told, [("CUP", 2, changed, 12_99), ("GONE", 3, withdrawn, 12_99), ("TEA", 3, changed, 15_00)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn announcing_in_several_batches_while_others_change_products_leaves_no_gap_and_no_double() {
    let skus: Vec<String> = (0..450).map(|number| format!("SKU-{number:04}")).collect();
    let stock: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    let warehouse = Warehouse::with(&stock).await;
    let pool = &warehouse.db.pool;
    let changes = async {
        for number in 0..40 {
            let details = NewDetails { price: Price::try_from(eur(100 + number)).unwrap(), ..tea() };
            for sku in ["SKU-0003", "SKU-0199", "SKU-0200", "SKU-0449"] {
                commands::change_product(pool, &sku.parse().unwrap(), &commands::Expected::Any, details.clone())
                    .await
                    .unwrap();
            }
        }
    };
    let announcements = async {
        for _ in 0..3 {
            let (mut after, mut products) = (None, 0);
            loop {
                let announced = commands::reannounce(pool, after.as_ref()).await.unwrap();
                products += announced.products;
                let Some(last) = announced.last else { break };
                after = Some(last);
            }
            assert_eq!(products, 450);
        }
    };
    futures_util::join!(changes, announcements);
    let mut next = std::collections::BTreeMap::new();
    for (sku, sequence, ..) in said(&warehouse).await {
        let expected = next.entry(sku.clone()).or_insert(2);
        assert_eq!(sequence, *expected, "{sku}, in the order of ids");
        *expected += 1;
    }
    assert!(skus.iter().all(|sku| next[sku] >= 5));
    assert_eq!(next["SKU-0200"], 2 + 40 + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_not_there_and_a_missing_variable_are_said() {
    let warehouse = Warehouse::empty().await;
    let unknown = stock_svc(&warehouse, &["anounce"]);
    assert!(!unknown.status.success());
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("there is no command \"anounce\""));
    let help = stock_svc(&warehouse, &["help"]);
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("stock-svc reannounce"));
    let mut unset = Command::new(env!("CARGO_BIN_EXE_stock-svc"));
    let output = tokio::task::block_in_place(|| unset.arg("reannounce").env_clear().output()).unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8(output.stderr).unwrap().contains("DATABASE_URL is not set"));
}
