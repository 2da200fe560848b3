//! What is stuck is named: by the lock's holder, its age and its statement.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use service_kit::locks;
use service_kit::testing::{TestDb, eventually};

#[derive(diesel::QueryableByName)]
struct Told {
    #[diesel(sql_type = Text)]
    why: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_lock_learns_who_holds_it_for_how_long_and_what_it_did_without_its_values() {
    let db = TestDb::new(&[]).await;
    let mut holder = db.conn().await;
    holder.batch_execute("create table levels as select 'MUG-1' as sku, 7 as on_hand").await.unwrap();
    holder.batch_execute("set application_name = 'a psql'").await.unwrap();
    holder.batch_execute("begin").await.unwrap();
    holder.batch_execute("update levels set on_hand = 4711 where sku = 'MUG-1'").await.unwrap();
    let mut waiting = db.conn().await;
    let waits = waiting.backend();
    let work = tokio::spawn(async move {
        waiting.batch_execute("update levels set on_hand = 1").await.unwrap();
    });
    eventually("the holder is named", Duration::from_secs(9), async || {
        let mut conn = db.conn().await;
        let holders = locks::holders(&mut conn, waits).await.unwrap();
        holders.iter().any(|held| {
            assert!(!held.statement.contains("4711") && !held.statement.contains("MUG-1"), "{held:?}");
            held.pid == holder.backend()
                && (held.application.as_str(), held.state.as_str()) == ("a psql", "idle in transaction")
                && held.age_seconds.is_some()
                && held.statement == "update levels set on_hand = ? where sku = ?"
        })
    })
    .await;
    eventually("an operator is told after three seconds", Duration::from_secs(9), async || {
        let mut conn = db.conn().await;
        let told: Vec<Told> = diesel::sql_query(locks::waiting()).load(&mut conn).await.unwrap();
        let holder = format!("backend {} (", holder.backend());
        told.iter().any(|told| {
            told.why.contains(&holder)
                && told.why.contains("a psql), which is idle in transaction in a transaction of ")
                && told.why.ends_with(" s: update levels set on_hand = ? where sku = ?")
        })
    })
    .await;
    assert!(locks::holders(&mut *db.conn().await, holder.backend()).await.unwrap().is_empty());
    holder.batch_execute("rollback").await.unwrap();
    work.await.unwrap();
}
