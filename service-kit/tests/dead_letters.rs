//! Dead letters over HTTP and in their tables: grouped by cause, listed, shown.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
mod letters;

use std::time::Duration;

use common::{database, event};
use letters::Desk;
use serde_json::json;
use service_kit::testing::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn an_error_without_its_values_is_its_cause() {
    let db = database().await;
    for (error, cause) in [
        ("missing field `currency` at line 1 column 312", "missing field `currency` at line <n> column <n>"),
        (r#"invalid type: string "Ann \"x\" Lee", expected u64"#, r#"invalid type: string "...", expected u64"#),
        ("it can't be read, it doesn't help: 'x y' is bad", "it can't be read, it doesn't help: '...' is bad"),
        ("unknown variant `frob`, expected one of `a`, `b`", "unknown variant `...`, expected one of `a`, `b`"),
        ("order 01980a10-7c00-7000-8000-0000000000A1 of ann@example.com", "order <uuid> of <email>"),
        ("-12.50 EUR of TEA-EARL-GREY-250, c-1001", "<n> EUR of <code>, c-<n>"),
        ("since 2026-11-30T04:30:00.123Z, pi_3Abcd12345", "since <time>, <id>"),
        ("order.placed.v1  and\n deadbeefdeadbeef00", "order.placed.v1 and <hex>"),
        ("panicked: out of wits", "panicked: out of wits"),
    ] {
        let quoted = error.replace('\'', "''");
        let found: String = db.row(format!("select dead_letter_cause('{quoted}')")).await;
        assert_eq!(found, cause);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_one_cause_are_one_group_and_what_waits_behind_them_is_in_none() {
    let desk = Desk::open().await;
    for (key, why) in [("a", "12 are left of TEA-1"), ("b", "7 are left of TEA-22"), ("c", "out of paper")] {
        desk.fails(key, &format!("poison {why}")).await;
    }
    desk.hears("a", "behind").await;
    let groups = desk.get("/groups").await;
    let [last, first] = &groups["items"].as_array().unwrap()[..] else { panic!("{groups}") };
    assert_eq!((&last["cause"], &last["letters"]), (&"out of paper".into(), &1.into()), "the newest first");
    assert_eq!(first["cause"], "<n> are left of <code>");
    assert_eq!((&first["letters"], &first["keys"]), (&2.into(), &2.into()));
    assert_eq!((&first["event_type"], &first["consumer"]), (&"noted.v1".into(), &"test".into()));
    assert!(first["first_at"].as_str().unwrap() < first["last_at"].as_str().unwrap());

    let listed = desk.get(&format!("?group={}", first["group"].as_str().unwrap())).await;
    let keys: Vec<_> = listed["items"].as_array().unwrap().iter().map(|letter| &letter["key"]).collect();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!(listed["items"][0]["id"], first["example"]);
    assert_eq!(desk.get("?key=a").await["items"].as_array().unwrap().len(), 2);
    assert_eq!(desk.get("").await["items"].as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_lists_go_on_where_they_ended_and_refuse_what_names_no_page() {
    let desk = Desk::open().await;
    for (key, why) in [("a", "one way"), ("b", "another way"), ("c", "a third way"), ("d", "a third way")] {
        desk.fails(key, &format!("poison {why}")).await;
    }
    for (path, count) in [("/groups?", 3), ("?", 4)] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = desk.get(&format!("{path}limit=2{cursor}")).await;
            let items = page["items"].as_array().unwrap();
            assert!((1..=2).contains(&items.len()), "{page}");
            seen.extend(items.iter().map(|item| item.get("id").unwrap_or(&item["group"]).to_string()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!((seen.len(), all), (count, count), "{path}");
    }
    for (path, wrong) in [
        ("?group=x&key=%00&limit=0&cursor=y", &["cursor", "group", "key", "limit"][..]),
        ("/groups?limit=1001&cursor=y", &["cursor", "limit"]),
    ] {
        let mut told = desk.served.fields_of_a_problem(path, 422).await;
        told.sort();
        assert_eq!(told, wrong, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_fails_anew_for_another_reason_changes_its_group() {
    let desk = Desk::open().await;
    desk.fails("a", "poison one way").await;
    let before = desk.get("").await["items"][0]["group"].clone();
    desk.db.run("update dead_letters set error = 'another way'").await;
    let after = desk.get("").await["items"][0].clone();
    assert_eq!(after["cause"], "another way");
    assert_ne!(after["group"], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_were_there_before_causes_were_get_theirs() {
    let desk = Desk::open().await;
    desk.fails("a", "poison 12 are left").await;
    desk.db.run("alter table dead_letters disable trigger dead_letters_grouped").await;
    for key in ["b", "c"] {
        desk.fails(key, "poison 7 are left").await;
    }
    desk.hears("a", "behind").await;
    desk.db.run("alter table dead_letters enable trigger dead_letters_grouped").await;
    assert_eq!(desk.get("/groups").await["items"][0]["letters"], 1);
    let worker = desk.works();
    let is_whole = async || desk.get("/groups").await["items"][0]["letters"] == 3;
    eventually("all three are in the group", Duration::from_secs(20), is_whole).await;
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_shown_with_its_content_and_what_waits_behind_it() {
    let desk = Desk::open().await;
    let mut secret = event("t", "k", "poison");
    secret.headers.push(("x-api-key".to_owned(), "hush".to_owned()));
    desk.hears_record(&secret).await;
    for behind in 0..7 {
        desk.hears("k", &format!("{{\"n\": {behind}}}")).await;
    }
    desk.fails("other", "poison").await;
    let listed = desk.get("?key=k").await;
    let id = |place: usize| listed["items"][place]["id"].as_i64().unwrap();
    let first = desk.get(&format!("/{}", id(0))).await;
    assert_eq!(first["payload"], json!({"format": "text", "value": "poison"}));
    assert_eq!((&first["ahead"], &first["behind"]["count"]), (&json!(0), &json!(7)));
    let named: Vec<_> = first["behind"]["first"].as_array().unwrap().iter().map(|letter| &letter["id"]).collect();
    assert_eq!(named, [id(1), id(2), id(3), id(4), id(5)]);
    assert_eq!((&first["topic"], &first["partition"], &first["attempts"]), (&json!("t"), &json!(0), &json!(1)));
    assert_eq!((&first["offset"], &first["error"]), (&json!(secret.place.offset), &json!("it hurts")));
    let headers = first["headers"].as_array().unwrap();
    assert!(headers.contains(&json!({"name": "ce_id", "value": secret.header("ce_id")})), "{first}");
    assert!(!first.to_string().contains("hush"), "{first}");
    let last = desk.get(&format!("/{}", id(7))).await;
    assert_eq!(last["payload"], json!({"format": "json", "value": {"n": 6}}));
    assert_eq!((&last["ahead"], &last["behind"]), (&json!(7), &json!({"count": 0, "first": []})));
    for nowhere in ["/0", "/none"] {
        assert_eq!(desk.served.read(nowhere).await.0, 404, "{nowhere}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_tells_of_the_routes_and_its_examples_are_taken() {
    Desk::open().await.served.document_is_right(letters::ACCESS).await;
}
