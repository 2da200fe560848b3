//! What `append` writes and what it refuses.

mod support;

use diesel_async::AsyncConnection;
use outbox_relay::{AppendError, DEFAULT_TOPIC_BYTES, NewRow, append, append_all};
use service_kit::testing::{TestDb, rows};
use support::row;

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_written_in_order_with_their_headers_as_given() {
    let db = TestDb::new(&[outbox_relay::MIGRATIONS]).await;
    let mut rows: Vec<NewRow> = (0..3).map(|number| row("t", &format!("k{number}"), number)).collect();
    rows[1].headers = vec![("b".into(), "\"2\"".into()), ("a".into(), "1".into()), ("b".into(), "".into())];
    append_all(&*db.conn().await, rows).await.unwrap();
    let written = [(1, "k0"), (2, "k1"), (3, "k2")].map(|(id, key)| (id, key.to_owned()));
    assert_eq!(db.rows::<(i64, String)>("select id, key from outbox order by id").await, written);
    assert_eq!(
        db.row::<String>("select headers::text from outbox where id = 2").await,
        r#"[["b","\"2\""],["a","1"],["b",""]]"#
    );
    let payload: String = db.row("select convert_from(payload, 'utf8') from outbox where id = 3").await;
    assert_eq!(payload, r#"{"n":2}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rolled_back_was_never_appended() {
    let db = TestDb::new(&[outbox_relay::MIGRATIONS]).await;
    let rolled_back: Result<(), diesel::result::Error> = db
        .conn()
        .await
        .transaction(async |conn| {
            append(conn, row("t", "k", 1)).await.unwrap();
            Err(diesel::result::Error::RollbackTransaction)
        })
        .await;
    assert!(rolled_back.is_err());
    assert_eq!(db.count("outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_lot_is_appended_when_one_row_is_over_the_limit() {
    let db = TestDb::new(&[outbox_relay::MIGRATIONS]).await;
    let mut over = row("t", "k", 2);
    over.payload = vec![b'x'; DEFAULT_TOPIC_BYTES];
    let refused = append_all(&*db.conn().await, vec![row("t", "k", 1), over]).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { limit: DEFAULT_TOPIC_BYTES, .. })), "{refused:?}");
    assert_eq!(db.count("outbox").await, 0);
    append_all(&*db.conn().await, Vec::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_rows_is_one_prepared_statement() {
    let db = TestDb::new(&[outbox_relay::MIGRATIONS]).await;
    let mut conn = db.conn().await;
    for count in [1, 2, 70, 20_000] {
        append_all(&conn, (0..count).map(|number| row("t", "k", number)).collect()).await.unwrap();
    }
    let prepared = "select count(*) from pg_prepared_statements where statement like 'insert into outbox%'";
    assert_eq!(rows::<i64>(&mut conn, prepared).await, [1]);
    assert_eq!(db.count("outbox").await, 20_073);
}
