//! Dead letters are tried without effect.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
mod letters;

use diesel_async::SimpleAsyncConnection;
use letters::Desk;
use serde_json::{Value, json};
use service_kit::config::{LogFormat, TelemetryConfig};
use service_kit::telemetry;

impl Desk {
    async fn tries(&self, id: i64, body: &Value) -> Value {
        let before = self.db.contents().await;
        let (status, tried) = self.post(&format!("/{id}/dry-run"), body).await;
        assert_eq!(status, 200, "{tried}");
        assert_eq!(self.db.contents().await, before, "a dry run has left something");
        assert_eq!(self.notebook.told.load(std::sync::atomic::Ordering::SeqCst), 0, "the relay was nudged");
        tried
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_written_is_told_and_nothing_is_left_of_it() {
    let desk = Desk::open().await;
    let id = desk.fails("k", "poison").await;
    let fails = desk.tries(id, &json!({})).await;
    assert_eq!(
        (&fails["outcome"], &fails["why"], &fails["may_pass"]),
        (&json!("fails"), &json!("it hurts"), &json!(false))
    );
    desk.notebook.cure();
    for _ in 0..2 {
        // the second sees the counts of the first, which this session has not told the statistics of yet
        let goes = desk.tries(id, &json!({})).await;
        assert_eq!((&goes["outcome"], &goes["why"]), (&json!("applied"), &Value::Null));
        let [table] = &goes["rows"].as_array().unwrap()[..] else { panic!("{goes}") };
        let counts = ["inserted", "updated", "deleted"].map(|name| table[name].as_i64().unwrap());
        assert_eq!((&table["table"], counts, &table["all_shown"]), (&json!("heard"), [1, 0, 0], &json!(true)));
        let [row] = &table["changes"].as_array().unwrap()[..] else { panic!("{goes}") };
        assert!(row["before"].is_null() && row["after"].is_object(), "{row}");
        assert_eq!((&goes["ahead"], &goes["events"]), (&json!(0), &json!([])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_body_and_other_headers_are_tried_and_are_not_kept() {
    let desk = Desk::open().await;
    let id = desk.fails("k", "poison").await;
    assert_eq!(desk.tries(id, &json!({"payload": {"n": 1}})).await["outcome"], "applied");
    let newer = json!({"headers": {"ce_type": "from.the.future.v1"}});
    let why = desk.tries(id, &newer).await["why"].clone();
    assert_eq!(why, "this build does not know its type");
    let no_time = json!({"headers": {"ce_time": "noon"}, "payload": {"n": 1}});
    assert!(desk.tries(id, &no_time).await["why"].as_str().unwrap().contains("ce_time"));
    for (body, field) in [
        (json!({"headers": {"ce_id": "another"}}), "headers"),
        (json!({"headers": {"ce_time": "a\u{0}"}}), "headers.ce_time"),
        (json!({"body": {}}), "body"),
    ] {
        let (status, problem) = desk.post(&format!("/{id}/dry-run"), &body).await;
        let told = problem["errors"][0]["field"].as_str().unwrap_or_default();
        assert!(status == 422 && told.starts_with(field), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_any_way_is_told() {
    let desk = Desk::open().await;
    for (what, why) in [
        ("panic", "panicked: out of wits"),
        ("unreadable", "it can't be read"),
        ("poison for 5 reasons", "for 5 reasons"),
    ] {
        let id = desk.fails(what, what).await;
        assert_eq!(desk.tries(id, &json!({})).await["why"], why);
    }
    let id = desk.fails("k", "poison").await;
    for (what, outcome, why) in [("too long", "fails", "the page is too small"), ("ignore", "ignored", "not for us")] {
        desk.db.run(format!("update dead_letters set value = '{what}' where id = {id}")).await;
        let tried = desk.tries(id, &json!({})).await;
        assert_eq!((&tried["outcome"], &tried["why"]), (&json!(outcome), &json!(why)));
    }
    assert_eq!(desk.post("/0/dry-run", &json!({})).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_waits_behind_another_is_tried_by_itself_and_that_is_told() {
    let desk = Desk::open().await;
    desk.fails("k", "poison").await;
    desk.hears("k", "second").await;
    let id: i64 = desk.db.row("select max(id) from dead_letters").await;
    let tried = desk.tries(id, &json!({})).await;
    assert_eq!((&tried["ahead"], &tried["outcome"]), (&json!(1), &json!("applied")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_somebody_holds_is_waited_for_briefly_and_says_nothing_of_the_event() {
    let desk = Desk::open().await;
    let id = desk.fails("k", "poison").await;
    let mut other = desk.db.conn().await;
    other.batch_execute("begin; select from parked_keys for update").await.unwrap();
    let tried = desk.post(&format!("/{id}/dry-run"), &json!({})).await.1;
    assert_eq!((&tried["outcome"], &tried["may_pass"]), (&json!("fails"), &json!(true)), "{tried}");
    other.batch_execute("rollback").await.unwrap();
    assert_eq!(desk.tries(id, &json!({})).await["may_pass"], false);
}

/// How often a note of this key was counted.
fn counted(key: &str) -> Option<String> {
    let (rendered, label) = (telemetry::render_metrics(), format!("key=\"{key}\""));
    let mut lines = rendered.lines().filter(|line| line.starts_with("notebook_saved_total") && line.contains(&label));
    lines.next().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_of_nothing_is_counted_nowhere() {
    let config = TelemetryConfig { format: LogFormat::Json, filter: "warn".to_owned(), tracing: None };
    telemetry::init("test", &config).unwrap();
    let desk = Desk::open().await;
    let id = desk.fails("measured", "poison").await;
    desk.notebook.cure();
    assert_eq!(desk.tries(id, &json!({})).await["outcome"], "applied");
    assert_eq!(counted("measured"), None);
    desk.hears("counted", "noted").await;
    assert!(counted("counted").is_some(), "what is saved for good is counted");
}
