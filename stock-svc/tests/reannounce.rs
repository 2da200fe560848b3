#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::process::{Command, Output};

use common::*;
use diesel::sql_query;
use diesel_async::RunQueryDsl;
use shared_events::*;
use stock_svc::commands::{self, NewDetails};
use stock_svc::domain::Price;

fn stock_svc(warehouse: &Warehouse, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stock-svc"));
    command.args(arguments).env_clear().env("DATABASE_URL", &warehouse.db.url);
    tokio::task::block_in_place(|| command.output()).unwrap()
}

/// What each row of the outbox says of its product, in order: SKU, sequence, type, cents.
async fn said(warehouse: &Warehouse) -> Vec<(String, i64, String, i64)> {
    let rows: Vec<OutboxRow> = sql_query(
        "select key as sku, type as kind, sequence::bigint, (convert_from(payload, 'utf8')::json #>> '{price,amount}')::bigint as cents
        from outbox, lateral (select
            max(h ->> 1) filter (where h ->> 0 = 'ce_type') as type,
            max(h ->> 1) filter (where h ->> 0 = 'ce_sequence') as sequence
            from json_array_elements(headers) h) as named
        where topic = 'products.v1' order by id",
    )
    .load(&mut warehouse.db.conn().await)
    .await
    .unwrap();
    rows.into_iter().map(|row| (row.sku, row.sequence, row.kind, row.cents)).collect()
}

#[derive(diesel::QueryableByName)]
struct OutboxRow {
    #[diesel(sql_type = diesel::sql_types::Text)]
    sku: String,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    sequence: i64,
    #[diesel(sql_type = diesel::sql_types::Text)]
    kind: String,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    cents: i64,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_product_is_announced_as_it_is_with_its_next_sequence() {
    let warehouse = Warehouse::with(&[("GONE", 1), ("TEA", 3), ("CUP", 5)]).await;
    let pool = &warehouse.db.pool;
    let dearer = NewDetails { price: Price::try_from(eur(15_00)).unwrap(), ..tea() };
    commands::change_product(pool, &"TEA".parse().unwrap(), &commands::Expected::Any, dearer).await.unwrap();
    commands::withdraw_product(pool, &"GONE".parse().unwrap(), &commands::Expected::Any).await.unwrap();
    sql_query("delete from outbox").execute(&mut warehouse.db.conn().await).await.unwrap();

    let output = stock_svc(&warehouse, &["reannounce"]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("3 products are announced again"));
    let all = said(&warehouse).await;
    let told: Vec<_> = all.iter().map(|(sku, n, kind, cents)| (sku.as_str(), *n, kind.as_str(), *cents)).collect();
    let (changed, withdrawn) = (kind("changed"), kind("withdrawn"));
    assert_eq!(
        told,
        [
            ("CUP", 2, changed.as_str(), 12_99),
            ("GONE", 3, withdrawn.as_str(), 12_99),
            ("TEA", 3, changed.as_str(), 15_00)
        ]
    );
}

/// As it stands in `ce_type`.
fn kind(name: &str) -> String {
    let state = ProductState {
        sku: "X".parse().unwrap(),
        name: "X".parse().unwrap(),
        category: None,
        price: eur(1),
        status: ProductStatus::Active,
        low_stock_mark: None,
    };
    let event: Event = if name == "changed" { ProductChanged(state).into() } else { ProductWithdrawn(state).into() };
    event.type_name().to_owned()
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
