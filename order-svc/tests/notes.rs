//! What staff write down about orders: who reads it, and when it goes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::tokens::Shop;
use common::*;
use order_svc::commands::{self, WriteNoteError};
use order_svc::domain::NoteText;
use serde_json::{Value, json};
use shared_events::OrderId;

fn text(text: &str) -> NoteText {
    text.to_owned().try_into().unwrap()
}

fn note(text: &str) -> Option<Value> {
    Some(json!({"text": text}))
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_write_and_read_notes_the_newest_first_and_customers_never_see_one() {
    let shop = Shop::with_guests().await;
    let (ann, sam, olga) = (shop.token("ann"), shop.token("sam"), shop.token("olga"));
    let order = shop.placed(Some(&ann), "ann").await;
    let id = order["id"].as_str().unwrap();
    let path = format!("/{id}/notes");
    let (status, first) = shop.ask("POST", &path, Some(&sam), note("<b>Called</b>\nAnn")).await;
    assert_eq!((status, &first["author"], &first["text"]), (201, &json!("sam"), &json!("<b>Called</b>\nAnn")));
    let (_, second) = shop.ask("POST", &path, Some(&sam), note("secret-words")).await;
    for reader in [&sam, &olga] {
        let (status, list) = shop.ask("GET", &path, Some(reader), None).await;
        assert_eq!((status, list["items"].clone()), (200, json!([second, first])));
    }
    let (_, page) = shop.ask("GET", &format!("{path}?limit=1"), Some(&sam), None).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, rest) = shop.ask("GET", &format!("{path}?limit=1&cursor={cursor}"), Some(&sam), None).await;
    assert_eq!((page["items"].clone(), rest["items"].clone()), (json!([second]), json!([first])));

    for (method, body) in [("GET", None), ("POST", note("mine"))] {
        assert_eq!(shop.ask(method, &path, Some(&ann), body.clone()).await.0, 403);
        assert_eq!(shop.ask(method, &path, None, body).await.0, 401);
    }
    assert_eq!(shop.ask("POST", &path, Some(&olga), note("mine")).await.0, 403, "operators read");
    for path in [format!("/{id}"), format!("/{id}/history"), String::new()] {
        let (status, seen) = shop.ask("GET", &path, Some(&ann), None).await;
        assert!(status == 200 && !seen.to_string().contains("secret-words"), "{seen}");
    }
    let said = quadrille_testing::outbox(&shop.server.shop.db).await;
    assert_eq!(said.len(), 1, "a note is announced to nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wrote_a_note_is_on_record_and_what_is_no_note_is_refused_with_its_field() {
    let shop = Shop::with_guests().await;
    let (sam, olga) = (shop.token("sam"), shop.token("olga"));
    let order = shop.placed(Some(&sam), "ann").await;
    let path = format!("/api/v1/orders/{}/notes", order["id"].as_str().unwrap());
    for bad in [
        json!({"text": ""}),
        json!({"text": "a".repeat(2_001)}),
        json!({"text": "a\u{0}"}),
        json!({}),
        json!({"text": 7}),
    ] {
        let (status, problem) = shop.ask("POST", &path, Some(&sam), Some(bad.clone())).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("text")), "{bad}");
    }
    let (status, _) = shop.ask("POST", &format!("/{}/notes", OrderId::new()), Some(&sam), note("of nothing")).await;
    assert_eq!(status, 404);
    assert_eq!(shop.ask("GET", &format!("/{}/notes", OrderId::new()), Some(&sam), None).await.0, 404);
    assert_eq!(shop.server.shop.db.count("order_notes").await, 0);
    assert_eq!(shop.ask("POST", &path, Some(&sam), note("Called Ann")).await.0, 201);
    let (_, list) = shop.ask("GET", "/api/v1/actions?sub=sam", Some(&olga), None).await;
    let last = &list["items"][0];
    assert_eq!([&last["path"], &last["status"], &last["role"]], [&json!(path), &json!(201), &json!("staff")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_is_sent_again_under_its_key_is_written_once() {
    let shop = Shop::with_guests().await;
    let sam = shop.token("sam");
    let order = shop.placed(Some(&sam), "ann").await;
    let url = format!("{}/{}/notes", shop.server.url, order["id"].as_str().unwrap());
    let send = async |text: &str| {
        let request = shop.server.client.post(&url).bearer_auth(&sam).header("Idempotency-Key", "k-1");
        let answer = request.json(&json!({"text": text})).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (first, again, other) = (send("Called Ann").await, send("Called Ann").await, send("Called Ben").await);
    assert_eq!((first.0, &first), (201, &again));
    assert_eq!(other.0, 422);
    let at_once = futures_util::future::join_all((0..8).map(|_| {
        let sent = service_kit::idempotency::IdempotentRequest { key: "k-2".to_owned(), request: vec![1] };
        let (pool, id) = (shop.server.shop.db.pool.clone(), order["id"].as_str().unwrap().parse().unwrap());
        async move { commands::write_note(&pool, id, None, &text("At once"), Some(&sent)).await.unwrap().id }
    }));
    let ids = at_once.await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(shop.server.shop.db.count("order_notes").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_go_when_the_customer_is_forgotten_and_none_is_written_after_that() {
    let shop = common::Shop::new().await;
    let (ended, going_on) = (shop.place().await, shop.place().await);
    shop.hear(short(ended)).await;
    for id in [ended, going_on] {
        commands::write_note(&shop.db.pool, id, Some("sam"), &text("Ann Lee called"), None).await.unwrap();
    }
    commands::forget_customer(&shop.db.pool, &draft(&[]).customer.id).await.unwrap();
    let left: Vec<String> = shop.db.rows("select order_id from order_notes").await;
    assert_eq!(left, [going_on.to_string()], "an order that goes on keeps what is known of it");
    let late = commands::write_note(&shop.db.pool, ended, None, &text("Ann Lee called again"), None).await;
    assert!(matches!(late, Err(WriteNoteError::Forgotten)), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn race_forgotten_meanwhile_a_note_that_waits_for_whoever_forgets_the_customer_is_not_written() {
    let shop = common::Shop::new().await;
    let id = shop.place().await;
    shop.hear(short(id)).await;
    let mut forgetting = shop.db.conn().await;
    diesel_async::SimpleAsyncConnection::batch_execute(
        &mut *forgetting,
        &format!("begin; update orders set forgotten_at = now() where id = '{id}'"),
    )
    .await
    .unwrap();
    let pool = shop.db.pool.clone();
    let writing =
        tokio::spawn(
            async move { commands::write_note(&pool, id, None, &text("Ann Lee called"), None).await.map(drop) },
        );
    let waits = "pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    service_kit::testing::eventually("the note waits", std::time::Duration::from_secs(10), async || {
        shop.db.count(waits).await == 1
    })
    .await;
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *forgetting, "commit").await.unwrap();
    assert!(matches!(writing.await.unwrap(), Err(WriteNoteError::Forgotten)));
    assert_eq!(shop.db.count("order_notes").await, 0);
}
