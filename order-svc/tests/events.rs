//! What happens to orders, as streams of server-sent events over real HTTP and a real database.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::server::Server;
use common::sse::{Reader, Told};
use common::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use futures_util::future::join_all;
use order_svc::commands;
use order_svc::store::{self, AnnounceError, history};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use service_kit::testing::{eventually, rows};
use shared_events::OrderId;

const PATIENCE: Duration = Duration::from_secs(20);

async fn ask(server: &Server, id: OrderId, last_event_id: &str) -> Response {
    let request = server.client.get(format!("{}/{id}/events", server.url));
    let request = if last_event_id.is_empty() { request } else { request.header("Last-Event-ID", last_event_id) };
    request.send().await.unwrap()
}

async fn open(server: &Server, id: OrderId) -> Reader {
    Reader::new(ask(server, id, "").await)
}

/// Has the order end as its customer wants.
async fn end(shop: &Shop, id: OrderId) {
    commands::cancel_order(&shop.db.pool, id).await.unwrap();
    shop.hear_all(id, &[released, voided]).await;
}

fn told(events: &[(i64, &str)]) -> Vec<(i64, String)> {
    events.iter().map(|(id, status)| (*id, (*status).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_what_was_and_what_happens_until_the_order_has_ended() {
    let (server, id) = Server::with_an_order().await;
    server.shop.hear(reserved(id)).await;
    let mut stream = open(&server, id).await;
    let Some(Told::Event { id: 1, kind, data }) = stream.next().await else { panic!("the first event is told") };
    assert_eq!((kind.as_str(), &data["type"]), ("status", &json!("order.placed.v1")));
    let Some(Told::Event { id: 2, kind, data }) = stream.next().await else { panic!("so is the second") };
    assert_eq!((kind.as_str(), &data["type"]), ("history", &json!("stock.reserved.v1")));
    let history: Value = server.get(&format!("/{id}/history")).await.json().await.unwrap();
    assert_eq!(history["items"][1], data);
    server.shop.hear(authorized(id)).await;
    assert_eq!(stream.event().await, Some((3, "confirmed".to_owned())));
    end(&server.shop, id).await;
    let rest = [(4, "confirmed"), (5, "cancelling"), (6, "cancelling"), (7, "cancelled"), (8, "cancelled")];
    assert_eq!(stream.until_end().await, told(&rest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_after_the_last_event_that_the_client_knows() {
    let (server, id) = Server::with_an_order().await;
    server.shop.hear_all(id, &[reserved, authorized]).await;
    let mut stream = Reader::new(ask(&server, id, "2").await);
    assert_eq!(stream.event().await, Some((3, "confirmed".to_owned())));
    end(&server.shop, id).await;
    assert_eq!(stream.until_end().await.len(), 5);
    let mut again = Reader::new(ask(&server, id, "7").await);
    assert_eq!(again.until_end().await, told(&[(8, "cancelled")]));
    assert_eq!(ask(&server, id, "8").await.status(), StatusCode::NO_CONTENT, "a browser comes no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_can_not_be_given_says_why() {
    let (server, id) = Server::with_an_order().await;
    for wrong in ["x", "-1", "2", "99999999999999999999"] {
        let answer = ask(&server, id, wrong).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        assert_eq!(answer.json::<Value>().await.unwrap()["errors"][0]["field"], "Last-Event-ID");
    }
    assert_eq!(ask(&server, OrderId::new(), "").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(server.live.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_shows_that_it_lives_and_is_forgotten_when_its_reader_goes() {
    let (server, id) = Server::with_an_order().await;
    let mut stream = open(&server, id).await;
    stream.event().await.unwrap();
    assert_eq!(stream.next().await, Some(Told::Comment));
    assert_eq!(server.live.count(), 1);
    drop(stream);
    eventually("the stream is forgotten", PATIENCE, async || server.live.count() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_service_stops_and_what_was_told_by_then_is_not_lost() {
    let (server, id) = Server::with_an_order().await;
    let mut stream = open(&server, id).await;
    assert_eq!(stream.event().await, Some((1, "pending".to_owned())));
    server.stop.cancel();
    assert_eq!(stream.until_end().await, []);
    eventually("every stream has ended", PATIENCE, async || server.live.count() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_commits_after_younger_ones_is_told_all_the_same() {
    let server = Server::new().await;
    let (slow, quick) = (server.shop.place().await, server.shop.place().await);
    let (mut of_slow, mut of_quick) = (open(&server, slow).await, open(&server, quick).await);
    of_slow.event().await.unwrap();
    of_quick.event().await.unwrap();
    let mut conn = server.shop.db.conn().await;
    conn.transaction(async |conn| {
        let mut loaded = store::load_order(conn, slow).await?;
        let cancelled = loaded.order(slow).unwrap().progress.clone().cancel().unwrap();
        loaded.apply(cancelled.into(), None)?;
        store::save(conn, loaded).await?;
        for fact in [reserved, authorized] as [Fact; 2] {
            server.shop.hear(fact(quick)).await;
            of_quick.event().await.unwrap();
        }
        Ok::<(), AnnounceError>(())
    })
    .await
    .unwrap();
    assert_eq!(of_slow.event().await, Some((2, "cancelling".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_opened_at_any_moment_miss_nothing_and_tell_nothing_twice() {
    let server = Server::new().await;
    let lives = (0..40).map(async |n: i64| {
        let id = server.shop.place().await;
        let recorded = format!("select recorded as count from orders where id = '{id}'");
        let live = async {
            server.shop.hear_all(id, &[reserved, authorized]).await;
            end(&server.shop, id).await;
        };
        let watch = async {
            eventually("so much has happened", PATIENCE, async || server.shop.count(&recorded).await > n % 8).await;
            open(&server, id).await.until_end().await
        };
        let (early, (), late) = tokio::join!(async { open(&server, id).await.until_end().await }, live, watch);
        for events in [early, late] {
            assert_eq!(events.iter().map(|(id, _)| *id).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
        }
    });
    join_all(lives).await;
    eventually("every stream is forgotten", PATIENCE, async || server.live.count() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_another_server_are_not_read_again_and_again() {
    let shop = Shop::new().await;
    shop.place().await;
    let mut conn = shop.db.conn().await;
    let changed = order_svc::store::history::changed_since(&mut conn, 0).await.unwrap();
    assert_eq!(changed.len(), 1);
    shop.db.run("update order_history set written_by = 1e15").await;
    assert_eq!(shop.db.count("order_history").await, 1);
    assert_eq!(order_svc::store::history::changed_since(&mut conn, 0).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_stays_open_holds_up_the_streams_of_its_own_database_alone() {
    let (shop, elsewhere) = (Shop::new().await, Shop::new().await);
    let number = "select pg_current_xact_id()::text::bigint as count";
    let (mut far, mut near) = (elsewhere.db.conn().await, shop.db.conn().await);
    far.batch_execute("begin").await.unwrap();
    let far_away = rows::<i64>(&mut far, number).await[0];
    let mut conn = shop.db.conn().await;
    let oldest_open = async |conn: &mut AsyncPgConnection| history::oldest_open(conn).await.unwrap();
    shop.place().await;
    assert!(oldest_open(&mut conn).await > far_away);
    near.batch_execute("begin").await.unwrap();
    let near_by = rows::<i64>(&mut near, number).await[0];
    shop.place().await;
    assert_eq!(oldest_open(&mut conn).await, near_by);
    near.batch_execute("commit").await.unwrap();
    shop.place().await;
    assert!(oldest_open(&mut conn).await > near_by);
    far.batch_execute("rollback").await.unwrap();
}
