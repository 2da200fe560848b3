//! Dead letters are edited, replayed and discarded, and all of it stays on record.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
mod letters;

use common::{event, heard};
use letters::{ACCESS, Desk};
use quadrille_testing::answer;
use quadrille_testing::issuer::{Issuer, Signer};
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::consumer::Outcome;
use service_kit::dead_letters;
use service_kit::testing::prune_all;

const WHY: &str = "the producer left it out";

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_letter_is_replayed_as_it_was_edited_last_and_both_versions_stay_on_record() {
    let desk = Desk::open().await;
    let poison = event("t", "k", "poison");
    desk.hears_record(&poison).await;
    let id: i64 = desk.db.row("select id from dead_letters").await;
    for body in [json!({"n": 1}), json!({"n": 2})] {
        let edit = json!({"payload": body, "headers": {"ce_subject": "k"}, "reason": WHY});
        let (status, letter) = desk.post(&format!("/{id}/edit"), &edit).await;
        assert_eq!((status, &letter["id"]), (200, &json!(id)), "{letter}");
    }
    assert_eq!(desk.get("").await["items"][0]["edits"], 2);
    let shown = desk.get(&format!("/{id}")).await;
    assert_eq!(shown["payload"], json!({"format": "json", "value": {"n": 2}}));
    let header = |name: &str, value: Option<&str>| json!({"name": name, "value": value});
    let headers = shown["headers"].as_array().unwrap();
    assert!(headers.contains(&header("ce_id", poison.header("ce_id"))), "{shown}");
    assert!(headers.contains(&header("ce_subject", Some("k"))), "{shown}");

    let worker = desk.works();
    let job = desk.begins(json!({"action": "replay", "ids": [id]})).await;
    desk.job_is(&job, "done").await;
    worker.end().await;
    assert_eq!(heard(&desk.db, &["k"]).await, [r#"{"n":2}"#]);
    assert_eq!(desk.hears_record(&poison).await, Outcome::Duplicate, "its id stayed");
    let versions = desk.get(&format!("/{id}/versions")).await;
    let said: Vec<_> = versions["items"].as_array().unwrap().iter().map(|one| &one["payload"]["value"]).collect();
    assert_eq!(said, [&json!("poison"), &json!({"n": 1}), &json!({"n": 2})]);
    assert_eq!((&versions["items"][0]["reason"], &versions["items"][2]["reason"]), (&Value::Null, &json!(WHY)));
    let ended = desk.get("/ended?key=k").await["items"][0].clone();
    let told = ["id", "how", "outcome", "edits", "reason", "error"].map(|field| ended[field].clone());
    assert_eq!(
        told,
        [json!(id), json!("replayed"), json!("applied"), json!(2), json!("it is mended"), json!("it hurts")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_kept_as_it_was_typed_however_long_its_numbers_are() {
    let desk = Desk::open().await;
    let id = desk.fails("k", "poison").await;
    let exact = r#"{"z": 12345678901234567890123, "a": 1.50}"#;
    let body = format!(r#"{{"payload": {exact}, "reason": "{WHY}"}}"#);
    let request = desk.served.request(Method::POST, &format!("/{id}/edit")).header("content-type", "application/json");
    let (status, letter) = answer(request.body(body)).await;
    assert_eq!(status, 200, "{letter}");
    let kept = "select convert_from(value, 'UTF8') from dead_letter_versions where version = 1";
    assert_eq!(desk.db.row::<String>(kept).await, exact);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_a_letter_that_an_older_build_has_ended_are_forgotten_too() {
    let desk = Desk::open().await;
    let ids = [desk.fails("a", "poison").await, desk.fails("b", "poison").await];
    for id in ids {
        desk.post(&format!("/{id}/edit"), &json!({"payload": {"n": 1}, "reason": WHY})).await;
    }
    desk.db.run(format!("delete from dead_letters where id = {}", ids[0])).await;
    desk.db.run("update dead_letter_versions set made_at = now() - interval '31 days'").await;
    prune_all(&desk.db.pool, &dead_letters::times_to_live()).await;
    assert_eq!(desk.db.rows::<i64>("select distinct letter_id from dead_letter_versions").await, ids[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_no_event_or_nothing_new_is_refused_and_nothing_is_kept_of_it() {
    let desk = Desk::open().await;
    let id = desk.fails("k", "poison").await;
    desk.db.run("update dead_letters set value = '{\"n\":1}'").await;
    let before = desk.db.contents().await;
    for (edit, status, field) in [
        (json!({"headers": {"ce_type": "from.the.future.v1"}, "reason": WHY}), 422, json!("headers.ce_type")),
        (json!({"headers": {"ce_time": "noon"}, "reason": WHY}), 422, json!("headers.ce_time")),
        (json!({"payload": {"n": 1}, "reason": WHY}), 409, Value::Null),
        (json!({"payload": {"n": 2}, "reason": " "}), 422, json!("reason")),
        (json!({"payload": {"n": 2}}), 422, json!("reason")),
        (json!({"payload": {"n": 2}, "headers": {"ce_id": "x"}, "reason": WHY}), 422, json!("headers")),
    ] {
        let (given, problem) = desk.post(&format!("/{id}/edit"), &edit).await;
        assert_eq!((given, &problem["errors"][0]["field"]), (status, &field), "{problem}");
    }
    assert_eq!(desk.post("/0/edit", &json!({"payload": {}, "reason": WHY})).await.0, 404);
    assert_eq!(desk.db.contents().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_the_service_cannot_read_is_refused_as_the_payload() {
    let desk = Desk::open().await;
    let id = desk.fails("k", "unreadable").await;
    // as it came it can't be read, whatever its headers say
    let edit = json!({"headers": {"ce_subject": "k"}, "reason": WHY});
    let (status, problem) = desk.post(&format!("/{id}/edit"), &edit).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("payload")), "{problem}");
    assert_eq!(problem["errors"][0]["message"], "it can't be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_edits_and_discards_stays_on_record_and_nobody_but_operators_may() {
    let issuer = Issuer::start(&[Signer::es256("k1")]).await;
    let guard = issuer.guard(ACCESS).await;
    let desk = Desk::guarded(|db| guard.recording(db.pool.clone())).await;
    let (first, second) = (desk.fails("a", "poison").await, desk.fails("b", "poison").await);
    let (sam, olga) = (issuer.token("sam", &["staff"]), issuer.token("olga", &["operator"]));
    let post = async |path: String, token: &str, body: Value| {
        answer(desk.served.request(Method::POST, &path).bearer_auth(token).json(&body)).await
    };
    let (edit, discard) = (json!({"payload": {"n": 1}, "reason": WHY}), json!({"reason": WHY}));
    for path in [format!("/{first}/edit"), format!("/{first}/discard"), format!("/{first}/dry-run"), "/jobs".to_owned()]
    {
        assert_eq!(post(path.clone(), &sam, json!({})).await.0, 403, "{path}");
        assert_eq!(desk.post(&path, &json!({})).await.0, 401, "{path}");
    }
    assert_eq!(post(format!("/{first}/edit"), &olga, edit).await.0, 200);
    assert_eq!(post(format!("/{second}/discard"), &olga, discard.clone()).await.0, 204);
    assert_eq!(post(format!("/{second}/discard"), &olga, discard).await.0, 404, "it is gone");
    assert_eq!(post(format!("/{first}/discard"), &olga, json!({})).await.0, 422, "it needs a reason");
    let made: Vec<(Option<String>, i32)> =
        desk.db.rows("select made_by, version from dead_letter_versions order by version").await;
    assert_eq!(made, [(None, 0), (Some("olga".to_owned()), 1)]);
    let ended: (String, String, String) = desk.db.row("select how, ended_by, reason from dead_letters_ended").await;
    assert_eq!(ended, ("discarded".to_owned(), "olga".to_owned(), WHY.to_owned()));
    let actions: Vec<(String, i16)> =
        desk.db.rows("select path, status from actions where sub = 'olga' order by id").await;
    let statuses: Vec<_> = actions.iter().map(|(_, status)| *status).collect();
    assert_eq!(statuses, [200, 204, 404, 422]);
    assert_eq!(desk.db.count("parked_keys").await, 1, "the key of the one that is gone is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_letters_is_forgotten_after_a_month_and_their_versions_with_it() {
    let desk = Desk::open().await;
    let ids = [desk.fails("a", "poison").await, desk.fails("b", "poison").await, desk.fails("c", "poison").await];
    for id in ids {
        let edited = desk.post(&format!("/{id}/edit"), &json!({"payload": {"n": 1}, "reason": WHY})).await;
        assert_eq!(edited.0, 200);
    }
    for id in &ids[..2] {
        assert_eq!(desk.post(&format!("/{id}/discard"), &json!({"reason": WHY})).await.0, 204);
    }
    let old = format!("update dead_letters_ended set ended_at = now() - interval '31 days' where id = {}", ids[0]);
    desk.db.run(old).await;
    assert_eq!(prune_all(&desk.db.pool, &dead_letters::times_to_live()).await, 1);
    let kept: Vec<i64> = desk.db.rows("select distinct letter_id from dead_letter_versions order by 1").await;
    assert_eq!(kept, ids[1..]);
}
